package tokenizer

import (
	"sync"
	"unicode"
	"unicode/utf8"
)

// Kinds of characters that the patterns of newer models tell apart, as bits. A letter that is neither upper nor lower case
// (Lm, Lo) and a mark count as both.
const (
	kindUpper  = 1 << iota // \p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}
	kindLower              // \p{Ll}\p{Lm}\p{Lo}\p{M}
	kindLetter             // \p{L}
	kindMark               // \p{M}
	kindNumber             // \p{N}
	kindPunct              // \p{P}
	kindSymbol             // \p{S}
	kindSpace              // \s
)

var (
	asciiKind [utf8.RuneSelf]uint8
	kindOnce  sync.Once
	kindTable []uint8
)

func init() {
	for r := range rune(utf8.RuneSelf) {
		asciiKind[r] = slowKind(r)
	}
}

// kindRule is a category of Unicode with what the reference's newer tables add to Go's.
type kindRule struct {
	table *unicode.RangeTable
	more  func() *unicode.RangeTable
	kind  uint8
}

var kindRules = []kindRule{
	{unicode.Lu, upperAdd, kindLetter | kindUpper}, {unicode.Lt, nil, kindLetter | kindUpper}, {unicode.Ll, lowerAdd, kindLetter | kindLower},
	{unicode.Lm, modifierAdd, kindLetter | kindUpper | kindLower}, {unicode.Lo, otherLetterAdd, kindLetter | kindUpper | kindLower},
	{unicode.M, combiningAdd, kindMark | kindUpper | kindLower}, {unicode.N, numberAdd, kindNumber}, {unicode.P, signAdd, kindPunct},
	{unicode.S, symbolAdd, kindSymbol}, {unicode.White_Space, nil, kindSpace},
}

func slowKind(r rune) uint8 {
	for _, rule := range kindRules {
		if unicode.Is(rule.table, r) || r >= utf8.RuneSelf && rule.more != nil && unicode.Is(rule.more(), r) {
			return rule.kind
		}
	}
	return 0
}

func buildKindTable() {
	kindTable = make([]uint8, classTableSize)
	for _, rule := range kindRules {
		markRanges(kindTable, rule.table, rule.kind)
		if rule.more != nil {
			markRanges(kindTable, rule.more(), rule.kind)
		}
	}
}

// markRanges sets the places of a table's characters.
func markRanges(t []uint8, table *unicode.RangeTable, value uint8) {
	for _, r := range table.R16 {
		for c := int(r.Lo); c <= int(r.Hi); c += int(r.Stride) {
			t[c] = value
		}
	}
	for _, r := range table.R32 {
		for c := int(r.Lo); c <= int(r.Hi) && c < len(t); c += int(r.Stride) {
			t[c] = value
		}
	}
}

func runeKind(r rune) uint8 {
	kindOnce.Do(buildKindTable)
	if int(r) < len(kindTable) {
		return kindTable[r]
	}
	return slowKind(r)
}

// kindAt returns the kind of the character at text[i] and its length in bytes; text is valid UTF-8. At the end of the
// text both are 0.
func kindAt(text string, i int) (kind uint8, size int) {
	if i >= len(text) {
		return 0, 0
	}
	if c := text[i]; c < utf8.RuneSelf {
		return asciiKind[c], 1
	}
	r, n := utf8.DecodeRuneInString(text[i:])
	return runeKind(r), n
}

// scanKind returns the end of the run of characters that have one of the given kinds.
func scanKind(text string, i int, kinds uint8) int {
	for i < len(text) {
		k, n := kindAt(text, i)
		if k&kinds == 0 {
			break
		}
		i += n
	}
	return i
}
