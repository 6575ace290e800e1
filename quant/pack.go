package quant

import (
	"fmt"
	"sync"

	"hone/kernel"
)

// RowTile is the number of output rows that are computed together.
const RowTile = 32

// A Packed is a weight matrix laid out for this CPU's products. It is disposable and safe for concurrent use.
type Packed interface {
	Dims() (rows, cols int)
	Bytes() int64       // memory of the packed form
	Encoding() Encoding // how it wants its activations
	// MulRows computes y[t*ldy+r] = sum over c of x[t,c]*w[r,c] for t in [t0,t1) and r in [r0,r1); r0 is a multiple of
	// RowTile, r1 too or the end. x must be prepared with Encoding. Any cut gives the same bits.
	MulRows(y []float32, ldy int, x *Input, t0, t1, r0, r1 int)
	// MulT computes dx[tokens,cols] = dy[tokens,rows]*W.
	MulT(dx []float32, lddx int, dy []float32, lddy, tokens int)
}

// tiled is what a packed form must do; tiledPacked makes the rest of it.
type tiled interface {
	encoding() Encoding
	bytes() int64
	tileBytes() int
	scratchBytes() int
	// mulTile computes 32 outputs of tokens [t0,t1), ldy apart, the first at y[0].
	mulTile(y []float32, ldy int, x *Input, t0, t1, tile int, scratch []byte)
	// decodeTile writes 32 rows of cols weights.
	decodeTile(dst []float32, tile int)
}

// tiledPacked is the Packed of any tiled form.
type tiledPacked struct {
	tiled
	rows, cols int
	order      []int32 // nil, or the columns' order: the k-th one multiplies column order[k] of the activations
}

func (p *tiledPacked) Dims() (int, int)   { return p.rows, p.cols }
func (p *tiledPacked) Bytes() int64       { return p.bytes() }
func (p *tiledPacked) Encoding() Encoding { return p.encoding() }

// scratch is the memory that one worker needs beside the operands.
type scratch struct {
	tile []byte    // an unpacked tile
	edge []float32 // outputs of a tile that is cut by the end of the matrix
}

const edgeTokens = 48

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// fit makes the scratch large enough for p.
func (s *scratch) fit(p *tiledPacked) {
	if n := p.scratchBytes(); len(s.tile) < n {
		s.tile = alignedBytes(n)
	}
	if p.rows%RowTile != 0 && s.edge == nil {
		s.edge = make([]float32, edgeTokens*RowTile)
	}
}

func (p *tiledPacked) MulRows(y []float32, ldy int, x *Input, t0, t1, r0, r1 int) {
	if r0%RowTile != 0 || r1 > p.rows || r1%RowTile != 0 && r1 != p.rows || t0 < 0 || t1 > x.tokens || x.width != p.cols {
		panic(fmt.Sprintf("quant: MulRows of tokens [%d,%d) of %d x %d, rows [%d,%d) of %d x %d", t0, t1, x.tokens, x.width, r0, r1, p.rows, p.cols))
	}
	if p.order != nil {
		if !x.ready[F32] {
			panic("quant: MulRows of columns in an order of their own reads f32 activations before Prepare")
		}
		own := NewInput(x.maxTokens, x.width) // x may be read by others
		own.Set(x.x, x.ldx, x.tokens)
		x = own.reordered(nil, 0, p.order, 0, x.tokens)
		x.Prepare(nil, p.encoding())
	}
	s := scratches.Get().(*scratch)
	s.fit(p)
	p.mulTiles(y, ldy, x, t0, t1, r0/RowTile, (r1+RowTile-1)/RowTile, s)
	scratches.Put(s)
}

func (p *tiledPacked) mulTiles(y []float32, ldy int, x *Input, t0, t1, from, to int, s *scratch) {
	for tile := from; tile < to; tile++ {
		if (tile+1)*RowTile <= p.rows {
			p.mulTile(y[t0*ldy+tile*RowTile:], ldy, x, t0, t1, tile, s.tile)
		} else {
			p.mulEdge(y, ldy, x, t0, t1, tile, s)
		}
	}
}

// mulEdge computes the last tile beside the output and copies the rows that exist.
func (p *tiledPacked) mulEdge(y []float32, ldy int, x *Input, t0, t1, tile int, s *scratch) {
	r := tile * RowTile
	for t0 < t1 {
		n := min(edgeTokens, t1-t0)
		p.mulTile(s.edge, RowTile, x, t0, t0+n, tile, s.tile)
		for t := range n {
			copy(y[(t0+t)*ldy+r:][:p.rows-r], s.edge[t*RowTile:])
		}
		t0 += n
	}
}

func (p *tiledPacked) MulT(dx []float32, lddx int, dy []float32, lddy, tokens int) {
	if p.order != nil {
		p.mulTOrdered(dx, lddx, dy, lddy, tokens)
		return
	}
	w := make([]float32, RowTile*p.cols)
	for r := 0; r < p.rows; r += RowTile {
		p.decodeTile(w, r/RowTile)
		n := min(RowTile, p.rows-r)
		kernel.GemmNN(nil, tokens, p.cols, n, dy[r:], lddy, w, p.cols, dx, lddx, r > 0)
	}
}

func (p *tiledPacked) mulTOrdered(dx []float32, lddx int, dy []float32, lddy, tokens int) {
	plain, own := *p, make([]float32, tokens*p.cols)
	plain.order = nil
	plain.MulT(own, p.cols, dy, lddy, tokens)
	for t := range tokens {
		for k, j := range p.order {
			dx[t*lddx+int(j)] = own[t*p.cols+k]
		}
	}
}

// Pack makes the packed form that is natural to m's format: integer formats keep their codes and take int8 activations,
// bf16 takes bf16 or f32 activations, whichever the CPU multiplies faster, the rest becomes f32. pool may be nil.
func Pack(m Matrix, pool *kernel.Pool) (Packed, error) {
	rows, cols := m.Dims()
	if rows <= 0 || cols <= 0 {
		return nil, fmt.Errorf("quant: Pack: a %s matrix of %d x %d", m.Format(), rows, cols)
	}
	m, order := splitOrder(m)
	return &tiledPacked{pack(m, rows, cols, pool), rows, cols, order}, nil
}

func pack(m Matrix, rows, cols int, pool *kernel.Pool) tiled {
	if src, ok := m.(panelSource); ok {
		if kind, ok := src.panel(); ok {
			return packInt(src, kind, rows, cols, pool)
		}
	}
	if m.Format() == "bf16" {
		return packBF16(m, rows, cols, pool)
	}
	return packF32(m, rows, cols, pool)
}

// PackedBits is the number of bits that a weight of this format takes in its packed form, in rows of cols weights, where the
// number of rows is a multiple of RowTile.
func PackedBits(f Format, cols int) float64 {
	switch f := f.(type) {
	case intFormat:
		return panelKind{bits: f.bits, group: f.group, zero: f.asym, token: f.token}.packedBits(cols)
	case *blockFormat:
		if k, ok := f.kind(); ok {
			return k.packedBits(cols)
		}
	case halfFormat:
		if f.name == "bf16" {
			return 16 * float64((cols+1)&^1) / float64(cols)
		}
	}
	return 32
}

func (k panelKind) packedBits(cols int) float64 {
	p := k.layout(cols)
	return float64(8*p.TileBytes()) / float64(RowTile*cols)
}

// PackF32 decodes m to f32 and multiplies f32 activations: what the rounding of the weights alone costs, without that of
// activations. pool may be nil.
func PackF32(m Matrix, pool *kernel.Pool) (Packed, error) {
	rows, cols := m.Dims()
	if rows <= 0 || cols <= 0 {
		return nil, fmt.Errorf("quant: PackF32: a %s matrix of %d x %d", m.Format(), rows, cols)
	}
	return &tiledPacked{tiled: packF32(m, rows, cols, pool), rows: rows, cols: cols}, nil
}

// tileTask packs one tile of 32 rows per piece.
type tileTask func(tile int)

func (t tileTask) Do(i, _ int) { t(i) }

func tileCount(rows int) int { return (rows + RowTile - 1) / RowTile }
