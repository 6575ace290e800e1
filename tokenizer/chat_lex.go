package tokenizer

import (
	"fmt"
	"strings"
)

// lexeme is a token of an expression with its place in the tag.
type lexeme struct {
	kind     byte // 'n' name, 's' string, 'i' integer, 'f' other number, 'o' operator or bracket
	text     string
	from, to int
	match    int // of a bracket: the index of its partner
}

const operators2 = "** // == != <= >="

// lexExpression cuts the inside of a tag into tokens as the template engine does. A character that means nothing there, an
// unbalanced bracket, too many tokens or too deep a nesting is an error.
func lexExpression(s string) ([]lexeme, error) {
	var out []lexeme
	var open []int
	for i := 0; i < len(s); {
		c := s[i]
		if c == ' ' || c == '\t' || c == '\n' {
			i++
			continue
		}
		kind, n := lexAt(s, i)
		if kind == 0 {
			return nil, fmt.Errorf("unexpected %s in %s", quote(s[i:i+1]), quote(s))
		}
		t := lexeme{kind: kind, text: s[i : i+n], from: i, to: i + n}
		if kind == 'o' {
			var err error
			if open, err = matchBracket(out, open, &t); err != nil {
				return nil, fmt.Errorf("%w in %s", err, quote(s))
			}
		}
		if out = append(out, t); len(out) > maxTagTokens {
			return nil, fmt.Errorf("a tag has more than %d tokens", maxTagTokens)
		}
		i += n
	}
	if len(open) > 0 {
		return nil, fmt.Errorf("unbalanced brackets in %s", quote(s))
	}
	return out, nil
}

func lexAt(s string, i int) (kind byte, n int) {
	c := s[i]
	switch {
	case c == '\'' || c == '"':
		return 's', skipString(s, i) - i
	case isNameByte(c) && !isDigit(c):
		for n = 1; i+n < len(s) && isNameByte(s[i+n]); n++ {
		}
		return 'n', n
	case isDigit(c):
		return lexNumber(s, i)
	case i+1 < len(s) && strings.Contains(operators2, s[i:i+2]) && s[i+1] != ' ':
		return 'o', 2
	case strings.IndexByte(",.:()[]{}|~+-*/%<>=", c) >= 0:
		return 'o', 1
	}
	return 0, 0
}

func lexNumber(s string, i int) (kind byte, n int) {
	kind = 'i'
	for n = 1; i+n < len(s) && isDigit(s[i+n]); n++ {
	}
	if i+n+1 < len(s) && s[i+n] == '.' && isDigit(s[i+n+1]) {
		kind = 'f'
		for n++; i+n < len(s) && isDigit(s[i+n]); n++ {
		}
	}
	return kind, n
}

// matchBracket pairs a closing bracket with the opening one.
func matchBracket(out []lexeme, open []int, t *lexeme) ([]int, error) {
	switch t.text {
	case "(", "[", "{":
		if len(open) >= maxNesting {
			return nil, fmt.Errorf("brackets are nested more than %d deep", maxNesting)
		}
		return append(open, len(out)), nil
	case ")", "]", "}":
		want := map[string]string{")": "(", "]": "[", "}": "{"}[t.text]
		if len(open) == 0 || out[open[len(open)-1]].text != want {
			return nil, fmt.Errorf("unbalanced brackets")
		}
		t.match = open[len(open)-1]
		out[t.match].match = len(out)
		return open[:len(open)-1], nil
	}
	return open, nil
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isNameByte(c byte) bool {
	return c == '_' || isDigit(c) || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}
