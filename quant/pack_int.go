package quant

import (
	"encoding/binary"
	"math"

	"hone/kernel"
)

// panelKind is what the packer must know of an integer matrix.
type panelKind struct {
	bits, group int  // group 0: one scale a row
	min         bool // minima beside the scales
	factored    bool // scales and minima have two levels
	half        bool // factors are those of 16 columns
	grid        *kernel.IntGrid
	zero        bool // integer zero points
	token       bool // activations with one scale per token
	wide        bool // activations in 16 bits
	out         float32
}

// panelSource is an integer matrix whose rows can be packed as they are, where panel says so.
type panelSource interface {
	panel() (kind panelKind, ok bool)
	panelRow(dst *panelRow, i int)
}

// panelRow is one row on its way into a tile. Words are 4 codes each: 8 bits: columns in order; less: in blocks of 32
// columns, word j holding columns 4j…4j+3 low and 16+4j…16+4j+3 high.
type panelRow struct {
	panelKind
	words     []uint32
	planes    []uint32  // high bits, a word a plane and 32 columns
	scale     []uint16  // f16, per group, or of 256 columns
	min       []float32 // per group, with 8-bit codes
	minHalf   []uint16  // f16, as scale, with fewer bits
	factor    []uint8   // of each part of a group
	factorMin []uint8
	zero      []uint8 // per group, or one
	rowScale  float32
}

// rowGroup is the activation group of weights with one scale a row. With 64 the perplexity of int8-row-a8 is 0.13 % higher
// (SmolLM2-135M), half as much again as rounding the weights costs.
const rowGroup = 32

// intPanels is a packed integer matrix.
type intPanels struct {
	kernel.IntPanel
	cols  int
	tiles []byte
}

func packInt(src panelSource, k panelKind, rows, cols int, pool *kernel.Pool) tiled {
	p := &intPanels{IntPanel: k.layout(cols), cols: cols}
	p.tiles = weightBytes(tileCount(rows) * p.TileBytes())
	pool.Run(tileCount(rows), tileTask(func(tile int) {
		row := newPanelRow(k, &p.IntPanel)
		for r := range min(RowTile, rows-tile*RowTile) {
			src.panelRow(row, tile*RowTile+r)
			p.put(p.tile(tile), row, r)
		}
	}))
	if k.wide {
		return widePanels{p}
	}
	return p
}

// layout is the panel of a matrix with so many columns.
func (k panelKind) layout(cols int) kernel.IntPanel {
	p := kernel.IntPanel{Bits: k.bits, Group: k.group, PerRow: k.group == 0, Min: k.min, Factored: k.factored, Half: k.half, Grid: k.grid,
		Zero: k.zero, PerToken: k.token, Out: k.out}
	switch {
	case k.token:
		p.Group = Int8Token.group(cols)
	case k.group == 0:
		p.Group = rowGroup
	case k.bits == 8 && k.zero: // a group's zero point becomes its minimum
		p.Zero, p.Min = false, true
	}
	p.Cols = (cols + p.Group - 1) / p.Group * p.Group
	return p
}

func newPanelRow(k panelKind, p *kernel.IntPanel) *panelRow {
	n := p.Groups()
	r := &panelRow{panelKind: k, scale: make([]uint16, n), min: make([]float32, n), minHalf: make([]uint16, n), zero: make([]uint8, n)}
	r.words, r.planes = make([]uint32, n*wordsPerGroup(p)), make([]uint32, n*planesPerGroup(p))
	r.factor, r.factorMin = make([]uint8, 2*n), make([]uint8, 2*n)
	return r
}

func wordsPerGroup(p *kernel.IntPanel) int {
	if p.Bits == 8 {
		return p.Group / 4
	}
	return p.Group / 8
}

func planesPerGroup(p *kernel.IntPanel) int {
	if p.Bits == 8 {
		return 0
	}
	return p.Group / 32 * (p.Bits - 4)
}

func (p *intPanels) tile(i int) []byte {
	n := p.TileBytes()
	return p.tiles[i*n : (i+1)*n : (i+1)*n]
}

// put writes row as row r of a tile.
func (p *intPanels) put(tile []byte, row *panelRow, r int) {
	p.putHead(tile, row, r)
	words, planes := wordsPerGroup(&p.IntPanel), planesPerGroup(&p.IntPanel)
	for g := range p.Groups() {
		at := p.RecordAt(g)
		record := tile[at : at+p.RecordBytes()]
		if p.Factored {
			p.putFactors(tile[at-p.BlockBytes():at], record, row, g, r)
		} else {
			p.putScale(record, row, g, r)
		}
		putWords(record[p.PlanesAt():], row.planes[g*planes:(g+1)*planes], r)
		putWords(record[p.CodesAt():], row.words[g*words:(g+1)*words], r)
	}
}

// putWords writes words of row r, a line of all rows' words apart.
func putWords(dst []byte, words []uint32, r int) {
	for k, w := range words {
		binary.LittleEndian.PutUint32(dst[4*(RowTile*k+r):], w)
	}
}

// putFactors writes the factors of group g, and the scales before it where its block begins; before is what stands there.
func (p *intPanels) putFactors(before, record []byte, row *panelRow, g, r int) {
	const groups = kernel.IntBlock / 32
	if g%groups == 0 {
		binary.LittleEndian.PutUint16(before[2*r:], row.scale[g/groups])
		if p.Min {
			binary.LittleEndian.PutUint16(before[2*(RowTile+r):], row.minHalf[g/groups])
		}
	}
	parts := 1
	if p.Half {
		parts = 2
	}
	for h := range parts {
		record[h*RowTile+r] = row.factor[g*parts+h]
		if p.Min {
			record[(parts+h)*RowTile+r] = row.factorMin[g*parts+h]
		}
	}
}

func (p *intPanels) putHead(tile []byte, row *panelRow, r int) {
	zeros := tile
	if p.PerRow {
		putFloat(tile, r, row.rowScale)
		zeros = tile[4*RowTile:]
	}
	switch {
	case p.Zero && p.Bits == 8:
		putFloat(zeros, r, -float32(row.zero[0]))
	case p.Zero && p.PerRow:
		zeros[r] = row.zero[0]
	case p.Zero:
		for g, z := range row.zero {
			zeros[g*RowTile+r] = z
		}
	}
}

func (p *intPanels) putScale(record []byte, row *panelRow, g, r int) {
	if p.PerRow {
		return
	}
	binary.LittleEndian.PutUint16(record[2*r:], row.scale[g])
	switch {
	case p.Min && p.Bits == 8:
		putFloat(record, RowTile/2+r, row.min[g])
	case p.Min:
		binary.LittleEndian.PutUint16(record[2*(RowTile+r):], row.minHalf[g])
	}
}

func putFloat(b []byte, i int, v float32) {
	binary.LittleEndian.PutUint32(b[4*i:], math.Float32bits(v))
}

func (p *intPanels) encoding() Encoding {
	switch {
	case p.PerToken:
		return Int8Token
	case p.Group == 32:
		return Int8Group32
	case p.Group == 64:
		return Int8Group64
	}
	return Int8Group128
}

func (p *intPanels) bytes() int64      { return int64(len(p.tiles)) }
func (p *intPanels) tileBytes() int    { return p.TileBytes() }
func (p *intPanels) scratchBytes() int { return p.ScratchBytes() }

func (p *intPanels) mulTile(y []float32, ldy int, x *Input, t0, t1, tile int, scratch []byte) {
	e := p.encoding()
	kernel.IntMul(&p.IntPanel, t1-t0, x.rows(e, t0), e.stride(x.width), p.tile(tile), y, ldy, scratch)
}

func (p *intPanels) decodeTile(dst []float32, tile int) {
	wide := make([]float32, RowTile*p.Cols)
	kernel.IntDecode(&p.IntPanel, wide, p.tile(tile))
	for r := range RowTile {
		copy(dst[r*p.cols:(r+1)*p.cols], wide[r*p.Cols:])
	}
}

func (m *intMatrix) panel() (panelKind, bool) {
	f := m.format
	return panelKind{bits: f.bits, group: f.group, zero: f.asym, token: f.token, wide: !f.token && !f.rounded, out: m.out}, true
}

func (m *intMatrix) panelRow(dst *panelRow, i int) {
	n := m.cols / m.Group()
	if m.format.group == 0 {
		dst.rowScale = m.rowScale[i]
	} else {
		copy(dst.scale[:n], m.half[i*m.perRow:])
	}
	if m.format.asym {
		copy(dst.zero[:n], m.zeros[i*m.perRow:])
		for g, z := range dst.zero[:n] {
			if m.format.group > 0 {
				dst.min[g] = -f16(m.half[i*m.perRow+g]) * float32(z)
			}
		}
	}
	src := m.codes[i*m.stride : i*m.stride+m.format.codeBytes(m.cols)]
	words := dst.words
	for len(src) >= 4 {
		words[0] = binary.LittleEndian.Uint32(src)
		words, src = words[1:], src[4:]
	}
	if len(src) > 0 {
		var last [4]byte
		copy(last[:], src)
		words[0] = binary.LittleEndian.Uint32(last[:])
	}
}
