package jinja

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// token is a part of an expression: 'n' name, 's' text, 'i' integer, 'f' other number, 'o' operator or bracket.
type token struct {
	kind byte
	text string // of a text: its value
}

var operators = []string{"**", "//", "==", "!=", "<=", ">=", "+", "-", "*", "/", "%", "~", "<", ">", "=", ".", ",", ":", "|", "(", ")", "[", "]", "{", "}"}

// lex cuts the inside of a tag into tokens.
func lex(s string) []token {
	var out []token
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			i++
		case c == '\'' || c == '"':
			end := skipString(s, i)
			if end-i < 2 || s[end-1] != c {
				fail("a text is not closed in %s", quote(s))
			}
			out = append(out, token{'s', unescape(s[i+1 : end-1])})
			i = end
		case isDigit(c):
			t := number(s[i:])
			out = append(out, token{t.kind, strings.ReplaceAll(t.text, "_", "")})
			i += len(t.text)
		case isNameByte(c):
			n := i
			for n < len(s) && isNameByte(s[n]) {
				n++
			}
			out = append(out, token{'n', s[i:n]})
			i = n
		default:
			op := operator(s[i:])
			if op == "" {
				fail("unexpected %s in %s", quote(s[i:min(len(s), i+4)]), quote(s))
			}
			out = append(out, token{'o', op})
			i += len(op)
		}
	}
	return out
}

func operator(s string) string {
	for _, op := range operators {
		if strings.HasPrefix(s, op) {
			return op
		}
	}
	return ""
}

// number reads digits with an optional fraction and exponent.
func number(s string) token {
	n := digits(s, 0)
	kind := byte('i')
	if n+1 < len(s) && s[n] == '.' && isDigit(s[n+1]) {
		kind, n = 'f', digits(s, n+1)
	}
	if n < len(s) && s[n]|0x20 == 'e' {
		m := n + 1
		if m < len(s) && (s[m] == '+' || s[m] == '-') {
			m++
		}
		if m < len(s) && isDigit(s[m]) {
			kind, n = 'f', digits(s, m)
		}
	}
	return token{kind, s[:n]}
}

func digits(s string, i int) int {
	for i < len(s) && (isDigit(s[i]) || s[i] == '_') {
		i++
	}
	return i
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isNameByte(c byte) bool {
	return c == '_' || isDigit(c) || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= utf8.RuneSelf
}

// unescape reads the escapes of a Python text; a backslash before another character stays.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		if at := strings.IndexByte("\n\\'\"abfnrtv", s[i]); at >= 0 {
			b.WriteString([]string{"", "\\", "'", "\"", "\a", "\b", "\f", "\n", "\r", "\t", "\v"}[at])
			continue
		}
		if n := map[byte]int{'x': 2, 'u': 4, 'U': 8}[s[i]]; n > 0 {
			if i+n < len(s) {
				if v, err := strconv.ParseUint(s[i+1:i+1+n], 16, 32); err == nil && v <= utf8.MaxRune {
					b.WriteRune(rune(v))
					i += n
					continue
				}
			}
			fail("a text has a damaged escape: %s", quote(s))
		}
		if s[i] >= '0' && s[i] <= '7' {
			n := i
			for n < len(s) && n < i+3 && s[n] >= '0' && s[n] <= '7' {
				n++
			}
			v, _ := strconv.ParseUint(s[i:n], 8, 32)
			b.WriteRune(rune(v))
			i = n - 1
			continue
		}
		b.WriteByte('\\')
		b.WriteByte(s[i])
	}
	return b.String()
}

func quote(s string) string {
	if r := []rune(s); len(r) > 80 {
		s = string(r[:80]) + "…"
	}
	return strconv.Quote(s)
}
