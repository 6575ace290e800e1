package nn

import (
	"math"
	"slices"

	"hone/kernel"
)

// Norm is RMSNorm (Zhang and Sennrich 2019) or LayerNorm (Ba et al. 2016) over the features of a row, or of each head.
type Norm struct {
	Gain, Bias string // "": none
	Eps        float32
	Center     bool // LayerNorm: the mean is taken off first
	PlusOne    bool // the gain is 1 + the weight (Gemma)
	in, out    Value
	width      int
	each       int // features that are normalised together: all of the row, or a head
	unit       int // how the value is cut over ranks, 0: not
}

// RMSNorm normalises by the root mean square: y = x / sqrt(mean(x²)+eps) · gain.
func (b *Builder) RMSNorm(x Value, name string, eps float32) Value {
	return b.norm(x, Norm{Gain: name + ".weight", Eps: eps})
}

// RMSNormPlusOne is RMSNorm whose gain is 1 + the weight (Gemma).
func (b *Builder) RMSNormPlusOne(x Value, name string, eps float32) Value {
	return b.norm(x, Norm{Gain: name + ".weight", Eps: eps, PlusOne: true})
}

// LayerNorm normalises by mean and variance: y = (x-mean) / sqrt(var+eps) · gain + bias.
func (b *Builder) LayerNorm(x Value, name string, eps float32) Value {
	return b.norm(x, Norm{Gain: name + ".weight", Bias: name + ".bias", Eps: eps, Center: true})
}

// LayerNormNoBias is LayerNorm without the bias.
func (b *Builder) LayerNormNoBias(x Value, name string, eps float32) Value {
	return b.norm(x, Norm{Gain: name + ".weight", Eps: eps, Center: true})
}

// LayerNormBare is LayerNorm without gain and bias.
func (b *Builder) LayerNormBare(x Value, eps float32) Value {
	return b.norm(x, Norm{Eps: eps, Center: true})
}

func (b *Builder) norm(x Value, n Norm) Value {
	info := b.p.values[x]
	if n.Gain != "" {
		n.Gain = b.name(n.Gain)
	}
	if n.Bias != "" {
		n.Bias = b.name(n.Bias)
	}
	if n.each == 0 {
		n.each = info.width
	}
	n.in, n.out, n.width, n.unit = x, b.value(info.width, info.unit), info.width, info.unit
	b.emit(&n)
	return n.out
}

// Params: a gain of a whole cut row is cut with it, one of a head is the same on every rank.
func (n *Norm) Params() []Param {
	if n.Gain == "" {
		return nil
	}
	gain := Param{Name: n.Gain, Rows: 1, Cols: n.each, Vector: true}
	if n.unit > 0 && n.each == n.width {
		gain.Shard, gain.Unit = Column, n.unit
	}
	if n.Bias == "" {
		return []Param{gain}
	}
	bias := gain
	bias.Name = n.Bias
	return []Param{gain, bias}
}
func (n *Norm) Inputs() []Value  { return []Value{n.in} }
func (n *Norm) Outputs() []Value { return []Value{n.out} }
func (n *Norm) Cost(p *Program, tokens, _ int) Cost {
	c := Cost{Flops: int64(tokens) * int64(n.width) * 4, WeightFloats: int64(n.each)}
	if n.Gain == "" {
		c.WeightFloats = 0
	}
	return c
}

func (n *Norm) bind(x *Exec) (bound, error) {
	b := &boundNorm{Norm: n, x: x, local: x.width(n.in)}
	var err error
	if b.gain, err = n.gains(x); err != nil {
		return nil, err
	}
	if n.Bias != "" {
		if b.bias, err = x.vector(n.Params()[1]); err != nil {
			return nil, err
		}
	}
	b.part = min(n.each, b.local)
	b.run = b.forwardRows
	if b.cut() {
		b.squares = make([]float32, x.opt.MaxTokens)
		b.run = b.scaleRows
	}
	return b, nil
}

// gains are what normalised features are multiplied by.
func (n *Norm) gains(x *Exec) ([]float32, error) {
	if n.Gain == "" {
		return slices.Repeat([]float32{1}, n.each), nil
	}
	gain, err := x.vector(n.Params()[0])
	if err != nil || !n.PlusOne {
		return gain, err
	}
	gain = slices.Clone(gain)
	for i := range gain {
		gain[i]++
	}
	return gain, nil
}

type boundNorm struct {
	*Norm
	x          *Exec
	local      int // features of this rank's rows
	part       int // features of this rank that are normalised together
	gain, bias []float32
	squares    []float32 // of a cut row: the sum of squares
	run        func(lo, hi int)
}

// cut tells whether a row is normalised over several ranks; then it has no mean (RMSNorm).
func (b *boundNorm) cut() bool { return b.unit > 0 && b.each == b.width && b.x.ranks() > 1 }

func (b *boundNorm) forward() {
	if b.cut() {
		in := b.x.value(b.in)
		for r := range b.x.rows {
			b.squares[r] = kernel.SumSq(in[r*b.local : (r+1)*b.local])
		}
		b.x.allReduce(b.squares[:b.x.rows])
	}
	b.x.forRows(b.local*4, b.run)
}

func (b *boundNorm) forwardRows(lo, hi int) {
	in, out := b.x.value(b.in), b.x.value(b.out)
	for at := lo * b.local; at < hi*b.local; at += b.part {
		x, y := in[at:at+b.part], out[at:at+b.part]
		if b.Center {
			kernel.LayerNorm(y, x, b.gain, b.bias, b.Eps)
		} else {
			kernel.RMSNorm(y, x, b.gain, b.Eps)
		}
	}
}

// scaleRows is forwardRows of cut rows, whose squares are known.
func (b *boundNorm) scaleRows(lo, hi int) {
	in, out := b.x.value(b.in), b.x.value(b.out)
	for r := lo; r < hi; r++ {
		x, y := in[r*b.local:(r+1)*b.local], out[r*b.local:(r+1)*b.local]
		kernel.Scale(y, x, float32(1/math.Sqrt(float64(b.squares[r])/float64(b.width)+float64(b.Eps))))
		kernel.Mul(y, y, b.gain)
	}
}

// backward: with z = (x-mean)/s the normalised features and d = dy·gain,
// dx = (d - mean(d) - z·mean(d·z)) / s; RMSNorm has no mean terms.
func (b *boundNorm) backward() {
	in, dy, dx := b.x.value(b.in), b.x.grad(b.out), b.x.grad(b.in)
	mean, inv := b.moments(in)
	sumD, sumDZ := make([]float64, len(mean)), make([]float64, len(mean))
	dgain, dbias := make([]float32, b.part), make([]float32, b.part)
	for i, v := range in {
		part, f := i/b.part, i%b.part
		z, d := (float64(v)-mean[part])*inv[part], float64(dy[i])*float64(b.gain[f])
		sumD[part] += d
		sumDZ[part] += d * z
		dgain[f] += float32(float64(dy[i]) * z)
		dbias[f] += dy[i]
	}
	if b.cut() {
		b.sumRanks(sumDZ)
	}
	n := float64(b.each)
	for i, v := range in {
		part, f := i/b.part, i%b.part
		z, d := (float64(v)-mean[part])*inv[part], float64(dy[i])*float64(b.gain[f])
		if b.Center {
			d -= sumD[part] / n
		}
		dx[i] += float32((d - z*sumDZ[part]/n) * inv[part])
	}
	b.addGrad(b.Gain, dgain)
	b.addGrad(b.Bias, dbias)
}

// addGrad adds to a parameter's gradient; that of heads which are cut over ranks is the sum over all of them.
func (b *boundNorm) addGrad(name string, g []float32) {
	sum := b.x.paramGrad(name)
	if sum == nil {
		return
	}
	if b.unit > 0 && !b.cut() {
		b.x.allReduce(g)
	}
	kernel.Add(sum, sum, g)
}

// moments returns, for all features that are normalised together, their mean (0 for RMSNorm) and
// 1/sqrt(second moment + eps).
func (b *boundNorm) moments(in []float32) (mean, inv []float64) {
	mean, inv = make([]float64, len(in)/b.part), make([]float64, len(in)/b.part)
	for i, v := range in {
		if b.Center {
			mean[i/b.part] += float64(v) / float64(b.part)
		}
	}
	for i, v := range in {
		inv[i/b.part] += (float64(v) - mean[i/b.part]) * (float64(v) - mean[i/b.part])
	}
	if b.cut() {
		b.sumRanks(inv)
	}
	for i, sq := range inv {
		inv[i] = 1 / math.Sqrt(sq/float64(b.each)+float64(b.Eps))
	}
	return mean, inv
}

func (b *boundNorm) sumRanks(v []float64) {
	sum := make([]float32, len(v))
	for i := range v {
		sum[i] = float32(v[i])
	}
	b.x.allReduce(sum)
	for i := range v {
		v[i] = float64(sum[i])
	}
}
