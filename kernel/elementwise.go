package kernel

import "unsafe"

// ptr is the address of the first element for an assembly function.
func ptr[T any](s []T) *T { return unsafe.SliceData(s) }

// Add sets dst = a + b.
func Add(dst, a, b []float32) {
	n := len(dst)
	a, b = a[:n], b[:n]
	writes(dst)
	reads(a)
	reads(b)
	switch {
	case useAVX512:
		addAVX512(ptr(dst), ptr(a), ptr(b), n)
	case useAVX2:
		addAVX2(ptr(dst), ptr(a), ptr(b), n)
	default:
		addGo(dst, a, b)
	}
}

func addGo(dst, a, b []float32) {
	for i := range dst {
		dst[i] = a[i] + b[i]
	}
}

// Scale sets dst = s·a.
func Scale(dst, a []float32, s float32) {
	n := len(dst)
	a = a[:n]
	writes(dst)
	reads(a)
	switch {
	case useAVX512:
		scaleAVX512(ptr(dst), ptr(a), s, n)
	case useAVX2:
		scaleAVX2(ptr(dst), ptr(a), s, n)
	default:
		scaleGo(dst, a, s)
	}
}

func scaleGo(dst, a []float32, s float32) {
	for i := range dst {
		dst[i] = s * a[i]
	}
}

// Mul sets dst = a·b, element by element.
func Mul(dst, a, b []float32) {
	n := len(dst)
	a, b = a[:n], b[:n]
	writes(dst)
	reads(a)
	reads(b)
	switch {
	case useAVX512:
		scaleMulAVX512(ptr(dst), ptr(a), ptr(b), 1, n)
	case useAVX2:
		scaleMulAVX2(ptr(dst), ptr(a), ptr(b), 1, n)
	default:
		scaleMulGo(dst, a, b, 1)
	}
}

// Axpy adds s·x to dst.
func Axpy(dst []float32, s float32, x []float32) {
	n := len(dst)
	x = x[:n]
	writes(dst)
	reads(x)
	switch {
	case useAVX512:
		axpyAVX512(ptr(dst), s, ptr(x), n)
	case useAVX2:
		axpyAVX2(ptr(dst), s, ptr(x), n)
	default:
		axpyGo(dst, s, x)
	}
}

func axpyGo(dst []float32, s float32, x []float32) {
	for i := range dst {
		dst[i] += s * x[i]
	}
}

// Rope turns one head in place by the rotate-half form of rotary position embedding (Su et al., 2021): element i of the
// first half and its partner in the second are turned by the angle whose cosine and sine are cos[i], sin[i].
// len(x) = 2·len(cos).
func Rope(x, cos, sin []float32) {
	half := len(cos)
	lo, hi, sin := x[:half], x[half:2*half], sin[:half]
	writes(lo)
	writes(hi)
	reads(cos)
	reads(sin)
	switch {
	case useAVX512:
		ropeAVX512(ptr(lo), ptr(hi), ptr(cos), ptr(sin), half)
	case useAVX2:
		ropeAVX2(ptr(lo), ptr(hi), ptr(cos), ptr(sin), half)
	default:
		ropeGo(lo, hi, cos, sin)
	}
}

func ropeGo(lo, hi, cos, sin []float32) {
	for i, c := range cos {
		s, a, b := sin[i], lo[i], hi[i]
		lo[i] = a*c - b*s
		hi[i] = b*c + a*s
	}
}
