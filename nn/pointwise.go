package nn

import (
	"math"

	"hone/kernel"
)

// Pointwise combines one or two values of equal shape element by element.
type Pointwise struct {
	kind pointwiseKind
	in   []Value
	out  Value
}

type pointwiseKind struct {
	name    string
	flops   int
	forward func(y, a, b []float32)
	// slope returns dy/da and dy/db at (a, b).
	slope func(a, b float64) (da, db float64)
}

var (
	addKind     = pointwiseKind{"add", 1, kernel.Add, func(a, b float64) (float64, float64) { return 1, 1 }}
	siluMulKind = pointwiseKind{"silu_mul", 12, kernel.SiLUMul, func(g, u float64) (float64, float64) {
		s := 1 / (1 + math.Exp(-g))
		return u * s * (1 + g*(1-s)), g * s
	}}
	geluKind        = unaryKind("gelu", kernel.GELU, gelu64)
	geluTanhKind    = unaryKind("gelu_tanh", kernel.GELUTanh, geluTanh64)
	geluMulKind     = gateKind("gelu_mul", kernel.GELU, gelu64)
	geluTanhMulKind = gateKind("gelu_tanh_mul", kernel.GELUTanh, geluTanh64)
	reluKind        = unaryKind("relu", relu, relu64)
	reluMulKind     = gateKind("relu_mul", relu, relu64)
)

// unaryKind is a function of one value; both gives it and its slope.
func unaryKind(name string, f func(y, a []float32), both func(a float64) (y, slope float64)) pointwiseKind {
	return pointwiseKind{name, 20, func(y, a, _ []float32) { f(y, a) }, func(a, _ float64) (float64, float64) {
		_, slope := both(a)
		return slope, 0
	}}
}

// gateKind is f(gate)·up.
func gateKind(name string, f func(y, a []float32), both func(a float64) (y, slope float64)) pointwiseKind {
	forward := func(y, gate, up []float32) {
		f(y, gate)
		kernel.Mul(y, y, up)
	}
	return pointwiseKind{name, 21, forward, func(gate, up float64) (float64, float64) {
		y, slope := both(gate)
		return slope * up, y
	}}
}

// gelu64 is x·Φ(x) and its slope.
func gelu64(x float64) (y, slope float64) {
	phi := 0.5 * (1 + math.Erf(x/math.Sqrt2))
	return x * phi, phi + x*math.Exp(-x*x/2)/math.Sqrt(2*math.Pi)
}

// geluTanh64 is the tanh form of GELU and its slope.
func geluTanh64(x float64) (y, slope float64) {
	c := math.Sqrt(2 / math.Pi)
	t := math.Tanh(c * (x + 0.044715*x*x*x))
	return 0.5 * x * (1 + t), 0.5*(1+t) + 0.5*x*(1-t*t)*c*(1+3*0.044715*x*x)
}

// clampKind cuts values to [-limit, limit].
func clampKind(limit float64) pointwiseKind {
	most := float32(limit)
	forward := func(y, a, _ []float32) {
		for i, v := range a {
			y[i] = min(max(v, -most), most)
		}
	}
	return pointwiseKind{"clamp", 2, forward, func(a, _ float64) (float64, float64) {
		if math.Abs(a) < limit {
			return 1, 0
		}
		return 0, 0
	}}
}

func relu(y, a []float32) {
	for i, v := range a {
		y[i] = max(v, 0)
	}
}

// relu64 is max(x, 0) and its slope.
func relu64(x float64) (y, slope float64) {
	if x > 0 {
		return x, 1
	}
	return 0, 0
}

// Add is the residual sum.
func (b *Builder) Add(x, y Value) Value { return b.pointwise(addKind, x, y) }

// Scale multiplies by a constant.
func (b *Builder) Scale(x Value, s float64) Value {
	return b.pointwise(pointwiseKind{"scale", 1, func(y, a, _ []float32) { kernel.Scale(y, a, float32(s)) },
		func(a, _ float64) (float64, float64) { return s, 0 }}, x)
}

// SiLUMul is the gate of a gated MLP: silu(gate)·up (Shazeer 2020).
func (b *Builder) SiLUMul(gate, up Value) Value { return b.pointwise(siluMulKind, gate, up) }

// GELUMul is gelu(gate)·up, with the exact (erf) GELU.
func (b *Builder) GELUMul(gate, up Value) Value { return b.pointwise(geluMulKind, gate, up) }

// GELUTanhMul is gelu(gate)·up, with the tanh form of GELU.
func (b *Builder) GELUTanhMul(gate, up Value) Value { return b.pointwise(geluTanhMulKind, gate, up) }

// ReLUMul is relu(gate)·up.
func (b *Builder) ReLUMul(gate, up Value) Value { return b.pointwise(reluMulKind, gate, up) }

// GELU is the exact (erf) Gaussian error linear unit (Hendrycks and Gimpel 2016).
func (b *Builder) GELU(x Value) Value { return b.pointwise(geluKind, x) }

// GELUTanh is its tanh form: 0.5·x·(1 + tanh(sqrt(2/pi)·(x + 0.044715·x³))).
func (b *Builder) GELUTanh(x Value) Value { return b.pointwise(geluTanhKind, x) }

// ReLU is max(x, 0).
func (b *Builder) ReLU(x Value) Value { return b.pointwise(reluKind, x) }

// Clamp is min(max(x, -limit), limit).
func (b *Builder) Clamp(x Value, limit float64) Value { return b.pointwise(clampKind(limit), x) }

func (b *Builder) pointwise(kind pointwiseKind, in ...Value) Value {
	if len(in) == 2 {
		b.p.mustMatch(kind.name, in[0], in[1])
	}
	info := b.p.values[in[0]]
	out := b.value(info.width, info.unit)
	b.emit(&Pointwise{kind, in, out})
	return out
}

func (p *Pointwise) Params() []Param  { return nil }
func (p *Pointwise) Inputs() []Value  { return p.in }
func (p *Pointwise) Outputs() []Value { return []Value{p.out} }
func (p *Pointwise) Cost(g *Program, tokens, _ int) Cost {
	return Cost{Flops: int64(tokens) * int64(g.Width(p.out)) * int64(p.kind.flops)}
}
func (p *Pointwise) bind(x *Exec) (bound, error) {
	b := &boundPointwise{Pointwise: p, x: x, width: x.width(p.out)}
	b.run = b.forwardRows
	return b, nil
}

type boundPointwise struct {
	*Pointwise
	x     *Exec
	width int
	run   func(lo, hi int)
}

func (b *boundPointwise) operands(lo, hi int) (y, a, c []float32) {
	lo, hi = lo*b.width, hi*b.width
	y, a = b.x.value(b.out)[lo:hi], b.x.value(b.in[0])[lo:hi]
	if len(b.in) == 2 {
		c = b.x.value(b.in[1])[lo:hi]
	}
	return y, a, c
}

func (b *boundPointwise) forward() { b.x.forRows(b.width*b.kind.flops, b.run) }

func (b *boundPointwise) forwardRows(lo, hi int) {
	y, a, c := b.operands(lo, hi)
	b.kind.forward(y, a, c)
}

func (b *boundPointwise) backward() {
	_, a, c := b.operands(0, b.x.rows)
	dy, da := b.x.grad(b.out), b.x.grad(b.in[0])
	var dc []float32
	if c != nil {
		dc = b.x.grad(b.in[1])
	}
	for i, g := range dy[:b.x.rows*b.width] {
		var second float64
		if c != nil {
			second = float64(c[i])
		}
		sa, sc := b.kind.slope(float64(a[i]), second)
		da[i] += g * float32(sa)
		if dc != nil {
			dc[i] += g * float32(sc)
		}
	}
}
