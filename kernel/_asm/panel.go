package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// panelFile writes the f32 micro-kernel: C[m,32] (+)= A[m,k]·B[k,32] in tiles that keep C in registers. AVX-512 takes 12
// rows by 32 columns; AVX2 takes 6 rows by 16 columns twice, or up to 3 rows by 32.
func panelFile(c *asm) {
	for _, s := range isas {
		panelFunc(c, s)
	}
}

type panel struct {
	*asm
	isa
	full                      int // rows of a complete tile
	m, c, ldc, a, rs, ks, ldb reg.GPVirtual
}

func panelFunc(c *asm, s isa) {
	c.function("panel"+s.suffix,
		"func(m, k int, a *float32, rs, ks int, b *float32, ldb int, c *float32, ldc int, acc int)",
		"panel"+s.suffix+" is panelGo for m ≥ 1; acc is 0 or 1.")
	rows := 12
	if !s.wide() {
		rows = 6
	}
	p := panel{c, s, rows, c.load("m"), c.load("c"), c.load("ldc"), c.load("a"), c.load("rs"), c.load("ks"), c.load("ldb")}
	for _, stride := range []reg.GPVirtual{p.ldc, p.rs, p.ks, p.ldb} {
		c.SHLQ(operand.Imm(2), stride)
	}
	loop, tail, done := c.label("rows"), c.label("tail"), c.label("done")
	c.place(loop)
	c.CMPQ(p.m, operand.Imm(uint64(rows)))
	c.JL(tail)
	p.rows(rows)
	p.advance(rows)
	c.SUBQ(operand.Imm(uint64(rows)), p.m)
	c.JMP(loop)
	c.place(tail)
	for r := 1; r < rows; r++ {
		next := c.label("not")
		c.CMPQ(p.m, operand.Imm(uint64(r)))
		c.JNE(next)
		p.rows(r)
		c.JMP(done)
		c.place(next)
	}
	c.place(done)
	c.end()
}

// advance moves A and C down by n rows.
func (p panel) advance(n int) {
	t := p.GP64()
	p.IMUL3Q(operand.Imm(uint64(n)), p.rs, t)
	p.ADDQ(t, p.a)
	p.IMUL3Q(operand.Imm(uint64(n)), p.ldc, t)
	p.ADDQ(t, p.c)
}

// rows computes n rows of 32 columns.
func (p panel) rows(n int) {
	switch {
	case p.wide():
		p.tile(n, 0, 2)
	case n <= 3:
		p.tile(n, 0, 4)
	default:
		p.tile(n, 0, 2)
		p.tile(n, 64, 2)
	}
}

// tile computes n rows by nv vectors of columns from byte disp on.
func (p panel) tile(n, disp, nv int) {
	acc := func(r, j int) reg.Register { return p.v[len(p.v)-n*nv+r*nv+j] }
	zero, start := p.label("zero"), p.label("start")
	p.CMPQ(p.arg("acc"), operand.Imm(0))
	p.JE(zero)
	p.eachC(n, nv, disp, func(m operand.Mem, r, j int) { p.VMOVUPS(m, acc(r, j)) })
	p.JMP(start)
	p.place(zero)
	for r := range n {
		for j := range nv {
			p.zero(acc(r, j))
		}
	}
	p.place(start)
	k, b := p.load("k"), p.load("b")
	var a []reg.GPVirtual
	for g := 0; g < n; g += 3 {
		t := p.GP64()
		if g == 0 {
			p.MOVQ(p.a, t)
		} else {
			p.LEAQ(idx(a[len(a)-1], p.rs, 2, 0), t)
			p.ADDQ(p.rs, t)
		}
		a = append(a, t)
	}
	if n*nv >= 12 {
		p.prefetchC(n, nv, disp)
	}
	store, loop := p.label("store"), p.label("k")
	p.unrolled(4, n, nv, disp, k, a, b, acc)
	if n == p.full {
		p.unrolled(4*tileRows, n, nv, disp, k, a, b, acc)
	}
	p.TESTQ(k, k)
	p.JZ(store)
	p.place(loop)
	p.step(n, nv, a, 0, acc, func(j int) operand.Mem { return at(b, disp+j*p.bytes) })
	for _, t := range a {
		p.ADDQ(p.ks, t)
	}
	p.ADDQ(p.ldb, b)
	p.DECQ(k)
	p.JNZ(loop)
	p.place(store)
	p.eachC(n, nv, disp, func(m operand.Mem, r, j int) { p.VMOVUPS(acc(r, j), m) })
}

// tileRows is the width of the tiles that a transposed A is packed to.
const tileRows = 12

// streamAhead is how many bytes ahead a panel of B is asked for where A has few rows, so that B comes from memory. It
// reaches the right lines where the rows of B have no gaps.
const streamAhead = 2048

// unrolled takes four k at a time where the elements of a row of A are ks bytes apart: additions of addresses would
// compete with the multiply-adds for execution ports.
func (p panel) unrolled(ks, n, nv, disp int, k reg.GPVirtual, a []reg.GPVirtual, b reg.GPVirtual, acc func(r, j int) reg.Register) {
	loop, done := p.label("k4"), p.label("k1")
	p.CMPQ(p.ks, operand.Imm(uint64(ks)))
	p.JNE(done)
	ldb3 := p.GP64()
	p.LEAQ(idx(p.ldb, p.ldb, 2, 0), ldb3)
	p.place(loop)
	p.SUBQ(operand.Imm(4), k)
	rest := p.label("k3")
	p.JL(rest)
	for u := range 4 {
		p.step(n, nv, a, ks*u, acc, func(j int) operand.Mem {
			switch d := disp + j*p.bytes; u {
			case 0:
				return at(b, d)
			case 3:
				return idx(b, ldb3, 1, d)
			default:
				return idx(b, p.ldb, uint8(u), d)
			}
		})
	}
	for d := 0; n < p.full && d < nv*p.bytes; d += 64 {
		for u := range 4 {
			p.PREFETCHT0(at(b, streamAhead+128*u+disp+d))
		}
	}
	for _, t := range a {
		p.ADDQ(operand.I32(int32(4*ks)), t)
	}
	p.LEAQ(idx(b, p.ldb, 4, 0), b)
	p.JMP(loop)
	p.place(rest)
	p.ADDQ(operand.Imm(4), k)
	p.place(done)
}

// step adds one k, da bytes ahead in A: all vectors of B are held where registers suffice, else all elements of A.
func (p panel) step(n, nv int, a []reg.GPVirtual, da int, acc func(r, j int) reg.Register, b func(j int) operand.Mem) {
	element := func(r int) operand.Mem {
		if r%3 == 0 {
			return at(a[r/3], da)
		}
		return idx(a[r/3], p.rs, uint8(r%3), da)
	}
	free := len(p.v) - n*nv
	if free >= nv+1 {
		for j := range nv {
			p.VMOVUPS(b(j), p.v[j])
		}
		for r := range n {
			e := p.v[nv+r%min(free-nv, 4)]
			p.VBROADCASTSS(element(r), e)
			for j := range nv {
				p.VFMADD231PS(e, p.v[j], acc(r, j))
			}
		}
		return
	}
	if free < n+1 {
		panic(fmt.Sprintf("tile of %d by %d vectors: no registers left", n, nv))
	}
	for r := range n {
		p.VBROADCASTSS(element(r), p.v[r])
	}
	for j := range nv {
		p.VMOVUPS(b(j), p.v[n])
		for r := range n {
			p.VFMADD231PS(p.v[r], p.v[n], acc(r, j))
		}
	}
}

// eachC visits the vectors of a tile of C.
func (p panel) eachC(n, nv, disp int, f func(m operand.Mem, r, j int)) {
	row := p.GP64()
	p.MOVQ(p.c, row)
	for r := range n {
		for j := range nv {
			f(at(row, disp+j*p.bytes), r, j)
		}
		if r+1 < n {
			p.ADDQ(p.ldc, row)
		}
	}
}

// prefetchC asks for the tile of C below this one, which would otherwise be waited for before its first multiply-add.
func (p panel) prefetchC(n, nv, disp int) {
	row := p.GP64()
	p.IMUL3Q(operand.Imm(uint64(n)), p.ldc, row)
	p.ADDQ(p.c, row)
	for r := range n {
		for d := 0; d < nv*p.bytes; d += 64 {
			p.PREFETCHT0(at(row, disp+d))
		}
		if r+1 < n {
			p.ADDQ(p.ldc, row)
		}
	}
}
