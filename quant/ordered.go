package quant

import (
	"errors"
	"fmt"

	"hone/kernel"
)

// OrderColumns is a matrix whose column order[k] is m's column k; order is a permutation, kept, not copied. Checkpoints that were
// rounded in the order of activations have columns of a group all over the row: m holds them group by group, in any
// format, and products put their inputs into m's order.
func OrderColumns(m Matrix, order []int32) (Matrix, error) {
	_, cols := m.Dims()
	seen := make([]bool, cols)
	for _, j := range order {
		if j < 0 || int(j) >= cols || seen[j] {
			return nil, fmt.Errorf("quant: OrderColumns: the order of %d columns is no permutation: %d stands there", cols, j)
		}
		seen[j] = true
	}
	if len(order) != cols {
		return nil, fmt.Errorf("quant: OrderColumns: an order of %d for %d columns", len(order), cols)
	}
	return ordered{m, order}, nil
}

type ordered struct {
	Matrix
	order []int32
}

func (o ordered) ReadRow(dst []float32, i int) {
	row := make([]float32, len(o.order))
	o.Matrix.ReadRow(row, i)
	for k, j := range o.order {
		dst[j] = row[k]
	}
}

func (o ordered) RowSlice(from, to int) Matrix { return ordered{o.Matrix.RowSlice(from, to), o.order} }

func (o ordered) ColSlice(from, to int) (Matrix, error) {
	if from == 0 && to == len(o.order) {
		return o, nil
	}
	return nil, errors.New("quant: columns in the order of activations cannot be cut")
}

func (o ordered) check() error { return Check(o.Matrix) }

// splitOrder gives the matrix that is stored and its order, nil for any other matrix than an ordered one.
func splitOrder(m Matrix) (Matrix, []int32) {
	if o, ok := m.(ordered); ok {
		return o.Matrix, o.order
	}
	return m, nil
}

// orderTask puts columns of tokens [from, to) of in into the order of a weight.
type orderTask struct {
	in       *Input
	dst      []float32
	order    []int32
	from, to int
	each     int
}

// Do orders the i-th run of tokens.
func (t *orderTask) Do(i, _ int) {
	width := len(t.order)
	for at := t.from + i*t.each; at < min(t.from+(i+1)*t.each, t.to); at++ {
		src, dst := t.in.x[at*t.in.ldx:][:width], t.dst[at*width:][:width]
		for k, j := range t.order {
			dst[k] = src[j]
		}
	}
}

// reordered is in with the columns of tokens [from, to) in a weight's order, in memory that belongs to in; weights that
// take the same tokens in one call have slots of their own. It is ready for Prepare once all its tokens are ordered.
func (in *Input) reordered(p *kernel.Pool, slot int, order []int32, from, to int) *Input {
	in.Prepare(p, F32)
	for len(in.orders) <= slot {
		in.orders = append(in.orders, NewInput(in.maxTokens, in.width))
	}
	v := in.orders[slot]
	v.own = grow(v.own, in.maxTokens*in.width)
	v.Set(v.own, in.width, in.tokens)
	in.turn = orderTask{in, v.own, order, from, to, max(1, encodeInline/2/in.width)}
	if n := (to - from + in.turn.each - 1) / in.turn.each; n > 1 {
		p.Run(n, &in.turn)
	} else {
		in.turn.Do(0, 0)
	}
	return v
}
