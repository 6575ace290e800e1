package nn

import (
	"math"

	"hone/kernel"
)

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

func (a *Attend) Params() []Param {
	if a.spec.Sinks == "" {
		return nil
	}
	unit := a.spec.Heads / a.spec.KVHeads
	return []Param{{Name: a.spec.Sinks, Rows: 1, Cols: a.spec.Heads, Vector: true, Shard: Column, Unit: unit}}
}
func (a *Attend) Inputs() []Value  { return []Value{a.q, a.k, a.v} }
func (a *Attend) Outputs() []Value { return []Value{a.out} }
func (a *Attend) Cost(_ *Program, tokens, context int) Cost {
	if a.spec.Window > 0 {
		context = min(context, a.spec.Window)
	}
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
	sinks           []float32 // of this rank's heads; nil: none
	run             func(lo, hi int)
}

func (a *Attend) bind(x *Exec) (bound, error) {
	s := a.spec
	b := &boundAttend{Attend: a, x: x, dim: s.Size, pad: padded(s.Size), group: s.Heads / s.KVHeads}
	b.heads, b.kvHeads = x.width(a.q)/s.Size, x.width(a.k)/s.Size
	b.scale = float32(s.scale())
	if s.Rope != nil {
		b.rope = x.ropeFor(s.Rope)
	}
	b.run = b.storeRows
	if s.Sinks == "" {
		return b, nil
	}
	var err error
	b.sinks, err = x.vector(a.Params()[0])
	return b, err
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
		if b.sinks != nil { // a key of its own logit and no value, before all others
			s.max[r], s.sum[r] = b.sinks[head*b.group+r%b.group], 1
		}
	}
	clear(s.out[:rows*b.pad])
	first, _ := b.seen(seq, c.from)
	_, end := b.seen(seq, c.from+c.n-1)
	for tile := first / tileKeys * tileKeys; tile < end; tile += tileKeys {
		b.tile(s, seq, c, head, tile, min(tileKeys, end-tile))
	}
	b.scatter(s, seq, c, head)
}

// seen is the range of positions whose keys row t of a sequence's rows attends to.
func (b *boundAttend) seen(seq *Seq, t int) (from, to int) {
	if !b.spec.Causal {
		return 0, seq.Pos + seq.Len
	}
	to = seq.Pos + t + 1
	if b.spec.Window > 0 {
		from = max(0, to-b.spec.Window)
	}
	return from, to
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
		from, to := b.seen(seq, c.from+r/b.group)
		b.softmaxRow(s, r, n, min(max(from-first, 0), n), min(max(to-first, 0), n))
	}
	for at := 0; at < n; at += BlockTokens {
		values := x.store.values(layer, x.block(c.seq, first+at), head, s.tile)
		for d := 0; d < b.pad; d += kernel.PanelWidth {
			kernel.Panel(rows, min(BlockTokens, n-at), s.scores[at:], tileKeys, values[d:], b.pad, s.out[d:], b.pad, true)
		}
	}
}

// softmaxRow turns scores [from, to) of the row's n into weights relative to its running maximum and clears the rest.
func (b *boundAttend) softmaxRow(s *attendScratch, r, n, from, to int) {
	row := s.scores[r*tileKeys : r*tileKeys+n]
	if from >= to {
		clear(row)
		return
	}
	clear(row[:from])
	clear(row[to:])
	row = row[from:to]
	if b.spec.Softcap != 0 {
		softcap(row, float32(b.spec.Softcap))
	}
	if m := kernel.Max(row); m > s.max[r] {
		shrink := float32(math.Exp(float64(s.max[r] - m)))
		out := s.out[r*b.pad : (r+1)*b.pad]
		kernel.Scale(out, out, shrink)
		s.sum[r] *= shrink
		s.max[r] = m
	}
	s.sum[r] += kernel.ExpSum(row, row, s.max[r])
}

// softcap sets x to c·tanh(x/c), as c - 2c/(exp(2x/c)+1): within c·2e-7 of it.
func softcap(x []float32, c float32) {
	kernel.Scale(x, x, 2/c)
	kernel.Exp(x, x)
	for i, e := range x {
		x[i] = c - 2*c/(e+1)
	}
}

func (b *boundAttend) scatter(s *attendScratch, seq *Seq, c chunk, head int) {
	out := b.x.value(b.out)
	for r := range c.n * b.group {
		at := (seq.Offset+c.from+r/b.group)*b.heads*b.dim + (head*b.group+r%b.group)*b.dim
		kernel.Scale(out[at:at+b.dim], s.out[r*b.pad:r*b.pad+b.dim], 1/s.sum[r])
	}
}
