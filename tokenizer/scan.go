package tokenizer

import "strings"

// A scanner returns the end of the piece that begins at text[i]; i < len(text), text is valid UTF-8. Scanners are the
// hand-written form of the usual patterns, checked by test against the patterns themselves.
type scanner func(text string, i int) int

// patternGPT2 is the pre-tokenizer of GPT-2.
const patternGPT2 = `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`

func scanGPT2(text string, i int) int { return scanGPT2Like(text, i, false) }

// scanGPT2Digits is patternGPT2 on what is left after each number character was split off.
func scanGPT2Digits(text string, i int) int { return scanGPT2Like(text, i, true) }

func scanGPT2Like(text string, i int, isolateDigits bool) int {
	if text[i] == '\'' {
		if n := contraction(text[i+1:]); n > 0 {
			return i + 1 + n
		}
	}
	class, size := classAt(text, i)
	next := i + size
	if text[i] == ' ' && next < len(text) {
		c, n := classAt(text, next)
		if c != classSpace && !(c == classNumber && isolateDigits) {
			class, next = c, next+n
		}
	}
	switch class {
	case classSpace:
		return scanSpace(text, i, next, isolateDigits)
	case classNumber:
		if isolateDigits {
			return next
		}
	}
	return scanRun(text, next, class)
}

// contraction returns the length of an English contraction's rest after the apostrophe, 0: none.
func contraction(s string) int {
	if len(s) == 0 {
		return 0
	}
	switch s[0] {
	case 's', 't', 'm', 'd':
		return 1
	}
	if len(s) >= 2 {
		switch s[:2] {
		case "re", "ve", "ll":
			return 2
		}
	}
	return 0
}

// scanRun returns the end of the run of characters of one class.
func scanRun(text string, i int, class uint8) int {
	for i < len(text) {
		if c := text[i]; c < 128 {
			if asciiClass[c] != class {
				break
			}
			i++
			continue
		}
		c, n := classAt(text, i)
		if c != class {
			break
		}
		i += n
	}
	return i
}

// scanSpace is \s+(?!\S)|\s+ from the white space at start: the whole run at the end of the text, else all but its last
// character, which goes with the next word, but at least one. next is the end of the first character.
func scanSpace(text string, start, next int, isolateDigits bool) int {
	last := start
	for next < len(text) {
		c, n := classAt(text, next)
		if c != classSpace {
			if c == classNumber && isolateDigits || last == start {
				return next
			}
			return last
		}
		last, next = next, next+n
	}
	return next
}

// scanLlama3 is patternLlama3, scanQwen2 is patternQwen2: they differ in how many number characters make a piece.
func scanLlama3(text string, i int) int { return scanWords(text, i, 3) }
func scanQwen2(text string, i int) int  { return scanWords(text, i, 1) }

// scanCL100K is patternCL100K: patternLlama3, but white space at the end of the text is one piece.
func scanCL100K(text string, i int) int {
	if class, size := classAt(text, i); class == classSpace && scanRun(text, i+size, classSpace) == len(text) {
		return len(text)
	}
	return scanWords(text, i, 3)
}

func scanWords(text string, i, digits int) int {
	if text[i] == '\'' {
		if n := anyCaseContraction(text[i+1:]); n > 0 {
			return i + 1 + n
		}
	}
	class, size := classAt(text, i)
	next := i + size
	switch class {
	case classLetter:
		return scanRun(text, next, classLetter)
	case classNumber:
		for ; digits > 1 && next < len(text); digits-- {
			c, n := classAt(text, next)
			if c != classNumber {
				break
			}
			next += n
		}
		return next
	}
	if c := text[i]; c != '\r' && c != '\n' && next < len(text) { // one character may lead a word
		if c, n := classAt(text, next); c == classLetter {
			return scanRun(text, next+n, classLetter)
		}
	}
	if text[i] == ' ' && next < len(text) {
		if c, n := classAt(text, next); c == classOther {
			return scanNewlines(text, scanRun(text, next+n, classOther))
		}
	}
	if class == classOther {
		return scanNewlines(text, scanRun(text, next, classOther))
	}
	return scanSpaceLines(text, i, next)
}

func scanNewlines(text string, i int) int {
	for i < len(text) && (text[i] == '\r' || text[i] == '\n') {
		i++
	}
	return i
}

// scanSpaceLines is \s*[\r\n]+|\s+(?!\S)|\s+: up to the last line end in a run of white space, if there is one.
func scanSpaceLines(text string, start, next int) int {
	end := scanRun(text, next, classSpace)
	if last := strings.LastIndexAny(text[start:end], "\r\n"); last >= 0 {
		return start + last + 1
	}
	return scanSpace(text, start, next, false)
}

// anyCaseContraction is contraction in any case; U+017F (long s) folds to s.
func anyCaseContraction(s string) int {
	if strings.HasPrefix(s, "ſ") {
		return len("ſ")
	}
	var low [2]byte
	for i := 0; i < len(s) && i < 2; i++ {
		if low[i] = s[i]; low[i] >= 'A' && low[i] <= 'Z' {
			low[i] += 'a' - 'A'
		}
	}
	return contraction(string(low[:min(len(s), 2)]))
}
