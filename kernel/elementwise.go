package kernel

// Add sets dst = a + b.
func Add(dst, a, b []float32) {
	addGo(dst, a[:len(dst)], b[:len(dst)])
}

func addGo(dst, a, b []float32) {
	for i := range dst {
		dst[i] = a[i] + b[i]
	}
}

// Scale sets dst = s·a.
func Scale(dst, a []float32, s float32) {
	scaleGo(dst, a[:len(dst)], s)
}

func scaleGo(dst, a []float32, s float32) {
	for i := range dst {
		dst[i] = s * a[i]
	}
}

// Axpy adds s·x to dst.
func Axpy(dst []float32, s float32, x []float32) {
	axpyGo(dst, s, x[:len(dst)])
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
	ropeGo(x[:half], x[half:2*half], cos, sin[:half])
}

func ropeGo(lo, hi, cos, sin []float32) {
	for i, c := range cos {
		s, a, b := sin[i], lo[i], hi[i]
		lo[i] = a*c - b*s
		hi[i] = b*c + a*s
	}
}
