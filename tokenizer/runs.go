package tokenizer

import (
	"regexp/syntax"
	"slices"
	"unicode/utf8"
)

// runMatcher matches runs of characters of a set: from least to most of them (0: no bound), perhaps with one character of
// white space before.
type runMatcher struct {
	set         runeSet
	least, most int
	space       bool
}

// runeSet is a set of characters.
type runeSet struct {
	ascii [utf8.RuneSelf]bool
	more  func(r rune) bool
}

func newRuneSet(in func(r rune) bool) runeSet {
	s := runeSet{more: in}
	for r := range rune(utf8.RuneSelf) {
		s.ascii[r] = in(r)
	}
	return s
}

// classSet reads a bracket expression of plain characters and ranges.
func classSet(class string) runeSet {
	re, err := syntax.Parse(class, syntax.Perl)
	if err != nil || re.Op != syntax.OpCharClass {
		panic("tokenizer: " + class + " is no class of characters")
	}
	ranges := re.Rune // low, high, low, high, …
	return newRuneSet(func(r rune) bool {
		at, found := slices.BinarySearch(ranges, r)
		return found || at%2 == 1
	})
}

// kindSet is the set of characters that have one of the given kinds.
func kindSet(kinds uint8) runeSet {
	return newRuneSet(func(r rune) bool { return slowOrFastKind(r)&kinds != 0 })
}

// slowOrFastKind serves sets that are built before the tables are.
func slowOrFastKind(r rune) uint8 {
	if r < utf8.RuneSelf {
		return slowKind(r)
	}
	return runeKind(r)
}

// at returns the size of the character at text[i] if it is in the set, else 0.
func (s *runeSet) at(text string, i int) int {
	if i >= len(text) {
		return 0
	}
	if c := text[i]; c < utf8.RuneSelf {
		if s.ascii[c] {
			return 1
		}
		return 0
	}
	if r, n := utf8.DecodeRuneInString(text[i:]); s.more(r) {
		return n
	}
	return 0
}

func (m *runMatcher) spans(piece string) []span {
	var out []span
	from := 0
	for from < len(piece) {
		start, end := m.next(piece, from)
		if end == 0 {
			break
		}
		out = append(closeSpans(out, from, start), span{start, end, true})
		from = end
	}
	return closeSpans(out, from, len(piece))
}

// isolate appends the matches and what lies between them: spans without the list of them.
func (m *runMatcher) isolate(dst []piece, p piece) []piece {
	from := 0
	for from < len(p.text) {
		start, end := m.next(p.text, from)
		if end == 0 {
			break
		}
		if from < start {
			dst = append(dst, p.part(from, start))
		}
		dst = append(dst, p.part(start, end))
		from = end
	}
	if from < len(p.text) {
		dst = append(dst, p.part(from, len(p.text)))
	}
	return dst
}

// next finds the first match at or after from; end 0: there is none.
func (m *runMatcher) next(piece string, from int) (start, end int) {
	for i := from; i < len(piece); i++ {
		if c := piece[i]; c < utf8.RuneSelf && !m.set.ascii[c] && !(m.space && asciiClass[c] == classSpace) || !utf8.RuneStart(c) {
			continue
		}
		if end := m.match(piece, i); end > 0 {
			return i, end
		}
	}
	return 0, 0
}

// match returns the end of the match at piece[i], 0: there is none.
func (m *runMatcher) match(piece string, i int) int {
	if m.space {
		if class, size := classAt(piece, i); class == classSpace {
			if end := m.run(piece, i+size); end > 0 {
				return end
			}
		}
	}
	return m.run(piece, i)
}

func (m *runMatcher) run(piece string, i int) int {
	count := 0
	for m.most == 0 || count < m.most {
		n := m.set.at(piece, i)
		if n == 0 {
			break
		}
		i += n
		count++
	}
	if count < m.least {
		return 0
	}
	return i
}
