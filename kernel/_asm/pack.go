package main

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// packFile writes the copies that bring operands of f32 products into the order of panelGo.
func packFile(c *asm) {
	for _, s := range isas {
		transposeFunc(c, s)
		copyRowsFunc(c, s)
	}
	packTilesFunc(c)
}

// transposeFunc turns one vector's width of rows of B into columns, four elements of each row at a time: a register holds
// four elements of rows i, i+4, …, and a transposition of 4 by 4 inside each 128-bit lane brings four rows of the
// panel.
func transposeFunc(c *asm, s isa) {
	c.function("transpose"+s.suffix, "func(dst, src *float32, ld, quads int)",
		"transpose"+s.suffix+" writes 4·quads rows, 32 elements apart, of one vector each: row j holds element j of that many rows of src.")
	dst, src, ld, quads := c.load("dst"), c.load("src"), c.load("ld"), c.load("quads")
	c.SHLQ(operand.Imm(2), ld)
	ld3 := c.GP64()
	c.LEAQ(idx(ld, ld, 2, 0), ld3)
	groups := s.lanes() / 4
	base := []reg.GPVirtual{src}
	for range groups - 1 {
		t := c.GP64()
		c.LEAQ(idx(base[len(base)-1], ld, 4, 0), t)
		base = append(base, t)
	}
	loop := c.label("loop")
	c.place(loop)
	for i := range 4 {
		for g, b := range base {
			m := at(b, 0)
			switch i {
			case 1, 2:
				m = idx(b, ld, uint8(i), 0)
			case 3:
				m = idx(b, ld3, 1, 0)
			}
			switch {
			case g == 0:
				c.VMOVUPS(m, s.x[i])
			case s.wide():
				c.VINSERTF32X4(operand.Imm(uint64(g)), m, s.v[i], s.v[i])
			default:
				c.VINSERTF128(operand.Imm(uint64(g)), m, s.v[i], s.v[i])
			}
		}
	}
	v := s.v
	c.VUNPCKLPS(v[1], v[0], v[4])
	c.VUNPCKHPS(v[1], v[0], v[5])
	c.VUNPCKLPS(v[3], v[2], v[6])
	c.VUNPCKHPS(v[3], v[2], v[7])
	c.VUNPCKLPD(v[6], v[4], v[0])
	c.VUNPCKHPD(v[6], v[4], v[1])
	c.VUNPCKLPD(v[7], v[5], v[2])
	c.VUNPCKHPD(v[7], v[5], v[3])
	for i := range 4 {
		c.VMOVUPS(v[i], at(dst, i*128))
	}
	for _, b := range base {
		c.ADDQ(operand.Imm(16), b)
	}
	c.ADDQ(operand.I32(512), dst)
	c.DECQ(quads)
	c.JNZ(loop)
	c.end()
}

// copyRowsFunc copies rows of 128 bytes: a panel of B.
func copyRowsFunc(c *asm, s isa) {
	c.function("copyRows"+s.suffix, "func(dst, src *float32, ld, rows int)",
		"copyRows"+s.suffix+" copies rows of 32 elements, at least one, from rows ld elements apart to rows without gaps.")
	dst, src, ld, rows := c.load("dst"), c.load("src"), c.load("ld"), c.load("rows")
	c.SHLQ(operand.Imm(2), ld)
	loop := c.label("loop")
	c.place(loop)
	for i := range 128 / s.bytes {
		c.VMOVUPS(at(src, i*s.bytes), s.v[i])
	}
	for i := range 128 / s.bytes {
		c.VMOVUPS(s.v[i], at(dst, i*s.bytes))
	}
	c.ADDQ(ld, src)
	c.ADDQ(operand.I32(128), dst)
	c.DECQ(rows)
	c.JNZ(loop)
	c.end()
}

// packTilesFunc cuts rows of Aᵀ into pieces of 12 elements, one for each tile.
func packTilesFunc(c *asm) {
	c.function("packTilesAVX2", "func(dst, src *float32, ld, rows, tiles int)",
		"packTilesAVX2 copies the t-th 12 elements of each row, t < tiles, to tile t: rows of 12 without gaps.")
	dst, src, ld, rows := c.load("dst"), c.load("src"), c.load("ld"), c.load("rows")
	c.SHLQ(operand.Imm(2), ld)
	tile := c.GP64()
	c.IMUL3Q(operand.Imm(48), rows, tile)
	row, tiles := c.label("row"), c.label("tiles")
	c.place(row)
	from, to := c.GP64(), c.GP64()
	c.MOVQ(src, from)
	c.MOVQ(dst, to)
	n := c.load("tiles")
	c.place(tiles)
	for i := range 3 {
		c.VMOVUPS(at(from, i*16), avx2.x[i])
	}
	for i := range 3 {
		c.VMOVUPS(avx2.x[i], at(to, i*16))
	}
	c.ADDQ(operand.Imm(48), from)
	c.ADDQ(tile, to)
	c.DECQ(n)
	c.JNZ(tiles)
	c.ADDQ(ld, src)
	c.ADDQ(operand.Imm(48), dst)
	c.DECQ(rows)
	c.JNZ(row)
	c.end()
}
