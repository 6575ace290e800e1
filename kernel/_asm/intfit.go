package main

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// intFitFile writes the trial of an integer grid on a group of weights.
func intFitFile(c *asm) {
	c.function("intFitAVX2", "func(x *float32, n int, inverse, scale, zero, top float32, out *float32)",
		"intFitAVX2 is intFitGo's sums of 8 lanes each, for n a positive multiple of 8.")
	x, n, out := c.load("x"), c.load("n"), c.load("out")
	loss, xq, qq := reg.Y0, reg.Y1, reg.Y2
	inverse, scale, zero, top, none := reg.Y3, reg.Y4, reg.Y5, reg.Y6, reg.Y7
	for _, r := range []reg.Register{loss, xq, qq, none} {
		c.zero(r)
	}
	c.VBROADCASTSS(c.arg("inverse"), inverse)
	c.VBROADCASTSS(c.arg("scale"), scale)
	c.VBROADCASTSS(c.arg("zero"), zero)
	c.VBROADCASTSS(c.arg("top"), top)
	loop := c.label("eight")
	c.place(loop)
	v, q, d := reg.Y8, reg.Y9, reg.Y10
	c.VMOVUPS(at(x, 0), v)
	c.VMULPS(inverse, v, q)
	c.VROUNDPS(operand.Imm(0), q, q)
	c.VADDPS(zero, q, q)
	c.VMAXPS(none, q, q)
	c.VMINPS(top, q, q)
	c.VSUBPS(zero, q, q)
	c.VMULPS(scale, q, d)
	c.VSUBPS(d, v, d)
	for _, s := range [][3]reg.Register{{d, d, loss}, {v, q, xq}, {q, q, qq}} {
		c.VMULPS(s[0], s[1], reg.Y11)
		c.VADDPS(reg.Y11, s[2], s[2])
	}
	c.ADDQ(operand.Imm(32), x)
	c.SUBQ(operand.Imm(8), n)
	c.JNZ(loop)
	c.VMOVUPS(loss, at(out, 0))
	c.VMOVUPS(xq, at(out, 32))
	c.VMOVUPS(qq, at(out, 64))
	c.end()
}

// intLineFile writes the sums of a regression of weights over their nearest codes.
func intLineFile(c *asm) {
	c.function("intLineAVX2", "func(x *float32, n int, inverse, low, top float32, out *float32)",
		"intLineAVX2 is intLineGo's sums of 8 lanes each, for n a positive multiple of 8.")
	x, n, out := c.load("x"), c.load("n"), c.load("out")
	sums := []reg.Register{reg.Y0, reg.Y1, reg.Y2, reg.Y3, reg.Y4}
	inverse, low, top, none := reg.Y5, reg.Y6, reg.Y7, reg.Y8
	for _, r := range append(sums, none) {
		c.zero(r)
	}
	c.VBROADCASTSS(c.arg("inverse"), inverse)
	c.VBROADCASTSS(c.arg("low"), low)
	c.VBROADCASTSS(c.arg("top"), top)
	loop := c.label("eight")
	c.place(loop)
	v, q, t := reg.Y9, reg.Y10, reg.Y11
	c.VMOVUPS(at(x, 0), v)
	c.VSUBPS(low, v, q)
	c.VMULPS(inverse, q, q)
	c.VROUNDPS(operand.Imm(0), q, q)
	c.VMAXPS(none, q, q)
	c.VMINPS(top, q, q)
	c.VADDPS(q, sums[0], sums[0])
	c.VADDPS(v, sums[2], sums[2])
	for _, s := range [][3]reg.Register{{q, q, sums[1]}, {v, q, sums[3]}, {v, v, sums[4]}} {
		c.VMULPS(s[0], s[1], t)
		c.VADDPS(t, s[2], s[2])
	}
	c.ADDQ(operand.Imm(32), x)
	c.SUBQ(operand.Imm(8), n)
	c.JNZ(loop)
	for i, s := range sums {
		c.VMOVUPS(s, at(out, 32*i))
	}
	c.end()
}
