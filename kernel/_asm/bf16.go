package main

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// bf16File writes the products of tiles of bfloat16 weights (32 rows; for every 2 columns 32 pairs): with f32 activations
// by widening and FMA, and with bfloat16 activations by VDPBF16PS.
func bf16File(c *asm) {
	for _, s := range isas {
		g := &bf16Gen{asm: c, isa: s, acts: 4}
		g.function("bf16Mul"+s.suffix, bf16Args("x *float32"),
			"bf16Mul"+s.suffix+" is bf16MulF32Go for k even; xs and ldy count elements.")
		g.body()
	}
	g := &bf16Gen{asm: c, isa: avx512, acts: 2, dot: true}
	g.function("bf16DotAVX512", bf16Args("x *uint16"), "bf16DotAVX512 is bf16MulGo, flushing denormals.")
	g.body()
	c.function("cpuidVendor", "func() (ebx uint32)", "cpuidVendor returns the first four letters of the CPU's maker.")
	c.XORL(reg.EAX, reg.EAX)
	c.CPUID()
	c.Store(reg.EBX, c.ReturnIndex(0))
	c.RET()
}

func bf16Args(x string) string {
	return "func(m, k int, " + x + ", xs int, w *uint16, y *float32, ldy int)"
}

type bf16Gen struct {
	*asm
	isa
	acts  int  // bytes of an activation
	dot   bool // VDPBF16PS
	xs, w reg.GPVirtual
	bases []reg.GPVirtual
}

// sizes are the numbers of tokens of a pass, largest first.
func (g *bf16Gen) sizes() []int {
	if g.wide() {
		return []int{12, 6, 4, 2, 1}
	}
	return []int{3, 2, 1}
}

// vecs is the number of vectors of 32 f32 sums.
func (g *bf16Gen) vecs() int { return 32 / g.lanes() }

func (g *bf16Gen) acc(n, t, p int) reg.Register {
	return g.v[len(g.v)-n*g.vecs()+t*g.vecs()+p]
}

const bf16Mask = 3 // register: the upper half of each lane

func (g *bf16Gen) body() {
	g.xs = g.load("xs")
	g.IMUL3Q(operand.Imm(uint64(g.acts)), g.xs, g.xs)
	if !g.dot {
		t := g.GP32()
		g.MOVL(operand.U32(0xffff0000), t)
		g.VMOVD(t, g.x[bf16Mask])
		g.VPBROADCASTD(g.x[bf16Mask], g.v[bf16Mask])
	}
	for _, n := range g.sizes() {
		loop, less := g.label("tokens"), g.label("less")
		g.place(loop)
		g.CMPQ(g.arg("m"), operand.Imm(uint64(n)))
		g.JL(less)
		g.tile(n)
		g.next(n)
		g.JMP(loop)
		g.place(less)
	}
	g.end()
}

func (g *bf16Gen) next(n int) {
	t := g.GP64()
	g.IMUL3Q(operand.Imm(uint64(n)), g.xs, t)
	g.ADDQ(t, g.arg("x"))
	g.MOVQ(g.arg("ldy"), t)
	g.IMUL3Q(operand.Imm(uint64(4*n)), t, t)
	g.ADDQ(t, g.arg("y"))
	g.SUBQ(operand.Imm(uint64(n)), g.arg("m"))
}

// act is token t's activation disp bytes on.
func (g *bf16Gen) act(t, disp int) operand.Mem {
	if t%3 == 0 {
		return at(g.bases[t/3], disp)
	}
	return idx(g.bases[t/3], g.xs, uint8(t%3), disp)
}

func (g *bf16Gen) tile(n int) {
	g.bases = nil
	for t := 0; t < n; t += 3 {
		b := g.GP64()
		if t == 0 {
			g.MOVQ(g.arg("x"), b)
		} else {
			last := g.bases[len(g.bases)-1]
			g.LEAQ(idx(last, g.xs, 2, 0), b)
			g.ADDQ(g.xs, b)
		}
		g.bases = append(g.bases, b)
	}
	for t := range n {
		for p := range g.vecs() {
			g.zero(g.acc(n, t, p))
		}
	}
	w, k := g.load("w"), g.load("k")
	g.SHRQ(operand.Imm(1), k)
	pair := g.label("pair")
	g.place(pair)
	g.PREFETCHT0(at(w, intAhead))
	g.PREFETCHT0(at(w, intAhead+64))
	g.w = w
	switch {
	case g.dot:
		g.pairDot(n)
	case g.wide():
		g.pairWide(n)
	default:
		g.pairNarrow(n)
	}
	g.ADDQ(operand.U32(128), w)
	for _, b := range g.bases {
		g.ADDQ(operand.Imm(uint64(2*g.acts)), b)
	}
	g.DECQ(k)
	g.JNZ(pair)
	row, ldy := g.load("y"), g.load("ldy")
	for t := range n {
		for p := range g.vecs() {
			g.VMOVUPS(g.acc(n, t, p), at(row, g.bytes*p))
		}
		if t+1 < n {
			g.LEAQ(idx(row, ldy, 4, 0), row)
		}
	}
}

// pairWide adds two columns on 512 bits: both vectors are widened first.
func (g *bf16Gen) pairWide(n int) {
	lo, hi := [2]reg.Register{g.v[0], g.v[1]}, [2]reg.Register{g.v[2], g.v[4]}
	for p := range 2 {
		g.VMOVDQU64(at(g.w, 64*p), hi[p])
		g.VPSLLD(operand.Imm(16), hi[p], lo[p])
		g.VPANDD(hi[p], g.v[bf16Mask], hi[p])
	}
	for c, w := range [2][2]reg.Register{lo, hi} {
		for t := range n {
			a := g.v[5+t%3]
			g.VBROADCASTSS(g.act(t, 4*c), a)
			for p := range 2 {
				g.VFMADD231PS(a, w[p], g.acc(n, t, p))
			}
		}
	}
}

// pairNarrow adds two columns on 256 bits, vector by vector.
func (g *bf16Gen) pairNarrow(n int) {
	lo, hi, a := g.v[0], g.v[1], g.v[2]
	for p := range 4 {
		g.VMOVDQU(at(g.w, 32*p), hi)
		g.VPSLLD(operand.Imm(16), hi, lo)
		g.VPAND(hi, g.v[bf16Mask], hi)
		for t := range n {
			for c, w := range []reg.Register{lo, hi} {
				g.VBROADCASTSS(g.act(t, 4*c), a)
				g.VFMADD231PS(a, w, g.acc(n, t, p))
			}
		}
	}
}

// pairDot adds two columns with the dot-product instruction.
func (g *bf16Gen) pairDot(n int) {
	for p := range 2 {
		g.VMOVDQU64(at(g.w, 64*p), g.v[p])
	}
	for t := range n {
		a := 2 + t%4
		g.VPBROADCASTD(g.act(t, 0), g.v[a])
		for p := range 2 {
			g.vdpbf16ps(a, p, 32-2*n+2*t+p)
		}
	}
}

// vdpbf16ps emits VDPBF16PS b, a, dst on 512-bit registers (EVEX.512.F3.0F38.W0 52 /r).
func (g *bf16Gen) vdpbf16ps(b, a, dst int) {
	inv := func(v, bit, to int) byte { return byte(^v >> bit & 1 << to) }
	g.raw(0x62,
		inv(dst, 3, 7)|inv(b, 4, 6)|inv(b, 3, 5)|inv(dst, 4, 4)|2,
		byte(^a&15<<3)|4|2,
		0x40|inv(a, 4, 3),
		0x52,
		0xc0|byte(dst&7<<3)|byte(b&7))
}
