package tokenizer

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// charBPE is byte-pair encoding over characters: SentencePiece's BPE, and the BPE of a tokenizer.json without a
// byte-level alphabet.
type charBPE struct {
	bpe
	ascii    [utf8.RuneSelf]int32
	chars    map[rune]int32
	fallback *[256]int32 // ids of the tokens that stand for bytes; nil: none
	// late: a character that is no token still merges and becomes bytes or the unknown token afterwards (SentencePiece);
	// otherwise before (tokenizer.json).
	late   bool
	unused map[int32][]int32 // tokens that merge but are not given out → what they are made of
	cuts   wordCuts
	// Of a tokenizer.json: what is written before characters that do not begin a word, and after the one that ends it.
	prefix, suffix string
}

// unknownChar is the symbol of a character that is no token.
func unknownChar(r rune) int32 { return -2 - r }

func newCharBPE(vocab map[string]int32, pairs pairTable) *charBPE {
	m := &charBPE{bpe: bpe{vocab: vocab, merges: pairs, unk: -1, cache: newWordCache()}, chars: map[rune]int32{}}
	for i := range m.ascii {
		m.ascii[i] = unknownChar(rune(i))
	}
	return m
}

// setChar makes a character a symbol.
func (m *charBPE) setChar(r rune, id int32) {
	if r < utf8.RuneSelf {
		m.ascii[r] = id
	} else {
		m.chars[r] = id
	}
}

func (m *charBPE) char(r rune) int32 {
	if r < utf8.RuneSelf {
		return m.ascii[r]
	}
	if id, ok := m.chars[r]; ok {
		return id
	}
	return unknownChar(r)
}

func (m *charBPE) encode(dst []int32, piece string) []int32 {
	if m.ignoreMerges {
		if id, ok := m.vocab[piece]; ok {
			return append(dst, id)
		}
	}
	for piece != "" {
		end := m.cuts.next(piece, 0)
		dst = m.encodeCached(dst, piece[:end])
		piece = piece[end:]
	}
	return dst
}

func (m *charBPE) encodeCached(dst []int32, word string) []int32 {
	slot := m.cache.slot(word)
	if slot == nil {
		return m.encodeWord(dst, word)
	}
	if e := slot.Load(); e != nil && e.word == word {
		return append(dst, e.ids...)
	}
	start := len(dst)
	dst = m.encodeWord(dst, word)
	remember(slot, word, dst[start:])
	return dst
}

func (m *charBPE) encodeWord(dst []int32, word string) []int32 {
	start := len(dst)
	if m.late {
		for _, r := range word {
			dst = append(dst, m.char(r))
		}
	} else {
		dst = m.appendChars(dst, word)
	}
	if n := len(dst) - start; n <= shortWord {
		dst = dst[:start+m.mergeShort(dst[start:])]
	} else {
		dst = append(dst[:start], m.mergeLong(dst[start:])...)
	}
	return m.finish(dst, start)
}

// appendChars appends the symbols of word as tokenizer.json means it: a character that is no token becomes its bytes, if
// all of them are tokens, or else the unknown token, one for a run of them when fuseUnk is set, or nothing if there is none.
// As in the reference, an unknown token waits until a known character follows, behind bytes that come in between.
func (m *charBPE) appendChars(dst []int32, word string) []int32 {
	waiting := false
	for i, r := range word {
		text := word[i : i+utf8.RuneLen(r)]
		id := m.char(r)
		if m.prefix+m.suffix != "" {
			text, id = m.affixed(word, i, text)
		}
		switch {
		case id >= 0:
			if waiting {
				dst, waiting = append(dst, m.unk), false
			}
			dst = append(dst, id)
		case m.hasBytes(text):
			dst = m.appendFallback(dst, text)
		case m.knowsUnk(word):
			if waiting && !m.fuseUnk {
				dst = append(dst, m.unk)
			}
			waiting = true
		}
	}
	if waiting {
		dst = append(dst, m.unk)
	}
	return dst
}

// affixed is the character at word[i] with the affixes of its place, and its token, -1 if it is none.
func (m *charBPE) affixed(word string, i int, char string) (text string, id int32) {
	text = char
	if i > 0 {
		text = m.prefix + text
	}
	if i+len(char) == len(word) {
		text += m.suffix
	}
	if id, ok := m.vocab[text]; ok {
		return text, id
	}
	return text, -1
}

func (m *charBPE) hasBytes(char string) bool {
	if m.fallback == nil {
		return false
	}
	for i := range len(char) {
		if m.fallback[char[i]] < 0 {
			return false
		}
	}
	return true
}

// drops tells whether a character without a token may vanish, so that those beside it meet.
func (m *charBPE) drops() bool {
	return m.unk == -1 && (m.fallback == nil || slices.Contains(m.fallback[:], -1))
}

func (m *charBPE) appendFallback(dst []int32, char string) []int32 {
	for i := range len(char) {
		dst = append(dst, m.fallback[char[i]])
	}
	return dst
}

// finish replaces what merging left over from dst[start] on: unused tokens and characters that are no tokens.
func (m *charBPE) finish(dst []int32, start int) []int32 {
	ready := func(id int32) bool { return id >= 0 && m.unused[id] == nil }
	for start < len(dst) && ready(dst[start]) {
		start++
	}
	if start == len(dst) {
		return dst
	}
	rest := append([]int32(nil), dst[start:]...)
	dst = dst[:start]
	inUnk := false
	for _, id := range rest {
		dst = m.appendFinal(dst, id, &inUnk)
	}
	return dst
}

// appendFinal appends what becomes of one symbol; inUnk: the one before was a character without a token.
func (m *charBPE) appendFinal(dst []int32, id int32, inUnk *bool) []int32 {
	if parts := m.unused[id]; parts != nil {
		for _, part := range parts { // each is shorter than the whole
			dst = m.appendFinal(dst, part, inUnk)
		}
		return dst
	}
	switch {
	case id >= 0:
		dst = append(dst, id)
	case m.fallback != nil:
		dst = m.appendFallback(dst, string(-2-id))
	case !*inUnk && m.unk >= 0:
		dst = append(dst, m.unk)
	}
	*inUnk = id < 0
	return dst
}

// wordCuts says where a text may be cut into words that are encoded one by one without changing the ids: before a
// U+2581 that follows a character which stands before U+2581 in no token.
type wordCuts struct {
	on   bool
	glue map[rune]bool // characters that do
}

const phantomSpace = "▁"

// newWordCuts looks at all tokens that merging can make.
func newWordCuts(tokens func(yield func(string) bool)) wordCuts {
	c := wordCuts{on: true, glue: map[rune]bool{'▁': true}}
	for t := range tokens {
		for at := 0; ; {
			i := strings.Index(t[at:], phantomSpace)
			if i < 0 {
				break
			}
			if before := t[:at+i]; before != "" {
				r, _ := utf8.DecodeLastRuneInString(before)
				c.glue[r] = true
			}
			at += i + len(phantomSpace)
		}
	}
	return c
}

// next returns the first place after from+min where text may be cut, or its end.
func (c *wordCuts) next(text string, min int) int {
	for at := min; c.on; {
		i := strings.Index(text[at:], phantomSpace)
		if i < 0 {
			break
		}
		if at += i; at > 0 {
			if r, _ := utf8.DecodeLastRuneInString(text[:at]); !c.glue[r] {
				return at
			}
		}
		at += len(phantomSpace)
	}
	return len(text)
}

// byteToken reads "<0x41>", the way in which vocabularies write the token of a byte.
func byteToken(token string) (b byte, ok bool) {
	if len(token) != 6 || token[:3] != "<0x" || token[5] != '>' {
		return 0, false
	}
	digit := func(c byte) int {
		return strings.IndexByte("0123456789ABCDEF", c)
	}
	high, low := digit(token[3]), digit(token[4])
	return byte(high<<4 | low), high >= 0 && low >= 0
}

// byteTokens finds the tokens of the bytes, -1 where there is none; nil: there are none at all.
func byteTokens(vocab map[string]int32) *[256]int32 {
	var ids [256]int32
	found := false
	for b := range 256 {
		id, ok := vocab[fmt.Sprintf("<0x%02X>", b)]
		if !ok {
			id = -1
		}
		ids[b], found = id, found || ok
	}
	if !found {
		return nil
	}
	return &ids
}
