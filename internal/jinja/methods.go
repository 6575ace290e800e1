package jinja

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

func sortedKeys[T any](m map[string]T) []string { return slices.Sorted(maps.Keys(m)) }

// method is a function of a value: its arguments follow the value.
type method func(s *state, v any, a args) any

// args are the arguments of a filter or method.
type args struct {
	list  []any
	named map[string]any
}

// get returns an argument by place or name.
func (a args) get(i int, name string) (any, bool) {
	if i < len(a.list) {
		return a.list[i], true
	}
	v, ok := a.named[name]
	return v, ok
}

func (a args) or(i int, name string, usual any) any {
	if v, ok := a.get(i, name); ok {
		return v
	}
	return usual
}

func (a args) text(i int, name, usual string) string {
	v := a.or(i, name, usual)
	t, ok := v.(string)
	if !ok {
		fail("%s is %s, want a text", name, typeName(v))
	}
	return t
}

func (a args) integer(i int, name string, usual int64) int64 {
	v := a.or(i, name, usual)
	n, _, integer, ok := numberOf(v)
	if !ok || !integer {
		fail("%s is %s, want a whole number", name, typeName(v))
	}
	return n
}

// member returns a method or a property of a value, undefined if it has none of that name.
func (s *state) member(object any, name string) any {
	var table map[string]method
	switch o := object.(type) {
	case string:
		table = textMethods
	case *list:
		table = listMethods
		if o.kind > isTuple {
			table = nil
		}
	case *dict:
		table = dictMethods
	case *namespace:
		if v, ok := o.values[name]; ok {
			return v
		}
	case *loopVar:
		return o.member(name)
	}
	m := table[name]
	if m == nil {
		return undefined{name}
	}
	return &function{name, func(s *state, list []any, named map[string]any) any { return m(s, object, args{list, named}) }}
}

func (l *loopVar) member(name string) any {
	n := int64(len(l.items))
	at := int64(l.at)
	switch name {
	case "index":
		return at + 1
	case "index0":
		return at
	case "revindex":
		return n - at
	case "revindex0":
		return n - at - 1
	case "first":
		return at == 0
	case "last":
		return at == n-1
	case "length":
		return n
	case "depth":
		return int64(l.depth) + 1
	case "depth0":
		return int64(l.depth)
	case "previtem":
		if at > 0 {
			return l.items[at-1]
		}
	case "nextitem":
		if at < n-1 {
			return l.items[at+1]
		}
	case "cycle":
		return &function{name, func(_ *state, list []any, _ map[string]any) any {
			if len(list) == 0 {
				fail("cycle needs values")
			}
			return list[l.at%len(list)]
		}}
	case "changed":
		return &function{name, func(s *state, list []any, _ map[string]any) any {
			same := l.changed != nil && slices.EqualFunc(l.changed, list, s.equal)
			l.changed = append([]any{}, list...)
			return !same
		}}
	}
	return undefined{name}
}

// refused is a method that changes a value, which the sandbox forbids.
func refused(_ *state, v any, _ args) any {
	fail("the sandbox does not let a template change %s", typeName(v))
	return nil
}

var dictMethods = map[string]method{
	"items": func(s *state, v any, _ args) any {
		l := s.pairs(v)
		l.kind, l.shown = isView, "dict_items"
		return l
	},
	"keys": func(_ *state, v any, _ args) any {
		return &list{items: v.(*dict).keys, kind: isView, shown: "dict_keys"}
	},
	"values": func(s *state, v any, _ args) any {
		d := v.(*dict)
		s.made(0, len(d.keys))
		l := &list{kind: isView, shown: "dict_values"}
		for _, k := range d.keys {
			l.items = append(l.items, d.values[k])
		}
		return l
	},
	"get": func(_ *state, v any, a args) any {
		if found, ok := v.(*dict).get(a.or(0, "key", nil)); ok {
			return found
		}
		return a.or(1, "default", nil)
	},
	"copy": func(s *state, v any, _ args) any {
		d := v.(*dict)
		s.made(0, 2*len(d.keys))
		return &dict{slices.Clone(d.keys), maps.Clone(d.values)}
	},
	"update": refused, "pop": refused, "popitem": refused, "clear": refused, "setdefault": refused,
}

// pairs lists the items of a mapping as tuples.
func (s *state) pairs(v any) *list {
	d, ok := v.(*dict)
	if !ok {
		fail("%s has no items", typeName(v))
	}
	s.made(0, 3*len(d.keys))
	l := &list{items: make([]any, len(d.keys))}
	for i, k := range d.keys {
		l.items[i] = &list{items: []any{k, d.values[k]}, kind: isTuple}
	}
	return l
}

var listMethods = map[string]method{
	"append": refused, "insert": refused, "extend": refused, "pop": refused, "remove": refused, "clear": refused, "sort": refused, "reverse": refused,
	"index": func(s *state, v any, a args) any {
		at := slices.IndexFunc(v.(*list).items, func(item any) bool { return s.equal(item, a.or(0, "value", nil)) })
		if at < 0 {
			fail("the list does not hold that value")
		}
		return int64(at)
	},
	"count": func(s *state, v any, a args) any {
		n := int64(0)
		for _, item := range v.(*list).items {
			if s.equal(item, a.or(0, "value", nil)) {
				n++
			}
		}
		return n
	},
	"copy": func(s *state, v any, _ args) any {
		l := v.(*list)
		s.made(0, len(l.items))
		return &list{items: slices.Clone(l.items), kind: l.kind}
	},
}

// each makes a method of a function of the text.
func each(f func(string) string) method {
	return func(s *state, v any, _ args) any {
		t := v.(string)
		s.room(2 * len(t))
		return f(t)
	}
}

// all makes a method that tells whether a text is not empty and all of its characters are of a class.
func all(in func(r rune) bool) method {
	return func(_ *state, v any, _ args) any {
		t := v.(string)
		return t != "" && strings.IndexFunc(t, func(r rune) bool { return !in(r) }) < 0
	}
}

// Python's white space: Unicode's, and four separators of ASCII.
func isSpace(r rune) bool { return unicode.IsSpace(r) || r >= 0x1C && r <= 0x1F }

// oneOf tells the characters of a text, of a long one too in little time.
func oneOf(chars string) func(r rune) bool {
	if len(chars) <= 32 {
		return func(r rune) bool { return strings.ContainsRune(chars, r) }
	}
	set := map[rune]bool{}
	for _, r := range chars {
		set[r] = true
	}
	return func(r rune) bool { return set[r] }
}

// trimmed makes strip, lstrip and rstrip: of white space, or of given characters.
func trimmed(left, right bool) method {
	return func(_ *state, v any, a args) any {
		cut := isSpace
		if chars, ok := a.get(0, "chars"); ok && chars != nil {
			cut = oneOf(a.text(0, "chars", ""))
		}
		t := v.(string)
		if left {
			t = strings.TrimLeftFunc(t, cut)
		}
		if right {
			t = strings.TrimRightFunc(t, cut)
		}
		return t
	}
}

// affix makes startswith and endswith, with one text or a tuple of them.
func affix(has func(s, part string) bool) method {
	return func(_ *state, v any, a args) any {
		parts := []any{a.or(0, "prefix", nil)}
		if l, ok := parts[0].(*list); ok && l.kind == isTuple {
			parts = l.items
		}
		for _, part := range parts {
			t, ok := part.(string)
			if !ok {
				fail("%s is %s, want a text", "the beginning or end", typeName(part))
			}
			if has(v.(string), t) {
				return true
			}
		}
		return false
	}
}

func (s *state) textList(parts []string) any {
	s.made(0, len(parts))
	l := &list{items: make([]any, len(parts))}
	for i, p := range parts {
		l.items[i] = p
	}
	return l
}

// split is text.split(separator=None, maxsplit=-1), or rsplit.
func split(fromRight bool) method {
	return func(s *state, v any, a args) any {
		t, most := v.(string), int(min(max(a.integer(1, "maxsplit", -1), -1), maxItems))
		separator := a.or(0, "sep", nil)
		if separator == nil {
			return s.textList(splitSpace(t, most, fromRight))
		}
		sep := a.text(0, "sep", "")
		if sep == "" {
			fail("a text cannot be split at an empty separator")
		}
		s.made(0, strings.Count(t, sep)+1)
		switch {
		case most < 0:
			return s.textList(strings.Split(t, sep))
		case !fromRight:
			return s.textList(strings.SplitN(t, sep, most+1))
		}
		var parts []string
		for ; most > 0; most-- {
			at := strings.LastIndex(t, sep)
			if at < 0 {
				break
			}
			parts = append(parts, t[at+len(sep):])
			t = t[:at]
		}
		parts = append(parts, t)
		slices.Reverse(parts)
		return s.textList(parts)
	}
}

func splitSpace(t string, most int, fromRight bool) []string {
	words := strings.FieldsFunc(t, isSpace)
	if most < 0 || len(words) <= most+1 {
		return words
	}
	if fromRight {
		rest := t
		for range most {
			rest = strings.TrimRightFunc(rest, isSpace)
			rest = rest[:strings.LastIndexFunc(rest, isSpace)+1]
		}
		return append([]string{strings.TrimRightFunc(rest, isSpace)}, words[len(words)-most:]...)
	}
	rest := strings.TrimLeftFunc(t, isSpace)
	for range most {
		rest = strings.TrimLeftFunc(rest[strings.IndexFunc(rest, isSpace):], isSpace)
	}
	return append(words[:most:most], rest)
}

// find makes find and rfind: the place in characters, -1 if there is none.
func find(index func(s, part string) int) method {
	return func(_ *state, v any, a args) any {
		at := index(v.(string), a.text(0, "sub", ""))
		if at < 0 {
			return int64(-1)
		}
		return int64(utf8.RuneCountInString(v.(string)[:at]))
	}
}

// justified makes ljust, rjust, center and zfill.
func justified(left, right bool, usual string) method {
	return func(s *state, v any, a args) any {
		t := v.(string)
		fill := a.text(1, "fillchar", usual)
		width := int(min(max(a.integer(0, "width", 0), 0), 1<<40))
		s.room(width)
		missing := width - utf8.RuneCountInString(t)
		if utf8.RuneCountInString(fill) != 1 || missing <= 0 {
			return t
		}
		s.room(len(t) + missing*len(fill))
		before := 0
		switch {
		case left && right:
			before = missing/2 + missing&1&(utf8.RuneCountInString(t)+missing)
		case right:
			before = missing
		}
		return strings.Repeat(fill, before) + t + strings.Repeat(fill, missing-before)
	}
}

var textMethods map[string]method

func init() {
	textMethods = map[string]method{
		"strip": trimmed(true, true), "lstrip": trimmed(true, false), "rstrip": trimmed(false, true),
		"split": split(false), "rsplit": split(true), "startswith": affix(strings.HasPrefix), "endswith": affix(strings.HasSuffix),
		"upper": each(strings.ToUpper), "lower": each(strings.ToLower), "title": each(pythonTitle), "capitalize": each(capitalize),
		"casefold": each(strings.ToLower), "swapcase": each(swapCase),
		"isdigit": all(unicode.IsDigit), "isnumeric": all(unicode.IsNumber), "isdecimal": all(unicode.IsDigit), "isspace": all(isSpace),
		"isalpha": all(unicode.IsLetter), "isalnum": all(func(r rune) bool { return unicode.IsLetter(r) || unicode.IsNumber(r) }),
		"isupper": func(_ *state, v any, _ args) any {
			return strings.ToUpper(v.(string)) == v && strings.ToLower(v.(string)) != v
		},
		"islower": func(_ *state, v any, _ args) any {
			return strings.ToLower(v.(string)) == v && strings.ToUpper(v.(string)) != v
		},
		"find": find(strings.Index), "rfind": find(strings.LastIndex),
		"count":   func(_ *state, v any, a args) any { return int64(strings.Count(v.(string), a.text(0, "sub", ""))) },
		"replace": replace, "join": func(s *state, v any, a args) any { return s.join(v.(string), a.or(0, "iterable", nil), true) },
		"removeprefix": func(_ *state, v any, a args) any { return strings.TrimPrefix(v.(string), a.text(0, "prefix", "")) },
		"removesuffix": func(_ *state, v any, a args) any { return strings.TrimSuffix(v.(string), a.text(0, "suffix", "")) },
		"splitlines": func(s *state, v any, _ args) any {
			s.room(len(v.(string)))
			t := strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(v.(string))
			if t == "" {
				return &list{}
			}
			return s.textList(strings.Split(strings.TrimSuffix(t, "\n"), "\n"))
		},
		"partition": func(_ *state, v any, a args) any {
			before, after, ok := strings.Cut(v.(string), a.text(0, "sep", ""))
			sep := a.text(0, "sep", "")
			if !ok {
				sep = ""
			}
			return &list{items: []any{before, sep, after}, kind: isTuple}
		},
		"ljust": justified(true, false, " "), "rjust": justified(false, true, " "), "center": justified(true, true, " "), "zfill": justified(false, true, "0"),
		"format": func(s *state, v any, a args) any { return s.format(v.(string), a) },
	}
}

// replace is text.replace(old, new[, count]).
func replace(s *state, v any, a args) any {
	t, old, with := v.(string), a.text(0, "old", ""), a.text(1, "new", "")
	count := int(min(max(a.integer(2, "count", -1), -1), int64(len(t))+1))
	n := strings.Count(t, old)
	if count >= 0 {
		n = min(n, count)
	}
	s.room(len(t) + n*max(0, len(with)-len(old)))
	return strings.Replace(t, old, with, count)
}

// join puts a text between others; strict: all must be texts, as in Python's own method.
func (s *state) join(separator string, v any, strict bool) string {
	items := s.iterate(v)
	parts := make([]string, len(items))
	n := 0
	for i, item := range items {
		if _, ok := item.(string); strict && !ok {
			fail("%s is joined, want texts", typeName(item))
		}
		parts[i] = s.text(item)
		n += len(parts[i]) + len(separator)
		s.room(n)
	}
	return strings.Join(parts, separator)
}

func capitalize(t string) string {
	_, n := utf8.DecodeRuneInString(t)
	return strings.ToTitle(t[:n]) + strings.ToLower(t[n:])
}

func swapCase(t string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsUpper(r) {
			return unicode.ToLower(r)
		}
		return unicode.ToUpper(r)
	}, t)
}

// pythonTitle is text.title(): each run of letters begins with a capital.
func pythonTitle(t string) string {
	return titled(t, func(r rune) bool { return !unicode.IsLetter(r) })
}

// titled makes capitals of the letters at the front and after separators, small ones of the others.
func titled(t string, separator func(r rune) bool) string {
	front := true
	return strings.Map(func(r rune) rune {
		was := front
		front = separator(r)
		if was {
			return unicode.ToTitle(r)
		}
		return unicode.ToLower(r)
	}, t)
}

// format is "… {} {0} {name} …".format(a, name=b); of format specifications none is supported.
func (s *state) format(t string, a args) string {
	var out strings.Builder
	next := 0
	for t != "" {
		at := strings.IndexAny(t, "{}")
		if at < 0 {
			out.WriteString(t)
			break
		}
		out.WriteString(t[:at])
		if strings.HasPrefix(t[at:], "{{") || strings.HasPrefix(t[at:], "}}") {
			out.WriteByte(t[at])
			t = t[at+2:]
			continue
		}
		field, rest, ok := strings.Cut(t[at:], "}")
		if !ok || field == "" {
			fail("the braces of format do not match")
		}
		name := field[1:]
		if name == "" {
			name = strconv.Itoa(next)
			next++
		}
		out.WriteString(s.text(s.field(name, a)))
		s.room(out.Len())
		t = rest
	}
	return out.String()
}

func (s *state) field(name string, a args) any {
	if i, err := strconv.Atoi(name); err == nil && i >= 0 && i < len(a.list) {
		return a.list[i]
	}
	v, ok := a.named[name]
	if !ok {
		fail("the field %s of format has no value or is not supported", quote("{"+name+"}"))
	}
	return v
}
