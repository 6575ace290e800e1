package jinja

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// filterTable is filled in init, since filters call filters.
var filterTable map[string]method

func init() {
	filterTable = map[string]method{
		"abs": filterAbs, "attr": func(s *state, v any, a args) any { return s.member(v, a.text(0, "name", "")) },
		"batch": filterBatch, "capitalize": onText(capitalize), "count": filterLength, "length": filterLength,
		"d": filterDefault, "default": filterDefault, "dictsort": filterDictSort, "e": onText(escape), "escape": onText(escape),
		"first": filterFirst, "float": filterFloat, "format": func(s *state, v any, a args) any {
			return s.percent(s.text(v), &list{items: a.list, kind: isTuple})
		},
		"fromjson": filterFromJSON, "from_json": filterFromJSON, "groupby": filterGroup, "indent": filterIndent, "int": filterInt,
		"items": func(s *state, v any, _ args) any {
			if _, ok := v.(undefined); ok {
				return &list{kind: isGenerator}
			}
			l := s.pairs(v)
			l.kind = isGenerator
			return l
		},
		"join": filterJoin, "last": filterLast, "list": filterList, "lower": onText(strings.ToLower), "map": filterMap,
		"max": extreme(1), "min": extreme(-1), "reject": filterSelect(false, false), "rejectattr": filterSelect(false, true),
		"replace": func(s *state, v any, a args) any {
			return replace(s, s.text(v), args{append([]any{s.text(a.or(0, "old", nil)), s.text(a.or(1, "new", nil))}, a.list[min(2, len(a.list)):]...), a.named})
		},
		"reverse": filterReverse, "round": filterRound, "safe": func(_ *state, v any, _ args) any { return v },
		"select": filterSelect(true, false), "selectattr": filterSelect(true, true), "slice": filterSlice, "sort": filterSort,
		"string": func(s *state, v any, _ args) any { return s.text(v) }, "sum": filterSum,
		"title": onText(jinjaTitle), "tojson": filterJSON,
		"trim":     func(s *state, v any, a args) any { return trimmed(true, true)(s, s.text(v), a) },
		"truncate": filterTruncate, "unique": filterUnique, "upper": onText(strings.ToUpper), "wordcount": filterWords,
		"center": func(s *state, v any, a args) any {
			return justified(true, true, " ")(s, s.text(v), args{[]any{a.integer(0, "width", 80)}, nil})
		},
	}
}

func (s *state) filter(f *filterCall, v any) any {
	list, named := s.arguments(&f.args)
	s.step()
	return filterTable[f.name](s, v, args{list, named})
}

func onText(f func(string) string) method {
	return func(s *state, v any, _ args) any {
		t := s.text(v)
		s.room(2 * len(t))
		return f(t)
	}
}

func escape(t string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "'", "&#39;", `"`, "&#34;").Replace(t)
}

// jinjaTitle begins words with capitals; a word ends at white space, a hyphen or an opening bracket.
func jinjaTitle(t string) string {
	return titled(t, func(r rune) bool { return isSpace(r) || strings.ContainsRune("-({[<", r) })
}

func filterLength(s *state, v any, _ args) any { return s.length(v) }

func filterAbs(_ *state, v any, _ args) any {
	i, f, integer, ok := numberOf(v)
	switch {
	case !ok:
		fail("%s has no absolute value", typeName(v))
	case integer && i < 0:
		return -i
	case integer:
		return i
	}
	return math.Abs(f)
}

func filterDefault(_ *state, v any, a args) any {
	if _, ok := v.(undefined); ok || truth(a.or(1, "boolean", false)) && !truth(v) {
		return a.or(0, "default_value", "")
	}
	return v
}

func filterFirst(s *state, v any, _ args) any {
	if items := s.iterate(v); len(items) > 0 {
		return items[0]
	}
	return undefined{"the first item"}
}

func filterLast(s *state, v any, _ args) any {
	if items := s.iterate(v); len(items) > 0 {
		return items[len(items)-1]
	}
	return undefined{"the last item"}
}

func filterList(s *state, v any, _ args) any {
	items := s.iterate(v)
	s.made(0, len(items))
	return &list{items: slices.Clone(items)}
}

func filterInt(_ *state, v any, a args) any {
	usual := a.or(0, "default", int64(0))
	switch v := v.(type) {
	case float64:
		if math.Abs(v) < 1<<62 {
			return int64(v)
		}
	case string:
		t := strings.TrimSpace(v)
		if n, err := strconv.ParseInt(t, int(a.integer(1, "base", 10)), 64); err == nil {
			return n
		}
		if f, err := strconv.ParseFloat(t, 64); err == nil && math.Abs(f) < 1<<62 {
			return int64(f)
		}
	default:
		if n, _, _, ok := numberOf(v); ok {
			return n
		}
	}
	return usual
}

func filterFloat(_ *state, v any, a args) any {
	if t, ok := v.(string); ok {
		if f, err := strconv.ParseFloat(strings.TrimSpace(t), 64); err == nil {
			return f
		}
	} else if _, f, _, ok := numberOf(v); ok {
		return f
	}
	return a.or(0, "default", 0.0)
}

// maxDigits is how many digits the longest float64 has behind its point: more round nothing.
const maxDigits = 1074

func filterRound(_ *state, v any, a args) any {
	_, f, integer, ok := numberOf(v)
	if !ok {
		fail("%s cannot be rounded", typeName(v))
	}
	places := int(min(max(a.integer(0, "precision", 0), -maxDigits), maxDigits))
	scale := math.Pow(10, float64(min(max(places, -15), 15)))
	switch a.text(1, "method", "common") {
	case "ceil":
		return math.Ceil(f*scale) / scale
	case "floor":
		return math.Floor(f*scale) / scale
	}
	if integer {
		return f
	}
	if t, err := strconv.ParseFloat(strconv.FormatFloat(f, 'f', max(places, 0), 64), 64); err == nil && scale >= 1 {
		return t
	}
	return math.RoundToEven(f*scale) / scale
}

func filterWords(s *state, v any, _ args) any {
	return int64(len(strings.FieldsFunc(s.text(v), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsNumber(r) && r != '_' })))
}

func filterTruncate(s *state, v any, a args) any {
	t, end := []rune(s.text(v)), a.text(2, "end", "...")
	s.room(4*len(t) + len(end))
	length := int(min(max(a.integer(0, "length", 255), 0), maxText))
	if len(t) <= length+int(min(a.integer(3, "leeway", 5), maxText)) {
		return string(t)
	}
	kept := string(t[:max(0, length-utf8.RuneCountInString(end))])
	if !truth(a.or(1, "killwords", false)) {
		if at := strings.LastIndexByte(kept, ' '); at >= 0 {
			kept = kept[:at]
		}
	}
	return kept + end
}

// filterIndent is text|indent(width=4, first=False, blank=False).
func filterIndent(s *state, v any, a args) any {
	pad := ""
	switch w := a.or(0, "width", int64(4)).(type) {
	case string:
		pad = w
	default:
		pad = strings.Repeat(" ", int(min(max(a.integer(0, "width", 4), 0), maxIndent)))
	}
	lines := strings.Split(s.text(v), "\n")
	s.room(len(s.text(v)) + len(lines)*len(pad))
	for i, line := range lines {
		if i == 0 && truth(a.or(1, "first", false)) || i > 0 && (line != "" || truth(a.or(2, "blank", false))) {
			lines[i] = pad + line
		}
	}
	return strings.Join(lines, "\n")
}

func filterReverse(s *state, v any, _ args) any {
	if t, ok := v.(string); ok {
		r := []rune(t)
		s.made(4*len(r), 0)
		slices.Reverse(r)
		return string(r)
	}
	items := s.iterate(v)
	s.made(0, len(items))
	items = slices.Clone(items)
	slices.Reverse(items)
	return &list{items: items, kind: isGenerator}
}

// path reads an attribute by a dotted name, whose numbers are indexes.
func (s *state) path(v any, name any) any {
	if i, ok := name.(int64); ok {
		return s.item(v, i)
	}
	for part := range strings.SplitSeq(s.text(name), ".") {
		if i, err := strconv.ParseInt(part, 10, 64); err == nil {
			v = s.item(v, i)
		} else {
			v = s.item(v, part)
		}
	}
	return v
}

// filterMap is items|map(attribute=name, default=x) or items|map(filter, arguments…).
func filterMap(s *state, v any, a args) any {
	name, byAttribute := a.named["attribute"]
	out := &list{kind: isGenerator}
	items := s.iterate(v)
	s.made(0, len(items))
	if !byAttribute {
		if len(a.list) == 0 {
			fail("map needs a filter or attribute=")
		}
		f := filterTable[a.text(0, "filter", "")]
		if f == nil {
			fail("the filter %s is not supported", quote(s.text(a.list[0])))
		}
		s.deeper() // map may call itself
		for _, item := range items {
			s.step()
			out.items = append(out.items, f(s, item, args{a.list[1:], a.named}))
		}
		s.back()
		return out
	}
	for _, item := range items {
		got := s.path(item, name)
		if _, ok := got.(undefined); ok {
			if usual, ok := a.named["default"]; ok {
				got = usual
			}
		}
		out.items = append(out.items, got)
	}
	return out
}

// filterSelect makes select, reject, selectattr and rejectattr: items that a test takes, or does not take.
func filterSelect(keep, byAttribute bool) method {
	return func(s *state, v any, a args) any {
		out := &list{kind: isGenerator}
		rest := a.list
		var name any
		if byAttribute {
			if len(rest) == 0 {
				fail("selectattr and rejectattr need an attribute")
			}
			name, rest = rest[0], rest[1:]
		}
		for _, item := range s.iterate(v) {
			s.step()
			value := item
			if byAttribute {
				value = s.path(item, name)
			}
			ok := truth(value)
			if len(rest) > 0 {
				ok = s.test(s.text(rest[0]), value, rest[1:])
			}
			if ok == keep {
				out.items = append(out.items, item)
			}
		}
		s.made(0, len(out.items))
		return out
	}
}

func filterJoin(s *state, v any, a args) any {
	if name, ok := a.get(1, "attribute"); ok && name != nil {
		v = filterMap(s, v, args{named: map[string]any{"attribute": name}})
	}
	return s.join(s.text(a.or(0, "d", "")), v, false)
}

// folded is what values are compared by: texts without case unless asked.
func (s *state) folded(v any, a args, i int, caseAt string) any {
	if name, ok := a.named["attribute"]; ok && name != nil {
		v = s.path(v, name)
	}
	if t, ok := v.(string); ok && !truth(a.or(i, caseAt, false)) {
		return strings.ToLower(t)
	}
	return v
}

func filterSort(s *state, v any, a args) any {
	items := s.iterate(v)
	s.made(0, len(items))
	items = slices.Clone(items)
	sign := 1
	if truth(a.or(0, "reverse", false)) {
		sign = -1
	}
	slices.SortStableFunc(items, func(x, y any) int {
		return sign * s.order(s.folded(x, a, 1, "case_sensitive"), s.folded(y, a, 1, "case_sensitive"))
	})
	return &list{items: items}
}

func filterDictSort(s *state, v any, a args) any {
	l := s.pairs(v)
	by := 0
	if a.text(1, "by", "key") == "value" {
		by = 1
	}
	sign := 1
	if truth(a.or(2, "reverse", false)) {
		sign = -1
	}
	key := func(item any) any {
		return s.folded(item.(*list).items[by], args{list: a.list}, 0, "case_sensitive")
	}
	slices.SortStableFunc(l.items, func(x, y any) int { return sign * s.order(key(x), key(y)) })
	return l
}

func filterUnique(s *state, v any, a args) any {
	out := &list{kind: isGenerator}
	var seen []any
	for _, item := range s.iterate(v) {
		key := s.folded(item, a, 0, "case_sensitive")
		if !slices.ContainsFunc(seen, func(k any) bool { return s.equal(k, key) }) {
			seen, out.items = append(seen, key), append(out.items, item)
		}
	}
	s.made(0, len(out.items))
	return out
}

// filterGroup is items|groupby(attribute, default=None): tuples of a value and its items, in the order of the values.
func filterGroup(s *state, v any, a args) any {
	name := a.or(0, "attribute", nil)
	key := func(item any) any {
		k := s.path(item, name)
		if _, ok := k.(undefined); ok {
			k = a.or(1, "default", nil)
		}
		return k
	}
	fold := args{named: map[string]any{"case_sensitive": a.or(2, "case_sensitive", false)}}
	items := slices.Clone(s.iterate(v))
	s.made(0, 4*len(items))
	slices.SortStableFunc(items, func(x, y any) int {
		return s.order(s.folded(key(x), fold, 0, "case_sensitive"), s.folded(key(y), fold, 0, "case_sensitive"))
	})
	out := &list{}
	for i := 0; i < len(items); {
		group := &list{}
		first := key(items[i])
		for ; i < len(items) && s.equal(s.folded(key(items[i]), fold, 0, "case_sensitive"), s.folded(first, fold, 0, "case_sensitive")); i++ {
			group.items = append(group.items, items[i])
		}
		out.items = append(out.items, &list{items: []any{first, group}, kind: isTuple})
	}
	return out
}

// extreme makes max and min.
func extreme(sign int) method {
	return func(s *state, v any, a args) any {
		items := s.iterate(v)
		if len(items) == 0 {
			return undefined{"an extreme of nothing"}
		}
		return slices.MinFunc(items, func(x, y any) int {
			return -sign * s.order(s.folded(x, a, 0, "case_sensitive"), s.folded(y, a, 0, "case_sensitive"))
		})
	}
}

func filterSum(s *state, v any, a args) any {
	sum := a.or(1, "start", int64(0))
	for _, item := range s.iterate(v) {
		if name, ok := a.get(0, "attribute"); ok && name != nil {
			item = s.path(item, name)
		}
		sum = s.binary(binaryExpr{"+", constExpr{sum}, constExpr{item}})
	}
	return sum
}

func filterBatch(s *state, v any, a args) any {
	size := int(min(a.integer(0, "linecount", 0), maxItems))
	if size < 1 {
		fail("batch needs a size")
	}
	items := s.iterate(v)
	out := &list{kind: isGenerator}
	for from := 0; from < len(items); from += size {
		row := slices.Clone(items[from:min(from+size, len(items))])
		if fill := a.or(1, "fill_with", nil); fill != nil {
			s.made(0, size)
			for len(row) < size {
				row = append(row, fill)
			}
		}
		out.items = append(out.items, &list{items: row})
	}
	s.made(0, len(items))
	return out
}

// filterSlice cuts into so many columns of nearly equal length.
func filterSlice(s *state, v any, a args) any {
	count := int(min(a.integer(0, "slices", 0), maxItems))
	if count < 1 {
		fail("slice needs a number of columns")
	}
	items := s.iterate(v)
	s.made(0, len(items)+count)
	out := &list{kind: isGenerator}
	each, more, from := len(items)/count, len(items)%count, 0
	for i := range count {
		to := from + each
		if i < more {
			to++
		}
		column := slices.Clone(items[from:to])
		if fill := a.or(1, "fill_with", nil); fill != nil && i >= more && more > 0 {
			column = append(column, fill)
		}
		out.items = append(out.items, &list{items: column})
		from = to
	}
	return out
}
