package kernel

import (
	"runtime"
	"unsafe"
)

// intDirect is the number of tokens up to which 4-bit codes are split on the way; more tokens meet an unpacked tile.
const intDirect, intDirectMin = 32, 8

// direct tells whether m tokens take the tile as it is.
func (p *IntPanel) direct(m int) bool {
	return p.Bits == 8 || m <= intDirectMin || m <= intDirect && !p.Min
}

func intMul(p *IntPanel, m int, x []byte, xs int, tile []byte, y []float32, ldy int, scratch []byte) {
	if !useVNNI {
		intMulGo(p, m, x, xs, tile, y, ldy, scratch)
		return
	}
	codes := tile[p.HeadBytes():]
	if !p.direct(m) {
		u := p.unpacked()
		codes = scratch[intSpill:]
		intUnpack(p, codes, tile)
		intBody(p, &u, m, x, xs, tile, codes, y, ldy, scratch)
	} else {
		intBody(p, p, m, x, xs, tile, codes, y, ldy, scratch)
	}
	runtime.KeepAlive(tile)
}

// intBody runs the assembly for records laid out as u; p is the panel whose tile holds the head.
func intBody(p, u *IntPanel, m int, x []byte, xs int, tile, codes []byte, y []float32, ldy int, scratch []byte) {
	px, w, py := unsafe.SliceData(x), unsafe.SliceData(codes), unsafe.SliceData(y)
	sums := (*float32)(unsafe.Pointer(unsafe.SliceData(scratch)))
	groups, chunks, start, last, zeros := u.Groups(), u.Group/32, p.startAt(), p.last(tile), unsafe.SliceData(p.zeros(tile))
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
	if !useVNNI {
		intUnpackGo(p, dst, tile)
		return
	}
	to, from, groups, chunks, zeros := &dst[0], &tile[p.HeadBytes()], p.Groups(), p.Group/32, unsafe.SliceData(p.zeros(tile))
	switch {
	case p.PerRow && p.Zero:
		intUnpackRowZeroAVX512(to, from, groups, chunks, zeros)
	case p.PerRow:
		intUnpackRowAVX512(to, from, groups, chunks, zeros)
	case p.Zero:
		intUnpackGroupZeroAVX512(to, from, groups, chunks, zeros)
	case p.Min:
		intUnpackGroupMinAVX512(to, from, groups, chunks, zeros)
	default:
		intUnpackGroupAVX512(to, from, groups, chunks, zeros)
	}
}
