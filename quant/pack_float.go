package quant

import (
	"encoding/binary"
	"unsafe"

	"hone/kernel"
)

// f32Panels holds tiles of 32 rows, each [cols][32].
type f32Panels struct {
	cols int
	data []float32
}

func packF32(m Matrix, rows, cols int, pool *kernel.Pool) *f32Panels {
	tiles := tileCount(rows)
	b := weightBytes(4 * tiles * RowTile * cols)
	p := &f32Panels{cols, unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/4)}
	pool.Run(tiles, tileTask(func(tile int) {
		n := min(RowTile, rows-tile*RowTile)
		rowsData := make([]float32, n*cols)
		for r := range n {
			m.ReadRow(rowsData[r*cols:(r+1)*cols], tile*RowTile+r)
		}
		transposeTile(p.tile(tile), rowsData, n, cols)
	}))
	return p
}

// transposeTile writes n rows as [cols][32], in blocks of columns that stay in the first-level cache.
func transposeTile(dst, rows []float32, n, cols int) {
	const block = 64
	for c0 := 0; c0 < cols; c0 += block {
		for r := range n {
			src := rows[r*cols+c0 : r*cols+min(c0+block, cols)]
			out := dst[c0*RowTile+r:]
			for c, v := range src {
				out[c*RowTile] = v
			}
		}
	}
}

func (p *f32Panels) tile(i int) []float32 {
	n := RowTile * p.cols
	return p.data[i*n : (i+1)*n]
}

func (p *f32Panels) encoding() Encoding { return F32 }
func (p *f32Panels) bytes() int64       { return 4 * int64(len(p.data)) }
func (p *f32Panels) tileBytes() int     { return 4 * RowTile * p.cols }
func (p *f32Panels) scratchBytes() int  { return 0 }

func (p *f32Panels) mulTile(y []float32, ldy int, x *Input, t0, t1, tile int, _ []byte) {
	kernel.Panel(t1-t0, p.cols, x.x[t0*x.ldx:], x.ldx, p.tile(tile), RowTile, y, ldy, false)
}

func (p *f32Panels) decodeTile(dst []float32, tile int) {
	for c := range p.cols {
		for r, v := range p.tile(tile)[c*RowTile : (c+1)*RowTile] {
			dst[r*p.cols+c] = v
		}
	}
}

// bf16Panels holds tiles of 32 rows, each [cols/2][32] pairs; width is cols made even. Activations are bf16 where the CPU's dot
// product is fast, f32 elsewhere.
type bf16Panels struct {
	cols, width int
	dot         bool
	data        []uint16
}

func packBF16(m Matrix, rows, cols int, pool *kernel.Pool) *bf16Panels {
	tiles, width := tileCount(rows), (cols+1)&^1
	p := &bf16Panels{cols, width, kernel.BF16Dot(), halves(weightBytes(2 * tiles * RowTile * width))}
	pool.Run(tiles, tileTask(func(tile int) {
		row, raw := make([]float32, cols), make([]byte, 2*width)
		for r := range min(RowTile, rows-tile*RowTile) {
			src := raw
			if h, ok := m.(*half); ok && cols == width {
				src = h.row(tile*RowTile + r)
			} else {
				m.ReadRow(row, tile*RowTile+r)
				kernel.F32ToBF16(halves(raw)[:cols], row)
			}
			p.putRow(p.tile(tile)[2*r:], src)
		}
	}))
	return p
}

// putRow scatters the pairs of a row.
func (p *bf16Panels) putRow(dst []uint16, src []byte) {
	for at := 0; at+3 < len(src); at += 4 {
		pair := dst[at/2*RowTile:][:2]
		pair[0], pair[1] = binary.LittleEndian.Uint16(src[at:]), binary.LittleEndian.Uint16(src[at+2:])
	}
}

func (p *bf16Panels) tile(i int) []uint16 {
	n := RowTile * p.width
	return p.data[i*n : (i+1)*n]
}

func (p *bf16Panels) encoding() Encoding {
	if p.dot {
		return BF16
	}
	return F32
}
func (p *bf16Panels) bytes() int64      { return 2 * int64(len(p.data)) }
func (p *bf16Panels) tileBytes() int    { return 2 * RowTile * p.width }
func (p *bf16Panels) scratchBytes() int { return 0 }

func (p *bf16Panels) mulTile(y []float32, ldy int, x *Input, t0, t1, tile int, _ []byte) {
	if !p.dot {
		kernel.BF16MulF32(t1-t0, p.cols, x.x[t0*x.ldx:], x.ldx, p.tile(tile), y, ldy)
		return
	}
	stride := BF16.stride(x.width)
	kernel.BF16Mul(t1-t0, p.width, halves(x.rows(BF16, t0)), stride/2, p.tile(tile), y, ldy)
}

func (p *bf16Panels) decodeTile(dst []float32, tile int) {
	var pair [2 * RowTile]float32
	for c := 0; c < p.width; c += 2 {
		kernel.BF16ToF32(pair[:], p.tile(tile)[c*RowTile:(c+2)*RowTile])
		for i, v := range pair {
			if col := c + i%2; col < p.cols {
				dst[i/2*p.cols+col] = v
			}
		}
	}
}
