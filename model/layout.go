package model

import (
	"fmt"
	"strconv"
	"strings"

	"hone/nn"
	"hone/quant"
)

// Place is where a file keeps a canonical weight. Read it from left to right: of the tensor, flattened to two dimensions
// [leading, last] (a vector's rows are its values), slice Index of Of equal slices along the first dimension (Of 0: all
// of it); that transposed, where the file stores [in, out]; of that rows [From, To); and row i of the weight is row
// Order[i] of those (nil: they stand in order).
type Place struct {
	Tensor     string
	Index, Of  int
	Transposed bool
	Straight   string // a number format in which files do not transpose it: a tensor that is read in it stands [out, in]
	From, To   int
	Order      []int
	Plus       float32 // the stored values are larger by it
	Without    int     // first rows of the weight that the file leaves out: such a place can be written only
}

// Layout says where one kind of file keeps the weights. A key is a canonical name with %d for every number, with its
// .weight or .bias or, for a row that covers both, without; the suffix is then carried over to the tensor's name.
type Layout map[string]spot

// spot is a place before its numbers are known.
type spot struct {
	tensor     string // with %d for the first numbers of the canonical name
	of         int    // experts in a bank, whose index is the canonical name's last number
	transposed bool
	straight   string
	from, to   int // to 0: as many rows as the weight has
	order      func(rows int) []int
	plus       float32
	without    int
}

// at: the tensor is the weight.
func at(tensor string) spot { return spot{tensor: tensor} }

// rows: the weight is rows [from, to) of a tensor that several weights share.
func rows(tensor string, from, to int) spot { return spot{tensor: tensor, from: from, to: to} }

// bank: the weights of all experts are one tensor [experts, rows, cols].
func bank(tensor string, experts int) spot { return spot{tensor: tensor, of: experts} }

// turned: the tensor is stored [in, out].
func (s spot) turned() spot {
	s.transposed = true
	return s
}

// unless: it is not, in this number format.
func (s spot) unless(format string) spot {
	s.straight = format
	return s
}

// more: the tensor holds the values plus n.
func (s spot) more(n float32) spot {
	s.plus = n
	return s
}

// beyond: the tensor holds the weight from row n on.
func (s spot) beyond(n int) spot {
	s.without = n
	return s
}

// alternate: parts weights take turns in the tensor, size rows each time; this one is number part of them.
func (s spot) alternate(part, parts, size int) spot {
	s.order = func(n int) []int {
		order := make([]int, n)
		for r := range order {
			order[r] = (r/size*parts+part)*size + r%size
		}
		return order
	}
	s.to = -parts
	return s
}

// interleaved: the tensor holds the two halves of each rotated head of size features in turns, as GGUF's llama files do:
// row (head, half, i) of the weight is row (head, i, half) of the tensor.
func (s spot) interleaved(size int) spot {
	s.order = func(n int) []int {
		order := make([]int, n)
		for r := range order {
			head, in := r/size, r%size
			order[r] = head*size + in%(size/2)*2 + in/(size/2)
		}
		return order
	}
	return s
}

// generic puts %d for every number in a canonical name.
func generic(name string) (pattern string, numbers []int) {
	parts := strings.Split(name, ".")
	for i, p := range parts {
		if n, err := strconv.Atoi(p); err == nil {
			parts[i], numbers = "%d", append(numbers, n)
		}
	}
	return strings.Join(parts, "."), numbers
}

// place finds a weight; false when the layout has no row for it.
func (l Layout) place(p nn.Param) (Place, bool) {
	pattern, numbers := generic(p.Name)
	s, ok := l[pattern]
	suffix := ""
	if !ok {
		cut := strings.LastIndexByte(pattern, '.')
		if s, ok = l[pattern[:max(cut, 0)]]; !ok {
			return Place{}, false
		}
		suffix = pattern[cut:]
	}
	n := height(p)
	out := Place{Tensor: s.tensor + suffix, Transposed: s.transposed && !p.Vector, Straight: s.straight, From: s.from, To: s.to, Plus: s.plus, Without: s.without}
	if s.of > 0 {
		out.Of, out.Index, numbers = s.of, numbers[len(numbers)-1], numbers[:len(numbers)-1]
	}
	for _, number := range numbers {
		out.Tensor = strings.Replace(out.Tensor, "%d", strconv.Itoa(number), 1)
	}
	switch {
	case s.to == 0:
		out.To = n
	case s.to < 0:
		out.To = -s.to * n
	}
	if s.order != nil {
		out.Order = s.order(n)
	}
	return out, true
}

// canonical is the place of a weight that stands under its own name.
func canonical(p nn.Param) Place { return Place{Tensor: p.Name, To: height(p)} }

// height is the number of rows of a matrix, of values of a vector.
func height(p nn.Param) int {
	if p.Vector {
		return p.Cols
	}
	return p.Rows
}

// matrix takes the weight out of its tensor, whose shape was checked.
func (p Place) matrix(m quant.Matrix) (quant.Matrix, error) {
	if p.Of > 0 {
		rows, _ := m.Dims()
		m = m.RowSlice(rows/p.Of*p.Index, rows/p.Of*(p.Index+1))
	}
	var err error
	if p.Transposed {
		if m, err = transposed(m, p.From, p.To); err != nil {
			return nil, err
		}
	} else if rows, _ := m.Dims(); p.From > 0 || p.To < rows {
		m = m.RowSlice(p.From, p.To)
	}
	if p.Order != nil {
		m = quant.SelectRows(m, p.Order)
	}
	return m, nil
}

// vector is matrix for a vector.
func (p Place) vector(v []float32) []float32 {
	if p.Of > 0 {
		v = v[len(v)/p.Of*p.Index:][:len(v)/p.Of]
	}
	v = v[p.From:p.To]
	if p.Order == nil && p.Plus == 0 {
		return v
	}
	out := make([]float32, 0, len(v))
	for i := range v {
		if p.Order == nil {
			out = append(out, v[i]-p.Plus)
		} else if i < len(p.Order) {
			out = append(out, v[p.Order[i]]-p.Plus)
		}
	}
	return out
}

// transposed gives columns [from, to) of m as rows, in m's own format, which must be one that holds each value alone.
func transposed(m quant.Matrix, from, to int) (quant.Matrix, error) {
	if !plain(m.Format()) {
		return nil, fmt.Errorf("it is stored transposed as %s, whose groups would run across rows", m.Format())
	}
	part, err := m.ColSlice(from, to)
	if err != nil {
		return nil, err
	}
	return turn(part)
}

// plain tells whether a number format holds each value alone.
func plain(format string) bool { return format == "f32" || format == "f16" || format == "bf16" }

// turn transposes m, in its own format where that is plain and in f32 otherwise.
func turn(m quant.Matrix) (quant.Matrix, error) {
	t := quant.Transpose(m)
	if m.Format() == "f32" || !plain(m.Format()) {
		return t, nil
	}
	f, err := quant.Lookup(m.Format())
	if err != nil {
		return nil, err
	}
	rows, cols := t.Dims()
	return f.Encode(rows, cols, t.ReadRow)
}

// Stored is one tensor of a file, in terms of the canonical weights that it is made of.
type Stored struct {
	Name  string
	Shape []int // row-major, outermost first
	Parts []Part

	values []float32 // instead of parts: a table of the config
}

// Part is a canonical weight and its place in a stored tensor.
type Part struct {
	Param nn.Param
	Place Place
}

// gather groups weights by the tensor that they share, in order of first use.
func gather(parts []Part) []Stored {
	var out []Stored
	index := map[string]int{}
	for _, p := range parts {
		i, ok := index[p.Place.Tensor]
		if !ok {
			i = len(out)
			index[p.Place.Tensor] = i
			out = append(out, Stored{Name: p.Place.Tensor})
		}
		out[i].Parts = append(out[i].Parts, p)
	}
	for i := range out {
		out[i].Shape = out[i].shape()
	}
	return out
}

// each is the number of rows of one slice before it is transposed.
func (s Stored) each() int {
	n := 0
	for _, p := range s.Parts {
		n += height(p.Param) - p.Place.Without
	}
	return n / max(s.Parts[0].Place.Of, 1)
}

// shape is what the parts make up together.
func (s Stored) shape() []int {
	first := s.Parts[0]
	shape := []int{s.each()}
	switch {
	case first.Param.Vector:
	case first.Place.Transposed:
		shape = []int{first.Param.Cols, shape[0]}
	default:
		shape = append(shape, first.Param.Cols)
	}
	if first.Place.Of > 0 {
		shape = append([]int{first.Place.Of}, shape...)
	}
	return shape
}

// order gives, for each row of all slices before they are transposed, the row of the parts laid one after the other.
func (s Stored) order() []int {
	each, at := s.each(), 0
	order := make([]int, each*max(s.Parts[0].Place.Of, 1))
	for _, p := range s.Parts {
		for r := range height(p.Param) - p.Place.Without {
			to := r
			if p.Place.Order != nil {
				to = p.Place.Order[r]
			}
			order[p.Place.Index*each+p.Place.From+to] = at
			at++
		}
	}
	return order
}

// Vector gives the values of a stored vector, or of vectors that share a tensor.
func (s Stored) Vector(src nn.Source) ([]float32, error) {
	if s.values != nil {
		return s.values, nil
	}
	var all []float32
	for _, p := range s.Parts {
		v, err := src.Vector(p.Param.Name)
		if err != nil {
			return nil, err
		}
		for _, x := range v {
			all = append(all, x+p.Place.Plus)
		}
	}
	out := make([]float32, len(all))
	for i, from := range s.order() {
		out[i] = all[from]
	}
	return out, nil
}

// Matrix gives a stored tensor, flattened to two dimensions, in the format of its weights where they have one in common,
// in f32 otherwise. Nothing is rounded.
func (s Stored) Matrix(src nn.Source) (quant.Matrix, error) {
	var parts []quant.Matrix
	for _, p := range s.Parts {
		m, err := src.Matrix(p.Param.Name)
		if err != nil {
			return nil, err
		}
		rows, _ := m.Dims()
		parts = append(parts, m.RowSlice(p.Place.Without, rows))
	}
	all, order := quant.Concat(parts...), s.order()
	for i, from := range order {
		if i != from {
			all = quant.SelectRows(all, order)
			break
		}
	}
	if !s.Parts[0].Place.Transposed {
		return all, nil
	}
	var slices []quant.Matrix
	for at := 0; at < len(order); at += s.each() {
		t, err := turn(all.RowSlice(at, at+s.each()))
		if err != nil {
			return nil, err
		}
		slices = append(slices, t)
	}
	return quant.Concat(slices...), nil
}
