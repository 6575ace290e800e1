package jinja

import "strings"

// testTable holds the tests that follow "is".
var testTable map[string]func(s *state, v any, a []any) bool

func init() {
	relation := func(ok func(order int) bool) func(*state, any, []any) bool {
		return func(s *state, v any, a []any) bool { return ok(s.order(v, argument(a))) }
	}
	kind := func(in func(v any) bool) func(*state, any, []any) bool {
		return func(_ *state, v any, _ []any) bool { return in(v) }
	}
	equal := func(s *state, v any, a []any) bool { return s.equal(v, argument(a)) }
	different := func(s *state, v any, a []any) bool { return !s.equal(v, argument(a)) }
	less, more := relation(func(o int) bool { return o < 0 }), relation(func(o int) bool { return o > 0 })
	isInteger := func(v any) bool { _, ok := v.(int64); return ok }
	isFloat := func(v any) bool { _, ok := v.(float64); return ok }
	isBool := func(v any) bool { _, ok := v.(bool); return ok }
	isText := func(v any) bool { _, ok := v.(string); return ok }
	isUndefined := func(v any) bool { _, ok := v.(undefined); return ok }
	sequence := func(v any) bool {
		switch v := v.(type) {
		case *list:
			return v.kind <= isTuple
		case string, *dict, undefined:
			return true
		}
		return false
	}
	testTable = map[string]func(*state, any, []any) bool{
		"defined": kind(func(v any) bool { return !isUndefined(v) }), "undefined": kind(isUndefined),
		"none": kind(func(v any) bool { return v == nil }), "boolean": kind(isBool), "integer": kind(isInteger), "float": kind(isFloat),
		"true": kind(func(v any) bool { return v == true }), "false": kind(func(v any) bool { return v == false }),
		"number": kind(func(v any) bool { return isInteger(v) || isFloat(v) || isBool(v) }), "string": kind(isText),
		"mapping": kind(func(v any) bool { _, ok := v.(*dict); return ok }), "sequence": kind(sequence),
		"iterable": kind(func(v any) bool { _, ok := v.(*list); return ok || sequence(v) }),
		"callable": kind(func(v any) bool { _, ok := v.(*function); return ok }), "escaped": kind(func(any) bool { return false }),
		"even":        func(s *state, v any, _ []any) bool { return remainder(v, int64(2)) == 0 },
		"odd":         func(s *state, v any, _ []any) bool { return remainder(v, int64(2)) == 1 },
		"divisibleby": func(s *state, v any, a []any) bool { return remainder(v, argument(a)) == 0 },
		"lower": func(s *state, v any, _ []any) bool {
			t := s.text(v)
			return strings.ToLower(t) == t && strings.ToUpper(t) != t
		},
		"upper": func(s *state, v any, _ []any) bool {
			t := s.text(v)
			return strings.ToUpper(t) == t && strings.ToLower(t) != t
		},
		"in":     func(s *state, v any, a []any) bool { return s.contains(v, argument(a)) },
		"sameas": func(s *state, v any, a []any) bool { return v == argument(a) },
		"eq":     equal, "==": equal, "equalto": equal, "ne": different, "!=": different,
		"lt": less, "<": less, "lessthan": less, "gt": more, ">": more, "greaterthan": more,
		"le": relation(func(o int) bool { return o <= 0 }), "<=": relation(func(o int) bool { return o <= 0 }),
		"ge": relation(func(o int) bool { return o >= 0 }), ">=": relation(func(o int) bool { return o >= 0 }),
	}
}

func (s *state) test(name string, v any, a []any) bool {
	f := testTable[name]
	if f == nil {
		fail("the test %s is not supported", quote(name))
	}
	s.step()
	return f(s, v, a)
}

func argument(a []any) any {
	if len(a) == 0 {
		fail("a test lacks its argument")
	}
	return a[0]
}

func remainder(v, by any) int64 {
	a, _, ai, ok := numberOf(v)
	b, _, bi, ok2 := numberOf(by)
	if !ok || !ok2 || !ai || !bi {
		fail("%s and %s: whole numbers are wanted", typeName(v), typeName(by))
	}
	return integers("%", a, b).(int64)
}
