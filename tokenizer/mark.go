package tokenizer

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"hone/internal/jinja"
)

// A mark before a text that spells a special token says that it is ordinary text. The mark is a character that Unicode
// keeps for such uses; two of them stand for one that is part of the text.
const plainMark = string(jinja.Mark)

// mark puts a mark before each place of a text where a special token is spelled, or where its end begins to spell one that
// another text may go on with. Where the normalizer makes a special token of other characters, all are marked.
func (p *pipeline) mark(text string) string {
	end := len(strings.TrimRightFunc(text, unicode.IsSpace)) // templates trim
	marked := markAt(text, func(i int) bool { return p.raw.specialAt(text, i, end) || p.normalized.specialAt(text, i, end) })
	if p.norm != nil && p.normalized.special && p.spellsNormalized(marked) {
		return markAt(text, func(int) bool { return true })
	}
	return marked
}

// markAt puts marks before the characters at some places of a text, and doubles those that it holds.
func markAt(text string, special func(i int) bool) string {
	var b strings.Builder
	done := 0
	for i, r := range text {
		if r == jinja.Mark || special(i) {
			b.WriteString(text[done:i])
			b.WriteString(plainMark)
			done = i
		}
	}
	if done == 0 && b.Len() == 0 {
		return text
	}
	b.WriteString(text[done:])
	return b.String()
}

// spellsNormalized tells whether a marked text still spells a special token, or begins one at its end, once it is normalised.
func (p *pipeline) spellsNormalized(marked string) bool {
	text, plain := unmark(marked)
	_, last := utf8.DecodeLastRuneInString(text)
	done, found := 0, false
	p.normalized.eachPlain(text, 0, plain, func(part string) {
		found = found || p.normalized.spells(p.norm.normalize(part), 0)
		if done += len(part); done == len(text) && !plain[len(text)-last] { // nothing cuts it from what follows
			end := p.norm.normalize(strings.TrimRightFunc(part, unicode.IsSpace))
			found = found || p.normalized.spells(end, len(end))
		}
	})
	return found
}

// spells tells whether a special token begins anywhere in text, whole or up to end.
func (s *addedSet) spells(text string, end int) bool {
	for i := range text {
		if s.specialAt(text, i, end) {
			return true
		}
	}
	return false
}

// specialAt tells whether a special token begins at text[i], whole or up to end.
func (s *addedSet) specialAt(text string, i, end int) bool {
	if len(s.ends) == 0 || !s.first[text[i]] {
		return false
	}
	node := uint32(0)
	for j := i; j < len(text); j++ {
		if node = s.next[uint64(node)<<8|uint64(text[j])]; node == 0 {
			return false
		}
		if k, ok := s.ends[node]; ok && s.tokens[k].Special {
			return true
		}
		if j+1 == end && s.leads[node] {
			return true
		}
	}
	return false
}

// unmark takes the marks out of a text and returns the places at which no special token begins.
func unmark(text string) (clean string, plain map[int]bool) {
	if !strings.Contains(text, plainMark) {
		return text, nil
	}
	var b strings.Builder
	plain = map[int]bool{}
	for {
		at := strings.Index(text, plainMark)
		if at < 0 {
			break
		}
		b.WriteString(text[:at])
		if text = text[at+len(plainMark):]; strings.HasPrefix(text, plainMark) {
			b.WriteString(plainMark)
			text = text[len(plainMark):]
		} else {
			plain[b.Len()] = true
		}
	}
	b.WriteString(text)
	return b.String(), plain
}

// eachPlain yields the parts of text, which begins at an offset of the whole, so that none of the marked places begins a
// token of a normalised text: they are cut in two. A set without special tokens leaves the text whole.
func (s *addedSet) eachPlain(text string, offset int, plain map[int]bool, yield func(part string)) {
	if len(plain) > 0 && s.special {
		for i := 0; i < len(text); i++ {
			if plain[offset+i] {
				_, n := utf8.DecodeRuneInString(text[i:])
				yield(text[:i+n])
				text, offset, i = text[i+n:], offset+i+n, -1
			}
		}
	}
	if text != "" {
		yield(text)
	}
}
