package jinja

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
)

// globals are the functions that every template has.
func (s *state) globals() map[string]any {
	vars := map[string]any{}
	for name, f := range map[string]func(s *state, list []any, named map[string]any) any{
		"range": rangeOf, "dict": dictOf, "namespace": namespaceOf, "raise_exception": raise, "strftime_now": strftimeNow,
	} {
		vars[name] = &function{name, f}
	}
	return vars
}

func rangeOf(s *state, list_ []any, _ map[string]any) any {
	a := args{list: list_}
	from, to, step := int64(0), a.integer(0, "stop", 0), int64(1)
	shown := fmt.Sprintf("range(0, %d)", to)
	if len(list_) > 1 {
		from, to, step = to, a.integer(1, "stop", 0), a.integer(2, "step", 1)
		shown = fmt.Sprintf("range(%d, %d)", from, to)
	}
	if len(list_) > 2 {
		shown = fmt.Sprintf("range(%d, %d, %d)", from, to, step)
	}
	if step == 0 || len(list_) == 0 || len(list_) > 3 {
		fail("range needs one to three whole numbers, and a step other than 0")
	}
	out := &list{shown: shown}
	for i := from; step > 0 && i < to || step < 0 && i > to; {
		if len(out.items) >= maxRange {
			fail("a range has more than %d numbers", maxRange)
		}
		out.items = append(out.items, i)
		next := i + step
		if (next > i) != (step > 0) {
			break
		}
		i = next
	}
	s.made(0, len(out.items))
	return out
}

// dictOf is dict(mapping or pairs, a=1, b=2).
func dictOf(s *state, list_ []any, named map[string]any) any {
	d := newDict()
	for _, v := range list_ {
		if other, ok := v.(*dict); ok {
			v = s.pairs(other)
		}
		for _, pair := range s.iterate(v) {
			kv := s.unpack([]string{"key", "value"}, pair)
			d.set(kv[0], kv[1])
		}
	}
	for _, k := range sortedKeys(named) {
		d.set(k, named[k])
	}
	s.made(0, 2*len(d.keys))
	return d
}

func namespaceOf(s *state, list_ []any, named map[string]any) any {
	return &namespace{*dictOf(s, list_, named).(*dict)}
}

func raise(s *state, list_ []any, _ map[string]any) any {
	text := ""
	if len(list_) > 0 {
		text = s.text(list_[0])
	}
	panic(failure{&RaisedError{text}})
}

func strftimeNow(s *state, list_ []any, _ map[string]any) any {
	text := strftime(s.now(), args{list: list_}.text(0, "format", ""))
	s.room(len(text))
	return text
}

// strftime formats a time as Python does; a directive that is not known is an error.
func strftime(t time.Time, format string) string {
	layouts := map[byte]string{'Y': "2006", 'y': "06", 'm': "01", 'd': "02", 'H': "15", 'I': "03", 'M': "04", 'S': "05", 'B': "January",
		'b': "Jan", 'A': "Monday", 'a': "Mon", 'p': "PM", 'Z': "MST", 'z': "-0700", 'F': "2006-01-02", 'T': "15:04:05", 'j': "002", 'e': "_2"}
	var out strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' || i+1 == len(format) {
			out.WriteByte(format[i])
			continue
		}
		i++
		trim := format[i] == '-' && i+1 < len(format) // %-d: no leading zero
		if trim {
			i++
		}
		layout, ok := layouts[format[i]]
		switch {
		case format[i] == '%':
			out.WriteByte('%')
		case !ok:
			fail("strftime_now does not know %%%c", format[i])
		case trim:
			out.WriteString(strings.TrimLeft(t.Format(layout), "0 "))
		default:
			out.WriteString(t.Format(layout))
		}
	}
	return out.String()
}

// percent is text % values: %s, %r, %d, %i, %f, %x, %% with flags, width and precision.
func (s *state) percent(t string, v any) string {
	values := []any{v}
	if l, ok := v.(*list); ok && l.kind == isTuple {
		values = l.items
	}
	var out strings.Builder
	for {
		at := strings.IndexByte(t, '%')
		if at < 0 {
			break
		}
		out.WriteString(t[:at])
		t = t[at+1:]
		n := strings.IndexFunc(t, func(r rune) bool { return !strings.ContainsRune("0123456789.-+ #", r) })
		if n < 0 || n > 8 {
			fail("a text to format has a damaged %%")
		}
		flags, verb := t[:n], t[n]
		t = t[n+1:]
		if verb == '%' {
			out.WriteByte('%')
			continue
		}
		if len(values) == 0 {
			fail("a text to format has more places than values")
		}
		out.WriteString(s.formatted(flags, verb, values[0]))
		values = values[1:]
		s.room(out.Len())
	}
	if _, ok := v.(*dict); len(values) > 0 && !ok {
		fail("a text to format has fewer places than values")
	}
	return out.String() + t
}

func (s *state) formatted(flags string, verb byte, v any) string {
	width, precision, _ := strings.Cut(strings.TrimLeft(flags, "-+ #0"), ".")
	for _, n := range []string{width, precision} {
		if n, err := strconv.Atoi(n); err == nil && n > maxIndent {
			fail("a width of %d is too large", n)
		}
	}
	i, f, integer, ok := numberOf(v)
	switch {
	case verb == 's':
		return fmt.Sprintf("%"+flags+"s", s.text(v))
	case verb == 'r':
		return fmt.Sprintf("%"+flags+"s", s.repr(v))
	case !ok:
		fail("%%%c needs a number, not %s", verb, typeName(v))
	case verb == 'd' || verb == 'i':
		if !integer {
			i = int64(f)
		}
		return fmt.Sprintf("%"+flags+"d", i)
	case verb == 'x' && integer:
		return fmt.Sprintf("%"+flags+"x", i)
	case verb == 'f':
		return fmt.Sprintf("%"+flags+"f", f)
	}
	fail("%%%c is not supported", verb)
	return ""
}

func filterFromJSON(s *state, v any, _ args) any {
	t := s.text(v)
	if !json.Valid([]byte(t)) {
		fail("fromjson: not JSON")
	}
	out, err := FromJSON([]byte(t))
	if err != nil {
		fail("fromjson: %v", err)
	}
	s.made(16*len(t), 0)
	return out
}

// filterJSON is x|tojson(ensure_ascii=False, indent=None, separators=None, sort_keys=False), which transformers defines as
// Python's json.dumps: keys stay in order, nothing is escaped for HTML.
func filterJSON(s *state, v any, a args) any {
	w := jsonWriter{s: s, item: ", ", key: ": ", limit: s.textLimit(), ascii: truth(a.or(0, "ensure_ascii", false)), sorted: truth(a.or(3, "sort_keys", false))}
	switch indent := a.or(1, "indent", nil).(type) {
	case nil:
	case string:
		w.indent, w.pretty, w.item = indent, true, ","
	default:
		w.indent = strings.Repeat(" ", int(min(max(a.integer(1, "indent", 0), 0), maxIndent)))
		w.pretty, w.item = true, ","
	}
	if separators := a.or(2, "separators", nil); separators != nil {
		pair := s.unpack([]string{"item", "key"}, separators)
		w.item, w.key = s.text(pair[0]), s.text(pair[1])
	}
	w.write(v, 0)
	s.made(w.out.Len(), 0)
	return w.out.String()
}

// jsonWriter writes JSON as Python's json.dumps does.
type jsonWriter struct {
	s             *state
	out           strings.Builder
	item, key     string // separators
	indent        string
	pretty, ascii bool
	sorted        bool
	limit         int
}

func (w *jsonWriter) write(v any, depth int) {
	w.s.step()
	if w.out.Len() > w.limit || depth > maxNesting {
		fail("a value became too large")
	}
	switch v := v.(type) {
	case nil:
		w.out.WriteString("null")
	case bool:
		w.out.WriteString(strconv.FormatBool(v))
	case int64:
		w.out.WriteString(strconv.FormatInt(v, 10))
	case float64:
		w.out.WriteString(map[string]string{"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[pythonFloat(v)])
		if t := pythonFloat(v); !strings.Contains(t, "n") {
			w.out.WriteString(t)
		}
	case string:
		w.text(v)
	case *list:
		if v.kind > isTuple || v.shown != "" {
			fail("%s cannot be written as JSON", typeName(v))
		}
		w.sequence('[', ']', len(v.items), depth, func(i int) { w.write(v.items[i], depth+1) })
	case *dict:
		keys := v.keys
		if w.sorted {
			keys = slices.SortedFunc(slices.Values(keys), w.s.order)
		}
		w.sequence('{', '}', len(keys), depth, func(i int) {
			w.dictKey(keys[i])
			w.out.WriteString(w.key)
			w.write(v.values[keys[i]], depth+1)
		})
	default:
		fail("%s cannot be written as JSON", typeName(v))
	}
}

// dictKey writes a key as a text.
func (w *jsonWriter) dictKey(key any) {
	switch k := key.(type) {
	case string:
		w.text(k)
	case nil:
		w.text("null")
	default:
		w.text(w.s.text(k))
	}
}

func (w *jsonWriter) sequence(open, end byte, n, depth int, item func(i int)) {
	w.out.WriteByte(open)
	for i := range n {
		if i > 0 {
			w.out.WriteString(w.item)
		}
		w.line(depth + 1)
		item(i)
	}
	if n > 0 {
		w.line(depth)
	}
	w.out.WriteByte(end)
}

func (w *jsonWriter) line(depth int) {
	if w.pretty {
		w.out.WriteByte('\n')
		w.out.WriteString(strings.Repeat(w.indent, depth))
	}
}

func (w *jsonWriter) text(t string) {
	w.out.WriteByte('"')
	for _, r := range t {
		if at := strings.IndexRune("\"\\\n\r\t\b\f", r); at >= 0 && r < 0x80 {
			w.out.WriteString([]string{`\"`, `\\`, `\n`, `\r`, `\t`, `\b`, `\f`}[at])
			continue
		}
		switch {
		case r < ' ':
			fmt.Fprintf(&w.out, `\u%04x`, r)
		case w.ascii && r > 0xFFFF:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&w.out, `\u%04x\u%04x`, high, low)
		case w.ascii && r > 0x7E && r != Mark:
			fmt.Fprintf(&w.out, `\u%04x`, r)
		default:
			w.out.WriteRune(r)
		}
	}
	w.out.WriteByte('"')
}
