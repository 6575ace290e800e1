package nn

import (
	"math"

	"hone/kernel"
)

// Norm is RMSNorm (Zhang and Sennrich 2019) or LayerNorm (Ba et al. 2016) over the width of a row.
type Norm struct {
	Gain, Bias string // Bias empty: RMSNorm
	Eps        float32
	in, out    Value
	width      int
}

// RMSNorm normalises by the root mean square: y = x / sqrt(mean(x²)+eps) · gain.
func (b *Builder) RMSNorm(x Value, name string, eps float32) Value {
	return b.norm(x, b.name(name)+".weight", "", eps)
}

// LayerNorm normalises by mean and variance: y = (x-mean) / sqrt(var+eps) · gain + bias.
func (b *Builder) LayerNorm(x Value, name string, eps float32) Value {
	return b.norm(x, b.name(name)+".weight", b.name(name)+".bias", eps)
}

func (b *Builder) norm(x Value, gain, bias string, eps float32) Value {
	w := b.p.Width(x)
	out := b.value(w, 0)
	b.emit(&Norm{gain, bias, eps, x, out, w})
	return out
}

func (n *Norm) Params() []Param {
	ps := []Param{{Name: n.Gain, Rows: 1, Cols: n.width, Vector: true}}
	if n.Bias != "" {
		ps = append(ps, Param{Name: n.Bias, Rows: 1, Cols: n.width, Vector: true})
	}
	return ps
}
func (n *Norm) Inputs() []Value  { return []Value{n.in} }
func (n *Norm) Outputs() []Value { return []Value{n.out} }
func (n *Norm) Cost(p *Program, tokens, _ int) Cost {
	return Cost{Flops: int64(tokens) * int64(n.width) * 4, WeightFloats: int64(n.width)}
}

func (n *Norm) bind(x *Exec) (bound, error) {
	b := &boundNorm{Norm: n, x: x}
	var err error
	if b.gain, err = x.vector(n.Params()[0]); err != nil {
		return nil, err
	}
	if n.Bias != "" {
		if b.bias, err = x.vector(n.Params()[1]); err != nil {
			return nil, err
		}
	}
	b.run = b.forwardRows
	return b, nil
}

type boundNorm struct {
	*Norm
	x          *Exec
	gain, bias []float32
	run        func(lo, hi int)
}

func (b *boundNorm) forward() { b.x.forRows(b.width*4, b.run) }

func (b *boundNorm) forwardRows(lo, hi int) {
	in, out := b.x.value(b.in), b.x.value(b.out)
	for r := lo; r < hi; r++ {
		x, y := in[r*b.width:(r+1)*b.width], out[r*b.width:(r+1)*b.width]
		if b.bias == nil {
			kernel.RMSNorm(y, x, b.gain, b.Eps)
		} else {
			kernel.LayerNorm(y, x, b.gain, b.bias, b.Eps)
		}
	}
}

// backward: with z = (x-mean)/s the normalised row and d = dy·gain,
// dx = (d - mean(d) - z·mean(d·z)) / s; RMSNorm has no mean terms.
func (b *boundNorm) backward() {
	in, dy, dx := b.x.value(b.in), b.x.grad(b.out), b.x.grad(b.in)
	dgain, dbias := b.x.paramGrad(b.Gain), b.x.paramGrad(b.Bias)
	w := b.width
	for r := range b.x.rows {
		row, g, out := in[r*w:(r+1)*w], dy[r*w:(r+1)*w], dx[r*w:(r+1)*w]
		mean, inv := b.moments(row)
		var sumD, sumDZ float64
		for i, v := range row {
			z := (float64(v) - mean) * inv
			d := float64(g[i]) * float64(b.gain[i])
			sumD += d
			sumDZ += d * z
			if dgain != nil {
				dgain[i] += float32(float64(g[i]) * z)
			}
			if dbias != nil {
				dbias[i] += g[i]
			}
		}
		if b.bias == nil {
			sumD = 0
		}
		n := float64(w)
		for i, v := range row {
			z := (float64(v) - mean) * inv
			d := float64(g[i]) * float64(b.gain[i])
			out[i] += float32((d - sumD/n - z*sumDZ/n) * inv)
		}
	}
}

// moments returns the row's mean (0 for RMSNorm) and 1/sqrt(second moment + eps).
func (b *boundNorm) moments(row []float32) (mean, inv float64) {
	var sum, sq float64
	for _, v := range row {
		sum += float64(v)
	}
	if b.bias != nil {
		mean = sum / float64(len(row))
	}
	for _, v := range row {
		sq += (float64(v) - mean) * (float64(v) - mean)
	}
	return mean, 1 / math.Sqrt(sq/float64(len(row))+float64(b.Eps))
}
