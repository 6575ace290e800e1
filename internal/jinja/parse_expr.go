package jinja

import (
	"slices"
	"strconv"
)

// tuple reads "a, b", or one expression; conditional: "a if b" is one.
func (p *parser) tuple(conditional bool) expr {
	one := func() expr {
		if conditional {
			return p.expression()
		}
		return p.or()
	}
	first := one()
	if !p.isOp(",") {
		return first
	}
	items := []expr{first}
	for p.skipOp(",") {
		if t := p.peek(); t.kind == 0 || t.kind == 'o' && (t.text == ")" || t.text == "=") {
			break
		}
		items = append(items, one())
	}
	return listExpr{items, true}
}

func (p *parser) expression() expr {
	defer p.deeper()()
	e := p.or()
	for p.skipName("if") {
		test := p.or()
		var no expr
		if p.skipName("else") {
			no = p.expression()
		}
		e = condExpr{test, e, no}
	}
	return e
}

func (p *parser) or() expr {
	e := p.and()
	for p.skipName("or") {
		e = binaryExpr{"or", e, p.and()}
	}
	return e
}

func (p *parser) and() expr {
	e := p.not()
	for p.skipName("and") {
		e = binaryExpr{"and", e, p.not()}
	}
	return e
}

func (p *parser) not() expr {
	if p.skipName("not") {
		defer p.deeper()()
		return unaryExpr{"not", p.not()}
	}
	return p.compare()
}

var comparisons = []string{"==", "!=", "<", "<=", ">", ">="}

func (p *parser) compare() expr {
	n := compareExpr{first: p.sum()}
	for {
		t := p.peek()
		switch {
		case t.kind == 'o' && slices.Contains(comparisons, t.text):
			p.next++
			n.ops = append(n.ops, t.text)
		case p.skipName("in"):
			n.ops = append(n.ops, "in")
		case p.isName("not") && p.next+1 < len(p.tokens) && p.tokens[p.next+1] == token{'n', "in"}:
			p.next += 2
			n.ops = append(n.ops, "not in")
		default:
			if n.ops == nil {
				return n.first
			}
			return n
		}
		n.rest = append(n.rest, p.sum())
	}
}

// chain reads operands with left-associative operators between them.
func (p *parser) chain(operand func() expr, ops ...string) expr {
	e := operand()
	for n := 0; ; n++ {
		t := p.peek()
		if t.kind != 'o' || !slices.Contains(ops, t.text) {
			return e
		}
		if n >= maxChain {
			fail("the expression %s is too long", quote(p.source))
		}
		p.next++
		e = binaryExpr{t.text, e, operand()}
	}
}

// maxChain bounds how deep the tree of a + b + … becomes.
const maxChain = 512

func (p *parser) sum() expr { return p.chain(p.concat, "+", "-") }

func (p *parser) concat() expr {
	parts := []expr{p.product()}
	for p.skipOp("~") {
		parts = append(parts, p.product())
	}
	if len(parts) == 1 {
		return parts[0]
	}
	return concatExpr{parts}
}

func (p *parser) product() expr { return p.chain(p.power, "*", "/", "//", "%") }
func (p *parser) power() expr {
	return p.chain(func() expr { return p.unary(true) }, "**")
}

func (p *parser) unary(filters bool) expr {
	defer p.deeper()()
	var e expr
	switch {
	case p.skipOp("-"):
		e = unaryExpr{"-", p.unary(false)}
	case p.skipOp("+"):
		e = unaryExpr{"+", p.unary(false)}
	default:
		e = p.primary()
	}
	e = p.postfix(e)
	if filters {
		e = p.filterExpressions(e)
	}
	return e
}

func (p *parser) primary() expr {
	t := p.peek()
	switch t.kind {
	case 'n':
		p.next++
		switch t.text {
		case "true", "True":
			return constExpr{true}
		case "false", "False":
			return constExpr{false}
		case "none", "None":
			return constExpr{nil}
		}
		return nameExpr{t.text}
	case 's':
		text := ""
		for ; p.peek().kind == 's'; p.next++ {
			text += p.peek().text
		}
		return constExpr{text}
	case 'i':
		p.next++
		n, err := strconv.ParseInt(t.text, 10, 64)
		if err != nil {
			fail("the number %s is too large", t.text)
		}
		return constExpr{n}
	case 'f':
		p.next++
		f, _ := strconv.ParseFloat(t.text, 64)
		return constExpr{f}
	}
	switch {
	case p.skipOp("("):
		if p.skipOp(")") {
			return listExpr{tuple: true}
		}
		e := p.tuple(true)
		p.wantOp(")")
		return e
	case p.skipOp("["):
		return listExpr{items: p.items("]")}
	case p.skipOp("{"):
		return p.dict()
	}
	p.unexpected("want a value")
	return nil
}

// items reads values up to a closing bracket.
func (p *parser) items(end string) []expr {
	var out []expr
	for !p.skipOp(end) {
		out = append(out, p.expression())
		if !p.isOp(end) {
			p.wantOp(",")
		}
	}
	return out
}

func (p *parser) dict() expr {
	var d dictExpr
	for !p.skipOp("}") {
		d.keys = append(d.keys, p.expression())
		p.wantOp(":")
		d.values = append(d.values, p.expression())
		if !p.isOp("}") {
			p.wantOp(",")
		}
	}
	return d
}

func (p *parser) postfix(e expr) expr {
	for n := 0; ; n++ {
		if n >= maxChain {
			fail("the expression %s is too long", quote(p.source))
		}
		switch {
		case p.skipOp("."):
			if t := p.peek(); t.kind == 'i' {
				p.next++
				n, _ := strconv.ParseInt(t.text, 10, 64)
				e = itemExpr{e, constExpr{n}}
				continue
			}
			e = attrExpr{e, p.name()}
		case p.skipOp("["):
			e = p.subscript(e)
		case p.isOp("("):
			e = &callExpr{e, p.arguments()}
		default:
			return e
		}
	}
}

func (p *parser) subscript(object expr) expr {
	n := sliceExpr{object: object}
	for i := range n.bounds {
		if !p.isOp(":") && !p.isOp("]") {
			n.bounds[i] = p.tuple(true)
		}
		if p.skipOp("]") {
			if i == 0 {
				if n.bounds[0] == nil {
					p.unexpected("want an index")
				}
				return itemExpr{object, n.bounds[0]}
			}
			return n
		}
		if i < 2 {
			p.wantOp(":")
		}
	}
	p.wantOp("]")
	return n
}

// arguments reads "(a, b=1, *c, **d)".
func (p *parser) arguments() arguments {
	var a arguments
	p.wantOp("(")
	for !p.skipOp(")") {
		switch {
		case p.skipOp("*"):
			a.star[0] = p.expression()
		case p.skipOp("**"):
			a.star[1] = p.expression()
		case p.peek().kind == 'n' && p.next+1 < len(p.tokens) && p.tokens[p.next+1] == token{'o', "="}:
			a.names = append(a.names, p.name())
			p.next++
			a.named = append(a.named, p.expression())
		default:
			if len(a.named) > 0 {
				p.unexpected("a value follows a named one")
			}
			a.list = append(a.list, p.expression())
		}
		if !p.isOp(")") {
			p.wantOp(",")
		}
	}
	return a
}

func (p *parser) filterExpressions(e expr) expr {
	for n := 0; ; n++ {
		if n >= maxChain {
			fail("the expression %s is too long", quote(p.source))
		}
		switch {
		case p.skipOp("|"):
			e = filterExpr{e, p.filter()}
		case p.skipName("is"):
			e = p.test(e)
		case p.isOp("("):
			e = &callExpr{e, p.arguments()}
		default:
			return e
		}
	}
}

// test reads what follows "is": a name with arguments in brackets, or with one value.
func (p *parser) test(e expr) expr {
	n := testExpr{value: e, negated: p.skipName("not")}
	n.name = p.name()
	if testTable[n.name] == nil {
		fail("the test %s is not supported", quote(n.name))
	}
	t := p.peek()
	switch {
	case p.isOp("("):
		n.args = p.arguments()
	case t.kind == 'n' && (t.text == "else" || t.text == "or" || t.text == "and" || t.text == "is" || t.text == "not" || t.text == "in"):
	case t.kind != 0 && t.kind != 'o' || p.isOp("[") || p.isOp("{"):
		n.args.list = []expr{p.postfix(p.primary())}
	}
	return n
}
