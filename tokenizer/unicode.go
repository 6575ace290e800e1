package tokenizer

import (
	"sync"
	"unicode"
	"unicode/utf8"
)

// Classes of characters that the pre-tokenizer patterns tell apart.
const (
	classOther  = iota // everything else, unassigned included
	classLetter        // \p{L}
	classNumber        // \p{N}
	classSpace         // \s: White_Space
)

const classTableSize = 0x20000 // planes 0 and 1; beyond that, the range tables

var (
	asciiClass [128]uint8
	classOnce  sync.Once
	classTable []uint8
)

func init() {
	for c := range 128 {
		asciiClass[c] = slowClass(rune(c))
	}
}

func slowClass(r rune) uint8 {
	switch {
	case unicode.Is(unicode.L, r) || r >= 128 && unicode.Is(letterAdd(), r):
		return classLetter
	case unicode.Is(unicode.N, r):
		return classNumber
	case unicode.Is(unicode.White_Space, r):
		return classSpace
	}
	return classOther
}

// buildClassTable marks the ranges of the standard tables: much cheaper than asking for each character.
func buildClassTable() {
	t := make([]uint8, classTableSize)
	markRanges(t, unicode.L, classLetter)
	markRanges(t, letterAdd(), classLetter)
	markRanges(t, unicode.N, classNumber)
	markRanges(t, numberAdd(), classNumber)
	markRanges(t, unicode.White_Space, classSpace)
	classTable = t
}

func runeClass(r rune) uint8 {
	if r < 128 {
		return asciiClass[r]
	}
	classOnce.Do(buildClassTable)
	if r < classTableSize {
		return classTable[r]
	}
	return slowClass(r)
}

// classAt returns the class of the character at text[i] and its length in bytes; text is valid UTF-8.
func classAt(text string, i int) (class uint8, size int) {
	if c := text[i]; c < utf8.RuneSelf {
		return asciiClass[c], 1
	}
	r, n := utf8.DecodeRuneInString(text[i:])
	return runeClass(r), n
}

// validUTF8 replaces each maximal invalid part of text by U+FFFD, as the Unicode standard recommends (section 3.9)
// and as Rust and Python do. Valid text is returned as it is.
func validUTF8(text string) string {
	if utf8.ValidString(text) {
		return text
	}
	return string(appendValidUTF8(make([]byte, 0, len(text)+8), text))
}

// appendValidUTF8 appends text with each maximal invalid part replaced by U+FFFD.
func appendValidUTF8(dst []byte, text string) []byte {
	for i := 0; i < len(text); {
		n, ok := sequenceAt(text, i)
		if ok {
			dst = append(dst, text[i:i+n]...)
		} else {
			dst = append(dst, "\uFFFD"...)
		}
		i += n
	}
	return dst
}

// sequenceAt returns the length of the character at s[i], or of the maximal invalid part there and false.
func sequenceAt(s string, i int) (n int, ok bool) {
	need, low, high := sequenceBounds(s[i])
	if need == 0 {
		return 1, s[i] < utf8.RuneSelf
	}
	for n = 1; n <= need; n++ {
		if i+n >= len(s) || s[i+n] < low || s[i+n] > high {
			return n, false
		}
		low, high = 0x80, 0xBF
	}
	return n, true
}

// sequenceBounds returns how many bytes follow a lead byte (0: none, or no lead byte) and the range of the first of them.
func sequenceBounds(lead byte) (need int, low, high byte) {
	switch {
	case lead >= 0xC2 && lead <= 0xDF:
		return 1, 0x80, 0xBF
	case lead == 0xE0:
		return 2, 0xA0, 0xBF
	case lead == 0xED:
		return 2, 0x80, 0x9F
	case lead >= 0xE1 && lead <= 0xEF:
		return 2, 0x80, 0xBF
	case lead == 0xF0:
		return 3, 0x90, 0xBF
	case lead >= 0xF1 && lead <= 0xF3:
		return 3, 0x80, 0xBF
	case lead == 0xF4:
		return 3, 0x80, 0x8F
	}
	return 0, 0, 0
}

// incompleteTail returns how many bytes at the end of b begin a character that more bytes may complete.
func incompleteTail(b []byte) int {
	for back := 1; back <= 3 && back <= len(b); back++ {
		lead := b[len(b)-back]
		if lead < utf8.RuneSelf {
			return 0
		}
		if utf8.RuneStart(lead) {
			return tailFrom(b[len(b)-back:])
		}
	}
	return 0
}

// tailFrom returns len(tail) if tail is a proper prefix of a character, else 0.
func tailFrom(tail []byte) int {
	need, low, high := sequenceBounds(tail[0])
	if need < len(tail) {
		return 0
	}
	for _, c := range tail[1:] {
		if c < low || c > high {
			return 0
		}
		low, high = 0x80, 0xBF
	}
	return len(tail)
}
