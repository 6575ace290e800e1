package kernel

import "math"

// BF16ToF32 widens bfloat16 bits exactly.
func BF16ToF32(dst []float32, src []uint16) {
	src = src[:len(dst)]
	n := 0
	writes(dst)
	reads(src)
	switch {
	case useAVX512:
		n = len(dst) &^ 15
		bf16ToF32AVX512(ptr(dst), ptr(src), n)
	case useAVX2:
		n = len(dst) &^ 7
		bf16ToF32AVX2(ptr(dst), ptr(src), n)
	}
	bf16ToF32Go(dst[n:], src[n:])
}

func bf16ToF32Go(dst []float32, src []uint16) {
	for i := range dst {
		dst[i] = math.Float32frombits(uint32(src[i]) << 16)
	}
}

// F32ToBF16 rounds to the nearest bfloat16, ties to even; a NaN stays one (made quiet).
func F32ToBF16(dst []uint16, src []float32) {
	src = src[:len(dst)]
	n := 0
	writes(dst)
	reads(src)
	switch {
	case useAVX512:
		n = len(dst) &^ 15
		f32ToBF16AVX512(ptr(dst), ptr(src), n)
	case useAVX2:
		n = len(dst) &^ 7
		f32ToBF16AVX2(ptr(dst), ptr(src), n)
	}
	f32ToBF16Go(dst[n:], src[n:])
}

func f32ToBF16Go(dst []uint16, src []float32) {
	for i := range dst {
		dst[i] = bf16Bits(src[i])
	}
}

func bf16Bits(v float32) uint16 {
	b := math.Float32bits(v)
	if v != v {
		return uint16(b>>16) | 0x40
	}
	return uint16((b + 0x7fff + b>>16&1) >> 16)
}

// F16ToF32 widens IEEE half precision bits exactly.
func F16ToF32(dst []float32, src []uint16) {
	src = src[:len(dst)]
	n := 0
	writes(dst)
	reads(src)
	switch {
	case useAVX512:
		n = len(dst) &^ 15
		f16ToF32AVX512(ptr(dst), ptr(src), n)
	case useAVX2:
		n = len(dst) &^ 7
		f16ToF32AVX2(ptr(dst), ptr(src), n)
	}
	f16ToF32Go(dst[n:], src[n:])
}

func f16ToF32Go(dst []float32, src []uint16) {
	for i := range dst {
		dst[i] = f16Value(src[i])
	}
}

// f16Value moves exponent and fraction to their float32 places and scales by 2^112, which also turns denormals right;
// infinities and NaNs get the highest exponent and NaNs become quiet.
func f16Value(h uint16) float32 {
	sign := uint32(h>>15) << 31
	rest := uint32(h&0x7fff) << 13
	if rest >= 0x7c00<<13 {
		bits := sign | 0x7f800000 | rest&0x7fffff
		if rest != 0x7c00<<13 {
			bits |= 1 << 22
		}
		return math.Float32frombits(bits)
	}
	v := math.Float32frombits(rest) * math.Float32frombits((112+127)<<23)
	return math.Float32frombits(math.Float32bits(v) | sign)
}

// F32ToF16 rounds to the nearest half precision number, ties to even; what is too large becomes an infinity, a NaN stays
// one.
func F32ToF16(dst []uint16, src []float32) {
	src = src[:len(dst)]
	n := 0
	writes(dst)
	reads(src)
	switch {
	case useAVX512:
		n = len(dst) &^ 15
		f32ToF16AVX512(ptr(dst), ptr(src), n)
	case useAVX2:
		n = len(dst) &^ 7
		f32ToF16AVX2(ptr(dst), ptr(src), n)
	}
	f32ToF16Go(dst[n:], src[n:])
}

func f32ToF16Go(dst []uint16, src []float32) {
	for i := range dst {
		dst[i] = f16Bits(src[i])
	}
}

func f16Bits(v float32) uint16 {
	b := math.Float32bits(v)
	sign := uint16(b >> 16 & 0x8000)
	b &= 0x7fffffff
	switch {
	case b > 0x7f800000: // NaN
		return sign | 0x7e00 | uint16(b>>13&0x3ff)
	case b >= 0x477ff000: // rounds above 65504
		return sign | 0x7c00
	case b < 0x38800000: // denormal in half precision: adding 0.5 rounds at 2^-24, the last place of 0.5
		v := math.Float32frombits(b) + 0.5
		return sign | uint16(math.Float32bits(v)-0x3f000000)
	}
	b -= 112 << 23
	return sign | uint16((b+0xfff+b>>13&1)>>13)
}

// Int8ToF32 sets dst[i] = scale·src[i].
func Int8ToF32(dst []float32, src []int8, scale float32) {
	src = src[:len(dst)]
	n := 0
	writes(dst)
	reads(src)
	switch {
	case useAVX512:
		n = len(dst) &^ 15
		int8ToF32AVX512(ptr(dst), ptr(src), scale, n)
	case useAVX2:
		n = len(dst) &^ 7
		int8ToF32AVX2(ptr(dst), ptr(src), scale, n)
	}
	int8ToF32Go(dst[n:], src[n:], scale)
}

func int8ToF32Go(dst []float32, src []int8, scale float32) {
	for i := range dst {
		dst[i] = scale * float32(src[i])
	}
}
