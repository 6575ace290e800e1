package quant

import (
	"fmt"

	"hone/kernel"
)

// Product is one product of a Multiplier: Y[t*LdY+r] for every token and row.
type Product struct {
	W   Packed
	Y   []float32
	LdY int
}

// A Multiplier runs products that share an input: each encoding is made once, then the tiles of all products are given
// out from one counter. It allocates nothing once its buffers have grown. One goroutine at a time may use it.
type Multiplier struct {
	pool     *kernel.Pool
	scratch  []scratch // per worker
	products []job
	in       *Input
	block    int // tokens of a block
	perBlock int // pieces of a block
	ranges   rangeTask
}

// job is a product and its cut into pieces.
type job struct {
	w      *tiledPacked
	in     *Input
	y      []float32
	ldy    int
	chunk  int // tiles of a piece
	pieces int
}

// NewMultiplier makes a multiplier over the pool (nil: the calling goroutine alone).
func NewMultiplier(p *kernel.Pool) *Multiplier {
	return &Multiplier{pool: p, scratch: make([]scratch, p.Workers())}
}

// The cut depends on sizes alone. A piece is worth pieceBytes of weights read once; blockBytes of activations stay in the
// second-level cache while the tiles pass by.
const (
	pieceBytes    = 96 << 10
	blockBytes    = 640 << 10
	minBlock      = 48
	tokensPerRead = 6 // tokens that cost as much time as reading the weights
)

// Mul computes every product for all tokens of in.
func (m *Multiplier) Mul(in *Input, products ...Product) {
	if in.tokens == 0 || len(products) == 0 {
		return
	}
	m.in, m.products, m.block = in, m.products[:0], in.tokens
	slot := 0
	for _, p := range products {
		w, ok := p.W.(*tiledPacked)
		if !ok || w.cols != in.width {
			panic(fmt.Sprintf("quant: Mul: a %T does not take an input of width %d", p.W, in.width))
		}
		from := in
		if w.order != nil {
			from = in.reordered(m.pool, slot, w.order, 0, in.tokens)
			slot++
		}
		from.Prepare(m.pool, w.encoding())
		m.block = min(m.block, blockTokens(w, in))
		m.products = append(m.products, job{w: w, in: from, y: p.Y, ldy: p.LdY})
	}
	m.perBlock = 0
	for i := range m.products {
		m.perBlock += m.cut(&m.products[i], m.block)
	}
	m.pool.Run(m.perBlock*((in.tokens+m.block-1)/m.block), m)
}

// blockTokens is the number of tokens in a block of a product's activations.
func blockTokens(w *tiledPacked, in *Input) int {
	return max(minBlock, blockBytes/w.encoding().stride(in.width)/minBlock*minBlock)
}

// cut sets the pieces of a job for one block of tokens, and the workers' scratch.
func (m *Multiplier) cut(j *job, block int) int {
	for w := range m.scratch {
		m.scratch[w].fit(j.w)
	}
	tiles := tileCount(j.w.rows)
	cost := j.w.tileBytes() * (tokensPerRead + block) / tokensPerRead
	j.chunk = min(tiles, max(1, pieceBytes/cost))
	j.pieces = (tiles + j.chunk - 1) / j.chunk
	return j.pieces
}

// Do computes one piece: some tiles of one product for one block of tokens.
func (m *Multiplier) Do(i, worker int) {
	t0 := i / m.perBlock * m.block
	t1 := min(t0+m.block, m.in.tokens)
	i %= m.perBlock
	for k := range m.products {
		j := &m.products[k]
		if i < j.pieces {
			j.piece(m, t0, t1, i, worker)
			return
		}
		i -= j.pieces
	}
}

// piece computes the i-th piece of a job for tokens [t0, t1).
func (j *job) piece(m *Multiplier, t0, t1, i, worker int) {
	from := i * j.chunk
	to := min(from+j.chunk, tileCount(j.w.rows))
	j.w.mulTiles(j.y, j.ldy, j.in, t0, t1, from, to, &m.scratch[worker])
}
