package jinja

import (
	"slices"
	"strings"
	"unicode/utf8"
)

func (s *state) eval(e expr) any {
	s.step()
	s.deeper()
	v := s.value(e)
	s.back()
	return v
}

func (s *state) value(e expr) any {
	switch e := e.(type) {
	case constExpr:
		return e.value
	case nameExpr:
		if v, ok := s.scope.find(e.name); ok {
			return v
		}
		return undefined(e)
	case listExpr:
		s.made(0, len(e.items))
		l := &list{items: s.evalAll(e.items)}
		if e.tuple {
			l.kind = isTuple
		}
		return l
	case dictExpr:
		s.made(0, 2*len(e.keys))
		d := newDict()
		for i, k := range e.keys {
			d.set(s.eval(k), s.eval(e.values[i]))
		}
		return d
	case attrExpr:
		return s.attribute(s.eval(e.object), e.name)
	case itemExpr:
		return s.item(s.eval(e.object), s.eval(e.index))
	case sliceExpr:
		return s.slice(e)
	case *callExpr:
		f := s.eval(e.function)
		args, named := s.arguments(&e.args)
		return s.call(f, args, named)
	case filterExpr:
		return s.filter(&e.filterCall, s.eval(e.value))
	case testExpr:
		args, _ := s.arguments(&e.args)
		return s.test(e.name, s.eval(e.value), args) != e.negated
	case unaryExpr:
		return s.unary(e.op, s.eval(e.value))
	case binaryExpr:
		return s.binary(e)
	case concatExpr:
		return s.concat(e.parts)
	case compareExpr:
		return s.compare(e)
	case condExpr:
		if truth(s.eval(e.test)) {
			return s.eval(e.yes)
		}
		if e.no == nil {
			return undefined{"the other branch"}
		}
		return s.eval(e.no)
	}
	fail("an expression of an unknown kind")
	return nil
}

func (s *state) evalAll(list []expr) []any {
	out := make([]any, len(list))
	for i, e := range list {
		out[i] = s.eval(e)
	}
	return out
}

func (s *state) arguments(a *arguments) (args []any, named map[string]any) {
	args = s.evalAll(a.list)
	if a.star[0] != nil {
		args = append(args, s.iterate(s.eval(a.star[0]))...)
		s.made(0, len(args))
	}
	for i, name := range a.names {
		if named == nil {
			named = map[string]any{}
		}
		named[name] = s.eval(a.named[i])
	}
	if a.star[1] != nil {
		d, ok := s.eval(a.star[1]).(*dict)
		if !ok {
			fail("** needs a mapping")
		}
		if named == nil {
			named = map[string]any{}
		}
		for _, k := range d.keys {
			named[s.text(k)] = d.values[k]
		}
	}
	return args, named
}

func (s *state) concat(parts []expr) any {
	texts := make([]string, len(parts))
	n := 0
	for i, p := range parts {
		texts[i] = s.text(s.eval(p))
		n += len(texts[i])
		s.room(n)
	}
	return strings.Join(texts, "")
}

func (s *state) compare(e compareExpr) any {
	left := s.eval(e.first)
	for i, op := range e.ops {
		right := s.eval(e.rest[i])
		var ok bool
		switch op {
		case "==":
			ok = s.equal(left, right)
		case "!=":
			ok = !s.equal(left, right)
		case "in":
			ok = s.contains(left, right)
		case "not in":
			ok = !s.contains(left, right)
		case "<":
			ok = s.order(left, right) < 0
		case "<=":
			ok = s.order(left, right) <= 0
		case ">":
			ok = s.order(left, right) > 0
		case ">=":
			ok = s.order(left, right) >= 0
		}
		if !ok {
			return false
		}
		left = right
	}
	return true
}

func (s *state) unary(op string, v any) any {
	if op == "not" {
		return !truth(v)
	}
	i, f, integer, ok := numberOf(v)
	switch {
	case !ok:
		fail("%s cannot have a sign", typeName(v))
	case op == "-" && integer:
		return -i
	case op == "-":
		return -f
	case integer:
		return i
	}
	return f
}

func (s *state) binary(e binaryExpr) any {
	left := s.eval(e.left)
	switch {
	case e.op == "or":
		if truth(left) {
			return left
		}
		return s.eval(e.right)
	case e.op == "and":
		if !truth(left) {
			return left
		}
		return s.eval(e.right)
	}
	right := s.eval(e.right)
	if a, f, ai, ok := numberOf(left); ok {
		if b, g, bi, ok := numberOf(right); ok {
			if ai && bi && e.op != "/" {
				return integers(e.op, a, b)
			}
			return floats(e.op, f, g)
		}
	}
	switch a := left.(type) {
	case string:
		if b, ok := right.(string); ok && e.op == "+" {
			s.room(len(a) + len(b))
			return a + b
		}
		if e.op == "%" {
			return s.percent(a, right)
		}
	case *list:
		if b, ok := right.(*list); ok && e.op == "+" && a.kind == b.kind && a.kind <= isTuple {
			s.made(0, len(a.items)+len(b.items))
			return &list{items: slices.Concat(a.items, b.items), kind: a.kind}
		}
	}
	if e.op == "*" {
		return s.repeat(left, right)
	}
	fail("%s and %s: %s cannot join them", typeName(left), typeName(right), e.op)
	return nil
}

func (s *state) repeat(a, b any) any {
	if _, ok := a.(int64); ok {
		a, b = b, a
	}
	n, _, integer, ok := numberOf(b)
	if !ok || !integer {
		fail("%s cannot be multiplied by %s", typeName(a), typeName(b))
	}
	n = max(n, 0)
	switch a := a.(type) {
	case string:
		if n > int64(s.textLimit()) {
			fail("a value became too large")
		}
		s.room(len(a) * int(n))
		return strings.Repeat(a, int(n))
	case *list:
		if n > maxItems || a.kind > isTuple {
			fail("a list cannot be repeated %d times", n)
		}
		s.made(0, len(a.items)*int(n))
		return &list{items: slices.Repeat(a.items, int(n)), kind: a.kind}
	}
	fail("%s cannot be multiplied", typeName(a))
	return nil
}

// item is object[index].
func (s *state) item(object, index any) any {
	switch o := object.(type) {
	case undefined:
		fail("%s is undefined", o.name)
	case *dict:
		switch index.(type) {
		case nil, bool, int64, float64, string:
			if v, ok := o.get(index); ok {
				return v
			}
		}
	case *list:
		if i, _, integer, ok := numberOf(index); ok && integer && (o.kind <= isTuple || strings.HasPrefix(o.shown, "range(")) {
			if i < 0 {
				i += int64(len(o.items))
			}
			if i >= 0 && i < int64(len(o.items)) {
				return o.items[i]
			}
			return undefined{"an item"}
		}
	case string:
		if i, _, integer, ok := numberOf(index); ok && integer {
			return s.character(o, i)
		}
	}
	if name, ok := index.(string); ok {
		return s.member(object, name)
	}
	return undefined{"an item"}
}

func (s *state) character(t string, i int64) any {
	if i < 0 {
		i += int64(utf8.RuneCountInString(t))
	}
	for at, r := range t {
		if i == 0 {
			return t[at : at+utf8.RuneLen(r)]
		}
		i--
	}
	return undefined{"a character"}
}

// attribute is object.name: a method or, of a mapping, an item.
func (s *state) attribute(object any, name string) any {
	if u, ok := object.(undefined); ok {
		fail("%s is undefined", u.name)
	}
	if v := s.member(object, name); v != (undefined{name}) {
		return v
	}
	if d, ok := object.(*dict); ok {
		if v, ok := d.get(name); ok {
			return v
		}
	}
	return undefined{name}
}

// slice is object[a:b:c].
func (s *state) slice(e sliceExpr) any {
	object := s.eval(e.object)
	var bounds [3]*int64
	for i, b := range e.bounds {
		if b == nil {
			continue
		}
		v := s.eval(b)
		n, _, integer, ok := numberOf(v)
		switch {
		case v == nil:
		case !ok || !integer:
			fail("a slice needs whole numbers, not %s", typeName(v))
		default:
			bounds[i] = &n
		}
	}
	switch o := object.(type) {
	case string:
		runes := []rune(o)
		s.made(4*len(runes), 0)
		return string(cut(runes, bounds))
	case *list:
		if o.kind <= isTuple || o.shown != "" && o.kind == isList {
			items := cut(o.items, bounds)
			s.made(0, len(items))
			return &list{items: items, kind: o.kind}
		}
	case undefined:
		fail("%s is undefined", o.name)
	}
	return undefined{"a slice"}
}

// cut takes from:to:step of a list as Python does.
func cut[T any](list []T, bounds [3]*int64) []T {
	n, step := int64(len(list)), int64(1)
	if bounds[2] != nil {
		if step = *bounds[2]; step == 0 {
			fail("a slice's step is 0")
		}
	}
	low, high := int64(0), n
	from, to := low, high
	if step < 0 {
		low, high = -1, n-1
		from, to = high, low
	}
	for i, at := range []*int64{&from, &to} {
		if bounds[i] == nil {
			continue
		}
		if *at = *bounds[i]; *at < 0 {
			*at += n
		}
		*at = min(max(*at, low), high)
	}
	var out []T
	if step == 1 {
		return slices.Clone(list[from:max(from, to)])
	}
	for i := from; step > 0 && i < to || step < 0 && i > to; {
		out = append(out, list[i])
		if step > n || step < -n {
			break
		}
		i += step
	}
	return out
}

func (s *state) call(f any, args []any, named map[string]any) any {
	switch f := f.(type) {
	case *function:
		return f.call(s, args, named)
	case *loopVar:
		if f.again == nil || len(args) != 1 {
			fail("the loop is not recursive")
		}
		return f.again(args[0])
	case undefined:
		fail("%s is undefined", f.name)
	}
	fail("%s cannot be called", typeName(f))
	return nil
}
