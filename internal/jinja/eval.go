package jinja

import (
	"slices"
	"strings"
	"time"
)

// state is one rendering.
type state struct {
	scope    *scope
	out      strings.Builder
	now      func() time.Time
	deadline time.Time
	steps    int
	bytes    int // made so far
	depth    int // of macros
	under    int // values and blocks under way, one within the other
	input    struct{ bytes, items int }
}

// scope holds the variables of a block; a block within sees them too.
type scope struct {
	vars   map[string]any
	parent *scope
}

func (c *scope) find(name string) (any, bool) {
	for ; c != nil; c = c.parent {
		if v, ok := c.vars[name]; ok {
			return v, true
		}
	}
	return nil, false
}

// step counts work and looks at the clock now and then.
func (s *state) step() {
	if s.steps++; s.steps > maxSteps {
		fail("it takes more than %d steps", maxSteps)
	}
	if s.steps%256 == 0 && time.Now().After(s.deadline) {
		fail("it takes longer than %v", maxTime)
	}
}

// deeper counts a value or block within another, until back is called. A failure ends the rendering: it need not go back.
func (s *state) deeper() {
	if s.under++; s.under > maxDepth {
		fail("it is nested more than %d deep", maxDepth)
	}
}

func (s *state) back() { s.under-- }

// measure counts an input; the limits grow by it.
func (s *state) measure(v any, depth int) {
	if depth > maxNesting {
		fail("a value is nested more than %d deep", maxNesting)
	}
	s.input.items++
	switch v := v.(type) {
	case string:
		s.input.bytes += len(v)
	case *list:
		for _, item := range v.items {
			s.measure(item, depth+1)
		}
	case *dict:
		for _, k := range v.keys {
			s.measure(k, depth+1)
			s.measure(v.values[k], depth+1)
		}
	}
}

func (s *state) textLimit() int { return maxText + 2*s.input.bytes }

// made counts a value that is about to be made: bytes of text, items of a list.
func (s *state) made(bytes, items int) {
	s.bytes += bytes + 16*items
	if bytes > 16*s.textLimit() || items > maxItems+2*s.input.items+s.input.bytes || s.bytes > maxMade+256*s.input.bytes {
		fail("a value became too large")
	}
	s.step()
}

// room counts a text that was made, or is about to be.
func (s *state) room(bytes int) {
	if bytes > s.textLimit() {
		fail("a value became too large")
	}
	s.made(bytes, 0)
}

func (s *state) write(text string) {
	s.out.WriteString(text)
	if s.out.Len() > maxOutput+4*s.input.bytes {
		fail("it writes more than %d bytes", maxOutput+4*s.input.bytes)
	}
}

// inner runs f in a scope of its own.
func (s *state) inner(vars map[string]any, f func()) {
	outer := s.scope
	s.scope = &scope{vars: vars, parent: outer}
	f()
	s.scope = outer
}

// capture returns what f writes.
func (s *state) capture(f func()) string {
	saved := s.out
	s.out = strings.Builder{}
	f()
	text := s.out.String()
	s.out = saved
	s.room(len(text))
	return text
}

// run runs statements; a breakNode or continueNode that ends them early is returned.
func (s *state) run(list []statement) (stop statement) {
	s.deeper()
	for i := 0; i < len(list) && stop == nil; i++ {
		s.step()
		stop = s.statement(list[i])
	}
	s.back()
	return stop
}

func (s *state) statement(n statement) statement {
	switch n := n.(type) {
	case textNode:
		s.write(n.text)
	case outputNode:
		s.write(s.text(s.eval(n.value)))
	case ifNode:
		for i, body := range n.bodies {
			if i == len(n.tests) || truth(s.eval(n.tests[i])) {
				return s.run(body)
			}
		}
	case forNode:
		return s.loop(&n, s.eval(n.items), 0)
	case setNode:
		s.assign(n)
	case setBlockNode:
		text := s.capture(func() { s.inner(map[string]any{}, func() { s.plain(n.body) }) })
		s.scope.vars[n.target] = s.filtered(n.filters, text)
	case *macroNode:
		s.scope.vars[n.name] = s.macro(n)
	case callNode:
		args, named := s.arguments(&n.call.args)
		if named == nil {
			named = map[string]any{}
		}
		named["caller"] = s.macro(n.caller)
		s.write(s.text(s.call(s.eval(n.call.function), args, named)))
	case filterNode:
		text := s.capture(func() { s.inner(map[string]any{}, func() { s.plain(n.body) }) })
		s.write(s.text(s.filtered(n.filters, text)))
	case withNode:
		vars := map[string]any{}
		for i, name := range n.names {
			vars[name] = s.eval(n.values[i])
		}
		var stop statement
		s.inner(vars, func() { stop = s.run(n.body) })
		return stop
	default:
		return n // break, continue
	}
	return nil
}

// plain runs statements that no loop's end may leave.
func (s *state) plain(list []statement) {
	if s.run(list) != nil {
		fail("break or continue stands outside a loop")
	}
}

func (s *state) filtered(filters []filterCall, v any) any {
	for i := range filters {
		v = s.filter(&filters[i], v)
	}
	return v
}

func (s *state) assign(n setNode) {
	v := s.eval(n.value)
	if n.object != "" {
		object, _ := s.scope.find(n.object)
		ns, ok := object.(*namespace)
		if !ok {
			fail("%s is no namespace: it cannot be assigned to", n.object)
		}
		ns.set(n.targets[0], v)
		return
	}
	for i, item := range s.unpack(n.targets, v) {
		s.scope.vars[n.targets[i]] = item
	}
}

// unpack gives each target its value.
func (s *state) unpack(targets []string, v any) []any {
	if len(targets) == 1 {
		return []any{v}
	}
	items := s.iterate(v)
	if len(items) != len(targets) {
		fail("%d values for %d names", len(items), len(targets))
	}
	return items
}

func (s *state) loop(n *forNode, over any, depth int) statement {
	if depth > maxNesting {
		fail("a loop calls itself more than %d deep", maxNesting)
	}
	items := s.iterate(over)
	if n.filter != nil {
		var kept []any
		for _, item := range items {
			s.inner(s.bind(n.targets, item), func() {
				if truth(s.eval(n.filter)) {
					kept = append(kept, item)
				}
			})
		}
		s.made(0, len(kept))
		items = kept
	}
	if len(items) == 0 {
		var stop statement
		s.inner(map[string]any{}, func() { stop = s.run(n.otherwise) })
		return stop
	}
	l := &loopVar{items: items, depth: depth}
	if n.recursive {
		l.again = func(items any) string {
			return s.capture(func() { s.loop(n, items, depth+1) })
		}
	}
	for i, item := range items {
		l.at = i
		vars := s.bind(n.targets, item)
		vars["loop"] = l
		var stop statement
		s.step()
		s.inner(vars, func() { stop = s.run(n.body) })
		if _, ok := stop.(breakNode); ok {
			break
		}
	}
	return nil
}

func (s *state) bind(targets []string, item any) map[string]any {
	vars := make(map[string]any, len(targets)+1)
	for i, v := range s.unpack(targets, item) {
		vars[targets[i]] = v
	}
	return vars
}

// macro makes a function of a macro, which sees the scope that it stands in.
func (s *state) macro(n *macroNode) *function {
	home := s.scope
	return &function{n.name, func(s *state, args []any, named map[string]any) any {
		if s.depth++; s.depth > maxNesting {
			fail("macros are nested more than %d deep", maxNesting)
		}
		outer := s.scope
		s.scope = &scope{vars: map[string]any{}, parent: home}
		s.parameters(n, args, named)
		text := s.capture(func() { s.plain(n.body) })
		s.scope = outer
		s.depth--
		return text
	}}
}

func (s *state) parameters(n *macroNode, args []any, named map[string]any) {
	vars := s.scope.vars
	firstDefault := len(n.params) - len(n.defaults)
	for i, name := range n.params {
		v, ok := named[name]
		switch {
		case i < len(args):
			if ok {
				fail("macro %s gets %s twice", n.name, name)
			}
			v = args[i]
		case ok:
		case i >= firstDefault:
			v = s.eval(n.defaults[i-firstDefault])
		default:
			v = undefined{name}
		}
		vars[name] = v
	}
	rest := newDict()
	for _, name := range sortedKeys(named) {
		switch {
		case name == "caller" && n.uses[name]:
			vars[name] = named[name]
		case !slices.Contains(n.params, name):
			rest.set(name, named[name])
		}
	}
	more := args[min(len(args), len(n.params)):]
	if len(more) > 0 && !n.uses["varargs"] || len(rest.keys) > 0 && !n.uses["kwargs"] {
		fail("macro %s gets arguments that it does not take", n.name)
	}
	vars["varargs"], vars["kwargs"] = &list{items: more, kind: isTuple}, rest
}
