package kernel

import (
	"runtime"
	"unsafe"
)

// direct tells whether m tokens take the tile as it is, splitting 4-bit codes on the way each time; more tokens meet a tile that
// is unpacked once. The bounds are where the two were measured to be equally fast.
func (p *IntPanel) direct(m int) bool {
	switch {
	case p.Bits == 8:
		return true
	case p.Min:
		return m <= 8
	case p.Group == 32:
		return m <= 16
	}
	return m <= 48
}

func intMul(p *IntPanel, m int, x []byte, xs int, tile []byte, y []float32, ldy int, scratch []byte) {
	codes, u := tile[p.HeadBytes():], *p
	switch {
	case !useAVX2:
		intMulGo(p, m, x, xs, tile, y, ldy, scratch)
	case useVNNI && p.direct(m):
		intBody(p, &u, m, x, xs, tile, codes, y, ldy, scratch)
	default:
		if p.Bits == 4 {
			codes, u = scratch[intSpill:], p.unpacked()
			intUnpack(p, codes, tile)
		}
		if useVNNI {
			intBody(p, &u, m, x, xs, tile, codes, y, ldy, scratch)
		} else {
			intBodyAVX2(p, &u, m, x, xs, tile, codes, y, ldy)
		}
	}
	runtime.KeepAlive(tile)
}

// intBodyAVX2 runs the AVX2 assembly over 8-bit records laid out as u; p is the panel whose tile holds the head.
func intBodyAVX2(p, u *IntPanel, m int, x []byte, xs int, tile, codes []byte, y []float32, ldy int) {
	px, w, py := unsafe.SliceData(x), unsafe.SliceData(codes), unsafe.SliceData(y)
	groups, chunks, start, last := u.Groups(), u.Group/32, p.startAt(), p.last(tile)
	switch small := p.Bits == 4; {
	case u.PerToken:
		int8TokenAVX2(m, px, xs, w, groups, chunks, py, ldy, start, last)
	case small && u.PerRow:
		int4To8RowAVX2(m, px, xs, w, groups, chunks, py, ldy, start, last)
	case small && u.Min:
		int4To8GroupMinAVX2(m, px, xs, w, groups, chunks, py, ldy, start, last)
	case small:
		int4To8GroupAVX2(m, px, xs, w, groups, chunks, py, ldy, start, last)
	case u.PerRow && u.Zero:
		int8RowZeroAVX2(m, px, xs, w, groups, chunks, py, ldy, start, last)
	case u.PerRow:
		int8RowAVX2(m, px, xs, w, groups, chunks, py, ldy, start, last)
	case u.Min:
		int8GroupMinAVX2(m, px, xs, w, groups, chunks, py, ldy, start, last)
	default:
		int8GroupAVX2(m, px, xs, w, groups, chunks, py, ldy, start, last)
	}
}

// intBody runs the assembly for records laid out as u; p is the panel whose tile holds the head.
func intBody(p, u *IntPanel, m int, x []byte, xs int, tile, codes []byte, y []float32, ldy int, scratch []byte) {
	px, w, py := unsafe.SliceData(x), unsafe.SliceData(codes), unsafe.SliceData(y)
	sums := (*float32)(unsafe.Pointer(unsafe.SliceData(scratch)))
	groups, chunks, start, last, zeros := u.Groups(), u.Group/32, p.startAt(), p.last(tile), unsafe.SliceData(p.zeros(tile))
	if u.Bits == 4 && u.Zero {
		start = 12 // zero points come off in the kernel
	}
	switch four := u.Bits == 4; {
	case u.PerToken:
		int8TokenAVX512(m, px, xs, w, groups, chunks, py, ldy, start, last, zeros, sums)
	case four && u.PerRow && u.Zero:
		int4RowZeroAVX512(m, px, xs, w, groups, chunks, py, ldy, start, last, zeros, sums)
	case four && u.PerRow:
		int4RowAVX512(m, px, xs, w, groups, chunks, py, ldy, start, last, zeros, sums)
	case four && u.Zero:
		int4GroupZeroAVX512(m, px, xs, w, groups, chunks, py, ldy, start, last, zeros, sums)
	case four && u.Min:
		int4GroupMinAVX512(m, px, xs, w, groups, chunks, py, ldy, start, last, zeros, sums)
	case four:
		int4GroupAVX512(m, px, xs, w, groups, chunks, py, ldy, start, last, zeros, sums)
	case u.PerRow && u.Zero:
		int8RowZeroAVX512(m, px, xs, w, groups, chunks, py, ldy, start, last, zeros, sums)
	case u.PerRow:
		int8RowAVX512(m, px, xs, w, groups, chunks, py, ldy, start, last, zeros, sums)
	case u.Min:
		int8GroupMinAVX512(m, px, xs, w, groups, chunks, py, ldy, start, last, zeros, sums)
	default:
		int8GroupAVX512(m, px, xs, w, groups, chunks, py, ldy, start, last, zeros, sums)
	}
}

// last is where the last factor of a tile stands: 32 row scales, or one for all.
func (p *IntPanel) last(tile []byte) *float32 {
	if p.PerRow {
		return (*float32)(unsafe.Pointer(unsafe.SliceData(tile)))
	}
	return &p.Out
}

// zeros are the zero points of 4-bit codes in a tile's head.
func (p *IntPanel) zeros(tile []byte) []byte {
	if p.PerRow && p.Zero {
		return tile[4*IntTileRows : p.HeadBytes()]
	}
	return tile[:p.HeadBytes()]
}

// intUnpack writes the records of a 4-bit tile as 8-bit records.
func intUnpack(p *IntPanel, dst, tile []byte) {
	if !useAVX2 {
		intUnpackGo(p, dst, tile)
		return
	}
	to, from, groups, chunks, zeros := &dst[0], &tile[p.HeadBytes()], p.Groups(), p.Group/32, unsafe.SliceData(p.zeros(tile))
	switch row, wide := p.PerRow, useAVX512; {
	case row && p.Zero && wide:
		intUnpackRowZeroAVX512(to, from, groups, chunks, zeros)
	case row && p.Zero:
		intUnpackRowZeroAVX2(to, from, groups, chunks, zeros)
	case row && wide:
		intUnpackRowAVX512(to, from, groups, chunks, zeros)
	case row:
		intUnpackRowAVX2(to, from, groups, chunks, zeros)
	case p.Zero && wide:
		intUnpackGroupZeroAVX512(to, from, groups, chunks, zeros)
	case p.Zero:
		intUnpackGroupZeroAVX2(to, from, groups, chunks, zeros)
	case p.Min && wide:
		intUnpackGroupMinAVX512(to, from, groups, chunks, zeros)
	case p.Min:
		intUnpackGroupMinAVX2(to, from, groups, chunks, zeros)
	case wide:
		intUnpackGroupAVX512(to, from, groups, chunks, zeros)
	default:
		intUnpackGroupAVX2(to, from, groups, chunks, zeros)
	}
}
