package main

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// reduceFile writes the reductions of a row: four accumulators, folded in a fixed order.
func reduceFile(c *asm) {
	for _, s := range isas {
		dotFunc(c, s)
		sumFunc(c, s)
		varianceFunc(c, s)
		maxFunc(c, s, "max", false)
		maxFunc(c, s, "absMax", true)
		indexFunc(c, s)
	}
}

func dotFunc(c *asm, s isa) {
	v := newVectors(c, s, "dot", "func(a, b *float32, n int) float32", "is dotGo.", "a", "b")
	acc := v.zeros(4)
	v.loop(4, func(u int, partial bool) {
		x := v.get(0, u, partial)
		if !partial {
			v.VFMADD231PS(v.mem(1, u), x, acc[u])
			return
		}
		v.VFMADD231PS(v.get(1, u, partial), x, acc[u])
	})
	v.fold(acc, v.VADDPS)
	v.end()
}

func sumFunc(c *asm, s isa) {
	v := newVectors(c, s, "sum", "func(x *float32, n int) float32", "is sumGo.", "x")
	acc := v.zeros(4)
	v.loop(4, func(u int, partial bool) { v.VADDPS(v.get(0, u, partial), acc[u], acc[u]) })
	v.fold(acc, v.VADDPS)
	v.end()
}

func varianceFunc(c *asm, s isa) {
	v := newVectors(c, s, "variance", "func(x *float32, mean float32, n int) float32", "is varianceGo.", "x")
	mean, acc := v.scalar("mean"), v.zeros(4)
	v.loop(4, func(u int, partial bool) {
		d := v.get(0, u, partial)
		v.VSUBPS(mean, d, d)
		v.clip(d, partial)
		v.VFMADD231PS(d, d, acc[u])
	})
	v.fold(acc, v.VADDPS)
	v.end()
}

// maxFunc takes at least one vector: the last, incomplete one is read again together with elements before it. A maximum
// with a NaN as its first source gives the second, so NaNs in x do not reach the accumulators.
func maxFunc(c *asm, s isa, name string, abs bool) {
	v := newVectors(c, s, name, "func(x *float32, n int) float32", "is "+name+"Go for n of a vector or more.", "x")
	low := uint32(0xff800000)
	if abs {
		low = 0
	}
	var acc []reg.VecVirtual
	for range 4 {
		r := v.vec()
		v.VBROADCASTSS(v.inMemory(low), r)
		acc = append(acc, r)
	}
	sign := v.vec()
	if abs {
		v.VBROADCASTSS(v.inMemory(0x7fffffff), sign)
	}
	step := func(u int) {
		x := v.get(0, u, false)
		if abs {
			v.VANDPS(sign, x, x)
		}
		v.VMAXPS(acc[u], x, acc[u])
	}
	v.while(4*v.lanes(), func() {
		for u := range 4 {
			step(u)
		}
	})
	v.while(v.lanes(), func() { step(0) })
	v.tail(func() {
		v.ADDQ(v.n, v.i)
		v.SUBQ(operand.Imm(uint64(v.lanes())), v.i)
		step(0)
	})
	v.fold(acc, v.VMAXPS)
	v.end()
}

// indexFunc finds the first element equal to a value among complete vectors.
func indexFunc(c *asm, s isa) {
	v := newVectors(c, s, "index", "func(x *float32, v float32, n int) int",
		"returns the first i with x[i] == v among the complete vectors, or -1.", "x")
	want := v.scalar("v")
	found, none := v.label("found"), v.label("none")
	bits := v.GP32()
	v.while(v.lanes(), func() {
		if v.wide() {
			k := v.K()
			v.VCMPPS(operand.Imm(0), v.mem(0, 0), want, k)
			v.KMOVW(k, bits)
		} else {
			m := v.YMM()
			v.VCMPPS(operand.Imm(0), v.mem(0, 0), want, m)
			v.VMOVMSKPS(m, bits)
		}
		v.TESTL(bits, bits)
		v.JNZ(found)
	})
	v.MOVQ(operand.I32(-1), v.i)
	v.JMP(none)
	v.place(found)
	v.TZCNTL(bits, bits)
	v.ADDQ(bits.As64(), v.i)
	v.place(none)
	v.Store(v.i, v.ReturnIndex(0))
	v.end()
}
