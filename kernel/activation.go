package kernel

import "math"

// SiLUMul sets dst[i] = silu(gate[i])·up[i], silu(x) = x/(1+e^-x): the gate of a gated MLP.
func SiLUMul(dst, gate, up []float32) {
	n := len(dst)
	gate, up = gate[:n], up[:n]
	writes(dst)
	reads(gate)
	reads(up)
	switch {
	case useAVX512:
		siluMulAVX512(ptr(dst), ptr(gate), ptr(up), n)
	case useAVX2:
		siluMulAVX2(ptr(dst), ptr(gate), ptr(up), n)
	default:
		siluMulGo(dst, gate, up)
	}
}

func siluMulGo(dst, gate, up []float32) {
	for i := range dst {
		g := gate[i]
		dst[i] = g / (1 + exp32(-g)) * up[i]
	}
}

// GELU sets dst[i] = x/2·(1+erf(x/√2)), the exact Gaussian error linear unit, with an absolute error below 1e-6·max(1,|x|).
func GELU(dst, x []float32) {
	n := len(dst)
	x = x[:n]
	writes(dst)
	reads(x)
	switch {
	case useAVX512:
		geluAVX512(ptr(dst), ptr(x), n)
	case useAVX2:
		geluAVX2(ptr(dst), ptr(x), n)
	default:
		geluGo(dst, x)
	}
}

func geluGo(dst, x []float32) {
	for i := range dst {
		v := float64(x[i])
		dst[i] = float32(0.5 * v * (1 + math.Erf(v*(1/math.Sqrt2))))
	}
}

// GELUTanh sets dst[i] = x/2·(1+tanh(√(2/π)(x+0.044715x³))), the common approximation of GELU.
func GELUTanh(dst, x []float32) {
	n := len(dst)
	x = x[:n]
	writes(dst)
	reads(x)
	switch {
	case useAVX512:
		geluTanhAVX512(ptr(dst), ptr(x), n)
	case useAVX2:
		geluTanhAVX2(ptr(dst), ptr(x), n)
	default:
		geluTanhGo(dst, x)
	}
}

// Twice √(2/π): (1+tanh u)/2 = 1/(1+e^-2u).
const (
	geluScale = 1.5957691216057308
	geluCubic = 0.044715
)

func geluTanhGo(dst, x []float32) {
	for i := range dst {
		v := x[i]
		u := geluScale * (v + geluCubic*v*v*v)
		dst[i] = v / (1 + exp32(-u))
	}
}
