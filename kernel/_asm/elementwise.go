package main

import "github.com/mmcloughlin/avo/reg"

// elementwiseFile writes the light maps over rows.
func elementwiseFile(c *asm) {
	for _, s := range isas {
		addFunc(c, s)
		scaleFunc(c, s)
		axpyFunc(c, s)
		scaleMulFunc(c, s)
		normalizeFunc(c, s)
		ropeFunc(c, s)
	}
}

func addFunc(c *asm, s isa) {
	v := newVectors(c, s, "add", "func(dst, a, b *float32, n int)", "is addGo.", "dst", "a", "b")
	v.loop(4, func(u int, partial bool) {
		x, y := v.get(1, u, partial), v.get(2, u, partial)
		v.VADDPS(y, x, x)
		v.put(x, 0, u, partial)
	})
	v.end()
}

func scaleFunc(c *asm, s isa) {
	v := newVectors(c, s, "scale", "func(dst, a *float32, s float32, n int)", "is scaleGo.", "dst", "a")
	f := v.scalar("s")
	v.loop(4, func(u int, partial bool) {
		x := v.get(1, u, partial)
		v.VMULPS(f, x, x)
		v.put(x, 0, u, partial)
	})
	v.end()
}

func axpyFunc(c *asm, s isa) {
	v := newVectors(c, s, "axpy", "func(dst *float32, s float32, x *float32, n int)", "is axpyGo.", "dst", "x")
	f := v.scalar("s")
	v.loop(4, func(u int, partial bool) {
		sum, x := v.get(0, u, partial), v.get(1, u, partial)
		v.VFMADD231PS(f, x, sum)
		v.put(sum, 0, u, partial)
	})
	v.end()
}

func scaleMulFunc(c *asm, s isa) {
	v := newVectors(c, s, "scaleMul", "func(dst, a, b *float32, s float32, n int)", "is scaleMulGo.", "dst", "a", "b")
	f := v.scalar("s")
	v.loop(4, func(u int, partial bool) {
		x, y := v.get(1, u, partial), v.get(2, u, partial)
		v.VMULPS(f, x, x)
		v.VMULPS(y, x, x)
		v.put(x, 0, u, partial)
	})
	v.end()
}

func normalizeFunc(c *asm, s isa) {
	v := newVectors(c, s, "normalize", "func(dst, x, gain *float32, mean, r float32, n int)", "is normalizeGo.", "dst", "x", "gain")
	mean, r := v.scalar("mean"), v.scalar("r")
	v.loop(2, func(u int, partial bool) {
		x, gain := v.get(1, u, partial), v.get(2, u, partial)
		v.VSUBPS(mean, x, x)
		v.VMULPS(r, x, x)
		v.VMULPS(gain, x, x)
		v.put(x, 0, u, partial)
	})
	v.end()
}

func ropeFunc(c *asm, s isa) {
	v := newVectors(c, s, "rope", "func(lo, hi, cos, sin *float32, n int)", "is ropeGo.", "lo", "hi", "cos", "sin")
	v.loop(1, func(u int, partial bool) {
		var in [4]reg.VecVirtual
		for i := range in {
			in[i] = v.get(i, u, partial)
		}
		a, b, cos, sin := in[0], in[1], in[2], in[3]
		x, y := v.vec(), v.vec()
		v.VMULPS(sin, b, x)
		v.VMULPS(sin, a, y)
		v.VFMSUB231PS(cos, a, x)
		v.VFMADD231PS(cos, b, y)
		v.put(x, 0, u, partial)
		v.put(y, 1, u, partial)
	})
	v.end()
}
