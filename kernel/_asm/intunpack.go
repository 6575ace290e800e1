package main

import (
	"strings"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// intUnpackFunc writes the split of a tile's 4-bit records into 8-bit ones.
func intUnpackFunc(c *asm, s isa, k intKind) {
	name := "intUnpack" + strings.TrimPrefix(k.name[3:], "4") + s.suffix
	c.function(name, "func(dst, src *byte, groups, chunks int, zeros *byte)",
		name+" is intUnpackGo: groups records of chunks times 32 columns.")
	g := &intGen{asm: c, intKind: k, isa: s}
	dst, src, groups, n := c.load("dst"), c.load("src"), c.load("groups"), c.GP64()
	g.constants()
	if k.points {
		g.zeros = c.load("zeros")
	}
	group, chunk := c.label("group"), c.label("chunk")
	c.place(group)
	g.unpackScales(dst, src)
	if k.points {
		g.adjust()
	}
	c.MOVQ(c.arg("chunks"), n)
	c.place(chunk)
	for j := range 4 {
		c.PREFETCHT0(at(src, 128*j+intAhead))
		c.PREFETCHT0(at(src, 128*j+64+intAhead))
		for p := range g.vecs() {
			lo, hi, disp := g.v[2*(p%2)], g.v[2*(p%2)+1], 128*j+g.bytes*p
			var adjust reg.Register
			if k.points {
				adjust = g.v[8+p]
			}
			g.split(at(src, disp), lo, hi, adjust)
			g.unpackPlanes(src, j, p, lo, hi)
			g.move(lo, at(dst, disp))
			g.move(hi, at(dst, disp+4*128))
		}
	}
	c.ADDQ(operand.U32(512), src)
	c.ADDQ(operand.U32(1024), dst)
	c.DECQ(n)
	c.JNZ(chunk)
	c.DECQ(groups)
	c.JNZ(group)
	c.end()
}

// unpackScales copies a record's scales, widens its minima and moves both pointers to the codes.
func (g *intGen) unpackScales(dst, src reg.Register) {
	if !g.scale {
		return
	}
	n := 2 * intRows
	if g.factor {
		n = g.scaleBytes()
	}
	for at32 := 0; at32 < n; at32 += 32 {
		g.VMOVDQU(at(src, at32), avx2.v[0])
		g.VMOVDQU(avx2.v[0], at(dst, at32))
	}
	if g.min && !g.factor {
		for p := range g.vecs() {
			g.VCVTPH2PS(at(src, 2*intRows+g.bytes/2*p), g.v[0])
			g.VMOVUPS(g.v[0], at(dst, 2*intRows+g.bytes*p))
		}
	}
	u := g.intKind
	u.bits = 8
	g.ADDQ(operand.U32(uint32(g.codesAt())), src)
	g.ADDQ(operand.U32(uint32(u.codesAt())), dst)
}

// split loads a vector of nibbles, takes them apart and adds adjust unless it is nil.
func (g *intGen) split(m operand.Mem, lo, hi, adjust reg.Register) {
	g.move(m, hi)
	g.and(hi, g.v[intMaskReg], lo)
	g.VPSRLW(operand.Imm(4), hi, hi)
	g.and(hi, g.v[intMaskReg], hi)
	if g.grid {
		g.VPSHUFB(lo, g.v[intGridReg], lo)
		g.VPSHUFB(hi, g.v[intGridReg], hi)
	}
	if adjust != nil {
		g.VPADDB(lo, adjust, lo)
		g.VPADDB(hi, adjust, hi)
	}
}
