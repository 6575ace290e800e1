package kernel

import (
	"encoding/binary"
	"math"
)

// IntTileRows is the number of output rows of one tile of an integer-coded weight matrix.
const IntTileRows = 32

// IntMeta is the number of bytes that follow the int8 codes of an activation group: four int32 accumulator starts
// (for weight offsets 8, 16, 128 and 0), the f32 scale, f32 scale*sum(codes), int32 sum(codes) and four zero bytes.
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
)

// IntPanel describes the packed form of an integer-coded weight matrix: tiles of 32 rows that follow each other, each
// tile a head and then one record per group of columns. A record is 32 f16 scales (unless PerRow), then minima, then codes:
//
//	8 bits: for every 4 columns 128 bytes; row r's 4 codes at byte 4r
//	4 bits: for every 32 columns four times 128 bytes; in the j-th, byte 4r+b of row r holds columns 4j+b (low) and 16+4j+b (high)
//
// A weight is scale*(code-zero): zero is 8 or 128, or the row's or group's own when Zero is set, or scale*code+min with Min.
type IntPanel struct {
	Bits     int     // 4 or 8
	Cols     int     // columns, padded to a multiple of Group
	Group    int     // columns that share one activation scale (and one weight scale unless PerRow); a multiple of 32
	PerRow   bool    // one f32 scale per row, in the tile's head
	Zero     bool    // zero points in the head: 4 bits: a byte per row (PerRow) or per row and group; 8 bits: PerRow, negated, f32
	Min      bool    // f16 (4 bits) or f32 (8 bits) minima in the record, after the scales
	PerToken bool    // one activation scale per token, sums all in int32; PerRow, 8 bits, no zero points
	Out      float32 // a last factor on every output of a group-scaled panel (a power of two)
}

// Groups is the number of records of a tile.
func (p *IntPanel) Groups() int { return p.Cols / p.Group }

// HeadBytes is the size of a tile's head, a multiple of 64: scales and zero points per row, or 4-bit zero points per group.
func (p *IntPanel) HeadBytes() int {
	n := 0
	if p.PerRow {
		n = 4 * IntTileRows
	}
	switch {
	case p.Zero && p.PerRow:
		n += 4 * IntTileRows // 8 bits: f32; 4 bits: bytes, the rest unused
	case p.Zero && p.Bits == 4:
		n += (p.Groups()*IntTileRows + 63) &^ 63
	}
	return n
}

// CodesAt is the offset of the codes in a record.
func (p *IntPanel) CodesAt() int {
	switch {
	case p.PerRow:
		return 0
	case p.Min && p.Bits == 8:
		return 6 * IntTileRows
	case p.Min:
		return 4 * IntTileRows
	}
	return 2 * IntTileRows
}

// RecordBytes is the size of one group's record.
func (p *IntPanel) RecordBytes() int { return p.CodesAt() + p.Group*p.Bits/8*IntTileRows }

// TileBytes is the size of one tile of 32 rows.
func (p *IntPanel) TileBytes() int { return p.HeadBytes() + p.Groups()*p.RecordBytes() }

// intSpill is the part of the scratch that holds the f32 sums of 12 tokens.
const intSpill = 12 * 4 * IntTileRows

// ScratchBytes is the size of the scratch that IntMul needs, for sums and for the unpacked records of a 4-bit tile.
func (p *IntPanel) ScratchBytes() int {
	if p.Bits == 8 {
		return intSpill
	}
	u := p.unpacked()
	return intSpill + u.Groups()*u.RecordBytes()
}

// unpacked is the 8-bit panel that a 4-bit tile becomes before it meets many tokens.
func (p *IntPanel) unpacked() IntPanel {
	u := *p
	u.Bits, u.Zero = 8, false
	return u
}

// startAt is the offset of the accumulator start in the activation's meta words: by the zero that the codes carry.
func (p *IntPanel) startAt() int {
	switch {
	case p.Min || p.Bits == 8 && p.Zero:
		return 12
	case p.Bits == 8:
		return 8
	case p.Zero:
		return 4
	}
	return 0
}

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
	sum := int32(0)
	for i, v := range x {
		q := roundInt8(v * inverse)
		sum += int32(q)
		dst[i] = byte(q)
	}
	clear(dst[len(x):group])
	writeMeta(dst[group:], scale, sum, base)
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

func writeMeta(m []byte, scale float32, sum, base int32) {
	le := binary.LittleEndian
	le.PutUint32(m[0:], uint32(base-8*sum))
	le.PutUint32(m[4:], uint32(base-16*sum))
	le.PutUint32(m[8:], uint32(base-128*sum))
	le.PutUint32(m[12:], uint32(base))
	le.PutUint32(m[metaScale:], math.Float32bits(scale))
	le.PutUint32(m[metaScaleSum:], math.Float32bits(scale*float32(sum)))
	le.PutUint32(m[metaSum:], uint32(sum))
	le.PutUint32(m[28:], 0)
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
	if p.Bits == 4 {
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
	start, base := p.startAt(), p.base()
	for range u.Groups() {
		meta := x[u.Group : u.Group+IntMeta]
		var dot [IntTileRows]int32
		for r := range dot {
			dot[r] = int32(binary.LittleEndian.Uint32(meta[start:])) - base
		}
		intDotGo(&dot, x[:u.Group], codes[u.CodesAt():])
		scale, scaleSum := float32At(meta, metaScale/4), float32At(meta, metaScaleSum/4)
		for r := range sum {
			v := float32(dot[r])
			if !u.PerRow {
				v *= halfAt(codes, r)
			}
			sum[r] = fma32(v, scale, sum[r])
			switch {
			case u.Min:
				sum[r] = fma32(float32At(codes, IntTileRows/2+r), scaleSum, sum[r])
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

// intUnpackGo writes the records of a 4-bit tile as 8-bit records: codes apart, zero points folded in (code-zero+16).
func intUnpackGo(p *IntPanel, dst, tile []byte) {
	u := p.unpacked()
	zeros, codes := tile[:p.HeadBytes()], tile[p.HeadBytes():]
	if p.PerRow {
		zeros = zeros[4*IntTileRows:]
	}
	for range p.Groups() {
		if !p.PerRow {
			copy(dst[:2*IntTileRows], codes)
		}
		if p.Min {
			for r := range IntTileRows {
				putFloat32(dst, IntTileRows/2+r, halfAt(codes, IntTileRows+r))
			}
		}
		for b := range p.Group / 32 {
			unpackBlockGo(dst[u.CodesAt()+b*32*IntTileRows:], codes[p.CodesAt()+b*16*IntTileRows:], zeros, p.Zero)
		}
		dst, codes = dst[u.RecordBytes():], codes[p.RecordBytes():]
		if p.Zero && !p.PerRow {
			zeros = zeros[IntTileRows:]
		}
	}
}

// unpackBlockGo splits 32 columns of 32 rows.
func unpackBlockGo(dst, src, zeros []byte, zero bool) {
	for j := range 4 {
		for i := range 4 * IntTileRows {
			c, add := src[j*4*IntTileRows+i], byte(0)
			if zero {
				add = 16 - zeros[i/4]
			}
			dst[j*4*IntTileRows+i] = c&15 + add
			dst[(4+j)*4*IntTileRows+i] = c>>4 + add
		}
	}
}

func (p *IntPanel) base() int32 {
	if p.PerToken {
		return 0
	}
	return intMagic
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

// IntDecode writes the weights of one tile: dst[r*p.Cols+c].
func IntDecode(p *IntPanel, dst []float32, tile []byte) {
	codes, u := tile[p.HeadBytes():], *p
	if p.Bits == 4 {
		u = p.unpacked()
		wide := make([]byte, p.ScratchBytes())
		intUnpackGo(p, wide, tile)
		codes = wide
	}
	zero := [...]float32{8, 16, 128, 0}[p.startAt()/4]
	for g := range p.Groups() {
		for r := range IntTileRows {
			var scale, add float32
			switch {
			case p.PerRow && p.Zero && p.Bits == 8:
				scale, add = float32At(tile, r), float32At(tile, IntTileRows+r)
			case p.PerRow:
				scale = float32At(tile, r)
			default:
				scale = halfAt(codes, r)
			}
			for c := range p.Group {
				v := float32(codes[u.CodesAt()+c/4*4*IntTileRows+4*r+c%4]) - zero + add
				v *= scale
				if u.Min {
					v += float32At(codes, IntTileRows/2+r)
				}
				if !p.PerRow {
					v *= p.Out
				}
				dst[r*p.Cols+g*p.Group+c] = v
			}
		}
		codes = codes[u.RecordBytes():]
	}
}
