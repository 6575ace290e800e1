package tokenizer

import (
	"strconv"
	"unicode/utf8"
)

// The byte-level alphabet of GPT-2: each byte is written as one printable character, so that vocabularies are text.
// Printable Latin-1 characters stand for themselves; the other 68 bytes are U+0100 onwards in order.
var (
	byteRune [256]rune
	runeByte [324]int16 // -1: not in the alphabet
	byteText [256]string
)

func init() {
	for i := range runeByte {
		runeByte[i] = -1
	}
	next := rune(256)
	for b := range 256 {
		r := rune(b)
		if !(b >= '!' && b <= '~' || b >= 0xA1 && b <= 0xAC || b >= 0xAE) {
			r = next
			next++
		}
		byteRune[b], byteText[b] = r, string(r)
		runeByte[r] = int16(b)
	}
}

// appendByteLevel appends text with each byte written in the byte-level alphabet.
func appendByteLevel(dst []byte, text string) []byte {
	for i := range len(text) {
		dst = append(dst, byteText[text[i]]...)
	}
	return dst
}

// appendBytes appends the bytes that a byte-level token stands for; a token with characters outside the alphabet
// (an added token) stands for itself.
func appendBytes(dst []byte, token string) []byte {
	start := len(dst)
	for _, r := range token {
		if int(r) >= len(runeByte) || runeByte[r] < 0 {
			return append(dst[:start], token...)
		}
		dst = append(dst, byte(runeByte[r]))
	}
	return dst
}

func quote(s string) string {
	if len(s) > 80 {
		cut := 80
		for cut > 0 && !utf8.RuneStart(s[cut]) {
			cut--
		}
		s = s[:cut] + "…"
	}
	return strconv.Quote(s)
}
