package tokenizer

// Scanners of the patterns that cut words where lower case turns to upper case, and of DeepSeek's.

// scanGPT4o is patternGPT4o, scanTekken is patternTekken.
func scanGPT4o(text string, i int) int { return scanCased(text, i, 3, true) }
func scanTekken(text string, i int) int {
	return scanCased(text, i, 1, false)
}

func scanCased(text string, i, digits int, contractions bool) int {
	kind, size := kindAt(text, i)
	if end := scanCasedWord(text, i, size, kind); end > 0 {
		if contractions && end < len(text) && text[end] == '\'' {
			if n := anyCaseContraction(text[end+1:]); n > 0 {
				return end + 1 + n
			}
		}
		return end
	}
	switch {
	case kind&kindNumber != 0:
		return scanDigits(text, i+size, digits)
	case kind&kindSpace == 0:
		return scanSlashLines(text, scanOthers(text, i+size))
	case text[i] == ' ':
		if k, n := kindAt(text, i+1); n > 0 && k&(kindSpace|kindLetter|kindNumber) == 0 {
			return scanSlashLines(text, scanOthers(text, i+1+n))
		}
	}
	return scanSpaceLines(text, i, i+size)
}

// scanCasedWord returns the end of a word at text[i] with the one other character that may lead it, 0: there is none. A
// word is upper-case letters and then at least one lower-case letter or, failing that, upper-case letters alone.
func scanCasedWord(text string, i, size int, kind uint8) int {
	lead := kind&(kindLetter|kindNumber) == 0 && text[i] != '\r' && text[i] != '\n'
	inWord := kind&(kindUpper|kindLower) != 0
	if lead {
		if end := scanCapital(text, i+size); end > 0 {
			return end
		}
	}
	if inWord {
		if end := scanCapital(text, i); end > 0 {
			return end
		}
	}
	if lead {
		if end := scanKind(text, i+size, kindUpper); end > i+size {
			return end
		}
	}
	if inWord {
		return scanKind(text, i, kindUpper)
	}
	return 0
}

// scanCapital is [upper]*[lower]+ at text[i]; 0: it does not match. What is both goes to the first part, unless the second
// would be empty: then the last of them is the second.
func scanCapital(text string, i int) int {
	both := 0 // end of the last character that is both
	for i < len(text) {
		k, n := kindAt(text, i)
		if k&kindUpper == 0 {
			if k&kindLower != 0 {
				return scanKind(text, i+n, kindLower)
			}
			break
		}
		i += n
		if k&kindLower != 0 {
			both = i
		}
	}
	return both
}

// scanDigits takes number characters up to so many in all, of which one is done.
func scanDigits(text string, i, digits int) int {
	for ; digits > 1; digits-- {
		k, n := kindAt(text, i)
		if k&kindNumber == 0 {
			break
		}
		i += n
	}
	return i
}

// scanOthers is [^\s\p{L}\p{N}]*.
func scanOthers(text string, i int) int {
	for i < len(text) {
		k, n := kindAt(text, i)
		if k&(kindSpace|kindLetter|kindNumber) != 0 {
			break
		}
		i += n
	}
	return i
}

// scanSlashLines is [\r\n/]*.
func scanSlashLines(text string, i int) int {
	for i < len(text) && (text[i] == '\r' || text[i] == '\n' || text[i] == '/') {
		i++
	}
	return i
}

// scanDSV3 is patternDSV3; what no alternative takes is a piece up to where one does.
func scanDSV3(text string, i int) int {
	end := matchDSV3(text, i)
	for end == 0 {
		_, n := kindAt(text, i)
		if i += n; i >= len(text) || matchDSV3(text, i) > 0 {
			return i
		}
	}
	return end
}

// matchDSV3 returns the end of the match at text[i], 0: there is none.
func matchDSV3(text string, i int) int {
	const word = kindLetter | kindMark
	kind, size := kindAt(text, i)
	next, n := kindAt(text, i+size)
	switch {
	case isASCIIPunct(text[i]) && n == 1 && isASCIILetter(text[i+1]):
		for i++; i < len(text) && isASCIILetter(text[i]); i++ {
		}
		return i
	case kind&word != 0:
		return scanKind(text, i, word)
	case kind&(kindPunct|kindSymbol) != 0:
		return scanNewlines(text, scanKind(text, i, kindPunct|kindSymbol))
	case next&word != 0 && text[i] != '\r' && text[i] != '\n':
		return scanKind(text, i+size, word)
	case text[i] == ' ' && next&(kindPunct|kindSymbol) != 0:
		return scanNewlines(text, scanKind(text, i+size, kindPunct|kindSymbol))
	case kind&kindSpace != 0:
		return scanSpaceLines(text, i, i+size)
	}
	return 0
}

func isASCIILetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }
