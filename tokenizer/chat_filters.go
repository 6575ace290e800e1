package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"

	"github.com/ardanlabs/jinja"
)

// printed returns the text of a value as an output would show it.
func printed(v jinja.Value) string {
	switch {
	case v.IsString():
		return v.AsString()
	case v.IsUndefined():
		return ""
	case v.IsFloat():
		return pythonFloat(v.AsFloat())
	}
	return v.String()
}

// pythonFloat writes a float as Python does: the shortest form, with ".0" if it looks like an integer.
func pythonFloat(f float64) string {
	switch {
	case math.IsNaN(f):
		return "nan"
	case math.IsInf(f, 1):
		return "inf"
	case math.IsInf(f, -1):
		return "-inf"
	}
	if a := math.Abs(f); a != 0 && (a < 1e-4 || a >= 1e16) {
		return strconv.FormatFloat(f, 'e', -1, 64)
	}
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

// texts returns the printed arguments, of which there must be at least n, after measuring them.
func (b *budget) texts(args []jinja.Value, n int) ([]string, error) {
	if len(args) < n {
		return nil, fmt.Errorf("%d arguments, want at least %d", len(args), n)
	}
	if _, err := b.measure(args...); err != nil {
		return nil, err
	}
	out := make([]string, len(args))
	for i, a := range args {
		out[i] = printed(a)
	}
	return out, nil
}

// room checks the size of a text before it is made.
func (b *budget) room(bytes int) error {
	if bytes > maxValueBytes+2*b.bytes {
		return errTooLarge
	}
	return nil
}

// replace is s.replace(old, new[, count]) and s|replace(old, new[, count]).
func (b *budget) replace(args []jinja.Value, kwargs map[string]jinja.Value) (jinja.Value, error) {
	t, err := b.texts(args, 3)
	if err != nil {
		return jinja.None(), err
	}
	count := -1
	if v, ok := kwargs["count"]; ok && v.IsInt() {
		count = int(v.AsInt())
	} else if len(args) > 3 && args[3].IsInt() {
		count = int(args[3].AsInt())
	}
	n := strings.Count(t[0], t[1])
	if count >= 0 {
		n = min(n, count)
	}
	if err := b.room(len(t[0]) + n*max(0, len(t[2])-len(t[1]))); err != nil {
		return jinja.None(), err
	}
	return jinja.NewString(strings.Replace(t[0], t[1], t[2], count)), nil
}

// join is items|join(separator, attribute=name), or separator.join(items).
func (b *budget) join(args []jinja.Value, kwargs map[string]jinja.Value) (jinja.Value, error) {
	items, separator := first(args), ""
	if len(args) > 1 {
		separator = printed(args[1])
	}
	if items.IsString() && len(args) > 1 && args[1].IsList() {
		items, separator = args[1], items.AsString()
	}
	if !items.IsList() {
		return items, nil
	}
	if v, ok := kwargs["d"]; ok {
		separator = printed(v)
	}
	parts := make([]string, 0, len(items.AsList().Items))
	bytes := 0
	for _, item := range items.AsList().Items {
		if name, ok := kwargs["attribute"]; ok && item.IsDict() {
			item, _ = item.AsDict().Get(printed(name))
		}
		if _, err := b.measure(item); err != nil {
			return items, err
		}
		parts = append(parts, printed(item))
		bytes += len(parts[len(parts)-1]) + len(separator)
		if err := b.room(bytes); err != nil {
			return items, err
		}
	}
	return jinja.NewString(strings.Join(parts, separator)), nil
}

// indent is s|indent(width=4, first=False, blank=False).
func (b *budget) indent(args []jinja.Value, kwargs map[string]jinja.Value) (jinja.Value, error) {
	options := []jinja.Value{jinja.NewInt(4), jinja.NewBool(false), jinja.NewBool(false)}
	for i, name := range []string{"width", "first", "blank"} {
		if v, ok := kwargs[name]; ok {
			options[i] = v
		} else if len(args) > i+1 {
			options[i] = args[i+1]
		}
	}
	t, err := b.texts(args[:min(1, len(args))], 1)
	if err != nil {
		return jinja.None(), err
	}
	pad := printed(options[0])
	if options[0].IsInt() {
		pad = strings.Repeat(" ", int(min(max(options[0].AsInt(), 0), 256)))
	}
	lines := strings.Split(t[0], "\n")
	if err := b.room(len(t[0]) + len(lines)*len(pad)); err != nil {
		return jinja.None(), err
	}
	for i, line := range lines {
		if (i > 0 || options[1].IsTruthy()) && (line != "" || options[2].IsTruthy() || i == 0) {
			lines[i] = pad + line
		}
	}
	return jinja.NewString(strings.Join(lines, "\n")), nil
}

// split is s.split([separator[, maximum]]).
func (b *budget) split(args []jinja.Value) (jinja.Value, error) {
	t, err := b.texts(args, 1)
	if err != nil {
		return jinja.None(), err
	}
	var parts []string
	switch {
	case len(args) == 1 || args[1].IsNone():
		parts = strings.Fields(t[0])
	case t[1] == "":
		return jinja.None(), errors.New("split needs a separator")
	case len(args) > 2 && args[2].IsInt() && args[2].AsInt() >= 0:
		parts = strings.SplitN(t[0], t[1], int(min(args[2].AsInt(), 1<<20))+1)
	default:
		parts = strings.Split(t[0], t[1])
	}
	if len(parts) > maxValueNodes {
		return jinja.None(), errTooLarge
	}
	items := make([]jinja.Value, len(parts))
	for i, p := range parts {
		items[i] = jinja.NewString(p)
	}
	return jinja.NewList(items), nil
}

// list is x|list.
func (b *budget) list(args []jinja.Value) (jinja.Value, error) {
	v := first(args)
	var items []jinja.Value
	switch {
	case v.IsList():
		items = slices.Clone(v.AsList().Items)
	case v.IsDict():
		for _, key := range v.AsDict().Keys {
			items = append(items, jinja.NewString(key))
		}
	case v.IsString():
		if len(v.AsString()) > maxValueNodes {
			return v, errTooLarge
		}
		for _, r := range v.AsString() {
			items = append(items, jinja.NewString(string(r)))
		}
	}
	return jinja.NewList(items), nil
}

// changed measures a container after a change, which finds one that contains itself.
func (b *budget) changed(container jinja.Value) (jinja.Value, error) {
	_, err := b.measure(container)
	return jinja.None(), err
}

func (b *budget) append(args []jinja.Value) (jinja.Value, error) {
	if len(args) != 2 || !args[0].IsList() {
		return jinja.None(), errors.New("append needs a list and a value")
	}
	args[0].AsList().Append(args[1])
	return b.changed(args[0])
}

func (b *budget) insert(args []jinja.Value) (jinja.Value, error) {
	if len(args) != 3 || !args[0].IsList() || !args[1].IsInt() {
		return jinja.None(), errors.New("insert needs a list, an index and a value")
	}
	list := args[0].AsList()
	at := args[1].AsInt()
	if at < 0 {
		at += int64(len(list.Items))
	}
	at = min(max(at, 0), int64(len(list.Items)))
	list.Items = slices.Insert(list.Items, int(at), args[2])
	return b.changed(args[0])
}

func (b *budget) update(args []jinja.Value) (jinja.Value, error) {
	if len(args) != 2 || !args[0].IsDict() || !args[1].IsDict() {
		return jinja.None(), errors.New("update needs two mappings")
	}
	for _, key := range slices.Clone(args[1].AsDict().Keys) {
		args[0].AsDict().Set(key, args[1].AsDict().Data[key])
	}
	return b.changed(args[0])
}

// format is "… {} {0} …".format(a, b).
func (b *budget) format(args []jinja.Value) (jinja.Value, error) {
	t, err := b.texts(args, 1)
	if err != nil {
		return jinja.None(), err
	}
	var out strings.Builder
	next := 0
	for s := t[0]; s != ""; {
		at := strings.IndexAny(s, "{}")
		if at < 0 {
			out.WriteString(s)
			break
		}
		out.WriteString(s[:at])
		if strings.HasPrefix(s[at:], "{{") || strings.HasPrefix(s[at:], "}}") {
			out.WriteByte(s[at])
			s = s[at+2:]
			continue
		}
		field, rest, ok := strings.Cut(s[at:], "}")
		index := next
		if field != "{" && ok {
			if index, err = strconv.Atoi(field[1:]); err != nil {
				return jinja.None(), fmt.Errorf("the format field %s is not supported", quote(field))
			}
		}
		if !ok || index < 0 || index+1 >= len(t) {
			return jinja.None(), errors.New("format has a field without a value")
		}
		out.WriteString(t[index+1])
		next++
		if err := b.room(out.Len()); err != nil {
			return jinja.None(), err
		}
		s = rest
	}
	return jinja.NewString(out.String()), nil
}

func (b *budget) fromJSON(args []jinja.Value) (jinja.Value, error) {
	t, err := b.texts(args, 1)
	if err != nil {
		return jinja.None(), err
	}
	if !json.Valid([]byte(t[0])) {
		return jinja.None(), errors.New("fromjson: not JSON")
	}
	v, err := toValue(json.RawMessage(t[0]))
	if err == nil {
		_, err = b.measure(v)
	}
	return v, err
}

// toJSON is x|tojson(indent=None, ensure_ascii=False, sort_keys=False, separators=None), which transformers defines as
// Python's json.dumps: keys stay in order, nothing is escaped for HTML.
func (b *budget) toJSON(args []jinja.Value, kwargs map[string]jinja.Value) (jinja.Value, error) {
	if _, err := b.measure(first(args)); err != nil {
		return jinja.None(), err
	}
	w := jsonWriter{item: ", ", key: ": ", limit: maxValueBytes + 2*b.bytes}
	indent, ok := kwargs["indent"]
	if !ok && len(args) > 1 {
		indent, ok = args[1], true
	}
	if ok && indent.IsInt() {
		w.indent = strings.Repeat(" ", int(min(max(indent.AsInt(), 0), 64)))
		w.pretty, w.item = true, ","
	}
	if v, ok := kwargs["separators"]; ok && v.IsList() && v.AsList().Len() == 2 {
		w.item, w.key = printed(v.AsList().Get(0)), printed(v.AsList().Get(1))
	}
	if v, ok := kwargs["ensure_ascii"]; ok {
		w.ascii = v.IsTruthy()
	}
	if v, ok := kwargs["sort_keys"]; ok {
		w.sorted = v.IsTruthy()
	}
	if err := w.write(first(args), 0); err != nil {
		return jinja.None(), err
	}
	return jinja.NewString(w.out.String()), nil
}

// jsonWriter writes JSON as Python's json.dumps does.
type jsonWriter struct {
	out                   strings.Builder
	item, key, indent     string
	pretty, ascii, sorted bool
	limit                 int
}

func (w *jsonWriter) write(v jinja.Value, depth int) error {
	if w.out.Len() > w.limit {
		return errTooLarge
	}
	switch {
	case v.IsBool():
		w.out.WriteString(strconv.FormatBool(v.AsBool()))
	case v.IsInt():
		w.out.WriteString(strconv.FormatInt(v.AsInt(), 10))
	case v.IsFloat():
		w.out.WriteString(pythonFloat(v.AsFloat()))
	case v.IsString():
		w.text(v.AsString())
	case v.IsList():
		items := v.AsList().Items
		return w.block("[]", len(items), depth, func(i int) error { return w.write(items[i], depth+1) })
	case v.IsDict():
		d := v.AsDict()
		keys := d.Keys
		if w.sorted {
			keys = slices.Sorted(slices.Values(keys))
		}
		return w.block("{}", len(keys), depth, func(i int) error {
			w.text(keys[i])
			w.out.WriteString(w.key)
			return w.write(d.Data[keys[i]], depth+1)
		})
	case v.IsNone():
		w.out.WriteString("null")
	default:
		return fmt.Errorf("tojson cannot write %s", quote(v.String()))
	}
	return nil
}

func (w *jsonWriter) block(brackets string, n, depth int, one func(i int) error) error {
	w.out.WriteByte(brackets[0])
	for i := range n {
		if i > 0 {
			w.out.WriteString(w.item)
		}
		w.line(depth + 1)
		if err := one(i); err != nil {
			return err
		}
	}
	if n > 0 {
		w.line(depth)
	}
	w.out.WriteByte(brackets[1])
	return nil
}

func (w *jsonWriter) line(depth int) {
	if w.pretty {
		w.out.WriteString("\n" + strings.Repeat(w.indent, depth))
	}
}

func (w *jsonWriter) text(s string) {
	w.out.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			w.out.WriteByte('\\')
			w.out.WriteRune(r)
		case r == '\n':
			w.out.WriteString(`\n`)
		case r == '\r':
			w.out.WriteString(`\r`)
		case r == '\t':
			w.out.WriteString(`\t`)
		case r == '\b':
			w.out.WriteString(`\b`)
		case r == '\f':
			w.out.WriteString(`\f`)
		case r < ' ':
			fmt.Fprintf(&w.out, `\u%04x`, r)
		case w.ascii && r > 0xFFFF:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&w.out, `\u%04x\u%04x`, high, low)
		case w.ascii && r > 0x7F:
			fmt.Fprintf(&w.out, `\u%04x`, r)
		default:
			w.out.WriteRune(r)
		}
	}
	w.out.WriteByte('"')
}
