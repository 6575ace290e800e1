package main

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// convertFile writes conversions between number formats, complete vectors only: the few elements left are converted in Go
// with the same result, since all of these are exactly rounded.
func convertFile(c *asm) {
	for _, s := range isas {
		conversion(c, s, "bf16ToF32", "dst *float32, src *uint16", 4, 2, func(v *vectors, src, dst operand.Mem) {
			r := v.vec()
			v.VPMOVZXWD(src, r)
			v.VPSLLD(operand.Imm(16), r, r)
			v.VMOVUPS(r, dst)
		})
		conversion(c, s, "f16ToF32", "dst *float32, src *uint16", 4, 2, func(v *vectors, src, dst operand.Mem) {
			r := v.vec()
			v.VCVTPH2PS(src, r)
			v.VMOVUPS(r, dst)
		})
		conversion(c, s, "f32ToF16", "dst *uint16, src *float32", 2, 4, func(v *vectors, src, dst operand.Mem) {
			r := v.vec()
			v.VMOVUPS(src, r)
			v.VCVTPS2PH(operand.Imm(0), r, dst)
		})
		conversion(c, s, "f32ToBF16", "dst *uint16, src *float32", 2, 4, roundBF16)
		conversion(c, s, "int8ToF32", "dst *float32, src *int8", 4, 1, nil)
	}
}

// conversion writes one function over n elements, a multiple of a vector; to and from are the sizes of an element.
func conversion(c *asm, s isa, name, pointers string, to, from int, body func(v *vectors, src, dst operand.Mem)) {
	signature := "func(" + pointers + ", n int)"
	if from == 1 {
		signature = "func(" + pointers + ", scale float32, n int)"
	}
	v := newVectors(c, s, name, signature, "is "+name+"Go for complete vectors.", "dst", "src")
	if from == 1 {
		scale := v.scalar("scale")
		body = func(v *vectors, src, dst operand.Mem) {
			r := v.vec()
			v.VPMOVSXBD(src, r)
			v.VCVTDQ2PS(r, r)
			v.VMULPS(scale, r, r)
			v.VMOVUPS(r, dst)
		}
	}
	v.while(v.lanes(), func() {
		body(v, idx(v.ptr[1], v.i, uint8(from), 0), idx(v.ptr[0], v.i, uint8(to), 0))
	})
	v.end()
}

// roundBF16 adds half of the last place, less one where the kept part is even, and keeps the upper half; NaNs keep
// theirs with the quiet bit set.
func roundBF16(v *vectors, src, dst operand.Mem) {
	x, t, q := v.vec(), v.vec(), v.vec()
	v.VMOVUPS(src, x)
	v.VPSRLD(operand.Imm(16), x, t)
	quiet, one, half := v.inMemory(0x40), v.inMemory(1), v.inMemory(0x7fff)
	if v.wide() {
		r := v.vec()
		v.VPBROADCASTD(quiet, r)
		v.VPORD(r, t, q)
		v.VPBROADCASTD(one, r)
		v.VPANDD(r, t, t)
		v.VPBROADCASTD(half, r)
		v.VPADDD(r, t, t)
	} else {
		v.VPOR(quiet, t, q)
		v.VPAND(one, t, t)
		v.VPADDD(half, t, t)
	}
	v.VPADDD(x, t, t)
	v.VPSRLD(operand.Imm(16), t, t)
	const unordered = 3
	if v.wide() {
		k := v.K()
		v.VCMPPS(operand.Imm(unordered), x, x, k)
		v.VMOVDQA32(q, k, t)
		v.VPMOVDW(t, dst)
		return
	}
	nan := v.YMM()
	v.VCMPPS(operand.Imm(unordered), x, x, nan)
	v.VBLENDVPS(nan, q, t, t)
	v.packWords(t, dst)
}

// packWords stores the lower halves of eight 32-bit lanes, all below 2^16.
func (v *vectors) packWords(r reg.VecVirtual, dst operand.Mem) {
	high := v.XMM()
	v.VEXTRACTI128(operand.Imm(1), r, high)
	v.VPACKUSDW(high, r.AsX(), r.AsX())
	v.VMOVDQU(r.AsX(), dst)
}
