package jinja

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode"
)

// text is str(v).
func (s *state) text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case undefined:
		return ""
	}
	return s.repr(v)
}

// repr is repr(v).
func (s *state) repr(v any) string {
	w := printer{s: s, limit: s.textLimit()}
	w.write(v, 0)
	s.made(w.out.Len(), 0)
	return w.out.String()
}

// printer writes a value as Python shows it.
type printer struct {
	s     *state
	out   strings.Builder
	limit int
}

func (w *printer) write(v any, depth int) {
	w.s.step()
	if w.out.Len() > w.limit || depth > maxNesting {
		fail("a value became too large")
	}
	switch v := v.(type) {
	case nil:
		w.out.WriteString("None")
	case bool:
		w.out.WriteString(map[bool]string{true: "True", false: "False"}[v])
	case int64:
		w.out.WriteString(strconv.FormatInt(v, 10))
	case float64:
		w.out.WriteString(pythonFloat(v))
	case string:
		w.out.WriteString(pythonText(v))
	case undefined:
		w.out.WriteString("Undefined")
	case *list:
		w.list(v, depth)
	case *dict:
		w.dict(v, depth)
	case *namespace:
		w.out.WriteString("<Namespace ")
		w.dict(&v.dict, depth)
		w.out.WriteString(">")
	default:
		fail("%s cannot be printed", typeName(v))
	}
}

func (w *printer) list(v *list, depth int) {
	open, end := "[", "]"
	switch {
	case v.kind == isTuple:
		open, end = "(", ")"
		if len(v.items) == 1 {
			end = ",)"
		}
	case v.kind == isGenerator:
		fail("a generator cannot be printed: it needs the filter list")
	case strings.HasPrefix(v.shown, "range("):
		w.out.WriteString(v.shown)
		return
	case v.kind == isView:
		open, end = v.shown+"([", "])"
	}
	w.out.WriteString(open)
	for i, item := range v.items {
		if i > 0 {
			w.out.WriteString(", ")
		}
		w.write(item, depth+1)
	}
	w.out.WriteString(end)
}

func (w *printer) dict(v *dict, depth int) {
	w.out.WriteByte('{')
	for i, k := range v.keys {
		if i > 0 {
			w.out.WriteString(", ")
		}
		w.write(k, depth+1)
		w.out.WriteString(": ")
		w.write(v.values[k], depth+1)
	}
	w.out.WriteByte('}')
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
	t := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(t, ".") {
		t += ".0"
	}
	return t
}

// pythonText is repr of a text.
func pythonText(t string) string {
	mark := byte('\'')
	if strings.Contains(t, "'") && !strings.Contains(t, `"`) {
		mark = '"'
	}
	var b strings.Builder
	b.WriteByte(mark)
	for _, r := range t {
		switch {
		case r == rune(mark) || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < ' ' || r == 0x7F || r > 0x7F && r < 0x100 && !unicode.IsPrint(r):
			fmt.Fprintf(&b, `\x%02x`, r)
		case r < 0x7F || unicode.IsPrint(r) || r == Mark:
			b.WriteRune(r)
		case r > 0xFFFF:
			fmt.Fprintf(&b, `\U%08x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	b.WriteByte(mark)
	return b.String()
}
