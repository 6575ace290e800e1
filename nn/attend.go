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

// tileKeys is the number of keys whose softmax is taken at once. A tile starts at a multiple of it, and the tiles of a
// query are merged in order: its bits depend on positions alone, not on how rows and tiles are shared out as tasks.
const tileKeys = 8 * BlockTokens

// queryRows bounds the rows of one task's score tile.
const queryRows = 48

// partial is the softmax of some rows over some keys: the largest score, the sum of exp(score - max), and the values
// weighted by that.
type partial struct {
	max, sum []float32 // [rows]
	out      []float32 // [rows, pad]
}

// attendScratch is one worker's: scaled queries, scores, a decoded tile of the cache, one tile's softmax and the total.
type attendScratch struct {
	q, scores, cache     []float32
	tile, total, weights []float32
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
	b.x.forRange(len(b.x.runs), b.x.rows/len(b.x.runs)*b.x.width(b.q)*4, b.run)
	b.cutTasks()
	b.x.opt.Pool.Run(len(b.x.attendTasks)*b.kvHeads, b)
}

// blockRun is a run of a batch's rows that belong into one block.
type blockRun struct{ seq, row, n int }

// cutRuns cuts the rows of a sequence at the ends of its blocks.
func (x *Exec) cutRuns(seq int) {
	s := &x.batch.Seqs[seq]
	for at := 0; at < s.Len; {
		n := min(s.Len-at, BlockTokens-(s.Pos+at)%BlockTokens)
		x.runs = append(x.runs, blockRun{seq, s.Offset + at, n})
		at += n
	}
}

// storeRows rotates q and k of runs [lo, hi) and writes k and v to the store.
func (b *boundAttend) storeRows(lo, hi int) {
	x := b.x
	q, k, v := x.value(b.q), x.value(b.k), x.value(b.v)
	n := b.kvHeads * b.dim
	for _, run := range x.runs[lo:hi] {
		for r := run.row; b.rope != nil && r < run.row+run.n; r++ {
			b.rope.apply(q[r*b.heads*b.dim:(r+1)*b.heads*b.dim], x.rowPos[r], b.dim)
			b.rope.apply(k[r*n:(r+1)*n], x.rowPos[r], b.dim)
		}
		pos := x.rowPos[run.row]
		block := x.block(run.seq, pos)
		for h := range b.kvHeads {
			at := run.row*n + h*b.dim
			x.store.put(x.storeLayer(b.layer), block, h, pos%BlockTokens, run.n, k[at:], v[at:], n)
		}
	}
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
func (b *boundAttend) gather(s *attendScratch, c *chunk, head int) {
	q := b.x.value(b.q)
	n := b.group * b.dim
	for t := range c.n {
		at := (b.x.batch.Seqs[c.seq].Offset+c.from+t)*b.heads*b.dim + head*n
		kernel.Scale(s.q[t*n:(t+1)*n], q[at:at+n], b.scale)
	}
}

// tile takes the softmax of the chunk's rows over the keys of one tile.
func (b *boundAttend) tile(p partial, s *attendScratch, c *chunk, head, tile int) {
	x, layer, rows := b.x, b.x.storeLayer(b.layer), c.n*b.group
	seq, first := &x.batch.Seqs[c.seq], tile*tileKeys
	_, end := b.seen(seq, c.from+c.n-1)
	n := min(tileKeys, end-first)
	for at := 0; at < n; at += BlockTokens {
		keys := x.store.keys(layer, x.block(c.seq, first+at), head, s.cache)
		kernel.Panel(rows, b.dim, s.q, b.dim, keys, BlockTokens, s.scores[at:], tileKeys, false)
	}
	for r := range rows {
		from, to := b.seen(seq, c.from+r/b.group)
		row := s.scores[r*tileKeys : r*tileKeys+n]
		p.max[r], p.sum[r] = b.softmaxRow(row, min(max(from-first, 0), n), min(max(to-first, 0), n))
	}
	for at := 0; at < n; at += BlockTokens {
		values := x.store.values(layer, x.block(c.seq, first+at), head, s.cache)
		for d := 0; d < b.pad; d += kernel.PanelWidth {
			kernel.Panel(rows, min(BlockTokens, n-at), s.scores[at:], tileKeys, values[d:], b.pad, p.out[d:], b.pad, at > 0)
		}
	}
}

// softmaxRow turns scores [from, to) of a row into exp(score - max), clears the rest, and returns max and sum.
func (b *boundAttend) softmaxRow(row []float32, from, to int) (most, sum float32) {
	if from >= to {
		clear(row)
		return negInf, 0
	}
	clear(row[:from])
	clear(row[to:])
	row = row[from:to]
	if b.spec.Softcap != 0 {
		softcap(row, float32(b.spec.Softcap))
	}
	most = kernel.Max(row)
	return most, kernel.ExpSum(row, row, most)
}

// softcap sets x to c·tanh(x/c), as c - 2c/(exp(2x/c)+1): within c·2e-7 of it.
func softcap(x []float32, c float32) {
	kernel.Scale(x, x, 2/c)
	kernel.Exp(x, x)
	for i, e := range x {
		x[i] = c - 2*c/(e+1)
	}
}

// start makes p the softmax over the sinks alone: each is a key of its own logit and no value, before all others.
func (b *boundAttend) start(p partial, head int) {
	clear(p.out)
	for r := range p.max {
		p.max[r], p.sum[r] = b.sinks[head*b.group+r%b.group], 1
	}
}

// merge joins the next tile to a total (Milakov and Gimelshein 2018): the side of the smaller maximum is scaled to the
// other. weights is room for a number a row.
func (b *boundAttend) merge(total, tile partial, weights []float32) {
	weights = weights[:len(tile.max)]
	for r, most := range tile.max {
		weights[r] = min(most, total.max[r]) - max(most, total.max[r])
	}
	kernel.Exp(weights, weights)
	for r, most := range tile.max {
		out, add, w := total.out[r*b.pad:(r+1)*b.pad], tile.out[r*b.pad:(r+1)*b.pad], weights[r]
		switch {
		case math.IsInf(float64(most), -1): // the row sees no key of the tile
		case most <= total.max[r]:
			kernel.Axpy(out, w, add)
			total.sum[r] += w * tile.sum[r]
		default:
			kernel.Scale(out, out, w)
			kernel.Add(out, out, add)
			total.sum[r] = w*total.sum[r] + tile.sum[r]
			total.max[r] = most
		}
	}
}

// scatter writes the total's values over its sum to the chunk's rows.
func (b *boundAttend) scatter(total partial, c *chunk, head int) {
	out := b.x.value(b.out)
	for r, sum := range total.sum {
		at := (b.x.batch.Seqs[c.seq].Offset+c.from+r/b.group)*b.heads*b.dim + (head*b.group+r%b.group)*b.dim
		kernel.Scale(out[at:at+b.dim], total.out[r*b.pad:r*b.pad+b.dim], 1/sum)
	}
}

var negInf = float32(math.Inf(-1))
