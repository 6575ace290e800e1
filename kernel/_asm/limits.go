package main

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// limitsFile writes the loops that find what the machine can do: independent multiply-adds on registers, and reads of
// memory that add nothing else.
func limitsFile(c *asm) {
	for _, s := range isas {
		peak(c, s, "peakF32", func(acc, a, b reg.Register) { c.VFMADD231PS(a, b, acc) })
		readFunc(c, s)
	}
	peak(c, avx512, "peakBF16", func(acc, a, b reg.Register) { c.dotBF16(acc, a, b) })
	peak(c, avx512, "peakInt8", func(acc, a, b reg.Register) { c.VPDPBUSD(a, b, acc) })
	ones := avx2.v[1]
	peak(c, avx2, "peakInt8", func(acc, a, b reg.Register) {
		t := avx2.v[2]
		c.VPMADDUBSW(a, a, t)
		c.VPMADDWD(ones, t, t)
		c.VPADDD(t, acc, acc)
	})
}

// peak repeats one multiply-add on all registers but four.
func peak(c *asm, s isa, name string, op func(acc, a, b reg.Register)) {
	c.function(name+s.suffix, "func(n int)", name+s.suffix+" does n ≥ 1 rounds on every vector register but the first four.")
	n := c.load("n")
	for _, r := range s.v {
		c.zero(r)
	}
	loop := c.label("loop")
	c.place(loop)
	for _, acc := range s.v[4:] {
		op(acc, s.v[0], s.v[1])
	}
	c.DECQ(n)
	c.JNZ(loop)
	c.end()
}

// dotBF16 is VDPBF16PS acc, a, b on 512 bits, which neither avo nor Go's assembler knows: EVEX.512.F3.0F38.W0 52 /r.
func (c *asm) dotBF16(acc, a, b reg.Register) {
	d, x, y := vectorIndex(acc), vectorIndex(a), vectorIndex(b)
	bit := func(v, n, at byte) byte { return (^v >> n & 1) << at }
	c.raw(0x62,
		bit(d, 3, 7)|bit(y, 4, 6)|bit(y, 3, 5)|bit(d, 4, 4)|0x02,
		(^x&15)<<3|0x04|0x02,
		0x40|bit(x, 4, 3),
		0x52,
		0xc0|d&7<<3|y&7)
}

func vectorIndex(r reg.Register) byte { return byte(r.(reg.Physical).PhysicalIndex()) }

// readFunc reads a stretch of memory, eight lines ahead of the prefetcher's page border.
func readFunc(c *asm, s isa) {
	c.function("read"+s.suffix, "func(p *byte, lines int)", "read"+s.suffix+" loads that many times 256 bytes, at least one.")
	p, lines := c.load("p"), c.load("lines")
	loop := c.label("loop")
	c.place(loop)
	for i := range 256 / s.bytes {
		c.VMOVUPS(at(p, i*s.bytes), s.v[i])
	}
	for i := range 4 {
		c.PREFETCHT0(at(p, 2048+64*i))
	}
	c.ADDQ(operand.I32(256), p)
	c.DECQ(lines)
	c.JNZ(loop)
	c.end()
}
