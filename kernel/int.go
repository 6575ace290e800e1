package kernel

import (
	"encoding/binary"
	"math"
)

// IntTileRows is the number of output rows of one tile of an integer-coded weight matrix.
const IntTileRows = 32

// IntMeta is the number of bytes that follow the int8 codes of an activation group: four int32 accumulator starts
// (for weight offsets 8, 16, 128 and 0), the f32 scale, f32 scale*sum(codes), int32 sum(codes), and the sums of the first and
// the last halves of all 32 columns as two int16, which hold them where the group is one 32.
const IntMeta = 32

// intMagic as an int32 is the float 1.5*2^23. An accumulator that starts there holds, read as a float, intMagic+dot
// exactly while |dot| < 2^22: one fused multiply-subtract then replaces the conversion and the product with the scale.
const (
	intMagic     = 0x4B400000
	intMagicF    = 12582912
	tinyAbsMax   = 0x1p-100 // an activation group below this is zero: its reciprocal scale would overflow
	metaStart    = 0
	metaScale    = 16
	metaScaleSum = 20
	metaSum      = 24
	metaHalves   = 28
)

// IntRowBytes is the size of one token's activations: per group its codes and its meta words.
func IntRowBytes(cols, group int) int { return cols / group * (group + IntMeta) }

// IntQuantize writes x as int8 groups: scale = absmax/127, codes rounded to nearest even. x is padded with zeros to whole
// groups; dst holds IntRowBytes of the padded width. perToken: the starts are plain, for sums that outgrow intMagic.
func IntQuantize(dst []byte, x []float32, group int, perToken bool) {
	base := int32(intMagic)
	if perToken {
		base = 0
	}
	rec := group + IntMeta
	if n := len(x) / group; useAVX2 && n > 0 {
		intQuantizeAVX2(&dst[:n*rec][0], &x[0], n, group/32, int(base))
		dst, x = dst[n*rec:], x[n*group:]
	}
	for len(x) > 0 {
		n := min(group, len(x))
		quantizeGroupGo(dst[:rec:rec], x[:n:n], group, base)
		dst, x = dst[rec:], x[n:]
	}
}

func quantizeGroupGo(dst []byte, x []float32, group int, base int32) {
	var bits uint32 // compared as integers, a NaN is the largest
	for _, v := range x {
		bits = max(bits, math.Float32bits(v)&^(1<<31))
	}
	big := math.Float32frombits(bits)
	var scale, inverse float32
	if !(big < tinyAbsMax) {
		scale, inverse = big/127, 127/big
	}
	var sums [2]int32
	for i, v := range x {
		q := roundInt8(v * inverse)
		sums[i/16&1] += int32(q)
		dst[i] = byte(q)
	}
	clear(dst[len(x):group])
	writeMeta(dst[group:], scale, sums, base)
}

// roundInt8 rounds to nearest even and saturates; what is no number becomes -128, as the vector conversion has it.
func roundInt8(v float32) int8 {
	switch {
	case !(v > -128):
		return -128
	case v > 127:
		return 127
	}
	return int8(int32(math.Float32bits(v+intMagicF)) - intMagic)
}

func writeMeta(m []byte, scale float32, halves [2]int32, base int32) {
	le, sum := binary.LittleEndian, halves[0]+halves[1]
	le.PutUint32(m[0:], uint32(base-8*sum))
	le.PutUint32(m[4:], uint32(base-16*sum))
	le.PutUint32(m[8:], uint32(base-128*sum))
	le.PutUint32(m[12:], uint32(base))
	le.PutUint32(m[metaScale:], math.Float32bits(scale))
	le.PutUint32(m[metaScaleSum:], math.Float32bits(scale*float32(sum)))
	le.PutUint32(m[metaSum:], uint32(sum))
	le.PutUint16(m[metaHalves:], uint16(halves[0]))
	le.PutUint16(m[metaHalves+2:], uint16(halves[1]))
}

// IntMul computes y[t*ldy+r] for m tokens and the 32 rows of one tile. x holds m rows of activations, xs bytes apart, as
// IntQuantize wrote them with this panel's group. scratch has ScratchBytes. Every output is one sum over groups in
// order, integers inside a group, whatever m is.
func IntMul(p *IntPanel, m int, x []byte, xs int, tile []byte, y []float32, ldy int, scratch []byte) {
	if m == 0 {
		return
	}
	_ = x[(m-1)*xs+IntRowBytes(p.Cols, p.Group)-1]
	_ = tile[p.TileBytes()-1]
	_ = y[(m-1)*ldy+IntTileRows-1]
	_ = scratch[:p.ScratchBytes()]
	intMul(p, m, x, xs, tile, y, ldy, scratch)
}

// intMulGo is the definition of IntMul.
func intMulGo(p *IntPanel, m int, x []byte, xs int, tile []byte, y []float32, ldy int, scratch []byte) {
	codes, u := tile[p.HeadBytes():], *p
	if p.Bits < 8 {
		u = p.unpacked()
		codes = scratch[intSpill:]
		intUnpackGo(p, codes, tile)
	}
	for t := range m {
		intTokenGo(p, &u, x[t*xs:], tile, codes, (*[IntTileRows]float32)(y[t*ldy:]))
	}
}

// intTokenGo is one token against one tile whose records are 8-bit; head is the original tile, for what its head holds.
func intTokenGo(p, u *IntPanel, x, head, codes []byte, y *[IntTileRows]float32) {
	var sum [IntTileRows]float32
	var block []byte
	for g := range u.Groups() {
		if u.Factored && g%(IntBlock/u.Group) == 0 {
			block, codes = codes, codes[u.BlockBytes():]
		}
		for h := range u.halves() {
			intPartGo(p, u, h, x, block, codes, &sum)
		}
		meta := x[u.Group:]
		scale, scaleSum := float32At(meta, metaScale/4), float32At(meta, metaScaleSum/4)
		for r := range sum {
			switch {
			case u.Min && u.Half:
				m := int32(codes[64+r])*int16At(meta, metaHalves) + int32(codes[96+r])*int16At(meta, metaHalves+2)
				sum[r] = fma32(halfAt(block, IntTileRows+r), float32(m)*scale, sum[r])
			case u.Min:
				sum[r] = fma32(u.minimum(block, codes, r), scaleSum, sum[r])
			case p.PerRow && p.Zero && p.Bits == 8:
				sum[r] = fma32(float32At(head, IntTileRows+r), scaleSum, sum[r])
			}
		}
		x, codes = x[u.Group+IntMeta:], codes[u.RecordBytes():]
	}
	for r := range y {
		if y[r] = sum[r] * p.Out; p.PerRow {
			y[r] = sum[r] * float32At(head, r)
		}
	}
}

// intPartGo adds the columns of one group, or of half of it, that share a factor.
func intPartGo(p, u *IntPanel, h int, x, block, record []byte, sum *[IntTileRows]float32) {
	meta, width := x[u.Group:u.Group+IntMeta], u.Group/u.halves()
	start := int32(binary.LittleEndian.Uint32(meta[p.startAt():])) - p.base()
	if u.Half {
		start = -int32(p.zero()) * int16At(meta, metaHalves+2*h)
	}
	var dot [IntTileRows]int32
	for r := range dot {
		dot[r] = start
	}
	intDotGo(&dot, x[h*width:(h+1)*width], record[u.CodesAt()+h*width*IntTileRows:])
	for r := range sum {
		v := float32(dot[r])
		if !u.PerRow {
			v *= u.scale(block, record, h, r)
		}
		sum[r] = fma32(v, float32At(meta, metaScale/4), sum[r])
	}
}

// scale is row r's scale of a record, or of a half of it.
func (p *IntPanel) scale(block, record []byte, h, r int) float32 {
	if p.Factored {
		return halfAt(block, r) * float32(int8(record[h*IntTileRows+r]))
	}
	return halfAt(record, r)
}

// minimum is row r's minimum of a record of 8-bit codes.
func (p *IntPanel) minimum(block, record []byte, r int) float32 {
	if p.Factored {
		return halfAt(block, IntTileRows+r) * float32(record[IntTileRows+r])
	}
	return float32At(record, IntTileRows/2+r)
}

func intDotGo(dot *[IntTileRows]int32, x, codes []byte) {
	for len(x) >= 4 {
		a0, a1, a2, a3 := int32(int8(x[0])), int32(int8(x[1])), int32(int8(x[2])), int32(int8(x[3]))
		w := (*[4 * IntTileRows]byte)(codes)
		for r := range dot {
			dot[r] += a0*int32(w[4*r]) + a1*int32(w[4*r+1]) + a2*int32(w[4*r+2]) + a3*int32(w[4*r+3])
		}
		x, codes = x[4:], codes[4*IntTileRows:]
	}
}

// intUnpackGo writes the records of a tile of fewer bits as 8-bit records: codes apart, zero points folded in (code-zero+16).
func intUnpackGo(p *IntPanel, dst, tile []byte) {
	u := p.unpacked()
	zeros := tile[:p.HeadBytes()]
	if p.PerRow {
		zeros = zeros[4*IntTileRows:]
	}
	for g := range p.Groups() {
		if p.Factored && g%(IntBlock/p.Group) == 0 {
			copy(dst[:p.BlockBytes()], tile[p.RecordAt(g)-p.BlockBytes():])
			dst = dst[p.BlockBytes():]
		}
		record := tile[p.RecordAt(g):]
		unpackScalesGo(p, dst, record)
		for b := range p.Group / 32 {
			planes, codes := record[p.PlanesAt()+b*(p.Bits-4)*4*IntTileRows:], record[p.CodesAt()+b*16*IntTileRows:]
			unpackBlockGo(dst[u.CodesAt()+b*32*IntTileRows:], codes, planes, zeros, p)
		}
		dst = dst[u.RecordBytes():]
		if p.Zero && !p.PerRow {
			zeros = zeros[IntTileRows:]
		}
	}
}

// unpackScalesGo copies a record's scales and minima; minima that are not factored become f32.
func unpackScalesGo(p *IntPanel, dst, record []byte) {
	switch {
	case p.Factored:
		copy(dst[:p.scaleBytes()], record)
	case !p.PerRow:
		copy(dst[:2*IntTileRows], record)
		for r := range IntTileRows {
			if p.Min {
				putFloat32(dst, IntTileRows/2+r, halfAt(record, IntTileRows+r))
			}
		}
	}
}

// unpackBlockGo splits 32 columns of 32 rows.
func unpackBlockGo(dst, src, planes, zeros []byte, p *IntPanel) {
	const n = 4 * IntTileRows // bytes of 4 columns
	for k := range 8 {
		for i := range n {
			c := src[k%4*n+i] >> (k / 4 * 4) & 15
			switch {
			case p.Bits == 5:
				c |= planes[i] >> k & 1 << 4
			case p.Bits == 6:
				c |= planes[k/4*n+i] >> (k % 4 * 2) & 3 << 4
			case p.Grid != nil:
				c = p.Grid[c]
			case p.Zero:
				c += 16 - zeros[i/4]
			}
			dst[k*n+i] = c
		}
	}
}

// fma32 is x*y+z, rounded once (but for rare ties that the float64 detour rounds twice).
func fma32(x, y, z float32) float32 {
	return float32(math.FMA(float64(x), float64(y), float64(z)))
}

func float32At(b []byte, i int) float32 {
	return math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
}

func putFloat32(b []byte, i int, v float32) {
	binary.LittleEndian.PutUint32(b[4*i:], math.Float32bits(v))
}

func halfAt(b []byte, i int) float32 { return f16Value(binary.LittleEndian.Uint16(b[2*i:])) }

func int16At(b []byte, at int) int32 { return int32(int16(binary.LittleEndian.Uint16(b[at:]))) }

// IntDecode writes the weights of one tile: dst[r*p.Cols+c].
func IntDecode(p *IntPanel, dst []float32, tile []byte) {
	codes, u := tile[p.HeadBytes():], *p
	if p.Bits < 8 {
		u = p.unpacked()
		codes = make([]byte, u.bodyBytes())
		intUnpackGo(p, codes, tile)
	}
	var block []byte
	for g := range p.Groups() {
		if p.Factored && g%(IntBlock/p.Group) == 0 {
			block, codes = codes, codes[u.BlockBytes():]
		}
		for r := range IntTileRows {
			decodeGroup(p, &u, dst[r*p.Cols+g*p.Group:][:p.Group], tile, block, codes, r)
		}
		codes = codes[u.RecordBytes():]
	}
}

// decodeGroup writes row r's weights of one record.
func decodeGroup(p, u *IntPanel, dst []float32, head, block, record []byte, r int) {
	zero, width := float32(p.zero()), p.Group/p.halves()
	for c := range dst {
		v := float32(record[u.CodesAt()+c/4*4*IntTileRows+4*r+c%4]) - zero
		switch {
		case p.PerRow && p.Zero && p.Bits == 8:
			v = (v + float32At(head, IntTileRows+r)) * float32At(head, r)
		case p.PerRow:
			v *= float32At(head, r)
		default:
			v *= u.scale(block, record, c/width, r)
		}
		switch {
		case p.Min && p.Half:
			v += halfAt(block, IntTileRows+r) * float32(record[64+c/width*IntTileRows+r])
		case p.Min:
			v += u.minimum(block, record, r)
		}
		if !p.PerRow {
			v *= p.Out
		}
		dst[c] = v
	}
}
