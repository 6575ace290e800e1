package jinja

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Mark is a character that Unicode keeps for programs' own use: a caller may put it into texts to find places again. It is
// written as it is wherever other such characters would be escaped.
const Mark = '\uFDD0'

// Values are nil (none), bool, int64, float64, string and the types below.
type (
	list struct {
		items []any
		kind  listKind
		shown string // how a view or range prints before its items, if it is one
	}
	listKind byte

	dict struct {
		keys   []any // hashable values in order
		values map[any]any
	}

	undefined struct{ name string }

	namespace struct{ dict }

	function struct {
		name string
		call func(s *state, args []any, named map[string]any) any
	}

	loopVar struct {
		items   []any
		at      int
		depth   int
		changed []any
		again   func(items any) string // of a recursive loop
	}
)

const (
	isList listKind = iota
	isTuple
	isGenerator // what filters give: true even if empty, without a length
	isView      // dict_items and the like
)

func newDict() *dict { return &dict{values: map[any]any{}} }

func (d *dict) set(key, value any) {
	key = hashable(key)
	if _, ok := d.values[key]; !ok {
		d.keys = append(d.keys, key)
	}
	d.values[key] = value
}

func (d *dict) get(key any) (any, bool) {
	v, ok := d.values[hashable(key)]
	return v, ok
}

// hashable brings equal keys to one form: 1, 1.0 and true are the same.
func hashable(key any) any {
	switch k := key.(type) {
	case bool:
		if k {
			return int64(1)
		}
		return int64(0)
	case float64:
		if k == math.Trunc(k) && math.Abs(k) < 1<<53 {
			return int64(k)
		}
	case nil, int64, string:
	default:
		fail("%s cannot be a key", typeName(key))
	}
	return key
}

// FromJSON reads a JSON value; the keys of objects keep their order.
func FromJSON(raw []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	return decode(d, 0)
}

// NewObject makes a mapping of texts and other values, in the order given: key, value, key, value, ….
func NewObject(pairs ...any) any {
	d := newDict()
	for i := 0; i+1 < len(pairs); i += 2 {
		d.set(pairs[i], pairs[i+1])
	}
	return d
}

// NewList makes a list.
func NewList(items []any) any { return &list{items: items} }

// MapTexts returns a value with each text in it, keys too, replaced by f of it; f makes different texts of different ones.
func MapTexts(v any, f func(string) string) any {
	switch v := v.(type) {
	case string:
		return f(v)
	case *list:
		out := &list{items: make([]any, len(v.items))}
		for i, item := range v.items {
			out.items[i] = MapTexts(item, f)
		}
		return out
	case *dict:
		out := newDict()
		for _, k := range v.keys {
			out.set(MapTexts(k, f), MapTexts(v.values[k], f))
		}
		return out
	}
	return v
}

func decode(d *json.Decoder, depth int) (any, error) {
	if depth > maxNesting {
		return nil, fmt.Errorf("JSON is nested more than %d deep", maxNesting)
	}
	token, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch t := token.(type) {
	case json.Delim:
		if t == '[' {
			return decodeList(d, depth)
		}
		return decodeDict(d, depth)
	case json.Number:
		if n, err := strconv.ParseInt(string(t), 10, 64); err == nil {
			return n, nil
		}
		return t.Float64()
	}
	return token, nil
}

func decodeList(d *json.Decoder, depth int) (any, error) {
	out := &list{}
	for d.More() {
		v, err := decode(d, depth+1)
		if err != nil {
			return nil, err
		}
		out.items = append(out.items, v)
	}
	_, err := d.Token()
	return out, err
}

func decodeDict(d *json.Decoder, depth int) (any, error) {
	out := newDict()
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, err
		}
		v, err := decode(d, depth+1)
		if err != nil {
			return nil, err
		}
		out.set(key, v)
	}
	_, err := d.Token()
	return out, err
}

func typeName(v any) string {
	switch v := v.(type) {
	case nil:
		return "none"
	case bool:
		return "a truth value"
	case int64, float64:
		return "a number"
	case string:
		return "a text"
	case *list:
		return [...]string{"a list", "a tuple", "a generator", "a view"}[v.kind]
	case *dict:
		return "a mapping"
	case undefined:
		return v.name + ", which is undefined,"
	}
	return "such a value"
}

func truth(v any) bool {
	switch v := v.(type) {
	case nil, undefined:
		return false
	case bool:
		return v
	case int64:
		return v != 0
	case float64:
		return v != 0
	case string:
		return v != ""
	case *list:
		return len(v.items) > 0 || v.kind == isGenerator
	case *dict:
		return len(v.keys) > 0
	}
	return true
}

func (s *state) equal(a, b any) bool {
	s.step()
	s.deeper()
	same := s.same(a, b)
	s.back()
	return same
}

func (s *state) same(a, b any) bool {
	if x, f, xi, ok := numberOf(a); ok {
		y, g, yi, ok := numberOf(b)
		return ok && (xi && yi && x == y || !(xi && yi) && f == g)
	}
	switch a := a.(type) {
	case nil:
		return b == nil
	case string:
		t, ok := b.(string)
		return ok && a == t
	case undefined:
		_, ok := b.(undefined)
		return ok
	case *list:
		t, ok := b.(*list)
		return ok && (a == t || a.kind == t.kind && a.kind != isGenerator && slices.EqualFunc(a.items, t.items, s.equal))
	case *dict:
		t, ok := b.(*dict)
		if !ok || len(a.keys) != len(t.keys) {
			return false
		}
		for _, k := range a.keys {
			if v, ok := t.values[k]; !ok || !s.equal(a.values[k], v) {
				return false
			}
		}
		return true
	}
	return a == b
}

// order compares two values that have an order.
func (s *state) order(a, b any) int {
	s.step()
	s.deeper()
	sign := s.sign(a, b)
	s.back()
	return sign
}

func (s *state) sign(a, b any) int {
	if x, f, xi, ok := numberOf(a); ok {
		if y, g, yi, ok := numberOf(b); ok {
			if xi && yi {
				return compare(x, y)
			}
			return compare(f, g)
		}
	}
	switch x := a.(type) {
	case string:
		if y, ok := b.(string); ok {
			return strings.Compare(x, y)
		}
	case *list:
		if y, ok := b.(*list); ok && x.kind == y.kind && x.kind <= isTuple {
			return slices.CompareFunc(x.items, y.items, s.order)
		}
	}
	fail("%s and %s have no order", typeName(a), typeName(b))
	return 0
}

// iterate returns what a loop goes over.
func (s *state) iterate(v any) []any {
	switch v := v.(type) {
	case *list:
		return v.items
	case *dict:
		return v.keys
	case string:
		if !utf8.ValidString(v) {
			v = strings.ToValidUTF8(v, "\uFFFD")
		}
		n := utf8.RuneCountInString(v)
		s.made(16*n, n)
		items := make([]any, 0, n)
		for i, r := range v {
			items = append(items, v[i:i+utf8.RuneLen(r)])
		}
		return items
	case undefined:
		return nil
	}
	fail("%s cannot be gone through", typeName(v))
	return nil
}

func (s *state) length(v any) int64 {
	switch v := v.(type) {
	case string:
		return int64(utf8.RuneCountInString(v))
	case *list:
		if v.kind != isGenerator {
			return int64(len(v.items))
		}
	case *dict:
		return int64(len(v.keys))
	case undefined:
		return 0
	}
	fail("%s has no length", typeName(v))
	return 0
}

// contains is "item in container".
func (s *state) contains(item, container any) bool {
	switch c := container.(type) {
	case string:
		t, ok := item.(string)
		if !ok {
			fail("%s is looked for in a text", typeName(item))
		}
		return strings.Contains(c, t)
	case *dict:
		switch item.(type) {
		case nil, bool, int64, float64, string:
			_, ok := c.get(item)
			return ok
		}
		fail("%s cannot be a key", typeName(item))
	}
	return slices.ContainsFunc(s.iterate(container), func(v any) bool { return s.equal(v, item) })
}
