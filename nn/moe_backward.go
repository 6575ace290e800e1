package nn

import (
	"math"
	"slices"

	"hone/kernel"
	"hone/quant"
)

// backward runs the rows forward once more, then for each pair of a row and an expert of weight w and output d:
// dw = dy·d, dd = w·dy, and from there through the expert as through any MLP. The choice of experts has no slope.
func (b *boundMoE) backward() {
	tap := b.x.opt.Tap
	b.x.opt.Tap = nil
	defer func() { b.x.opt.Tap = tap }()
	for lo := 0; lo < b.x.rows; lo += moeRows {
		b.lo, b.n = lo, min(moeRows, b.x.rows-lo)
		b.route()
		b.widen()
		gate := slices.Clone(b.s.gate[:b.pairs()*b.local])
		b.activatePairs(0, b.pairs())
		b.narrow()
		dx := make([]float32, b.n*b.width)
		for i := range b.experts {
			if b.s.first[i] < b.s.first[i+1] {
				b.backwardExpert(i, gate, dx)
			}
		}
		b.x.allReduce(dx)
		b.backwardRouter(dx)
		sum := b.rows(b.x.grad(b.in))
		kernel.Add(sum, sum, dx)
	}
}

// backwardExpert adds to dx [rows, width] and to the gradients of expert i; gate is what it was before the activation.
func (b *boundMoE) backwardExpert(i int, gate, dx []float32) {
	s, x, e, w := b.s, b.x, &b.experts[i], b.width
	from, to := int(s.first[i]), int(s.first[i+1])
	n := to - from
	in, dy := b.rows(x.value(b.in)), b.rows(x.grad(b.out))
	xs, dd, dh := make([]float32, n*w), make([]float32, n*w), make([]float32, n*b.local)
	for k, r := range s.row[from:to] {
		copy(xs[k*w:(k+1)*w], in[int(r)*w:])
		kernel.Scale(dd[k*w:(k+1)*w], dy[int(r)*w:(int(r)+1)*w], b.pairWeight(from+k))
	}
	e.down.MulT(dh, b.local, dd, w, n)
	names := b.linears(i)
	b.addGrads(names[2], dd, w, s.gate[from*b.local:to*b.local], b.local, n)
	dgate, dup := make([]float32, n*b.local), make([]float32, n*b.local)
	for j, d := range dh {
		sg, su := b.slope(float64(gate[from*b.local+j]), float64(s.up[from*b.local+j]))
		dgate[j], dup[j] = d*float32(sg), d*float32(su)
	}
	b.addGrads(names[0], dgate, b.local, xs, w, n)
	b.addGrads(names[1], dup, b.local, xs, w, n)
	part := make([]float32, n*w)
	for k, packed := range []quant.Packed{e.gate, e.up} {
		packed.MulT(part, w, [][]float32{dgate, dup}[k], b.local, n)
		for k, r := range s.row[from:to] {
			sum := dx[int(r)*w : (int(r)+1)*w]
			kernel.Add(sum, sum, part[k*w:(k+1)*w])
		}
	}
}

// pairWeight is the weight of a grouped pair.
func (b *boundMoE) pairWeight(at int) float32 {
	first := int(b.s.row[at]) * b.spec.Active
	return b.s.weight[first+slices.Index(b.s.at[first:first+b.spec.Active], int32(at))]
}

// addGrads adds dYᵀ·X and the column sums of dY to the gradients of a linear and its bias.
func (b *boundMoE) addGrads(l expertLinear, dy []float32, rows int, x []float32, cols, n int) {
	if g := b.x.paramGrad(l.weight.Name); g != nil {
		kernel.GemmTN(b.x.opt.Pool, rows, cols, n, dy, rows, x, cols, g, cols, true)
	}
	if g := b.x.paramGrad(l.bias.Name); g != nil {
		for k := range n {
			kernel.Add(g, g, dy[k*rows:(k+1)*rows])
		}
	}
}

// slope is that of the features between up and down by gate and by up.
func (b *boundMoE) slope(gate, up float64) (byGate, byUp float64) {
	if b.spec.Limit == 0 {
		return siluMulKind.slope(gate, up)
	}
	alpha, limit := b.spec.Alpha, b.spec.Limit
	g, u := min(gate, limit), max(min(up, limit), -limit)
	sigmoid := 1 / (1 + math.Exp(-alpha*g))
	if gate <= limit {
		byGate = (u + 1) * sigmoid * (1 + alpha*g*(1-sigmoid))
	}
	if math.Abs(up) <= limit {
		byUp = g * sigmoid
	}
	return byGate, byUp
}

// backwardRouter adds the router's part to dx: the weights are a softmax over the chosen logits, or over all.
func (b *boundMoE) backwardRouter(dx []float32) {
	s, count := b.s, b.spec.Count
	dw := b.weightGrads()
	dlogits := make([]float32, b.n*count)
	for r := range b.n {
		pick, p := s.pick[r*b.spec.Active:(r+1)*b.spec.Active], s.weight[r*b.spec.Active:(r+1)*b.spec.Active]
		var mean, chosen float64
		for k, w := range p {
			mean += float64(w) * float64(dw[r*b.spec.Active+k])
			chosen += float64(w)
		}
		row, logits := dlogits[r*count:(r+1)*count], s.logits[r*count:(r+1)*count]
		if !b.spec.Normalize { // the logits of those chosen are -Inf by now
			rest := float64(kernel.LogSumExp(logits))
			for i, l := range logits {
				row[i] = float32(-mean * (1 - chosen) * math.Exp(float64(l)-rest))
			}
		}
		for k, e := range pick {
			row[e] = float32(float64(p[k]) * (float64(dw[r*b.spec.Active+k]) - mean))
		}
	}
	part := make([]float32, len(dx))
	b.router.MulT(part, b.width, dlogits, count, b.n)
	kernel.Add(dx, dx, part)
	ps := append(b.routerParams(), Param{})
	b.addGrads(expertLinear{ps[0], ps[1]}, dlogits, count, b.rows(b.x.value(b.in)), b.width, b.n)
}

// weightGrads is dy·d for each pair, in the order of rows, over all ranks.
func (b *boundMoE) weightGrads() []float32 {
	s, w := b.s, b.width
	dw, dy := make([]float32, b.pairs()), b.rows(b.x.grad(b.out))
	for k, at := range s.at[:b.pairs()] {
		r := k / b.spec.Active
		dw[k] = kernel.Dot(dy[r*w:(r+1)*w], s.down[int(at)*w:(int(at)+1)*w])
	}
	b.x.allReduce(dw)
	if b.spec.Bias {
		for k, e := range s.pick[:b.pairs()] {
			r := k / b.spec.Active
			dw[k] += kernel.Dot(dy[r*w:(r+1)*w], b.experts[e].downBias)
		}
	}
	return dw
}
