package tokenizer

import (
	"cmp"
	"slices"
	"sort"
	"sync"
	"unicode"
	"unicode/utf8"
)

// scriptSplit cuts where the script of the characters changes. Kana count as Han; what has no script of its own goes with
// what is before it and is dropped at the front.
type scriptSplit struct{}

func (scriptSplit) split(dst []piece, p piece) []piece {
	from, last := -1, ""
	for i, r := range p.text {
		script := scriptOf(r)
		if script == "" {
			continue
		}
		if script != last {
			if from >= 0 {
				dst = append(dst, p.part(from, i))
			}
			from = i
		}
		last = script
	}
	if from >= 0 {
		dst = append(dst, p.part(from, len(p.text)))
	}
	return dst
}

// scriptOf names the script of a character, "" if it belongs to all.
func scriptOf(r rune) string {
	list := scriptRanges()
	at := sort.Search(len(list), func(i int) bool { return list[i].high >= r })
	switch {
	case r == ' ' || at == len(list) || r < list[at].low || unicode.Is(scriptless(), r):
		return ""
	case r == 0x30FC:
		return "Han"
	case r == 0x589 || r == 0x61C:
		return "Common"
	case r == 0x953 || r == 0x954:
		return "Devanagari"
	}
	return list[at].script
}

type scriptRange struct {
	low, high rune
	script    string
}

// scriptRanges lists the ranges of all scripts in order.
var scriptRanges = sync.OnceValue(func() []scriptRange {
	var list []scriptRange
	add := func(low, high, stride rune, script string) {
		if stride == 1 {
			list = append(list, scriptRange{low, high, script})
			return
		}
		for r := low; r <= high; r += stride {
			list = append(list, scriptRange{r, r, script})
		}
	}
	for name, table := range unicode.Scripts {
		if name == "Hiragana" || name == "Katakana" {
			name = "Han"
		}
		for _, r := range table.R16 {
			add(rune(r.Lo), rune(r.Hi), rune(r.Stride), name)
		}
		for _, r := range table.R32 {
			add(rune(r.Lo), rune(r.Hi), rune(r.Stride), name)
		}
	}
	slices.SortFunc(list, func(a, b scriptRange) int { return cmp.Compare(a.low, b.low) })
	return list
})

// lengthSplit cuts into pieces of so many characters.
type lengthSplit int

func (n lengthSplit) split(dst []piece, p piece) []piece {
	for from := 0; from < len(p.text); {
		to := from
		for range int(n) {
			_, size := utf8.DecodeRuneInString(p.text[to:])
			to += size
		}
		dst = append(dst, p.part(from, to))
		from = to
	}
	return dst
}
