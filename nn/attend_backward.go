package nn

import (
	"math"

	"hone/kernel"
)

// backward recomputes the weights of each query from the saved, rotated q and k:
// dv += pᵀ·dy, dp = dy·vᵀ, ds = p·(dp - Σ p·dp), dq = ds·k·scale, dk += dsᵀ·q·scale.
// It takes whole sequences only (Pos 0, the batch's own rows), as training has them.
func (b *boundAttend) backward() {
	x := b.x
	dq, dk := make([]float32, x.rows*b.heads*b.dim), make([]float32, x.rows*b.kvHeads*b.dim)
	for _, seq := range x.batch.Seqs {
		p, dp := make([]float64, seq.Len), make([]float64, seq.Len)
		for h := range b.heads {
			for t := range seq.Len {
				n := seq.Len
				if b.spec.Causal {
					n = t + 1
				}
				b.weights(p[:n], seq, h, t)
				b.backwardQuery(p[:n], dp[:n], seq, h, t, dq, dk)
			}
		}
	}
	if b.rope != nil {
		for r := range x.rows {
			b.rope.unapply(dq[r*b.heads*b.dim:(r+1)*b.heads*b.dim], x.rowPos[r], b.dim)
			b.rope.unapply(dk[r*b.kvHeads*b.dim:(r+1)*b.kvHeads*b.dim], x.rowPos[r], b.dim)
		}
	}
	kernel.Add(x.grad(b.q), x.grad(b.q), dq)
	kernel.Add(x.grad(b.k), x.grad(b.k), dk)
}

func (b *boundAttend) qRow(r, h int) int  { return (r*b.heads + h) * b.dim }
func (b *boundAttend) kvRow(r, h int) int { return (r*b.kvHeads + h/b.group) * b.dim }

// weights fills p with the softmax weights of query t of head h over the first len(p) keys of seq.
func (b *boundAttend) weights(p []float64, seq Seq, h, t int) {
	q, k := b.x.value(b.q)[b.qRow(seq.Offset+t, h):], b.x.value(b.k)
	most := math.Inf(-1)
	for j := range p {
		key := k[b.kvRow(seq.Offset+j, h):]
		var s float64
		for d := range b.dim {
			s += float64(q[d]) * float64(key[d])
		}
		p[j] = s * float64(b.scale)
		most = max(most, p[j])
	}
	var sum float64
	for j := range p {
		p[j] = math.Exp(p[j] - most)
		sum += p[j]
	}
	for j := range p {
		p[j] /= sum
	}
}

func (b *boundAttend) backwardQuery(p, dp []float64, seq Seq, h, t int, dq, dk []float32) {
	x := b.x
	row := b.qRow(seq.Offset+t, h)
	dy, q, k := x.grad(b.out)[row:], x.value(b.q)[row:], x.value(b.k)
	v, dv := x.value(b.v), x.grad(b.v)
	var mean float64
	for j := range p {
		at := b.kvRow(seq.Offset+j, h)
		dp[j] = 0
		for d := range b.dim {
			dp[j] += float64(dy[d]) * float64(v[at+d])
			dv[at+d] += float32(p[j] * float64(dy[d]))
		}
		mean += p[j] * dp[j]
	}
	for j := range p {
		at := b.kvRow(seq.Offset+j, h)
		ds := p[j] * (dp[j] - mean) * float64(b.scale)
		for d := range b.dim {
			dq[row+d] += float32(ds * float64(k[at+d]))
			dk[at+d] += float32(ds * float64(q[d]))
		}
	}
}
