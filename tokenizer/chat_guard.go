package tokenizer

import (
	"fmt"
	"strconv"
	"strings"
)

// Limits of a template's source. Real templates stay far below.
const (
	maxTemplate  = 1 << 18 // bytes
	maxTagTokens = 4096
	maxTagNames  = 512 // names in one tag
	maxTagAdds   = 128 // + and ~ in one tag
	maxRepeat    = 64  // a text is repeated at most so often by one *
	maxNesting   = 64  // of brackets, of blocks
	guardPrefix  = "hone__"
)

// guard rewrites a template.
type guard struct {
	out    strings.Builder
	blocks []openBlock
}

// openBlock is a statement that waits for its end; target is the variable of a set block.
type openBlock struct{ keyword, target string }

// guardTemplate returns the template with every loop, macro, output and assignment reporting to a budget. White space is
// trimmed here, and text becomes string outputs, so that nothing is left for the engine to trim.
func guardTemplate(source string) (string, error) {
	if len(source) > maxTemplate {
		return "", fmt.Errorf("it has %d bytes, at most %d are allowed", len(source), maxTemplate)
	}
	segments, err := scanTemplate(source)
	if err != nil {
		return "", err
	}
	g := &guard{}
	for _, s := range segments {
		switch s.kind {
		case 't':
			g.out.WriteString("{{" + guardPrefix + "out(" + jinjaString(s.text) + ")}}")
		case '{':
			e, err := guardExpression(s.text)
			if err != nil {
				return "", err
			}
			g.out.WriteString("{{" + guardPrefix + "out(" + e + ")}}")
		case '%':
			if err := g.statement(strings.TrimSpace(s.text)); err != nil {
				return "", err
			}
		}
	}
	if len(g.blocks) > 0 {
		return "", fmt.Errorf("a %s block is not closed", g.blocks[len(g.blocks)-1].keyword)
	}
	return g.out.String(), nil
}

// jinjaString writes a string literal of the engine.
func jinjaString(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}

func (g *guard) tag(text string) { g.out.WriteString("{% " + text + " %}") }

// report calls a function of the budget.
func (g *guard) report(function, args string) {
	g.tag("set " + guardPrefix + "x = " + guardPrefix + function + "(" + args + ")")
}

func (g *guard) statement(s string) error {
	keyword := s
	if n := strings.IndexFunc(s, func(r rune) bool { return r >= 0x80 || !isNameByte(byte(r)) }); n >= 0 {
		keyword = s[:n]
	}
	rest := strings.TrimSpace(s[len(keyword):])
	switch keyword {
	case "if", "elif":
		return g.condition(keyword, rest)
	case "for":
		return g.loop(rest)
	case "set":
		return g.set(rest)
	case "macro":
		return g.macro(rest)
	case "call":
		return g.call(rest)
	case "generation":
		return g.open(keyword, "", keyword)
	case "else", "break", "continue":
		if rest != "" {
			return fmt.Errorf("unexpected %s after %s", quote(rest), keyword)
		}
		g.tag(keyword)
		return nil
	case "endif", "endfor", "endset", "endmacro", "endcall", "endgeneration":
		return g.close(keyword)
	}
	return fmt.Errorf("the statement %s is not supported", quote(keyword))
}

func (g *guard) open(keyword, target, text string) error {
	if len(g.blocks) >= maxNesting {
		return fmt.Errorf("blocks are nested more than %d deep", maxNesting)
	}
	g.blocks = append(g.blocks, openBlock{keyword, target})
	g.tag(text)
	return nil
}

func (g *guard) close(keyword string) error {
	if len(g.blocks) == 0 || "end"+g.blocks[len(g.blocks)-1].keyword != keyword {
		return fmt.Errorf("%s closes nothing", keyword)
	}
	block := g.blocks[len(g.blocks)-1]
	g.blocks = g.blocks[:len(g.blocks)-1]
	if keyword == "endmacro" || keyword == "endcall" {
		g.report("leave", "")
	}
	g.tag(keyword)
	if keyword == "endset" {
		g.report("check", block.target)
	}
	return nil
}

func (g *guard) condition(keyword, rest string) error {
	e, err := guardExpression(rest)
	if err != nil {
		return err
	}
	text := keyword + " " + guardPrefix + "cond(" + e + ")"
	if keyword == "elif" {
		g.tag(text)
		return nil
	}
	return g.open(keyword, "", text)
}

// loop guards "x in items if condition recursive".
func (g *guard) loop(rest string) error {
	tokens, err := lexExpression(rest)
	if err != nil {
		return err
	}
	in := topLevel(tokens, 0, "in")
	if in < 0 {
		return fmt.Errorf("the loop %s has no \"in\"", quote(rest))
	}
	names, err := nameList(rest[:tokens[in].from])
	if err != nil || len(names) < 1 || len(names) > 2 {
		return fmt.Errorf("the loop variables %s are not supported", quote(rest[:tokens[in].from]))
	}
	if topLevel(tokens, in, "recursive") >= 0 {
		return fmt.Errorf("recursive loops are not supported")
	}
	end, filter := len(rest), ""
	if at := topLevel(tokens, in, "if"); at >= 0 {
		end = tokens[at].from
		if filter, err = guardExpression(rest[tokens[at].to:]); err != nil {
			return err
		}
		filter = " if (" + filter + ")"
	}
	items, err := guardExpression(rest[tokens[in].to:end])
	if err != nil {
		return err
	}
	list := strings.Join(names, ", ")
	if err := g.open("for", "", "for "+list+" in "+guardPrefix+"items("+items+")"+filter); err != nil {
		return err
	}
	g.report("tick", list)
	return nil
}

// topLevel returns the index of a name outside brackets, after from, or -1.
func topLevel(tokens []lexeme, from int, name string) int {
	for i := from; i < len(tokens); i++ {
		if tokens[i].kind == 'o' && tokens[i].match > i {
			i = tokens[i].match
		} else if tokens[i].kind == 'n' && tokens[i].text == name && (i == 0 || tokens[i-1].text != ".") {
			return i
		}
	}
	return -1
}

// nameList reads "a, b".
func nameList(s string) ([]string, error) {
	var names []string
	for _, part := range strings.Split(s, ",") {
		part = strings.TrimSpace(part)
		if err := checkName(part); err != nil {
			return nil, err
		}
		names = append(names, part)
	}
	return names, nil
}

func checkName(s string) error {
	if s == "" || isDigit(s[0]) || strings.HasPrefix(s, guardPrefix) ||
		strings.IndexFunc(s, func(r rune) bool { return r >= 0x80 || !isNameByte(byte(r)) }) >= 0 {
		return fmt.Errorf("%s is no name that can be used here", quote(s))
	}
	return nil
}

func (g *guard) set(rest string) error {
	target, value, inline := strings.Cut(rest, "=")
	target = strings.TrimSpace(target)
	object, attribute, dotted := strings.Cut(target, ".")
	err := checkName(object)
	if err == nil && dotted {
		err = checkName(attribute)
	}
	if err != nil {
		return err
	}
	if !inline {
		if dotted {
			return fmt.Errorf("a set block cannot assign to %s", quote(target))
		}
		return g.open("set", target, "set "+target)
	}
	e, err := guardExpression(value)
	if err != nil {
		return err
	}
	g.tag("set " + target + " = " + e)
	g.report("check", object)
	return nil
}

// macro guards "name(a, b=1)". Default values must be plain: they are evaluated before the body can report.
func (g *guard) macro(rest string) error {
	name, list, ok := strings.Cut(rest, "(")
	name = strings.TrimSpace(name)
	if err := checkName(name); err != nil {
		return err
	}
	list, closed := strings.CutSuffix(strings.TrimSpace(list), ")")
	if !ok || !closed || strings.ContainsAny(list, "()[]{}|~*'\"") && !plainDefaults(list) {
		return fmt.Errorf("the parameters of macro %s are not supported", name)
	}
	var names []string
	for _, part := range strings.Split(list, ",") {
		parameter, _, _ := strings.Cut(part, "=")
		parameter = strings.TrimSpace(parameter)
		if parameter == "" && strings.TrimSpace(list) == "" {
			break
		}
		if err := checkName(parameter); err != nil {
			return err
		}
		names = append(names, parameter)
	}
	if err := g.open("macro", "", "macro "+name+"("+list+")"); err != nil {
		return err
	}
	g.report("enter", strings.Join(names, ", "))
	return nil
}

// plainDefaults tells whether a parameter list holds only names, numbers and strings without commas.
func plainDefaults(list string) bool {
	tokens, err := lexExpression(list)
	if err != nil {
		return false
	}
	for _, t := range tokens {
		if t.kind == 's' && strings.ContainsAny(t.text, ",=") || t.kind == 'o' && t.text != "," && t.text != "=" && t.text != "-" {
			return false
		}
	}
	return true
}

// call guards "(a, b) macro(…)".
func (g *guard) call(rest string) error {
	var names []string
	head := ""
	if strings.HasPrefix(rest, "(") {
		end := strings.IndexByte(rest, ')')
		if end < 0 {
			return fmt.Errorf("unbalanced brackets in %s", quote(rest))
		}
		head, rest = rest[:end+1], rest[end+1:]
		if inner := strings.TrimSpace(head[1:end]); inner != "" {
			var err error
			if names, err = nameList(inner); err != nil {
				return err
			}
		}
	}
	e, err := guardExpression(rest)
	if err != nil {
		return err
	}
	if err := g.open("call", "", "call"+head+" "+e); err != nil {
		return err
	}
	g.report("enter", strings.Join(names, ", "))
	return nil
}

// Filters: safe ones produce no more than they take; the others are replaced by bounded ones.
var (
	safeFilters = wordSet("items default d trim lower upper title capitalize first last length count reverse sort int float " +
		"string safe round abs escape e select reject selectattr rejectattr wordcount dictsort max min sum map")
	guardedFilters = wordSet("tojson replace join indent list fromjson from_json")
	guardedMethods = wordSet("replace append insert update format split join")
)

func wordSet(words string) map[string]bool {
	set := map[string]bool{}
	for _, w := range strings.Fields(words) {
		set[w] = true
	}
	return set
}

// guardExpression rewrites an expression: bounded filters and methods, clamped slice bounds.
func guardExpression(s string) (string, error) {
	tokens, err := lexExpression(s)
	if err != nil {
		return "", err
	}
	if len(tokens) == 0 {
		return "", fmt.Errorf("an expression is missing")
	}
	x := &expression{source: s, tokens: tokens}
	if err := x.check(); err != nil {
		return "", err
	}
	for i := range tokens {
		if err := x.rewrite(i); err != nil {
			return "", err
		}
	}
	return x.text(), nil
}

type expression struct {
	source string
	tokens []lexeme
	before map[int]string // text to put before a token
	repeat bool
}

// check counts what one expression may hold.
func (x *expression) check() error {
	names, adds, signs := 0, 0, 0
	for _, t := range x.tokens {
		switch {
		case t.kind == 'n' && t.text != "not":
			if strings.HasPrefix(t.text, guardPrefix) {
				return fmt.Errorf("the name %s is reserved", t.text)
			}
			names++
			signs = 0
		case t.text == "not" || t.text == "-" || t.text == "+":
			signs++
		default:
			signs = 0
		}
		if t.kind == 'o' && (t.text == "+" || t.text == "~") {
			adds++
		}
		if names > maxTagNames || adds > maxTagAdds || signs > maxNesting {
			return fmt.Errorf("the expression %s is too large", quote(x.source))
		}
	}
	return nil
}

func (x *expression) at(i int) lexeme {
	if i < 0 || i >= len(x.tokens) {
		return lexeme{}
	}
	return x.tokens[i]
}

func (x *expression) put(i int, text string) {
	if x.before == nil {
		x.before = map[int]string{}
	}
	x.before[i] += text
}

func (x *expression) rewrite(i int) error {
	t := &x.tokens[i]
	previous, next := x.at(i-1), x.at(i+1)
	switch {
	case t.kind == 'n' && previous.text == "|":
		return x.filter(t, i)
	case t.kind == 'n' && previous.text == "." && guardedMethods[t.text]:
		if next.text == "(" {
			x.tokens[i-1].text, t.text = "|", guardPrefix+t.text
		} else { // an attribute of that name, not a method that is kept for later
			x.tokens[i-1].text, t.text = "", "["+jinjaString(t.text)+"]"
		}
	case t.text == "**":
		return fmt.Errorf("** is not supported")
	case t.text == "*":
		return x.multiply(i)
	case t.text == "[":
		return x.slice(i)
	}
	return nil
}

func (x *expression) filter(t *lexeme, i int) error {
	switch {
	case guardedFilters[t.text]:
		t.text = guardPrefix + t.text
	case t.text == "map" && (x.at(i+1).text != "(" || x.at(i+2).text != "attribute"):
		return fmt.Errorf("the filter map is supported with attribute= alone")
	case !safeFilters[t.text]:
		return fmt.Errorf("the filter %s is not supported", quote(t.text))
	}
	return nil
}

// multiply allows one product with a small literal: a product may repeat a text.
func (x *expression) multiply(i int) error {
	left, right := x.at(i-1), x.at(i+1)
	if x.repeat {
		return fmt.Errorf("more than one * in %s is not supported", quote(x.source))
	}
	x.repeat = true
	n, err := strconv.Atoi(right.text)
	if right.kind == 'i' && err == nil && n <= maxRepeat && x.at(i+2).text != "." || left.kind == 'i' && x.at(i-2).text != "." {
		return nil
	}
	return fmt.Errorf("a product in %s needs a literal factor of at most %d", quote(x.source), maxRepeat)
}

// slice clamps the bounds of [a:b]; of steps only a literal -1 and 1 are bounded.
func (x *expression) slice(open int) error {
	end := x.tokens[open].match
	var colons []int
	for j := open + 1; j < end; j++ {
		if x.tokens[j].kind == 'o' && x.tokens[j].match > j {
			j = x.tokens[j].match
		} else if x.tokens[j].text == ":" {
			colons = append(colons, j)
		}
	}
	if len(colons) == 0 {
		return nil
	}
	if len(colons) > 1 {
		step := strings.TrimSpace(x.source[x.tokens[colons[1]].to:x.tokens[end].from])
		if step != "" && step != "-1" && step != "1" {
			return fmt.Errorf("the slice step %s is not supported", quote(step))
		}
		end = colons[1]
	}
	x.bound(open, colons[0])
	x.bound(colons[0], end)
	return nil
}

// bound puts a call around the tokens between two others.
func (x *expression) bound(from, to int) {
	if to > from+1 {
		x.put(from+1, guardPrefix+"bound(")
		x.put(to, ")")
	}
}

// text puts the expression together again.
func (x *expression) text() string {
	var b strings.Builder
	for i, t := range x.tokens {
		b.WriteString(x.before[i])
		b.WriteString(t.text)
		b.WriteByte(' ')
	}
	return b.String()
}
