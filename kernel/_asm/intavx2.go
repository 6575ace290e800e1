package main

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// intAVX2File writes the AVX2 products over 8-bit records, one token at a time. Codes up to 63 (unpacked ones of fewer bits) are the
// unsigned operand of VPMADDUBSW as they are; full bytes become signed (code-128), and their sign moves to the activation,
// since |code-128|*127*2 still fits 16 bits.
func intAVX2File(c *asm) {
	for _, k := range intKinds {
		if k.bits < 8 {
			continue
		}
		if !k.factor || !k.half && !k.min {
			intAVX2Func(c, k, false)
		}
		if !k.points && !k.token && (!k.factor || k.half || k.min) {
			intAVX2Func(c, k, true)
		}
	}
}

type intAVX2 struct {
	*asm
	intKind
	small      bool // codes up to 63
	x, w, last reg.GPVirtual
	block      reg.GPVirtual // the scales of 256 columns
}

// Registers: 0-3 int32 sums, 4-7 f32 sums, 8-10 temporaries, 11 the activation.
const (
	a2Act   = 11
	a2Ones  = 12
	a2Flip  = 13
	a2Magic = 14
)

func intAVX2Func(c *asm, k intKind, small bool) {
	name := k.name + "AVX2"
	if small {
		name = "int4To8" + k.name[4:] + "AVX2"
	}
	c.function(name,
		"func(m int, x *byte, xs int, w *byte, groups, chunks int, y *float32, ldy int, start int, last *float32)",
		name+" multiplies m tokens with one tile of 8-bit records: see intMulGo.")
	g := &intAVX2{asm: c, intKind: k, small: small}
	g.splat(0x00010001, a2Ones)
	g.splat(0x80808080, a2Flip)
	g.splat(0x80000000|intMagicF, a2Magic)
	g.last = c.load("last")
	token := c.label("token")
	c.place(token)
	g.x, g.w = c.load("x"), c.load("w")
	groups, n := c.load("groups"), c.GP64()
	for p := range 4 {
		c.VXORPS(avx2.v[4+p], avx2.v[4+p], avx2.v[4+p])
	}
	if k.factor {
		g.factored(groups, n)
	} else {
		g.groups(groups, n)
	}
	g.store()
	t := c.GP64()
	c.MOVQ(c.arg("xs"), t)
	c.ADDQ(t, c.arg("x"))
	c.MOVQ(c.arg("ldy"), t)
	c.SHLQ(operand.Imm(2), t)
	c.ADDQ(t, c.arg("y"))
	c.DECQ(c.arg("m"))
	c.JNZ(token)
	c.end()
}

// groups runs over the records of a panel with one level of scales.
func (g *intAVX2) groups(groups, n reg.Register) {
	c, k := g.asm, g.intKind
	group, chunk := c.label("group"), c.label("chunk")
	c.place(group)
	c.MOVQ(c.arg("chunks"), n)
	g.begin(n)
	record := c.GP64()
	c.MOVQ(g.w, record)
	c.ADDQ(operand.U32(uint32(k.codesAt())), g.w)
	c.place(chunk)
	g.columns(0, 0, 8)
	g.ADDQ(operand.U32(1024), g.w)
	g.ADDQ(operand.Imm(32), g.x)
	c.DECQ(n)
	c.JNZ(chunk)
	g.finish(record)
	c.ADDQ(operand.Imm(32), g.x)
	c.DECQ(groups)
	c.JNZ(group)
}

func (g *intAVX2) splat(word uint32, r int) {
	t := g.GP32()
	g.MOVL(operand.U32(word), t)
	g.VMOVD(t, avx2.x[r])
	g.VPBROADCASTD(avx2.x[r], avx2.v[r])
}

// begin sets the int32 sums. Signed codes bring their own -128*sum, which kinds without an offset take back.
func (g *intAVX2) begin(chunks reg.Register) {
	v, meta := avx2.v, g.GP64()
	g.MOVQ(chunks, meta)
	g.SHLQ(operand.Imm(5), meta)
	g.ADDQ(g.x, meta)
	switch {
	case g.small:
		g.ADDQ(g.arg("start"), meta)
		g.VPBROADCASTD(at(meta, 0), v[0])
	case g.min || g.points:
		g.VPBROADCASTD(at(meta, 12), v[0])
		g.VPADDD(v[0], v[0], v[0])
		g.VPBROADCASTD(at(meta, 8), v[1])
		g.VPSUBD(v[1], v[0], v[0])
	default:
		g.VPBROADCASTD(at(meta, 12), v[0])
	}
	for p := 1; p < 4; p++ {
		g.VMOVDQA(v[0], v[p])
	}
}

// columns adds columns 4·from to 4·to of 32 whose codes stand disp bytes on.
func (g *intAVX2) columns(disp, from, to int) {
	v := avx2.v
	for k := from; k < to; k++ {
		g.VPBROADCASTD(at(g.x, 4*k), v[a2Act])
		for p := range 4 {
			m, w, t := at(g.w, disp+128*k+32*p), v[8], v[9]
			if g.small {
				g.VMOVDQU(m, w)
				g.VPMADDUBSW(v[a2Act], w, t)
			} else {
				g.VPXOR(m, v[a2Flip], w)
				g.VPSIGNB(w, v[a2Act], t)
				g.VPABSB(w, w)
				g.VPMADDUBSW(t, w, t)
			}
			g.VPMADDWD(v[a2Ones], t, t)
			g.VPADDD(t, v[p], v[p])
		}
	}
}

// finish adds the group to the f32 sums.
func (g *intAVX2) finish(record reg.Register) {
	v := avx2.v
	g.VBROADCASTSS(at(g.x, metaScale), v[a2Act])
	for p := range 4 {
		d, scale, add := v[p], v[8], v[9]
		switch {
		case g.token:
			g.VCVTDQ2PS(d, d)
		case g.scale:
			g.VCVTPH2PS(at(record, 16*p), scale)
			g.VMULPS(scale, v[a2Magic], add)
			g.VFMADD213PS(add, scale, d)
		default:
			g.VADDPS(v[a2Magic], d, d)
		}
		g.VFMADD231PS(v[a2Act], d, v[4+p])
	}
	if !g.min && !g.points {
		return
	}
	g.VBROADCASTSS(at(g.x, metaScaleSum), v[a2Act])
	for p := range 4 {
		m := at(record, 2*intRows+32*p)
		if g.points {
			m = at(g.last, 4*intRows+32*p)
		}
		g.VFMADD231PS(m, v[a2Act], v[4+p])
	}
}

// store multiplies by the last factor and writes 32 outputs.
func (g *intAVX2) store() {
	v, y := avx2.v, g.load("y")
	for p := range 4 {
		if g.scale {
			g.VBROADCASTSS(at(g.last, 0), v[8])
		} else {
			g.VMOVUPS(at(g.last, 32*p), v[8])
		}
		g.VMULPS(v[8], v[4+p], v[4+p])
		g.VMOVUPS(v[4+p], at(y, 32*p))
	}
}
