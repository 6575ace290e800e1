package main

import (
	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// intQuantizeFile writes the int8 encoding of activations. 256-bit vectors serve AVX-512 too: they use one port more.
func intQuantizeFile(c *asm) {
	c.function("intQuantizeAVX2", "func(dst *byte, x *float32, groups, chunks int, base int)",
		"intQuantizeAVX2 is quantizeGroupGo for so many whole groups of chunks times 32 values.")
	q := &quantizeGen{c, c.load("dst"), c.load("x"), c.load("groups"), c.GP64(), c.GP64()}
	q.constants()
	group := c.label("group")
	c.place(group)
	q.largest()
	q.scales()
	q.codes()
	q.meta()
	c.DECQ(q.groups)
	c.JNZ(group)
	c.end()
}

type quantizeGen struct {
	*asm
	dst, x, groups, n, p reg.GPVirtual
}

// Registers that stay; Y0…Y7 are temporaries.
var (
	quantAbs   = reg.Y15 // 0x7fffffff
	quantOrder = reg.Y14 // order of the lanes after packing
	quantOnes8 = reg.Y13
	quantOnes  = reg.Y12 // 16 bits
	quantMul   = reg.X11 // 8, 16, 128, 0
	quantBase  = reg.X10
	quantTiny  = reg.X9
	quant127   = reg.X8
)

func (q *quantizeGen) constants() {
	t := q.GP32()
	splat := func(word uint32, x, y reg.Register) {
		q.MOVL(operand.U32(word), t)
		q.VMOVD(t, x)
		q.VPBROADCASTD(x, y)
	}
	splat(0x7fffffff, reg.X15, quantAbs)
	splat(0x01010101, reg.X13, quantOnes8)
	splat(0x00010001, reg.X12, quantOnes)
	splat(0x0d800000, quantTiny, quantTiny) // 2^-100
	splat(0x42fe0000, quant127, quant127)
	q.VPBROADCASTD(q.arg("base"), quantBase)
	order := q.StaticGlobal("intQuantizeOrder") // 0, 4, 1, 5, 2, 6, 3, 7 and 8, 16, 128, 0
	q.DataAttributes(attr.RODATA | attr.NOPTR)
	for i, v := range []uint32{0, 4, 1, 5, 2, 6, 3, 7, 8, 16, 128, 0} {
		q.AddDatum(4*i, operand.U32(v))
	}
	q.VMOVDQU(order, quantOrder)
	q.VMOVDQU(order.Offset(32), quantMul)
}

// largest leaves the absolute maximum, compared as integers so that a NaN wins, in all lanes of X0.
func (q *quantizeGen) largest() {
	q.VPXOR(reg.Y0, reg.Y0, reg.Y0)
	q.VPXOR(reg.Y1, reg.Y1, reg.Y1)
	q.MOVQ(q.x, q.p)
	q.MOVQ(q.arg("chunks"), q.n)
	loop := q.label("max")
	q.place(loop)
	for i := range 4 {
		v := []reg.Register{reg.Y2, reg.Y3, reg.Y4, reg.Y5}[i]
		q.VPAND(at(q.p, 32*i), quantAbs, v)
		m := []reg.Register{reg.Y0, reg.Y1}[i%2]
		q.VPMAXUD(v, m, m)
	}
	q.ADDQ(operand.U32(128), q.p)
	q.DECQ(q.n)
	q.JNZ(loop)
	q.VPMAXUD(reg.Y1, reg.Y0, reg.Y0)
	q.VEXTRACTI128(operand.Imm(1), reg.Y0, reg.X1)
	q.VPMAXUD(reg.X1, reg.X0, reg.X0)
	q.VPSHUFD(operand.Imm(0x4e), reg.X0, reg.X1)
	q.VPMAXUD(reg.X1, reg.X0, reg.X0)
	q.VPSHUFD(operand.Imm(0xb1), reg.X0, reg.X1)
	q.VPMAXUD(reg.X1, reg.X0, reg.X0)
}

// scales leaves the scale in X6 and its inverse in all lanes of Y7; both are zero below the tiny bound.
func (q *quantizeGen) scales() {
	q.VCMPPS(operand.Imm(5), quantTiny, reg.X0, reg.X1) // not less than
	q.VDIVPS(quant127, reg.X0, reg.X6)
	q.VDIVPS(reg.X0, quant127, reg.X7)
	q.VANDPS(reg.X1, reg.X6, reg.X6)
	q.VANDPS(reg.X1, reg.X7, reg.X7)
	q.VBROADCASTSS(reg.X7, reg.Y7)
}

// codes rounds the group and leaves its sum in X5, the sums of its halves as words of X4.
func (q *quantizeGen) codes() {
	q.VPXOR(reg.Y5, reg.Y5, reg.Y5)
	q.MOVQ(q.arg("chunks"), q.n)
	loop := q.label("round")
	q.place(loop)
	v := []reg.Register{reg.Y0, reg.Y1, reg.Y2, reg.Y3}
	for i := range v {
		q.VMULPS(at(q.x, 32*i), reg.Y7, v[i])
		q.VCVTPS2DQ(v[i], v[i])
	}
	q.VPACKSSDW(v[1], v[0], v[0])
	q.VPACKSSDW(v[3], v[2], v[2])
	q.VPACKSSWB(v[2], v[0], v[0])
	q.VPERMD(v[0], quantOrder, v[0])
	q.VMOVDQU(v[0], at(q.dst, 0))
	q.VPMADDUBSW(v[0], quantOnes8, v[1])
	q.VPMADDWD(v[1], quantOnes, v[1])
	q.VPADDD(v[1], reg.Y5, reg.Y5)
	q.ADDQ(operand.U32(128), q.x)
	q.ADDQ(operand.Imm(32), q.dst)
	q.DECQ(q.n)
	q.JNZ(loop)
	q.VEXTRACTI128(operand.Imm(1), reg.Y5, reg.X1)
	for _, order := range []uint64{0x4e, 0xb1} {
		for _, sum := range []reg.Register{reg.X5, reg.X1} {
			q.VPSHUFD(operand.Imm(order), sum, reg.X2)
			q.VPADDD(reg.X2, sum, sum)
		}
	}
	q.VPSLLD(operand.Imm(16), reg.X1, reg.X4)
	q.VPBLENDW(operand.Imm(0x55), reg.X5, reg.X4, reg.X4)
	q.VPADDD(reg.X1, reg.X5, reg.X5)
}

// meta writes the words after the codes.
func (q *quantizeGen) meta() {
	q.VPMULLD(quantMul, reg.X5, reg.X0)
	q.VPSUBD(reg.X0, quantBase, reg.X0)
	q.VMOVDQU(reg.X0, at(q.dst, 0))
	q.VCVTDQ2PS(reg.X5, reg.X1)
	q.VMULPS(reg.X6, reg.X1, reg.X1)
	q.VUNPCKLPS(reg.X1, reg.X6, reg.X6)  // scale, scale*sum
	q.VPUNPCKLDQ(reg.X4, reg.X5, reg.X5) // sum, sums of halves
	q.VPUNPCKLQDQ(reg.X5, reg.X6, reg.X6)
	q.VMOVDQU(reg.X6, at(q.dst, 16))
	q.ADDQ(operand.Imm(32), q.dst)
}
