package tokenizer

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// addedToken is a token found in the text before anything else, as tokenizer.json lists it.
type addedToken struct {
	ID         int32  `json:"id"`
	Content    string `json:"content"`
	SingleWord bool   `json:"single_word"` // only as a word of its own
	LStrip     bool   `json:"lstrip"`      // takes the white space before it
	RStrip     bool   `json:"rstrip"`      // takes the white space after it
	Normalized bool   `json:"normalized"`  // found in normalised text, its own spelling normalised too
	Special    bool   `json:"special"`
}

// maxAddedToken bounds the work of a search: at each place of a text at most this many bytes are compared.
const maxAddedToken = 4096

// addedSet finds tokens in a text: the leftmost, and the longest of those that begin there.
type addedSet struct {
	ids     map[string]int32
	tokens  []addedToken
	first   [256]bool
	next    map[uint64]uint32 // node<<8 | byte → node; the root is 0
	ends    map[uint32]int    // node → index of the token that ends there
	leads   map[uint32]bool   // nodes from which a special token may go on
	only    byte              // the only first byte, if there is one
	single  bool
	special bool // there are special tokens among them
}

func newAddedSet(tokens []addedToken, spelling func(string) string) (*addedSet, error) {
	s := &addedSet{ids: map[string]int32{}, tokens: tokens, next: map[uint64]uint32{}, ends: map[uint32]int{}, leads: map[uint32]bool{}}
	nodes := uint32(1)
	for i, t := range tokens {
		s.ids[t.Content] = t.ID
		s.special = s.special || t.Special
		text := spelling(t.Content)
		if len(text) > maxAddedToken {
			return nil, fmt.Errorf("tokenizer: added token %d has %d bytes, at most %d are allowed", t.ID, len(text), maxAddedToken)
		}
		if text == "" {
			continue
		}
		s.first[text[0]] = true
		node := uint32(0)
		for j := range len(text) {
			if j > 0 && t.Special {
				s.leads[node] = true
			}
			key := uint64(node)<<8 | uint64(text[j])
			if s.next[key] == 0 {
				s.next[key] = nodes
				nodes++
			}
			node = s.next[key]
		}
		s.ends[node] = i
	}
	count := 0
	for b, set := range s.first {
		if set {
			s.only = byte(b)
			count++
		}
	}
	s.single = count == 1
	return s, nil
}

// find returns the first token at or after from: its index and where it lies; index -1: none.
func (s *addedSet) find(text string, from int) (index, start, end int) {
	for i := from; i < len(text); i++ {
		if s.single {
			skip := strings.IndexByte(text[i:], s.only)
			if skip < 0 {
				break
			}
			i += skip
		} else if !s.first[text[i]] {
			continue
		}
		if index, end := s.longest(text, i); index >= 0 {
			return index, i, end
		}
	}
	return -1, 0, 0
}

func (s *addedSet) longest(text string, i int) (index, end int) {
	index = -1
	node := uint32(0)
	for j := i; j < len(text); j++ {
		if node = s.next[uint64(node)<<8|uint64(text[j])]; node == 0 {
			break
		}
		if k, ok := s.ends[node]; ok {
			index, end = k, j+1
		}
	}
	return index, end
}

// cut calls yield for each part of text in order: a token (id ≥ 0) or the text between two (id -1). No special token begins
// at the places in plain. As in the reference, tokens may share white space that one of them takes.
func (s *addedSet) cut(text string, parseSpecial bool, plain map[int]bool, yield func(id int32, from, to int)) {
	done := 0
	if len(s.ends) > 0 {
		for at := 0; at < len(text); {
			index, start, end := s.find(text, at)
			if index < 0 {
				break
			}
			t := &s.tokens[index]
			if t.Special && plain[start] {
				at = start + 1
				continue
			}
			at = end
			if t.Special && !parseSpecial || t.SingleWord && !standsAlone(text, start, end) {
				continue
			}
			if t.LStrip {
				start = max(done, len(strings.TrimRightFunc(text[:start], isSpace)))
			}
			if t.RStrip {
				end = len(text) - len(strings.TrimLeftFunc(text[end:], isSpace))
			}
			if done < start {
				yield(-1, done, start)
			}
			if start < end { // it may begin in the white space that the token before took
				yield(t.ID, start, end)
			}
			done = end
		}
	}
	if done < len(text) {
		yield(-1, done, len(text))
	}
}

// standsAlone tells whether no word character touches text[start:end].
func standsAlone(text string, start, end int) bool {
	before, _ := utf8.DecodeLastRuneInString(text[:start])
	after, _ := utf8.DecodeRuneInString(text[end:])
	return (start == 0 || !isWord(before)) && (end == len(text) || !isWord(after))
}

func isSpace(r rune) bool { return unicode.Is(unicode.White_Space, r) }

// isWord is \w of the Unicode standard (UTS #18): alphabetic, marks, decimal digits, connectors, join controls.
func isWord(r rune) bool {
	return unicode.In(r, unicode.L, unicode.M, unicode.Nd, unicode.Nl, unicode.Pc, unicode.Other_Alphabetic) ||
		r == 0x200C || r == 0x200D || r >= utf8.RuneSelf && unicode.In(r, letterAdd(), combiningAdd(), numberAdd())
}
