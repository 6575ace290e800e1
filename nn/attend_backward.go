package nn

import (
	"math"

	"hone/kernel"
)

// backward recomputes the weights of each query from the saved, rotated q and k:
// dv += pᵀ·dy, dp = dy·vᵀ, ds = p·(dp - Σ p·dp), dq = ds·k·scale, dk += dsᵀ·q·scale. A soft cap multiplies ds by its
// slope 1 - (s/cap)²; a sink has a weight but no value: its own dp is 0.
// It takes whole sequences only (Pos 0, the batch's own rows), as training has them.
func (b *boundAttend) backward() {
	x := b.x
	dq, dk := make([]float32, x.rows*b.heads*b.dim), make([]float32, x.rows*b.kvHeads*b.dim)
	for i := range x.batch.Seqs {
		seq := &x.batch.Seqs[i]
		all := make([]attendKey, seq.Len)
		for h := range b.heads {
			for t := range seq.Len {
				from, to := b.seen(seq, t)
				b.backwardQuery(all[from:to], seq, h, t, from, dq, dk)
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

// attendKey is what one key is to one query.
type attendKey struct {
	p, dp float64 // its weight, and the gradient of that
	slope float64 // of the score by the scaled product
}

// weights fills keys with the softmax weights that query t of head h gives to the keys from position first on, and
// returns the weight of the sink.
func (b *boundAttend) weights(keys []attendKey, seq *Seq, h, t, first int) (sink float64) {
	q, k := b.x.value(b.q)[b.qRow(seq.Offset+t, h):], b.x.value(b.k)
	most := math.Inf(-1)
	if b.sinks != nil {
		most = float64(b.sinks[h])
	}
	for j := range keys {
		key := k[b.kvRow(seq.Offset+first+j, h):]
		var s float64
		for d := range b.dim {
			s += float64(q[d]) * float64(key[d])
		}
		keys[j].p, keys[j].slope = b.capped(s * float64(b.scale))
		most = max(most, keys[j].p)
	}
	var sum float64
	if b.sinks != nil {
		sink = math.Exp(float64(b.sinks[h]) - most)
		sum = sink
	}
	for j := range keys {
		keys[j].p = math.Exp(keys[j].p - most)
		sum += keys[j].p
	}
	for j := range keys {
		keys[j].p /= sum
	}
	return sink / sum
}

// capped is a score after the soft cap, and its slope.
func (b *boundAttend) capped(s float64) (score, slope float64) {
	c := b.spec.Softcap
	if c == 0 {
		return s, 1
	}
	th := math.Tanh(s / c)
	return c * th, 1 - th*th
}

func (b *boundAttend) backwardQuery(keys []attendKey, seq *Seq, h, t, first int, dq, dk []float32) {
	x := b.x
	sink := b.weights(keys, seq, h, t, first)
	row := b.qRow(seq.Offset+t, h)
	dy, q, k := x.grad(b.out)[row:], x.value(b.q)[row:], x.value(b.k)
	v, dv := x.value(b.v), x.grad(b.v)
	var mean float64
	for j := range keys {
		key, at := &keys[j], b.kvRow(seq.Offset+first+j, h)
		key.dp = 0
		for d := range b.dim {
			key.dp += float64(dy[d]) * float64(v[at+d])
			dv[at+d] += float32(key.p * float64(dy[d]))
		}
		mean += key.p * key.dp
	}
	if g := x.paramGrad(b.spec.Sinks); g != nil {
		g[h] -= float32(sink * mean)
	}
	for j := range keys {
		key, at := &keys[j], b.kvRow(seq.Offset+first+j, h)
		ds := key.p * (key.dp - mean) * key.slope * float64(b.scale)
		for d := range b.dim {
			dq[row+d] += float32(ds * float64(k[at+d]))
			dk[at+d] += float32(ds * float64(q[d]))
		}
	}
}
