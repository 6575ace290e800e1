package tokenizer

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ardanlabs/jinja"
)

// Limits of one rendering. Sizes grow with what is put in.
const (
	maxRenderTime = 2 * time.Second
	maxTicks      = 1 << 20 // loop turns and macro calls
	maxDepth      = 64      // macros in macros
	maxValueDepth = 64      // lists in lists
	maxValueBytes = 1 << 20 // of one value, beyond the input
	maxValueNodes = 1 << 17 // likewise
	maxOutput     = 4 << 20 // bytes, beyond four times the input
	maxRange      = 1 << 16
	maxBound      = 1 << 24 // of a slice
)

// budget is what one rendering may use. All functions are called from the goroutine that renders.
type budget struct {
	now          func() time.Time
	deadline     time.Time
	ticks, depth int
	output       int
	bytes, nodes int // of the input
}

func newBudget(now func() time.Time) *budget {
	return &budget{now: now, deadline: time.Now().Add(maxRenderTime)}
}

// size counts the bytes and nodes of a value as if it were printed: what occurs twice counts twice.
type size struct{ bytes, nodes, maxBytes, maxNodes int }

var errTooLarge = errors.New("a value became too large")

func (s *size) add(v jinja.Value, depth int) error {
	s.nodes++
	if depth > maxValueDepth {
		return errors.New("a value is nested too deep")
	}
	switch {
	case v.IsString():
		s.bytes += len(v.AsString())
	case v.IsList():
		for _, item := range v.AsList().Items {
			if err := s.add(item, depth+1); err != nil {
				return err
			}
		}
	case v.IsDict():
		d := v.AsDict()
		for _, key := range d.Keys {
			s.bytes += len(key)
			if err := s.add(d.Data[key], depth+1); err != nil {
				return err
			}
		}
	}
	if s.bytes > s.maxBytes || s.nodes > s.maxNodes {
		return errTooLarge
	}
	return nil
}

// input measures a variable that is put in; the limits of all others grow by it.
func (b *budget) input(v jinja.Value) error {
	s := size{maxBytes: 1 << 30, maxNodes: 1 << 24}
	err := s.add(v, 0)
	b.bytes += s.bytes
	b.nodes += s.nodes
	return err
}

func (b *budget) measure(values ...jinja.Value) (int, error) {
	s := size{maxBytes: maxValueBytes + 2*b.bytes, maxNodes: maxValueNodes + 2*b.nodes}
	for _, v := range values {
		if err := s.add(v, 0); err != nil {
			return 0, err
		}
	}
	return s.bytes, nil
}

func (b *budget) alive() error {
	if time.Now().After(b.deadline) {
		return fmt.Errorf("it takes longer than %v", maxRenderTime)
	}
	return nil
}

// check measures values and passes the first on.
func (b *budget) check(args []jinja.Value) (jinja.Value, error) {
	if _, err := b.measure(args...); err != nil {
		return jinja.None(), err
	}
	return first(args), b.alive()
}

func first(args []jinja.Value) jinja.Value {
	if len(args) == 0 {
		return jinja.Undefined()
	}
	return args[0]
}

// cond passes a condition on.
func (b *budget) cond(args []jinja.Value) (jinja.Value, error) { return first(args), b.alive() }

// tick is called in each turn of a loop, with the loop's variables.
func (b *budget) tick(args []jinja.Value) (jinja.Value, error) {
	if b.ticks++; b.ticks > maxTicks {
		return jinja.None(), fmt.Errorf("it makes more than %d turns", maxTicks)
	}
	return b.check(args)
}

// enter is called at the start of a macro, with its arguments; leave at its end.
func (b *budget) enter(args []jinja.Value) (jinja.Value, error) {
	if b.depth++; b.depth > maxDepth {
		return jinja.None(), fmt.Errorf("macros are nested more than %d deep", maxDepth)
	}
	return b.tick(args)
}

func (b *budget) leave([]jinja.Value) (jinja.Value, error) {
	b.depth--
	return jinja.None(), nil
}

// out is called with each output. None and numbers print as in Python.
func (b *budget) out(args []jinja.Value) (jinja.Value, error) {
	if len(args) != 1 {
		return jinja.None(), errors.New("an output needs one expression")
	}
	v := args[0]
	n, err := b.measure(v)
	if err != nil {
		return v, err
	}
	if b.output += n; b.output > maxOutput+4*b.bytes {
		return v, fmt.Errorf("it writes more than %d bytes", maxOutput+4*b.bytes)
	}
	switch {
	case v.IsNone():
		v = jinja.NewString("None")
	case v.IsFloat():
		v = jinja.NewString(pythonFloat(v.AsFloat()))
	}
	return v, b.alive()
}

// bound clamps the bound of a slice.
func (b *budget) bound(args []jinja.Value) (jinja.Value, error) {
	v := first(args)
	switch {
	case v.IsInt():
		return jinja.NewInt(min(max(v.AsInt(), -maxBound), maxBound)), nil
	case v.IsBool():
		return v, nil
	}
	return v, errors.New("a slice needs integers")
}

// items checks what a loop goes over.
func (b *budget) items(args []jinja.Value) (jinja.Value, error) {
	if len(args) != 1 {
		return jinja.None(), errors.New("a loop needs one sequence")
	}
	v := args[0]
	if !v.IsList() && !v.IsDict() && !v.IsString() && !v.IsUndefined() {
		return v, fmt.Errorf("%s is no sequence", quote(v.String()))
	}
	return b.check(args)
}

func (b *budget) rangeOf(args []jinja.Value) (jinja.Value, error) {
	bounds := []int64{0, 0, 1}
	for i, a := range args {
		if !a.IsInt() || i > 2 {
			return jinja.None(), errors.New("range needs one to three integers")
		}
		bounds[i] = a.AsInt()
	}
	if len(args) == 1 {
		bounds[0], bounds[1] = 0, bounds[0]
	}
	from, to, step := bounds[0], bounds[1], bounds[2]
	if step == 0 || len(args) == 0 {
		return jinja.None(), errors.New("range needs a step other than 0")
	}
	var items []jinja.Value
	for i := from; step > 0 && i < to || step < 0 && i > to; i += step {
		if len(items) >= maxRange {
			return jinja.None(), fmt.Errorf("range has more than %d numbers", maxRange)
		}
		items = append(items, jinja.NewInt(i))
	}
	return jinja.NewList(items), nil
}

func (b *budget) raise(args []jinja.Value) (jinja.Value, error) {
	return jinja.None(), &TemplateError{printed(first(args))}
}

func (b *budget) strftime(args []jinja.Value) (jinja.Value, error) {
	s, err := strftime(b.now(), printed(first(args)))
	return jinja.NewString(s), err
}

// strftime formats a time as Python does; a directive that is not known is an error.
func strftime(t time.Time, format string) (string, error) {
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
			return "", fmt.Errorf("strftime_now does not know %%%c", format[i])
		case trim:
			out.WriteString(strings.TrimLeft(t.Format(layout), "0 "))
		default:
			out.WriteString(t.Format(layout))
		}
	}
	return out.String(), nil
}

// functions returns the variables that guarded templates use.
func (b *budget) functions() map[string]jinja.Value {
	data := map[string]jinja.Value{}
	plain := func(name string, f func([]jinja.Value) (jinja.Value, error)) {
		data[name] = jinja.NewCallable(name, func(args []jinja.Value, kwargs map[string]jinja.Value) (jinja.Value, error) {
			if len(kwargs) > 0 {
				return jinja.None(), fmt.Errorf("%s takes no named arguments", strings.TrimPrefix(name, guardPrefix))
			}
			return f(args)
		})
	}
	for name, f := range map[string]func([]jinja.Value) (jinja.Value, error){
		"check": b.check, "cond": b.cond, "tick": b.tick, "enter": b.enter, "leave": b.leave, "out": b.out, "bound": b.bound,
		"items": b.items, "split": b.split, "append": b.append, "insert": b.insert, "update": b.update, "list": b.list,
		"fromjson": b.fromJSON, "from_json": b.fromJSON, "format": b.format,
	} {
		plain(guardPrefix+name, f)
	}
	plain("range", b.rangeOf)
	plain("raise_exception", b.raise)
	plain("strftime_now", b.strftime)
	named := map[string]func([]jinja.Value, map[string]jinja.Value) (jinja.Value, error){
		"tojson": b.toJSON, "replace": b.replace, "join": b.join, "indent": b.indent,
	}
	for name, f := range named {
		data[guardPrefix+name] = jinja.NewCallable(name, f)
	}
	return data
}
