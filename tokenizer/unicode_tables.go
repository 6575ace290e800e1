package tokenizer

import (
	"strconv"
	"strings"
	"sync"
	"unicode"
)

// The reference implementation (tokenizers 0.23.3) classifies characters by tables of several Unicode versions: its
// regular expressions know Unicode 16, its BERT normaliser and punctuation come from Unicode 8, its decompositions from
// Unicode 9. These sets hold the differences from Go's tables (Unicode 15), found by asking the reference for every code
// point; internal/oracle/tokenizers.py fuzz asks again.
var (
	nonspacingAdd = lazyRanges("1734")
	nonspacingNot = lazyRanges("7FD 898-89F 8CA-8E1 9FE AFA-AFF B55 C04 C3C D00 D3B-D3C D81 EBA ECE 180F 1885-1886 1ABF-1ACE 1DF6-1DFB A82C " +
		"A8C5 A8FF A9BD 10D24-10D27 10EAB-10EAC 10EFD-10EFF 10F46-10F50 10F82-10F85 11070 11073-11074 110C2 111C9 111CF " +
		"1123E 11241 1133B 11438-1143F 11442-11444 11446 1145E 1182F-11837 11839-1183A 1193B-1193C 1193E 11943 " +
		"119D4-119D7 119DA-119DB 119E0 11A01-11A0A 11A33-11A38 11A3B-11A3E 11A47 11A51-11A56 11A59-11A5B 11A8A-11A96 " +
		"11A98-11A99 11C30-11C36 11C38-11C3D 11C3F 11C92-11CA7 11CAA-11CB0 11CB2-11CB3 11CB5-11CB6 11D31-11D36 11D3A " +
		"11D3C-11D3D 11D3F-11D45 11D47 11D90-11D91 11D95 11D97 11EF3-11EF4 11F00-11F01 11F36-11F3A 11F40 11F42 13440 " +
		"13447-13455 16F4F 16FE4 1CF00-1CF2D 1CF30-1CF46 1E000-1E006 1E008-1E018 1E01B-1E021 1E023-1E024 1E026-1E02A " +
		"1E08F 1E130-1E136 1E2AE 1E2EC-1E2EF 1E4EC-1E4EF 1E944-1E94A")
	markAdd = lazyRanges("1CF2-1CF3")
	markNot = lazyRanges("7FD 898-89F 8CA-8D3 9FE AFA-AFF B55 C04 C3C CF3 D00 D3B-D3C D81 EBA ECE 1715 180F 1ABF-1ACE 1CF7 1DF6-1DFA " +
		"A82C A8FF 10D24-10D27 10EAB-10EAC 10EFD-10EFF 10F46-10F50 10F82-10F85 11070 11073-11074 110C2 11145-11146 " +
		"111C9 111CE-111CF 11241 1133B 1145E 1182C-1183A 11930-11935 11937-11938 1193B-1193E 11940 11942-11943 " +
		"119D1-119D7 119DA-119E0 119E4 11A01-11A0A 11A33-11A39 11A3B-11A3E 11A47 11A51-11A5B 11A8A-11A99 11D31-11D36 " +
		"11D3A 11D3C-11D3D 11D3F-11D45 11D47 11D8A-11D8E 11D90-11D91 11D93-11D97 11EF3-11EF6 11F00-11F01 11F03 " +
		"11F34-11F3A 11F3E-11F42 13440 13447-13455 16F4F 16F7F-16F87 16FE4 16FF0-16FF1 1CF00-1CF2D 1CF30-1CF46 1E08F " +
		"1E130-1E136 1E2AE 1E2EC-1E2EF 1E4EC-1E4EF")
	punctAdd = lazyRanges("166D 111C9")
	punctNot = lazyRanges("61D 9FD A76 C77 C84 1B7D-1B7E 2E43-2E4F 2E52-2E5D 10EAD 10F55-10F59 10F86-10F89 1144B-1144F 1145A-1145B 1145D " +
		"11660-1166C 116B9 1183B 11944-11946 119E2 11A3F-11A46 11A9A-11A9C 11A9E-11AA2 11B00-11B09 11C41-11C45 " +
		"11C70-11C71 11EF7-11EF8 11F43-11F4F 11FFF 12FF1-12FF2 16E97-16E9A 16FE2 1E95E-1E95F")
	letterAdd = lazyRanges("1C89-1C8A A7CB-A7CD A7DA-A7DC 105C0-105F3 10D4A-10D65 10D6F-10D85 10EC2-10EC4 11380-11389 1138B 1138E " +
		"11390-113B5 113B7 113D1 113D3 11BC0-11BE0 13460-143FA 16100-1611D 16D40-16D6C 18CFF 1E5D0-1E5ED 1E5F0 " +
		"2EBF0-2EE5D")
	numberAdd = lazyRanges("10D40-10D49 116D0-116E3 11BF0-11BF9 16130-16139 16D70-16D79 1CCF0-1CCF9 1E5F1-1E5FA")
	controls  = lazyRanges("0-8 B-C E-1F 7F-9F AD 600-605 61C 6DD 70F 180E 200B-200F 202A-202E 2060-2064 2066-206F E000-F8FF FEFF " +
		"FFF9-FFFB FFFD 110BD 1BCA0-1BCA3 1D173-1D17A E0001 E0020-E007F F0000-FFFFD 100000-10FFFD")
	undecomposed = lazyRanges("32FF A7F2-A7F4 AB69 10781-10785 10787-107B0 107B2-107BA 11938 1E030-1E06D 1F16C 1FBF0-1FBF9")
)

// lazyRanges parses a list of hexadecimal code points and ranges when it is first needed.
func lazyRanges(list string) func() *unicode.RangeTable {
	return sync.OnceValue(func() *unicode.RangeTable {
		t := &unicode.RangeTable{}
		for _, item := range strings.Fields(list) {
			low, high, ok := strings.Cut(item, "-")
			if !ok {
				high = low
			}
			lo, _ := strconv.ParseUint(low, 16, 32)
			hi, _ := strconv.ParseUint(high, 16, 32)
			if hi < 0x10000 {
				t.R16 = append(t.R16, unicode.Range16{Lo: uint16(lo), Hi: uint16(hi), Stride: 1})
			} else {
				t.R32 = append(t.R32, unicode.Range32{Lo: uint32(lo), Hi: uint32(hi), Stride: 1})
			}
		}
		return t
	})
}

// isNonspacing is category Mn as BERT's accent stripping knows it.
func isNonspacing(r rune) bool {
	return unicode.Is(unicode.Mn, r) && !unicode.Is(nonspacingNot(), r) || unicode.Is(nonspacingAdd(), r)
}

// isMark is category M as the normalizer StripAccents knows it.
func isMark(r rune) bool {
	return unicode.Is(unicode.M, r) && !unicode.Is(markNot(), r) || unicode.Is(markAdd(), r)
}

// isPunct is punctuation for BERT: all of ASCII's, and Unicode's category P.
func isPunct(r rune) bool {
	if r < 128 {
		return isASCIIPunct(byte(r))
	}
	return unicode.Is(unicode.P, r) && !unicode.Is(punctNot(), r) || unicode.Is(punctAdd(), r)
}

// isControl is what BERT's clean_text drops, U+0000 and U+FFFD included.
func isControl(r rune) bool { return unicode.Is(controls(), r) }

// toLower maps one character; the pairs that Go does not know yet are added. U+0130 has a mapping of its own in lower.
func toLower(r rune) rune {
	switch {
	case r < 0x1C89:
		return unicode.ToLower(r)
	case r >= 0x10D50 && r <= 0x10D65:
		return r + 0x20
	case r >= 0x16EA0 && r <= 0x16EB8:
		return r + 0x1B
	}
	switch r {
	case 0x1C89, 0xA7CC, 0xA7CE, 0xA7D2, 0xA7D4, 0xA7DA:
		return r + 1
	case 0xA7CB:
		return 0x264
	case 0xA7DC:
		return 0x19B
	}
	return unicode.ToLower(r)
}
