package nn

import (
	"math"
	"slices"

	"hone/kernel"
)

// Attention is scaled dot-product attention with grouped queries (Vaswani et al. 2017; Ainslie et al. 2023) and
// rotary positions (Su et al. 2021), between its four linears.
type Attention struct {
	Q, K, V, O           string // names of the linears, relative to the prefix
	Bias                 bool
	Heads, KVHeads, Size int // Size: width of a head
	Causal               bool
	// InvFreq holds the Size/2 rotary frequencies in radians a position; nil: no rotary positions.
	InvFreq []float64
}

// Attention emits q, k, v, the attention and the output projection of x [rows, width]; the value has x's shape. Heads is a
// multiple of KVHeads, and Size is even where there are rotary positions.
func (b *Builder) Attention(x Value, prefix string, a Attention) Value {
	group := a.Heads / a.KVHeads
	lin := func(name string, heads, unit int) Linear {
		l := Linear{Name: prefix + "." + name + ".weight", Out: heads * a.Size, Unit: unit}
		if a.Bias {
			l.Bias = prefix + "." + name + ".bias"
		}
		return l
	}
	qkv := b.ColumnLinears(x, lin(a.Q, a.Heads, group*a.Size), lin(a.K, a.KVHeads, a.Size), lin(a.V, a.KVHeads, a.Size))
	y := b.attend(qkv[0], qkv[1], qkv[2], a)
	o := lin(a.O, a.Heads, 0)
	return b.RowLinear(y, o.Name, o.Bias, b.p.Width(x))
}

// Attend is the attention itself. Rotary positions are applied in place to the values of q and k.
type Attend struct {
	spec         Attention
	q, k, v, out Value
	layer        int
}

func (b *Builder) attend(q, k, v Value, spec Attention) Value {
	info := b.p.values[q]
	out := b.value(info.width, info.unit)
	b.emit(&Attend{spec, q, k, v, out, len(b.p.heads)})
	b.p.heads = append(b.p.heads, attentionShape{spec.KVHeads, spec.Size, spec.Heads / spec.KVHeads})
	return out
}

func (a *Attend) Params() []Param  { return nil }
func (a *Attend) Inputs() []Value  { return []Value{a.q, a.k, a.v} }
func (a *Attend) Outputs() []Value { return []Value{a.out} }
func (a *Attend) Cost(_ *Program, tokens, context int) Cost {
	return Cost{Flops: 4 * int64(tokens) * int64(context) * int64(a.spec.Heads*a.spec.Size)}
}

// tileKeys is the number of keys whose scores are held at once: a tile starts at a multiple of it, so the order in
// which a query meets its keys depends on their positions alone.
const tileKeys = 4 * BlockTokens

// queryRows bounds the rows of one task's score tile.
const queryRows = 48

type attendScratch struct {
	q, scores, out, tile []float32
	max, sum             []float32
}

type boundAttend struct {
	*Attend
	x               *Exec
	heads, kvHeads  int // of this rank
	group, dim, pad int
	scale           float32
	rope            *ropeTable
	run             func(lo, hi int)
}

func (a *Attend) bind(x *Exec) (bound, error) {
	s := a.spec
	b := &boundAttend{Attend: a, x: x, dim: s.Size, pad: padded(s.Size), group: s.Heads / s.KVHeads}
	b.heads, b.kvHeads = x.width(a.q)/s.Size, x.width(a.k)/s.Size
	b.scale = float32(1 / math.Sqrt(float64(s.Size)))
	if s.InvFreq != nil {
		b.rope = x.ropeFor(s.InvFreq)
	}
	b.run = b.storeRows
	return b, nil
}

func (b *boundAttend) forward() {
	b.x.forRows(b.x.width(b.q)*4, b.run)
	b.x.opt.Pool.Run(len(b.x.chunks)*b.kvHeads, b)
}

// storeRows rotates q and k of rows [lo, hi) and writes k and v to the store.
func (b *boundAttend) storeRows(lo, hi int) {
	x := b.x
	q, k, v := x.value(b.q), x.value(b.k), x.value(b.v)
	for r := lo; r < hi; r++ {
		pos := x.rowPos[r]
		qr := q[r*b.heads*b.dim : (r+1)*b.heads*b.dim]
		kr := k[r*b.kvHeads*b.dim : (r+1)*b.kvHeads*b.dim]
		if b.rope != nil {
			b.rope.apply(qr, pos, b.dim)
			b.rope.apply(kr, pos, b.dim)
		}
		block := x.block(x.rowSeq[r], pos)
		for h := range b.kvHeads {
			x.store.put(x.storeLayer(b.layer), block, h, pos%BlockTokens, kr[h*b.dim:(h+1)*b.dim], v[(r*b.kvHeads+h)*b.dim:(r*b.kvHeads+h+1)*b.dim])
		}
	}
}

// chunk is a run of tokens of one sequence that one task handles for one head group.
type chunk struct{ seq, from, n int }

// Do runs task i: one chunk of queries against one key/value head.
func (b *boundAttend) Do(i, worker int) {
	c, head := b.x.chunks[i/b.kvHeads], i%b.kvHeads
	s := b.x.attendScratch[worker]
	seq := &b.x.batch.Seqs[c.seq]
	rows := c.n * b.group
	b.gather(s, seq, c, head)
	for r := range rows {
		s.max[r], s.sum[r] = float32(math.Inf(-1)), 0
	}
	clear(s.out[:rows*b.pad])
	end := seq.Pos + seq.Len
	if b.spec.Causal {
		end = seq.Pos + c.from + c.n
	}
	for tile := 0; tile < end; tile += tileKeys {
		b.tile(s, seq, c, head, tile, min(tileKeys, end-tile))
	}
	b.scatter(s, seq, c, head)
}

// gather copies the chunk's scaled queries of one head group to rows (token, head).
func (b *boundAttend) gather(s *attendScratch, seq *Seq, c chunk, head int) {
	q := b.x.value(b.q)
	n := b.group * b.dim
	for t := range c.n {
		at := (seq.Offset+c.from+t)*b.heads*b.dim + head*n
		kernel.Scale(s.q[t*n:(t+1)*n], q[at:at+n], b.scale)
	}
}

// tile adds n keys from position first on to the running softmax of every row (Milakov and Gimelshein 2018).
func (b *boundAttend) tile(s *attendScratch, seq *Seq, c chunk, head, first, n int) {
	x, layer, rows := b.x, b.x.storeLayer(b.layer), c.n*b.group
	for at := 0; at < n; at += BlockTokens {
		keys := x.store.keys(layer, x.block(c.seq, first+at), head, s.tile)
		kernel.Panel(rows, b.dim, s.q, b.dim, keys, BlockTokens, s.scores[at:], tileKeys, false)
	}
	for r := range rows {
		seen := n
		if b.spec.Causal {
			seen = min(n, seq.Pos+c.from+r/b.group+1-first)
		}
		b.softmaxRow(s, r, n, max(seen, 0))
	}
	for at := 0; at < n; at += BlockTokens {
		values := x.store.values(layer, x.block(c.seq, first+at), head, s.tile)
		for d := 0; d < b.pad; d += kernel.PanelWidth {
			kernel.Panel(rows, min(BlockTokens, n-at), s.scores[at:], tileKeys, values[d:], b.pad, s.out[d:], b.pad, true)
		}
	}
}

// softmaxRow turns the row's first seen scores into weights relative to its running maximum and clears the rest.
func (b *boundAttend) softmaxRow(s *attendScratch, r, n, seen int) {
	row := s.scores[r*tileKeys : r*tileKeys+n]
	clear(row[seen:])
	if seen == 0 {
		return
	}
	if m := kernel.Max(row[:seen]); m > s.max[r] {
		shrink := float32(math.Exp(float64(s.max[r] - m)))
		out := s.out[r*b.pad : (r+1)*b.pad]
		kernel.Scale(out, out, shrink)
		s.sum[r] *= shrink
		s.max[r] = m
	}
	s.sum[r] += kernel.ExpSum(row[:seen], row[:seen], s.max[r])
}

func (b *boundAttend) scatter(s *attendScratch, seq *Seq, c chunk, head int) {
	out := b.x.value(b.out)
	for r := range c.n * b.group {
		at := (seq.Offset+c.from+r/b.group)*b.heads*b.dim + (head*b.group+r%b.group)*b.dim
		kernel.Scale(out[at:at+b.dim], s.out[r*b.pad:r*b.pad+b.dim], 1/s.sum[r])
	}
}

// ropeTable holds cos and sin of position·frequency for positions below its length.
type ropeTable struct {
	freq     []float64
	cos, sin []float32
}

// grow extends the table to positions [0, n).
func (t *ropeTable) grow(n int) {
	if more := n*len(t.freq) - len(t.cos); more > 0 {
		t.cos, t.sin = slices.Grow(t.cos, more), slices.Grow(t.sin, more)
	}
	for p := len(t.cos) / len(t.freq); p < n; p++ {
		for _, f := range t.freq {
			sin, cos := math.Sincos(float64(p) * f)
			t.cos, t.sin = append(t.cos, float32(cos)), append(t.sin, float32(sin))
		}
	}
}

func (t *ropeTable) apply(x []float32, pos, dim int) {
	n := len(t.freq)
	cos, sin := t.cos[pos*n:(pos+1)*n], t.sin[pos*n:(pos+1)*n]
	for at := 0; at < len(x); at += dim {
		kernel.Rope(x[at:at+dim], cos, sin)
	}
}

// unapply rotates gradients back: the transpose of a rotation is the rotation by the opposite angle.
func (t *ropeTable) unapply(x []float32, pos, dim int) {
	n := len(t.freq)
	for at := 0; at < len(x); at += dim {
		for i := range n {
			cos, sin := t.cos[pos*n+i], t.sin[pos*n+i]
			a, b := x[at+i], x[at+n+i]
			x[at+i], x[at+n+i] = a*cos+b*sin, b*cos-a*sin
		}
	}
}
