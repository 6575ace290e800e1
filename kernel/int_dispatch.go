package kernel

import (
	"runtime"
	"unsafe"
)

// intDirect is the number of tokens up to which 4-bit codes are split on the way; more tokens meet an unpacked tile.
const intDirect = 4

func intMul(p *IntPanel, m int, x []byte, xs int, tile []byte, y []float32, ldy int, scratch []byte) {
	if !useVNNI {
		intMulGo(p, m, x, xs, tile, y, ldy, scratch)
		return
	}
	codes := tile[p.HeadBytes():]
	if p.Bits == 4 && m > intDirect {
		u := p.unpacked()
		intUnpack(p, scratch, tile)
		intBody(p, &u, m, x, xs, tile, scratch, y, ldy)
	} else {
		intBody(p, p, m, x, xs, tile, codes, y, ldy)
	}
	runtime.KeepAlive(tile)
}

// intBody runs the assembly for records laid out as u; p is the panel whose tile holds the head.
func intBody(p, u *IntPanel, m int, x []byte, xs int, tile, codes []byte, y []float32, ldy int) {
	px, w, py := unsafe.SliceData(x), unsafe.SliceData(codes), unsafe.SliceData(y)
	groups, chunks, start, last, zeros := u.Groups(), u.Group/32, p.startAt(), p.last(tile), unsafe.SliceData(p.zeros(tile))
	switch four := u.Bits == 4; {
	case u.PerToken:
		int8TokenAVX512(m, px, xs, w, groups, chunks, py, ldy, start, last, zeros)
	case four && u.PerRow && u.Zero:
		int4RowZeroAVX512(m, px, xs, w, groups, chunks, py, ldy, start, last, zeros)
	case four && u.PerRow:
		int4RowAVX512(m, px, xs, w, groups, chunks, py, ldy, start, last, zeros)
	case four && u.Zero:
		int4GroupZeroAVX512(m, px, xs, w, groups, chunks, py, ldy, start, last, zeros)
	case four && u.Min:
		int4GroupMinAVX512(m, px, xs, w, groups, chunks, py, ldy, start, last, zeros)
	case four:
		int4GroupAVX512(m, px, xs, w, groups, chunks, py, ldy, start, last, zeros)
	case u.PerRow && u.Zero:
		int8RowZeroAVX512(m, px, xs, w, groups, chunks, py, ldy, start, last, zeros)
	case u.PerRow:
		int8RowAVX512(m, px, xs, w, groups, chunks, py, ldy, start, last, zeros)
	case u.Min:
		int8GroupMinAVX512(m, px, xs, w, groups, chunks, py, ldy, start, last, zeros)
	default:
		int8GroupAVX512(m, px, xs, w, groups, chunks, py, ldy, start, last, zeros)
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
	u := p.unpacked()
	zeros, src := p.zeros(tile), tile[p.HeadBytes():]
	for range p.Groups() {
		if !p.PerRow {
			copy(dst[:2*IntTileRows], src)
		}
		if p.Min {
			intMinima(dst[2*IntTileRows:], src[2*IntTileRows:])
		}
		to, from := &dst[u.CodesAt()], &src[p.CodesAt()]
		switch {
		case p.Zero:
			intUnpackZeroAVX512(to, from, p.Group/32, &zeros[0])
		default:
			intUnpackAVX512(to, from, p.Group/32)
		}
		if p.Zero && !p.PerRow {
			zeros = zeros[IntTileRows:]
		}
		dst, src = dst[u.RecordBytes():], src[p.RecordBytes():]
	}
}

// intMinima widens the 32 f16 minima of a record.
func intMinima(dst, src []byte) {
	out := unsafe.Slice((*float32)(unsafe.Pointer(&dst[0])), IntTileRows)
	F16ToF32(out, unsafe.Slice((*uint16)(unsafe.Pointer(&src[0])), IntTileRows))
}
