package nn

import "fmt"

// WantGrad asks for the gradient of a parameter and returns where it accumulates: [rows, cols] of this rank's share,
// in f32. What is not cut, and the output matrix, is whole and equal on every rank. CrossEntropy (for the output matrix)
// and Backward add to it; the caller clears it. Without Keep it stays zero, and Backward says so.
func (x *Exec) WantGrad(p Param) []float32 {
	rows, cols := p.Rows, p.Cols
	if x.ranks() > 1 {
		rank := x.opt.Group.Rank()
		switch {
		case p.Head: // kept whole: a tied embedding is read by any token
		case p.Shard == Row || p.Shard == Column && p.Vector:
			from, to := split(cols, p.Unit, rank, x.ranks())
			cols = to - from
		case p.Shard == Column:
			from, to := split(rows, p.Unit, rank, x.ranks())
			rows = to - from
		}
	}
	if g, ok := x.params[p.Name]; ok {
		return g
	}
	g := make([]float32, rows*cols)
	x.params[p.Name] = g
	return g
}

// Backward carries the hidden gradient, set by CrossEntropy or SetHiddenGrad, to every value and wanted parameter.
func (x *Exec) Backward() error {
	if err := x.needKeep(); err != nil {
		return err
	}
	if x.isPaged() {
		return fmt.Errorf("nn: backward needs whole sequences without KV blocks")
	}
	for i := len(x.ops) - 1; i >= 0; i-- {
		x.ops[i].backward()
	}
	return nil
}

func (x *Exec) needKeep() error {
	if !x.opt.Keep {
		return fmt.Errorf("nn: gradients need an executor made with Keep")
	}
	return nil
}

// SetHiddenGrad starts a backward pass from a given gradient of the hidden value of the last batch [rows, width].
func (x *Exec) SetHiddenGrad(g []float32) error {
	if err := x.needKeep(); err != nil {
		return err
	}
	if want := len(x.grad(x.p.Hidden)); len(g) != want {
		return fmt.Errorf("nn: the hidden gradient has %d values, the last batch's hidden value has %d", len(g), want)
	}
	x.zeroGrads()
	copy(x.grad(x.p.Hidden), g)
	return nil
}

func (x *Exec) zeroGrads() {
	for _, g := range x.grads {
		clear(g)
	}
}

func (x *Exec) grad(v Value) []float32 { return x.grads[v][:x.rows*x.width(v)] }

// paramGrad is nil when nobody wants the gradient.
func (x *Exec) paramGrad(name string) []float32 { return x.params[name] }
