package tokenizer

import (
	"strings"
)

// portable rewrites a pattern from the words of Oniguruma, which tokenizer.json means, into those of regexp2: possessive
// quantifiers become atomic groups, a class within a class is joined with it, an intersection becomes a lookahead. What has
// no such form is refused: read by other rules it would cut texts elsewhere.
func portable(pattern string) (string, error) { return translate(pattern, namedClass) }

// translate is portable with a say in what becomes of named classes.
func translate(pattern string, named func(escape string) (set string, negated bool)) (string, error) {
	t := onigTranslator{in: pattern, named: named}
	err := t.sequence()
	return t.out.String(), err
}

type onigTranslator struct {
	in    string
	named func(escape string) (set string, negated bool)
	at    int
	out   strings.Builder
	open  int // groups
}

func (t *onigTranslator) refuse(what string) error {
	return &UnsupportedError{"part of a pattern", what, "in " + quote(t.in)}
}

// sequence reads up to the end of the pattern or of a group.
func (t *onigTranslator) sequence() error {
	for t.at < len(t.in) {
		switch c := t.in[t.at]; c {
		case ')':
			if t.open == 0 {
				return t.refuse(")")
			}
			return nil
		case '|', '^', '$':
			t.out.WriteByte(c)
			t.at++
		default:
			if err := t.quantified(); err != nil {
				return err
			}
		}
	}
	return nil
}

// quantified reads one atom with its quantifier.
func (t *onigTranslator) quantified() error {
	before := t.out.String()
	t.out.Reset()
	if err := t.atom(); err != nil {
		return err
	}
	atom := t.out.String()
	t.out.Reset()
	t.out.WriteString(before)
	for {
		q := quantifier(t.in[t.at:])
		t.at += len(q)
		possessive := q != "" && t.at < len(t.in) && t.in[t.at] == '+'
		switch {
		case possessive && q[0] == '{': // here the + repeats what is repeated
			atom = "(?:" + atom + q + ")"
			continue
		case possessive:
			t.at++
			atom = "(?>" + atom + q + ")"
			continue
		case q != "" && t.at < len(t.in) && t.in[t.at] == '?':
			t.at++
			q += "?"
		}
		t.out.WriteString(atom + q)
		return nil
	}
}

// quantifier returns the quantifier that begins s, "" if there is none.
func quantifier(s string) string {
	if s == "" {
		return ""
	}
	switch s[0] {
	case '?', '*', '+':
		return s[:1]
	case '{':
		end := strings.IndexByte(s, '}')
		if end > 1 && strings.Trim(s[1:end], "0123456789,") == "" && s[1:end] != "," {
			return s[:end+1]
		}
	}
	return ""
}

func (t *onigTranslator) atom() error {
	switch t.in[t.at] {
	case '\\':
		escape, err := t.escape()
		set, negated := t.named(escape)
		switch lower := strings.ToLower(escape); {
		case set != "" && lower == `\w`:
			escape = joinClass(set+superscripts, "", negated)
		case set != "" && lower == `\b`:
			escape = wordEdge(set+superscripts, negated)
		case set != "":
			escape = joinClass(set, "", negated)
		}
		t.out.WriteString(escape)
		return err
	case '[':
		class, err := t.class(0)
		t.out.WriteString(class)
		return err
	case '(':
		return t.group()
	}
	t.out.WriteByte(t.in[t.at])
	t.at++
	for t.at < len(t.in) && t.in[t.at]&0xC0 == 0x80 {
		t.out.WriteByte(t.in[t.at])
		t.at++
	}
	return nil
}

// escape reads "\x", with the braces of \p{…}.
func (t *onigTranslator) escape() (string, error) {
	if t.at+1 >= len(t.in) {
		return "", t.refuse(`\`)
	}
	end := t.at + 2
	switch c := t.in[t.at+1]; c {
	case 'p', 'P':
		close := strings.IndexByte(t.in[t.at:], '}')
		if close < 0 || t.in[t.at+2] != '{' {
			return "", t.refuse(`\` + string(c))
		}
		end = t.at + close + 1
		if t.in[t.at+3] == '^' {
			return "", t.refuse(t.in[t.at:end])
		}
	case 'h', 'H', 'R', 'X', 'K', 'G', 'y', 'Y', 'O', 'N':
		return "", t.refuse(`\` + string(c))
	}
	escape := t.in[t.at:end]
	t.at = end
	return escape, nil
}

func (t *onigTranslator) group() error {
	head := "("
	for _, h := range []string{"(?:", "(?=", "(?!", "(?>", "(?<=", "(?<!"} {
		if strings.HasPrefix(t.in[t.at:], h) {
			head = h
		}
	}
	if head == "(" && strings.HasPrefix(t.in[t.at:], "(?") {
		end := strings.IndexAny(t.in[t.at:], ":)")
		if end < 0 || strings.Trim(t.in[t.at+2:t.at+end], "imx-") != "" {
			return t.refuse(t.in[t.at:min(len(t.in), t.at+4)])
		}
		if head = t.in[t.at : t.at+end+1]; head == "(?i)" {
			return t.ignoreCase()
		} else if strings.HasSuffix(head, ")") {
			return t.refuse(head)
		}
		if flags := head[2 : len(head)-1]; strings.Trim(flags, "i") != "" {
			return t.refuse(head)
		}
	}
	t.out.WriteString(head)
	t.at += len(head)
	before := t.out.String()
	t.out.Reset()
	if t.open++; t.open > maxParts {
		return t.refuse("groups nested so deep")
	}
	if err := t.sequence(); err != nil {
		return err
	}
	t.open--
	if t.at >= len(t.in) {
		return t.refuse("( without )")
	}
	t.at++
	inner := t.out.String()
	t.out.Reset()
	t.out.WriteString(before + inner + ")")
	return nil
}

// ignoreCase reads "(?i)", which holds for all up to the end of the group around it, further alternatives too.
func (t *onigTranslator) ignoreCase() error {
	t.at += len("(?i)")
	before := t.out.String()
	t.out.Reset()
	err := t.sequence()
	inner := t.out.String()
	t.out.Reset()
	t.out.WriteString(before + "(?i:" + inner + ")")
	return err
}

// class reads a bracket expression and returns its translation.
func (t *onigTranslator) class(depth int) (string, error) {
	if depth > 2 {
		return "", t.refuse("classes nested so deep")
	}
	var set strings.Builder
	t.at++
	negated := strings.HasPrefix(t.in[t.at:], "^")
	if negated {
		t.at++
	}
	looks := ""
	for first := true; ; first = false {
		switch {
		case t.at >= len(t.in):
			return "", t.refuse("[ without ]")
		case t.in[t.at] == ']' && !first:
			t.at++
			return joinClass(set.String(), looks, negated), nil
		case strings.HasPrefix(t.in[t.at:], "&&["):
			if negated || depth > 0 {
				return "", t.refuse("&& in a negated or inner class")
			}
			t.at += 2
			inner, err := t.class(depth + 1)
			if err != nil {
				return "", err
			}
			looks += "(?=" + inner + ")"
		case strings.HasPrefix(t.in[t.at:], "&&"), strings.HasPrefix(t.in[t.at:], "[:"):
			return "", t.refuse(t.in[t.at : t.at+2])
		case t.in[t.at] == '[':
			inner, err := t.class(depth + 1)
			if err != nil {
				return "", err
			}
			if strings.HasPrefix(inner, "[^") || strings.HasPrefix(inner, "(") {
				return "", t.refuse("a negated class within a class")
			}
			set.WriteString(inner[1 : len(inner)-1])
		case t.in[t.at] == '\\':
			escape, err := t.escape()
			if escape == `\W` || escape == `\b` || escape == `\B` {
				err = t.refuse("[" + escape + "]")
			}
			if err != nil {
				return "", err
			}
			if named, negated := t.named(escape); named != "" && !negated {
				escape = named
			}
			set.WriteString(escape)
		default:
			set.WriteByte(t.in[t.at])
			t.at++
		}
	}
}

// wordEdge is \b for words of the characters of a set, or \B.
func wordEdge(set string, negated bool) string {
	before, after := "(?<=["+set+"])", "(?=["+set+"])"
	notBefore, notAfter := "(?<!["+set+"])", "(?!["+set+"])"
	if negated {
		return "(?:" + before + after + "|" + notBefore + notAfter + ")"
	}
	return "(?:" + before + notAfter + "|" + notBefore + after + ")"
}

func joinClass(set, looks string, negated bool) string {
	class := "[" + set + "]"
	if negated {
		class = "[^" + set + "]"
	}
	if looks != "" {
		return "(?:" + looks + class + ")"
	}
	return class
}
