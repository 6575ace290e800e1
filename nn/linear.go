package nn

import (
	"hone/kernel"
	"hone/quant"
)

// Linears multiplies one input by one or more matrices that share it (q, k, v; gate, up; or a single one): the input is
// encoded once and the products run as one dispatch. y = x·Wᵀ + bias.
type Linears struct {
	in     Value
	width  int // input features
	Shard  Shard
	inUnit int
	Each   []Linear
}

// Linear is one matrix [Out, in] of a Linears op; Name and Bias are canonical names, Bias may be empty.
type Linear struct {
	Name, Bias string
	Out        int
	Unit       int // output features that must stay together on one rank
	out        Value
}

// ColumnLinears emits linears of x [rows, in] whose output features are cut over the ranks in whole units; it returns
// one value [rows, Out] for each.
func (b *Builder) ColumnLinears(x Value, each ...Linear) []Value {
	op := &Linears{in: x, width: b.p.Width(x), Shard: Column}
	var outs []Value
	for _, l := range each {
		l.Name = b.name(l.Name)
		if l.Bias != "" {
			l.Bias = b.name(l.Bias)
		}
		l.out = b.value(l.Out, l.Unit)
		outs = append(outs, l.out)
		op.Each = append(op.Each, l)
	}
	b.emit(op)
	return outs
}

// RowLinear emits a linear that reads a cut value [rows, in] and sums its output [rows, out] over the ranks; bias is a
// name, or empty.
func (b *Builder) RowLinear(x Value, name, bias string, out int) Value {
	l := Linear{Name: b.name(name), Out: out, out: b.value(out, 0)}
	if bias != "" {
		l.Bias = b.name(bias)
	}
	b.emit(&Linears{in: x, width: b.p.Width(x), Shard: Row, inUnit: b.p.values[x].unit, Each: []Linear{l}})
	return l.out
}

// Linear emits a linear of a whole value [rows, in] that every rank computes alike: [rows, out]; bias is a name, or empty.
func (b *Builder) Linear(x Value, name, bias string, out int) Value {
	y := b.RowLinear(x, name, bias, out)
	b.p.Ops[len(b.p.Ops)-1].(*Linears).Shard = Whole
	return y
}

func (l *Linears) Params() []Param {
	var ps []Param
	for _, e := range l.Each {
		ps = append(ps, l.matrix(e))
		if e.Bias != "" {
			ps = append(ps, biasParam(e, l.Shard))
		}
	}
	return ps
}

func (l *Linears) matrix(e Linear) Param {
	unit := e.Unit
	if l.Shard == Row {
		unit = l.inUnit
	}
	return Param{Name: e.Name, Rows: e.Out, Cols: l.width, Shard: l.Shard, Unit: unit}
}

// biasParam: a bias follows the output features; after a row-cut product it is whole and added once, after the sum.
func biasParam(e Linear, s Shard) Param {
	if s == Row {
		s = Whole
	}
	return Param{Name: e.Bias, Rows: 1, Cols: e.Out, Vector: true, Shard: s, Unit: e.Unit}
}

func (l *Linears) Inputs() []Value { return []Value{l.in} }
func (l *Linears) Outputs() []Value {
	var outs []Value
	for _, e := range l.Each {
		outs = append(outs, e.out)
	}
	return outs
}

func (l *Linears) Cost(p *Program, tokens, _ int) Cost {
	var c Cost
	for _, e := range l.Each {
		c.WeightFloats += int64(e.Out) * int64(l.width)
	}
	c.Flops = 2 * int64(tokens) * c.WeightFloats
	return c
}

func (l *Linears) bind(x *Exec) (bound, error) {
	b := &boundLinears{Linears: l, x: x, bias: make([][]float32, len(l.Each))}
	for i, e := range l.Each {
		w, err := x.packed(l.matrix(e))
		if err != nil {
			return nil, err
		}
		b.products = append(b.products, quant.Product{W: w})
		b.input = x.inputFor(x.width(l.in), w)
		if e.Bias != "" {
			if b.bias[i], err = x.vector(biasParam(e, l.Shard)); err != nil {
				return nil, err
			}
		}
	}
	return b, nil
}

type boundLinears struct {
	*Linears
	x        *Exec
	input    *quant.Input
	products []quant.Product
	bias     [][]float32
}

func (b *boundLinears) forward() {
	x := b.x
	width := x.width(b.in)
	in := x.value(b.in)
	if x.opt.Tap != nil {
		for _, e := range b.Each {
			x.opt.Tap(e.Name, in, x.rows, width)
		}
	}
	for i, e := range b.Each {
		b.products[i].Y, b.products[i].LdY = x.value(e.out), x.width(e.out)
	}
	b.input.Set(in, width, x.rows)
	x.mult.Mul(b.input, b.products...)
	for i, e := range b.Each {
		y := x.value(e.out)
		if b.Shard == Row {
			x.allReduce(y)
		}
		if b.bias[i] != nil {
			n := x.width(e.out)
			for r := range x.rows {
				kernel.Add(y[r*n:(r+1)*n], y[r*n:(r+1)*n], b.bias[i])
			}
		}
	}
}

// backward: dX += dY·W (summed over the group when the outputs are cut), dW += dYᵀ·X, db += Σ dY.
func (b *boundLinears) backward() {
	x := b.x
	in, width := x.value(b.in), x.width(b.in)
	sum := make([]float32, x.rows*width)
	part := make([]float32, x.rows*width)
	for i, e := range b.Each {
		n := x.width(e.out)
		dy := x.grad(e.out)
		b.products[i].W.MulT(part, width, dy, n, x.rows)
		kernel.Add(sum, sum, part)
		if g := x.paramGrad(e.Name); g != nil {
			kernel.GemmTN(x.opt.Pool, n, width, x.rows, dy, n, in, width, g, width, true)
		}
		if g := x.paramGrad(e.Bias); g != nil {
			for r := range x.rows {
				kernel.Add(g, g, dy[r*n:(r+1)*n])
			}
		}
	}
	if b.Shard == Column {
		x.allReduce(sum)
	}
	kernel.Add(x.grad(b.in), x.grad(b.in), sum)
}
