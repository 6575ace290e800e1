package main

import "github.com/mmcloughlin/avo/reg"

// isa is a width of vectors: what AVX2 and AVX-512 bodies of one kernel differ in.
type isa struct {
	suffix string         // of function names
	bytes  int            // of a vector
	v      []reg.Register // all vector registers
	x      []reg.Register // their lowest 128 bits
}

// lanes is the number of float32 in a vector.
func (s isa) lanes() int { return s.bytes / 4 }

// wide tells AVX-512 from AVX2.
func (s isa) wide() bool { return s.bytes == 64 }

var (
	avx2   = isa{"AVX2", 32, registers(reg.Y0, 16), registers(reg.X0, 16)}
	avx512 = isa{"AVX512", 64, registers(reg.Z0, 32), registers(reg.X0, 32)}
	isas   = []isa{avx2, avx512}
)

// registers lists the first n vector registers of the width of r.
func registers(r reg.VecPhysical, n int) []reg.Register {
	var out []reg.Register
	for _, p := range reg.Vector.Registers() {
		if v, ok := p.(reg.VecPhysical); ok && v.Size() == r.Size() && int(v.PhysicalIndex()) < n {
			out = append(out, p)
		}
	}
	return out
}

// zero sets a vector register to zero.
func (c *asm) zero(r reg.Register) {
	if r.Size() == 64 {
		c.VPXORD(r, r, r)
		return
	}
	c.VXORPS(r, r, r)
}
