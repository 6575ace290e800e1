package main

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Registers of kinds with planes of high bits: a mask of their place in a code, the planes, a temporary.
const (
	intPlaneReg = 8
	intPlanes   = 9
	intPlaneTmp = 11
)

// intGridReg holds the grid in each 16 bytes.
const intGridReg = 8

func (g *intGen) loadGrid() {
	p := g.load("zeros")
	if g.wide() {
		g.VBROADCASTI32X4(at(p, 0), g.v[intGridReg])
	} else {
		g.VBROADCASTI128(at(p, 0), g.v[intGridReg])
	}
}

var planeMask = map[int]uint32{5: 0x10101010, 6: 0x30303030}

// loadPlanes loads the plane of a half (the only one of 5 bits) that stands disp bytes before the codes' place.
func (g *intGen) loadPlanes(disp, half int) {
	if g.bits == 6 {
		disp += 128 * half
	}
	for p := range 2 {
		g.VMOVDQU64(at(g.w, disp+64*p), g.v[intPlanes+p])
	}
}

// planeShift is how far a plane moves left so that the bits of columns 4k… come to their place in the codes.
func (g *intGen) planeShift(k int) int {
	if g.bits == 5 {
		return 4 - k
	}
	return 4 - 2*(k%4)
}

func (g *intGen) shift(left int, from, to operand.Op) {
	switch {
	case left > 0:
		g.VPSLLD(operand.Imm(uint64(left)), from, to)
	case left < 0:
		g.VPSRLD(operand.Imm(uint64(-left)), from, to)
	}
}

// addPlanes adds the high bits to the nibbles of columns 4k….
func (g *intGen) addPlanes(k, half int) {
	if g.planes() == 0 {
		return
	}
	const orAnd = 0xF8 // dst | (a & b)
	for p := range 2 {
		bits := g.v[intPlanes+p]
		if left := g.planeShift(k); left != 0 {
			g.shift(left, bits, g.v[intPlaneTmp])
			bits = g.v[intPlaneTmp]
		}
		g.VPTERNLOGD(operand.Imm(orAnd), g.v[intPlaneReg], bits, g.v[2*half+p])
	}
}

// unpackPlanes adds the high bits to the p-th vectors of low and high nibbles of columns 4j…; src is at the codes.
func (g *intGen) unpackPlanes(src reg.Register, j, p int, codes ...reg.Register) {
	for half, c := range codes {
		disp := g.bytes*p - 128*g.planes()
		if g.planes() == 0 {
			return
		}
		if g.bits == 6 {
			disp += 128 * half
		}
		t := g.v[intPlanes]
		g.move(at(src, disp), t)
		g.shift(g.planeShift(4*half+j), t, t)
		g.and(t, g.v[intPlaneReg], t)
		g.or(t, c, c)
	}
}

func (g *intGen) or(a, b, dst operand.Op) {
	if g.wide() {
		g.VPORD(a, b, dst)
	} else {
		g.VPOR(a, b, dst)
	}
}

// blockBytes is the size of the scales and minima of 256 columns.
func (k intKind) blockBytes() int {
	if k.min {
		return 4 * intRows
	}
	return 2 * intRows
}

// factored runs over the blocks of 256 columns, eight records each. The pointers stay at a record's and a group's begin while
// these are worked at.
func (g *intGen) factored(n int) {
	g.block, g.count = g.GP64(), g.GP64()
	block, record := g.label("block"), g.label("record")
	g.place(block)
	g.MOVQ(g.w, g.block)
	g.ADDQ(operand.U32(uint32(g.blockBytes())), g.w)
	g.MOVQ(operand.I32(8), g.count)
	g.place(record)
	for disp := 0; disp < g.codesAt(); disp += 128 {
		g.prefetch(disp)
	}
	if g.half {
		for half := range 2 {
			g.startHalf(n, half)
			g.halfCodes(n, half)
			g.finishPart(n, half)
		}
	} else {
		g.startWhole(n)
		g.wholeCodes(n)
		g.finishPart(n, 0)
	}
	g.factorMinima(n)
	g.ADDQ(operand.U32(uint32(g.codesAt()+g.codeBytes())), g.w)
	for _, b := range g.bases {
		g.ADDQ(operand.Imm(64), b)
	}
	g.DECQ(g.count)
	g.JNZ(record)
	g.SUBQ(operand.Imm(8), g.groups)
	g.JNZ(block)
}

// codeBytes is the size of a record's codes without planes.
func (k intKind) codeBytes() int {
	if k.bits == 8 {
		return 1024
	}
	return 512
}

func (g *intGen) wholeCodes(n int) {
	if g.bits == 8 {
		g.codes8(n, g.codesAt(), 0, 8)
		return
	}
	if g.planes() > 0 {
		g.loadPlanes(g.scaleBytes(), 0)
	}
	g.codes4(n, g.codesAt(), 0, 2)
}

func (g *intGen) halfCodes(n, half int) {
	if g.bits == 8 {
		g.codes8(n, g.codesAt(), 4*half, 4*half+4)
		return
	}
	if g.planes() > 0 {
		g.loadPlanes(g.scaleBytes(), half)
	}
	g.codes4(n, g.codesAt(), half, half+1)
}

// metaAt is where the meta words begin, seen from a group.
const metaAt = 32

// startWhole sets the int32 sums to their starts: codes with minima have none of their own, full bytes one of 128.
func (g *intGen) startWhole(n int) {
	word := metaStart0
	if !g.min {
		word = 8
	}
	for t := range n {
		g.VPBROADCASTD(g.act(g.bases, t, metaAt+word), g.dot(n, t, 0))
		g.VMOVDQA64(g.dot(n, t, 0), g.dot(n, t, 1))
	}
}

// startHalf is startWhole for 16 columns; the code of 0 is the argument start.
func (g *intGen) startHalf(n, half int) {
	if !g.min {
		z := g.halfZero(half)
		g.VPBROADCASTD(z, g.v[0])
	}
	for t := range n {
		d := g.dot(n, t, 0)
		g.VPBROADCASTD(g.act(g.bases, t, metaAt+metaStart0), d)
		if !g.min {
			g.VPBROADCASTD(g.act(g.bases, t, metaAt+metaHalves), g.v[2+t%2])
			g.VPDPWSSD(g.v[2+t%2], g.v[0], d)
		}
		g.VMOVDQA64(d, g.dot(n, t, 1))
	}
}

// halfZero is the negated code of 0 as the low or the high word.
func (g *intGen) halfZero(half int) reg.Register {
	z := g.load("start").As32()
	g.NEGL(z)
	if half == 0 {
		g.ANDL(operand.U32(0xFFFF), z)
	} else {
		g.SHLL(operand.Imm(16), z)
	}
	return z
}

// finishPart adds the int32 sums, scaled, to the f32 sums.
func (g *intGen) finishPart(n, half int) {
	for p := range 2 {
		s, f := g.v[p], g.v[2+p]
		g.VCVTPH2PS(at(g.block, 32*p), s)
		g.VPMOVSXBD(at(g.w, intRows*half+16*p), f)
		g.VCVTDQ2PS(f, f)
		g.VMULPS(f, s, s)
		g.VMULPS(s, g.v[intMagicReg], f)
	}
	for t := range n {
		a := g.v[4+t%2]
		g.VBROADCASTSS(g.act(g.bases, t, metaAt+metaScale), a)
		for p := range 2 {
			d := g.dot(n, t, p)
			g.VFMADD213PS(g.v[2+p], g.v[p], d)
			g.add(n, t, p, a, d)
		}
	}
}

// factorMinima adds minima times the activation's sums.
func (g *intGen) factorMinima(n int) {
	switch {
	case !g.min:
	case g.half:
		g.halfMinima(n)
	default:
		for p := range 2 {
			m, f := g.v[p], g.v[2+p]
			g.VCVTPH2PS(at(g.block, 2*intRows+32*p), m)
			g.VPMOVZXBD(at(g.w, intRows+16*p), f)
			g.VCVTDQ2PS(f, f)
			g.VMULPS(f, m, m)
		}
		for t := range n {
			a := g.v[4+t%2]
			g.VBROADCASTSS(g.act(g.bases, t, metaAt+metaScaleSum), a)
			for p := range 2 {
				b := g.dot(n, t, p)
				g.VMOVAPS(g.v[p], b)
				g.add(n, t, p, a, b)
			}
		}
	}
}

// halfMinima multiplies both halves' minima with both sums of codes in integers.
func (g *intGen) halfMinima(n int) {
	for p := range 2 {
		pair, min := g.v[p], g.v[2+p]
		g.VPMOVZXBD(at(g.w, 3*intRows+16*p), min)
		g.VPSLLD(operand.Imm(16), min, min)
		g.VPMOVZXBD(at(g.w, 2*intRows+16*p), pair)
		g.VPORD(min, pair, pair)
		g.VCVTPH2PS(at(g.block, 2*intRows+32*p), min)
	}
	for t := range n {
		g.VPBROADCASTD(g.act(g.bases, t, metaAt+metaHalves), g.v[4])
		g.VBROADCASTSS(g.act(g.bases, t, metaAt+metaScale), g.v[5])
		for p := range 2 {
			d := g.dot(n, t, p)
			g.zero(d)
			g.VPDPWSSD(g.v[4], g.v[p], d)
			g.VCVTDQ2PS(d, d)
			g.VMULPS(g.v[5], d, d)
			g.add(n, t, p, g.v[2+p], d)
		}
	}
}

// factored is the AVX2 twin of intGen.factored.
func (g *intAVX2) factored(groups, count reg.Register) {
	g.block = g.GP64()
	block, record := g.label("block"), g.label("record")
	g.place(block)
	g.MOVQ(g.w, g.block)
	g.ADDQ(operand.U32(uint32(g.blockBytes())), g.w)
	g.MOVQ(operand.I32(8), count)
	g.place(record)
	parts := 1
	if g.half {
		parts = 2
	}
	for part := range parts {
		g.startPart(part)
		g.columns(g.codesAt(), 8*part/parts, 8*(part+1)/parts)
		g.finishPart(part)
	}
	g.factorMinima()
	g.ADDQ(operand.U32(uint32(g.codesAt()+1024)), g.w)
	g.ADDQ(operand.Imm(64), g.x)
	g.DECQ(count)
	g.JNZ(record)
	g.SUBQ(operand.Imm(8), groups)
	g.JNZ(block)
}

func (g *intAVX2) startPart(part int) {
	v := avx2.v
	g.VPBROADCASTD(at(g.x, metaAt+metaStart0), v[0])
	if g.half && !g.min {
		z := g.load("start").As32()
		g.NEGL(z)
		if part == 0 {
			g.ANDL(operand.U32(0xFFFF), z)
		} else {
			g.SHLL(operand.Imm(16), z)
		}
		g.VMOVD(z, avx2.x[9])
		g.VPBROADCASTD(avx2.x[9], v[9])
		g.VPBROADCASTD(at(g.x, metaAt+metaHalves), v[8])
		g.VPMADDWD(v[9], v[8], v[8])
		g.VPADDD(v[8], v[0], v[0])
	}
	for p := 1; p < 4; p++ {
		g.VMOVDQA(v[0], v[p])
	}
}

func (g *intAVX2) finishPart(part int) {
	v := avx2.v
	g.VBROADCASTSS(at(g.x, metaAt+metaScale), v[a2Act])
	for p := range 4 {
		s, f := v[8], v[9]
		g.VCVTPH2PS(at(g.block, 16*p), s)
		g.VPMOVSXBD(at(g.w, intRows*part+8*p), f)
		g.VCVTDQ2PS(f, f)
		g.VMULPS(f, s, s)
		g.VMULPS(s, v[a2Magic], f)
		g.VFMADD213PS(f, s, v[p])
		g.VFMADD231PS(v[a2Act], v[p], v[4+p])
	}
}

func (g *intAVX2) factorMinima() {
	if !g.min {
		return
	}
	v := avx2.v
	word := metaScaleSum
	if g.half {
		word = metaScale
		g.VPBROADCASTD(at(g.x, metaAt+metaHalves), v[10])
	}
	g.VBROADCASTSS(at(g.x, metaAt+word), v[a2Act])
	for p := range 4 {
		m, f := v[8], v[9]
		g.VCVTPH2PS(at(g.block, 2*intRows+16*p), m)
		if g.half {
			g.VPMOVZXBD(at(g.w, 3*intRows+8*p), v[0])
			g.VPSLLD(operand.Imm(16), v[0], v[0])
			g.VPMOVZXBD(at(g.w, 2*intRows+8*p), f)
			g.VPOR(v[0], f, f)
			g.VPMADDWD(v[10], f, f)
			g.VCVTDQ2PS(f, f)
			g.VMULPS(v[a2Act], f, f)
			g.VFMADD231PS(m, f, v[4+p])
			continue
		}
		g.VPMOVZXBD(at(g.w, intRows+8*p), f)
		g.VCVTDQ2PS(f, f)
		g.VMULPS(f, m, m)
		g.VFMADD231PS(m, v[a2Act], v[4+p])
	}
}
