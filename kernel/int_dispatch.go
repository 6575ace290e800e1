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
	case p.Bits > 4 || p.Factored:
		return m <= 16
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
		if p.Bits < 8 {
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
	if u.Half {
		start = p.zero()
	}
	switch small := p.Bits < 8 && p.Grid == nil; {
	case u.Half && u.Min:
		int4To8HalfMinAVX2(m, px, xs, w, groups, chunks, py, ldy, start, last)
	case u.Half:
		int4To8HalfAVX2(m, px, xs, w, groups, chunks, py, ldy, start, last)
	case u.Factored && u.Min:
		int4To8FactorMinAVX2(m, px, xs, w, groups, chunks, py, ldy, start, last)
	case u.Factored:
		int8FactorAVX2(m, px, xs, w, groups, chunks, py, ldy, start, last)
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
	if u.Factored {
		intBodyFactored(p, u, m, x, xs, codes, y, ldy, sums)
		return
	}
	switch four := u.Bits == 4; {
	case four && u.Grid != nil:
		int4GridAVX512(m, px, xs, w, groups, chunks, py, ldy, start, last, &u.Grid[0], sums)
	case u.Bits == 5 && u.Min:
		int5GroupMinAVX512(m, px, xs, w, groups, chunks, py, ldy, start, last, zeros, sums)
	case u.Bits == 5:
		int5GroupAVX512(m, px, xs, w, groups, chunks, py, ldy, start, last, zeros, sums)
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

// intBodyFactored is intBody for scales of two levels. The kernels of halves take the code of 0 as their start.
func intBodyFactored(p, u *IntPanel, m int, x []byte, xs int, codes []byte, y []float32, ldy int, sums *float32) {
	px, w, py := unsafe.SliceData(x), unsafe.SliceData(codes), unsafe.SliceData(y)
	groups, zero, last := u.Groups(), p.zero(), &p.Out
	switch {
	case u.Grid != nil && u.Bits == 4:
		int4FactorGridAVX512(m, px, xs, w, groups, 1, py, ldy, zero, last, &u.Grid[0], sums)
	case u.Half && u.Min && u.Bits == 4:
		int4HalfMinAVX512(m, px, xs, w, groups, 1, py, ldy, zero, last, nil, sums)
	case u.Half && u.Min:
		int8HalfMinAVX512(m, px, xs, w, groups, 1, py, ldy, zero, last, nil, sums)
	case u.Half && u.Bits == 4:
		int4HalfAVX512(m, px, xs, w, groups, 1, py, ldy, zero, last, nil, sums)
	case u.Half && u.Bits == 6:
		int6HalfAVX512(m, px, xs, w, groups, 1, py, ldy, zero, last, nil, sums)
	case u.Half:
		int8HalfAVX512(m, px, xs, w, groups, 1, py, ldy, zero, last, nil, sums)
	case u.Min && u.Bits == 4:
		int4FactorMinAVX512(m, px, xs, w, groups, 1, py, ldy, zero, last, nil, sums)
	case u.Min && u.Bits == 5:
		int5FactorMinAVX512(m, px, xs, w, groups, 1, py, ldy, zero, last, nil, sums)
	case u.Min:
		int8FactorMinAVX512(m, px, xs, w, groups, 1, py, ldy, zero, last, nil, sums)
	default:
		int8FactorAVX512(m, px, xs, w, groups, 1, py, ldy, zero, last, nil, sums)
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

// intUnpack writes the records of a tile of fewer bits as 8-bit records.
func intUnpack(p *IntPanel, dst, tile []byte) {
	switch {
	case !useAVX2:
		intUnpackGo(p, dst, tile)
	case p.Factored:
		u, n := p.unpacked(), p.BlockBytes()
		for g := 0; g < p.Groups(); g += IntBlock / p.Group {
			to, from := u.RecordAt(g), p.RecordAt(g)
			copy(dst[to-n:to], tile[from-n:from])
			intUnpackFactored(p, &dst[to], &tile[from])
		}
	default:
		intUnpackRecords(p, &dst[0], &tile[p.HeadBytes()], p.zeros(tile))
	}
}

// intUnpackFactored unpacks the records of 256 columns.
func intUnpackFactored(p *IntPanel, to, from *byte) {
	n := IntBlock / p.Group
	switch wide := useAVX512; {
	case p.Grid != nil && wide:
		intUnpackFactorGridAVX512(to, from, n, 1, &p.Grid[0])
	case p.Grid != nil:
		intUnpackFactorGridAVX2(to, from, n, 1, &p.Grid[0])
	case p.Bits == 6 && wide:
		intUnpack6HalfAVX512(to, from, n, 1, nil)
	case p.Bits == 6:
		intUnpack6HalfAVX2(to, from, n, 1, nil)
	case p.Bits == 5 && wide:
		intUnpack5FactorMinAVX512(to, from, n, 1, nil)
	case p.Bits == 5:
		intUnpack5FactorMinAVX2(to, from, n, 1, nil)
	case p.Half && p.Min && wide:
		intUnpackHalfMinAVX512(to, from, n, 1, nil)
	case p.Half && p.Min:
		intUnpackHalfMinAVX2(to, from, n, 1, nil)
	case p.Half && wide:
		intUnpackHalfAVX512(to, from, n, 1, nil)
	case p.Half:
		intUnpackHalfAVX2(to, from, n, 1, nil)
	case wide:
		intUnpackFactorMinAVX512(to, from, n, 1, nil)
	default:
		intUnpackFactorMinAVX2(to, from, n, 1, nil)
	}
}

// intUnpackRecords unpacks all records of a tile with one level of scales.
func intUnpackRecords(p *IntPanel, to, from *byte, points []byte) {
	groups, chunks, zeros := p.Groups(), p.Group/32, unsafe.SliceData(points)
	switch row, wide := p.PerRow, useAVX512; {
	case p.Grid != nil && wide:
		intUnpackGridAVX512(to, from, groups, chunks, &p.Grid[0])
	case p.Grid != nil:
		intUnpackGridAVX2(to, from, groups, chunks, &p.Grid[0])
	case p.Bits == 5 && p.Min && wide:
		intUnpack5GroupMinAVX512(to, from, groups, chunks, zeros)
	case p.Bits == 5 && p.Min:
		intUnpack5GroupMinAVX2(to, from, groups, chunks, zeros)
	case p.Bits == 5 && wide:
		intUnpack5GroupAVX512(to, from, groups, chunks, zeros)
	case p.Bits == 5:
		intUnpack5GroupAVX2(to, from, groups, chunks, zeros)
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
