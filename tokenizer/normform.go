package tokenizer

import (
	"sort"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

func nfd(s string) string  { return normalForm(norm.NFD, s) }
func nfc(s string) string  { return normalForm(norm.NFC, s) }
func nfkd(s string) string { return normalForm(norm.NFKD, s) }
func nfkc(s string) string { return normalForm(norm.NFKC, s) }

// normalForm brings s to a normal form as the reference does: characters whose decomposition its older tables lack stay,
// and no character is put into long runs of marks (package norm splits them after 30).
func normalForm(f norm.Form, s string) string {
	if f.IsNormalString(s) && !longMarks(f, s) {
		return s
	}
	var b strings.Builder
	from := 0
	for i, r := range s {
		if r >= 0x32FF && unicode.Is(undecomposed(), r) {
			b.WriteString(plainForm(f, s[from:i]))
			b.WriteRune(r)
			from = i + utf8.RuneLen(r)
		}
	}
	if from == 0 {
		return plainForm(f, s)
	}
	b.WriteString(plainForm(f, s[from:]))
	return b.String()
}

func plainForm(f norm.Form, s string) string {
	if longMarks(f, s) {
		return slowForm(f, s)
	}
	return f.String(s)
}

// longMarks tells whether s may hold a run of marks that package norm would split.
func longMarks(f norm.Form, s string) bool {
	run := 0
	for i := 0; i < len(s); {
		if s[i] < utf8.RuneSelf {
			run = 0
			i++
			continue
		}
		p := f.PropertiesString(s[i:])
		if p.CCC() == 0 && p.TrailCCC() == 0 {
			run = 0
		} else if run++; run > 8 { // one character decomposes to at most 3 marks
			return true
		}
		i += max(p.Size(), 1)
	}
	return false
}

// slowForm is the algorithm of the Unicode standard (UAX #15) step by step.
func slowForm(f norm.Form, s string) string {
	decompose := norm.NFD
	if f == norm.NFKC || f == norm.NFKD {
		decompose = norm.NFKD
	}
	var runes []rune
	for _, r := range s {
		runes = append(runes, []rune(decompose.String(string(r)))...)
	}
	classes := make([]uint8, len(runes))
	for i, r := range runes {
		classes[i] = norm.NFD.PropertiesString(string(r)).CCC()
	}
	for i := 0; i < len(runes); {
		end := i + 1
		for end < len(runes) && classes[end] != 0 {
			end++
		}
		start := i
		if classes[start] == 0 {
			start++
		}
		sort.Stable(marks{runes[start:end], classes[start:end]})
		i = end
	}
	if f == norm.NFC || f == norm.NFKC {
		runes = compose(runes, classes)
	}
	return string(runes)
}

// marks sorts a run of marks by combining class.
type marks struct {
	runes   []rune
	classes []uint8
}

func (m marks) Len() int           { return len(m.runes) }
func (m marks) Less(i, j int) bool { return m.classes[i] < m.classes[j] }
func (m marks) Swap(i, j int) {
	m.runes[i], m.runes[j] = m.runes[j], m.runes[i]
	m.classes[i], m.classes[j] = m.classes[j], m.classes[i]
}

// compose joins each starter with the marks after it that are not blocked.
func compose(runes []rune, classes []uint8) []rune {
	out := runes[:0:0]
	starter, last := -1, uint8(0)
	for i, r := range runes {
		if starter >= 0 && (last < classes[i] || last == 0 && starter == len(out)-1) {
			if joined := []rune(norm.NFC.String(string(out[starter]) + string(r))); len(joined) == 1 {
				out[starter] = joined[0]
				continue
			}
		}
		if classes[i] == 0 {
			starter = len(out)
		}
		last = classes[i]
		out = append(out, r)
	}
	return out
}
