package jinja

import (
	"slices"
	"strings"
)

// parser reads segments and, inside of one, tokens.
type parser struct {
	segments []segment
	at       int
	tokens   []token
	next     int
	source   string // the tag at hand
	depth    int
}

func (p *parser) deeper() func() {
	if p.depth++; p.depth > maxNesting {
		fail("it is nested more than %d deep", maxNesting)
	}
	return func() { p.depth-- }
}

// open begins to read the tag of a segment.
func (p *parser) open(s segment) {
	p.source, p.tokens, p.next = s.text, lex(s.text), 0
}

func (p *parser) peek() token {
	if p.next < len(p.tokens) {
		return p.tokens[p.next]
	}
	return token{}
}

func (p *parser) isOp(text string) bool   { t := p.peek(); return t.kind == 'o' && t.text == text }
func (p *parser) isName(text string) bool { t := p.peek(); return t.kind == 'n' && t.text == text }

func (p *parser) skipOp(text string) bool {
	if p.isOp(text) {
		p.next++
		return true
	}
	return false
}

func (p *parser) skipName(text string) bool {
	if p.isName(text) {
		p.next++
		return true
	}
	return false
}

func (p *parser) wantOp(text string) {
	if !p.skipOp(text) {
		p.unexpected("want " + text)
	}
}

func (p *parser) name() string {
	t := p.peek()
	if t.kind != 'n' {
		p.unexpected("want a name")
	}
	p.next++
	return t.text
}

func (p *parser) unexpected(want string) {
	t := p.peek()
	if t.kind == 0 {
		fail("%s ends early: %s", quote(strings.TrimSpace(p.source)), want)
	}
	fail("unexpected %s in %s: %s", quote(t.text), quote(strings.TrimSpace(p.source)), want)
}

// done checks that a tag is read to its end.
func (p *parser) done() {
	if p.next < len(p.tokens) {
		p.unexpected("want the end of the tag")
	}
}

// keyword is the first name of a statement's segment.
func keyword(s segment) string {
	text := strings.TrimSpace(s.text)
	for i := range len(text) {
		if !isNameByte(text[i]) {
			return text[:i]
		}
	}
	return text
}

// block reads statements up to one of the given keywords, which stays, or the end.
func (p *parser) block(ends ...string) []statement {
	defer p.deeper()()
	var out []statement
	for p.at < len(p.segments) {
		s := p.segments[p.at]
		switch {
		case s.kind == 't':
			out = append(out, textNode{s.text})
		case s.kind == '{':
			p.open(s)
			out = append(out, outputNode{p.tuple(true)})
			p.done()
		default:
			word := keyword(s)
			if slices.Contains(ends, word) || strings.HasPrefix(word, "end") || word == "else" || word == "elif" {
				return out
			}
			p.open(s)
			p.next++
			p.at++
			out = append(out, p.statement(word))
			continue
		}
		p.at++
	}
	return out
}

// body reads a block and the tag that ends it, whose keyword it returns; the tag is open.
func (p *parser) body(ends ...string) ([]statement, string) {
	p.done()
	start := p.source
	out := p.block(ends...)
	if p.at >= len(p.segments) {
		fail("%s is not closed", quote(strings.TrimSpace(start)))
	}
	s := p.segments[p.at]
	word := keyword(s)
	if !slices.Contains(ends, word) {
		fail("%s stands where %s is wanted", quote(word), strings.Join(ends, " or "))
	}
	p.at++
	p.open(s)
	p.next++
	return out, word
}

func (p *parser) statement(word string) statement {
	switch word {
	case "if":
		return p.ifStatement()
	case "for":
		return p.forStatement()
	case "set":
		return p.setStatement()
	case "macro":
		m := &macroNode{name: p.name()}
		p.signature(m)
		p.macroBody(m, "endmacro")
		if p.peek().kind == 'n' {
			p.next++
		}
		p.done()
		return m
	case "call":
		return p.callStatement()
	case "filter":
		n := filterNode{filters: p.filters()}
		n.body, _ = p.body("endfilter")
		p.done()
		return n
	case "with":
		return p.withStatement()
	case "generation": // marks the model's own text for training; a scope of its own
		n := withNode{}
		n.body, _ = p.body("endgeneration")
		p.done()
		return n
	case "break":
		p.done()
		return breakNode{}
	case "continue":
		p.done()
		return continueNode{}
	}
	fail("the statement %s is not supported", quote(word))
	return nil
}

func (p *parser) ifStatement() statement {
	var n ifNode
	n.tests = append(n.tests, p.tuple(true))
	for {
		body, end := p.body("elif", "else", "endif")
		n.bodies = append(n.bodies, body)
		switch end {
		case "elif":
			n.tests = append(n.tests, p.tuple(true))
			continue
		case "else":
			body, _ = p.body("endif")
			n.bodies = append(n.bodies, body)
		}
		p.done()
		return n
	}
}

func (p *parser) targets() []string {
	brackets := p.skipOp("(")
	names := []string{p.name()}
	for p.skipOp(",") {
		if p.peek().kind != 'n' {
			break
		}
		names = append(names, p.name())
	}
	if brackets {
		p.wantOp(")")
	}
	return names
}

func (p *parser) forStatement() statement {
	n := forNode{targets: p.targets()}
	if !p.skipName("in") {
		p.unexpected("want in")
	}
	n.items = p.tuple(false)
	if p.skipName("if") {
		n.filter = p.expression()
	}
	n.recursive = p.skipName("recursive")
	var end string
	if n.body, end = p.body("else", "endfor"); end == "else" {
		n.otherwise, _ = p.body("endfor")
	}
	p.done()
	return n
}

func (p *parser) setStatement() statement {
	n := setNode{targets: p.targets()}
	if len(n.targets) == 1 && p.skipOp(".") {
		n.object, n.targets[0] = n.targets[0], p.name()
	}
	if p.skipOp("=") {
		n.value = p.tuple(true)
		p.done()
		return n
	}
	if len(n.targets) > 1 || n.object != "" {
		p.unexpected("want =")
	}
	b := setBlockNode{target: n.targets[0]}
	if p.isOp("|") {
		p.next++
		b.filters = p.filters()
	}
	b.body, _ = p.body("endset")
	p.done()
	return b
}

// signature reads "(a, b=1)".
func (p *parser) signature(m *macroNode) {
	p.wantOp("(")
	for !p.skipOp(")") {
		m.params = append(m.params, p.name())
		if p.skipOp("=") {
			m.defaults = append(m.defaults, p.expression())
		} else if len(m.defaults) > 0 {
			p.unexpected("a parameter without a default follows one with")
		}
		if !p.isOp(")") {
			p.wantOp(",")
		}
	}
}

// macroBody reads a macro's body and finds out which arguments beyond its parameters it takes.
func (p *parser) macroBody(m *macroNode, end string) {
	start := p.at
	m.body, _ = p.body(end)
	m.uses = map[string]bool{}
	for _, s := range p.segments[start : p.at-1] {
		for _, name := range []string{"varargs", "kwargs", "caller"} {
			m.uses[name] = m.uses[name] || s.kind != 't' && strings.Contains(s.text, name)
		}
	}
}

func (p *parser) callStatement() statement {
	n := callNode{caller: &macroNode{name: "caller"}}
	if p.isOp("(") {
		p.signature(n.caller)
	}
	call, ok := p.expression().(*callExpr)
	if !ok {
		p.unexpected("want a call")
	}
	n.call = call
	p.macroBody(n.caller, "endcall")
	p.done()
	return n
}

func (p *parser) withStatement() statement {
	var n withNode
	for p.next < len(p.tokens) {
		n.names = append(n.names, p.name())
		p.wantOp("=")
		n.values = append(n.values, p.expression())
		if p.next < len(p.tokens) {
			p.wantOp(",")
		}
	}
	n.body, _ = p.body("endwith")
	p.done()
	return n
}

// filters reads "upper | trim".
func (p *parser) filters() []filterCall {
	list := []filterCall{p.filter()}
	for p.skipOp("|") {
		list = append(list, p.filter())
	}
	return list
}

func (p *parser) filter() filterCall {
	f := filterCall{name: p.name()}
	if filterTable[f.name] == nil {
		fail("the filter %s is not supported", quote(f.name))
	}
	if p.isOp("(") {
		f.args = p.arguments()
	}
	return f
}
