package quant

import (
	"fmt"

	"hone/kernel"
)

// RangeProduct is a product of some of an input's tokens: Y[t*LdY+r] for t in [From, To) and every row.
type RangeProduct struct {
	Product
	From, To int
}

// rangeTask gives out the pieces of products of ranges, product by product.
type rangeTask struct {
	m    *Multiplier
	jobs []rangeJob
}

type rangeJob struct {
	job
	from, to, block int
	end             int // pieces of the jobs up to this one
}

// MulRanges computes products that each take a range of in's tokens: experts, whose rows lie one after the other. Bits
// are those of Mul.
func (m *Multiplier) MulRanges(in *Input, products []RangeProduct) {
	t := &m.ranges
	t.m, t.jobs, m.in = m, t.jobs[:0], in
	end := 0
	for i := range products {
		p := &products[i]
		w, ok := p.W.(*tiledPacked)
		if !ok || w.cols != in.width || p.From < 0 || p.To > in.tokens {
			panic(fmt.Sprintf("quant: MulRanges: a %T does not take tokens [%d,%d) of an input of %d, width %d", p.W, p.From, p.To, in.tokens, in.width))
		}
		if p.From >= p.To {
			continue
		}
		j := rangeJob{job: job{w: w, in: in, y: p.Y, ldy: p.LdY}, from: p.From, to: p.To, block: min(p.To-p.From, blockTokens(w, in))}
		end += m.cut(&j.job, j.block) * ((p.To - p.From + j.block - 1) / j.block)
		j.end = end
		if w.order != nil {
			j.in = in.reordered(m.pool, t.slot(p.From, p.To), w.order, p.From, p.To)
		}
		t.jobs = append(t.jobs, j)
	}
	for i := range t.jobs { // once all inputs stand in order
		t.jobs[i].in.Prepare(m.pool, t.jobs[i].w.encoding())
	}
	m.pool.Run(end, t)
}

// slot is the number of weights so far that order some of the same tokens.
func (t *rangeTask) slot(from, to int) int {
	n := 0
	for i := range t.jobs {
		if j := &t.jobs[i]; j.w.order != nil && j.from < to && from < j.to {
			n++
		}
	}
	return n
}

// Do computes piece i of all.
func (t *rangeTask) Do(i, worker int) {
	lo, hi := 0, len(t.jobs)-1
	for lo < hi {
		if mid := (lo + hi) / 2; t.jobs[mid].end > i {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	j := &t.jobs[lo]
	if lo > 0 {
		i -= t.jobs[lo-1].end
	}
	t0 := j.from + i/j.pieces*j.block
	j.piece(t.m, t0, min(t0+j.block, j.to), i%j.pieces, worker)
}

// Gather makes in's activations those of rows of another input of its width: an encoding is made there, and the codes of the
// rows are copied. Neither from nor rows may change until the products are done.
func (in *Input) Gather(from *Input, rows []int32) {
	if in.width != from.width || len(rows) > in.maxTokens {
		panic(fmt.Sprintf("quant: Gather of %d rows of width %d into an input of %d x %d", len(rows), from.width, in.maxTokens, in.width))
	}
	in.from, in.rowsOf = from, rows
	in.tokens, in.ready = len(rows), [encodings]bool{}
}

// copyRows is Prepare of gathered rows.
func (in *Input) copyRows(p *kernel.Pool, e Encoding) {
	in.from.Prepare(p, e)
	if e == F32 {
		in.own = grow(in.own, in.maxTokens*in.width)
		in.x, in.ldx = in.own, in.width
	}
	in.gather = gatherTask{in, e, max(1, gatherBytes/e.stride(in.width))}
	if n := (in.tokens + in.gather.each - 1) / in.gather.each; n > 1 {
		p.Run(n, &in.gather)
	} else {
		in.gather.Do(0, 0)
	}
}

// gatherBytes is what one piece of a gathering copies.
const gatherBytes = 64 << 10

type gatherTask struct {
	in   *Input
	e    Encoding
	each int
}

// Do copies the i-th run of rows.
func (g *gatherTask) Do(i, _ int) {
	in, stride := g.in, g.e.stride(g.in.width)
	for t := i * g.each; t < min((i+1)*g.each, in.tokens); t++ {
		r := int(in.rowsOf[t])
		if g.e == F32 {
			copy(in.own[t*in.width:(t+1)*in.width], in.from.x[r*in.from.ldx:])
		} else {
			copy(in.data[g.e][t*stride:(t+1)*stride], in.from.data[g.e][r*stride:])
		}
	}
}

// grow gives memory of at least n floats.
func grow(x []float32, n int) []float32 {
	if len(x) < n {
		return make([]float32, n)
	}
	return x
}
