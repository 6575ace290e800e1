package main

import (
	"math"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// expFile writes the exponential and the activations made of it.
func expFile(c *asm) {
	for _, s := range isas {
		expFunc(c, s)
		expSumFunc(c, s)
		siluMulFunc(c, s)
		geluTanhFunc(c, s)
		geluFunc(c, s)
	}
}

// exponential holds the constants of e^x; the algorithm is told at exp32 in package kernel.
type exponential struct {
	v                  *vectors
	max                reg.VecVirtual
	log2e, hi, lo, min operand.Op
	poly               [7]operand.Op
}

var expCoefficients = [7]float32{1, 1, 0.5, 0.166666671, 0.0416664146, 0.00833336823, 0.00139316242}

func newExponential(v *vectors) *exponential {
	e := &exponential{
		v: v, max: v.inRegister(89), log2e: v.constant(1.44269504088896341), hi: v.constant(0.693359375),
		lo: v.constant(-2.12194440054690583e-4), min: v.constant(-87.33654),
	}
	for i, p := range expCoefficients {
		e.poly[i] = v.constant(p)
	}
	return e
}

// of returns e^x; x is lost. With a first source of NaN the minimum is the second, so that NaNs stay.
func (e *exponential) of(x reg.VecVirtual) reg.VecVirtual {
	v, n, p := e.v, e.v.vec(), e.v.vec()
	var keep reg.Register
	const notLess = 5
	if v.wide() {
		keep = v.K()
	} else {
		keep = v.YMM()
	}
	v.VCMPPS(operand.Imm(notLess), e.min, x, keep)
	v.VMINPS(x, e.max, x)
	v.VMULPS(e.log2e, x, n)
	if v.wide() {
		v.VRNDSCALEPS(operand.Imm(0), n, n)
	} else {
		v.VROUNDPS(operand.Imm(0), n, n)
	}
	v.VFNMADD231PS(e.hi, n, x)
	v.VFNMADD231PS(e.lo, n, x)
	v.VMOVUPS(e.poly[6], p)
	for i := 5; i >= 0; i-- {
		v.VFMADD213PS(e.poly[i], x, p)
	}
	if v.wide() {
		v.VSCALEFPS_Z(n, p, keep, p)
		return p
	}
	half := v.YMM()
	bias := v.inMemory(127)
	v.VCVTPS2DQ(n, n)
	v.VPSRAD(operand.Imm(1), n, half)
	v.VPSUBD(half, n, n)
	for _, r := range []reg.VecVirtual{half, n} {
		v.VPADDD(bias, r, r)
		v.VPSLLD(operand.Imm(23), r, r)
		v.VMULPS(r, p, p)
	}
	v.VANDPS(keep, p, p)
	return p
}

func expFunc(c *asm, s isa) {
	v := newVectors(c, s, "exp", "func(dst, x *float32, n int)", "is expGo.", "dst", "x")
	e := newExponential(v)
	v.loop(1, func(u int, partial bool) { v.put(e.of(v.get(1, u, partial)), 0, u, partial) })
	v.end()
}

func expSumFunc(c *asm, s isa) {
	v := newVectors(c, s, "expSum", "func(dst, x *float32, max float32, n int) float32", "is expSumGo.", "dst", "x")
	e, max, acc := newExponential(v), v.scalar("max"), v.zeros(4)
	unroll := 4
	if !v.wide() {
		unroll = 1
	}
	v.loop(unroll, func(u int, partial bool) {
		x := v.get(1, u, partial)
		v.VSUBPS(max, x, x)
		r := e.of(x)
		v.put(r, 0, u, partial)
		v.clip(r, partial)
		v.VADDPS(r, acc[u], acc[u])
	})
	v.fold(acc, v.VADDPS)
	v.end()
}

// negate returns -x in a new register.
func (v *vectors) negate(x reg.VecVirtual, sign operand.Op) reg.VecVirtual {
	r := v.vec()
	v.VXORPS(sign, x, r)
	return r
}

var signBit = float32(math.Copysign(0, -1))

func siluMulFunc(c *asm, s isa) {
	v := newVectors(c, s, "siluMul", "func(dst, gate, up *float32, n int)", "is siluMulGo.", "dst", "gate", "up")
	e, one, sign := newExponential(v), v.constant(1), v.constant(signBit)
	v.loop(1, func(u int, partial bool) {
		g := v.get(1, u, partial)
		d := e.of(v.negate(g, sign))
		v.VADDPS(one, d, d)
		v.VDIVPS(d, g, g)
		v.VMULPS(v.get(2, u, partial), g, g)
		v.put(g, 0, u, partial)
	})
	v.end()
}

func geluTanhFunc(c *asm, s isa) {
	v := newVectors(c, s, "geluTanh", "func(dst, x *float32, n int)", "is geluTanhGo.", "dst", "x")
	e, one := newExponential(v), v.constant(1)
	scale, cubic := v.constant(-1.5957691216057308), v.constant(-1.5957691216057308*0.044715)
	v.loop(1, func(u int, partial bool) {
		x, w := v.get(1, u, partial), v.vec()
		v.VMULPS(x, x, w)
		v.VMULPS(cubic, w, w)
		v.VADDPS(scale, w, w)
		v.VMULPS(x, w, w)
		d := e.of(w)
		v.VADDPS(one, d, d)
		v.VDIVPS(d, x, x)
		v.put(x, 0, u, partial)
	})
	v.end()
}

// geluFunc takes erf from formula 7.1.26 of Abramowitz and Stegun, Handbook of Mathematical Functions: for z ≥ 0
// 1-erf(z) = t(a1+t(a2+t(a3+t(a4+t·a5))))·e^(-z²), t = 1/(1+pz), with an error of 1.5e-7. Half of that is the normal
// distribution's tail beyond |x| = z√2.
func geluFunc(c *asm, s isa) {
	v := newVectors(c, s, "gelu", "func(dst, x *float32, n int)", "is geluGo with the error that GELU allows.", "dst", "x")
	e := newExponential(v)
	one, half, abs := v.constant(1), v.constant(-0.5), v.constant(math.Float32frombits(0x7fffffff))
	p := v.constant(0.3275911 / math.Sqrt2)
	a := []operand.Op{}
	for _, x := range []float32{1.061405429 / 2, -1.453152027 / 2, 1.421413741 / 2, -0.284496736 / 2, 0.254829592 / 2} {
		a = append(a, v.constant(x))
	}
	v.loop(1, func(u int, partial bool) {
		x, z, t, q, w := v.get(1, u, partial), v.vec(), v.vec(), v.vec(), v.vec()
		v.VANDPS(abs, x, z)
		v.VMOVUPS(one, t)
		v.VMOVUPS(one, w)
		v.VFMADD231PS(p, z, t)
		v.VDIVPS(t, w, t)
		v.VMOVUPS(a[0], q)
		for _, x := range a[1:] {
			v.VFMADD213PS(x, t, q)
		}
		v.VMULPS(t, q, q)
		v.VMULPS(z, z, z)
		v.VMULPS(half, z, z)
		d := e.of(z)
		v.VMULPS(d, q, q)
		// q is the tail beyond |x|: for x ≥ 0 the distribution is 1-q.
		v.VSUBPS(q, w, w)
		if v.wide() {
			k := v.K()
			v.VPMOVD2M(x, k)
			v.VMOVAPS(q, k, w)
		} else {
			v.VBLENDVPS(x, q, w, w)
		}
		v.VMULPS(w, x, x)
		v.put(x, 0, u, partial)
	})
	v.end()
}
