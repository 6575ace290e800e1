package jinja

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode"
)

// segment is a part of a template: text, or the inside of a tag.
type segment struct {
	kind byte // 't' text, '{' output, '%' statement
	text string
}

// scanTemplate cuts a template into segments and trims white space as Jinja does with trim_blocks and lstrip_blocks,
// the settings of chat templates: a newline after a statement or comment goes, blanks before one at the start of a line go,
// and "-" inside a tag takes all white space on its side. Comments are dropped.
func scanTemplate(source string) ([]segment, error) {
	source = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(source)
	source = strings.TrimSuffix(source, "\n")
	var out []segment
	lineStart := true // the text that follows begins a line
	for len(source) > 0 {
		at := findTag(source)
		text := source[:at]
		if at == len(source) {
			return appendText(out, text), nil
		}
		kind := source[at+1]
		inside, trimLeft, trimRight, rest, err := tagAt(source[at:])
		if err != nil {
			return nil, err
		}
		switch {
		case trimLeft == '-':
			text = strings.TrimRightFunc(text, unicode.IsSpace)
		case trimLeft == 0 && kind != '{':
			text = stripIndent(text, lineStart)
		}
		out = appendText(out, text)
		source, lineStart = trimAfter(rest, kind, trimRight)
		if kind == '%' && strings.TrimSpace(inside) == "raw" {
			text, source, lineStart, err = rawText(source, lineStart)
			if err != nil {
				return nil, err
			}
			out = appendText(out, text)
		} else if kind != '#' {
			out = append(out, segment{kind, inside})
		}
	}
	return out, nil
}

func appendText(out []segment, text string) []segment {
	if text == "" {
		return out
	}
	return append(out, segment{'t', text})
}

// findTag returns the start of the next tag, or the length of s.
func findTag(s string) int {
	for from := 0; ; {
		at := strings.IndexByte(s[from:], '{')
		if at < 0 || from+at+1 >= len(s) {
			return len(s)
		}
		if at += from; strings.IndexByte("{%#", s[at+1]) >= 0 {
			return at
		}
		from = at + 1
	}
}

// stripIndent takes the blanks at the end of text away if nothing else stands on its last line.
func stripIndent(text string, lineStart bool) string {
	at := strings.LastIndexByte(text, '\n') + 1
	if (at > 0 || lineStart) && strings.TrimSpace(text[at:]) == "" {
		return text[:at]
	}
	return text
}

// trimAfter takes away what a tag takes from the text that follows it, and tells whether the rest begins a line.
func trimAfter(rest string, kind, trimRight byte) (string, bool) {
	cut := rest
	switch {
	case trimRight == '-':
		cut = strings.TrimLeftFunc(rest, unicode.IsSpace)
	case trimRight == 0 && kind != '{':
		cut = strings.TrimPrefix(rest, "\n")
	}
	taken := rest[:len(rest)-len(cut)]
	return cut, strings.HasSuffix(taken, "\n")
}

// tagAt reads the tag that begins s: its inside, the marks ('-', '+' or 0) at its ends, and what follows.
func tagAt(s string) (inside string, left, right byte, rest string, err error) {
	kind := s[1]
	end := map[byte]string{'{': "}}", '%': "%}", '#': "#}"}[kind]
	i := 2
	if i < len(s) && (s[i] == '-' || s[i] == '+' && kind != '{') {
		left = s[i]
		i++
	}
	start := i
	for i < len(s) {
		if kind != '#' && (s[i] == '\'' || s[i] == '"') {
			i = skipString(s, i)
			continue
		}
		if strings.HasPrefix(s[i:], end) {
			inside, rest = s[start:i], s[i+2:]
			if n := len(inside); n > 0 && (inside[n-1] == '-' || inside[n-1] == '+' && kind != '{') {
				inside, right = inside[:n-1], inside[n-1]
			}
			return inside, left, right, rest, nil
		}
		i++
	}
	return "", 0, 0, "", fmt.Errorf("the tag %s is not closed", quote(s))
}

// skipString returns the end of the string literal that begins at s[i].
func skipString(s string, i int) int {
	delimiter := s[i]
	for i++; i < len(s) && s[i] != delimiter; i++ {
		if s[i] == '\\' {
			i++
		}
	}
	return min(i+1, len(s))
}

// endRaw is the tag that ends a raw block.
var endRaw = regexp.MustCompile(`\{%([-+]?)\s*endraw\s*([-+]?)%\}`)

// rawText reads up to {% endraw %}.
func rawText(s string, lineStart bool) (text, rest string, start bool, err error) {
	at := endRaw.FindStringSubmatchIndex(s)
	if at == nil {
		return "", "", false, errors.New("a raw block is not closed")
	}
	text = s[:at[0]]
	switch s[at[2]:at[3]] {
	case "-":
		text = strings.TrimRightFunc(text, unicode.IsSpace)
	case "":
		text = stripIndent(text, lineStart)
	}
	var right byte
	if at[4] < at[5] {
		right = s[at[4]]
	}
	rest, start = trimAfter(s[at[1]:], '%', right)
	return text, rest, start, nil
}
