package kernel

import "math"

// RMSNorm sets dst = x/√(mean(x²)+eps)·gain for one row (Zhang and Sennrich, 2019).
func RMSNorm(dst, x, gain []float32, eps float32) {
	n := len(dst)
	if n == 0 {
		return
	}
	x, gain = x[:n], gain[:n]
	r := float32(1 / math.Sqrt(float64(SumSq(x))/float64(n)+float64(eps)))
	writes(dst)
	reads(x)
	reads(gain)
	switch {
	case useAVX512:
		scaleMulAVX512(ptr(dst), ptr(x), ptr(gain), r, n)
	case useAVX2:
		scaleMulAVX2(ptr(dst), ptr(x), ptr(gain), r, n)
	default:
		scaleMulGo(dst, x, gain, r)
	}
}

// scaleMulGo sets dst = (s·a)·b.
func scaleMulGo(dst, a, b []float32, s float32) {
	for i := range dst {
		dst[i] = s * a[i] * b[i]
	}
}

// LayerNorm sets dst = (x-mean)/√(var+eps)·gain + bias for one row; var is the mean square distance from the mean (Ba et
// al., 2016). A nil bias adds nothing.
func LayerNorm(dst, x, gain, bias []float32, eps float32) {
	n := len(dst)
	if n == 0 {
		return
	}
	x, gain = x[:n], gain[:n]
	mean := Sum(x) / float32(n)
	r := float32(1 / math.Sqrt(float64(variance(x, mean))/float64(n)+float64(eps)))
	writes(dst)
	reads(x)
	reads(gain)
	switch {
	case useAVX512:
		normalizeAVX512(ptr(dst), ptr(x), ptr(gain), mean, r, n)
	case useAVX2:
		normalizeAVX2(ptr(dst), ptr(x), ptr(gain), mean, r, n)
	default:
		normalizeGo(dst, x, gain, mean, r)
	}
	if bias != nil {
		Add(dst, dst, bias)
	}
}

// variance returns Σ(x-mean)².
func variance(x []float32, mean float32) float32 {
	reads(x)
	switch {
	case useAVX512:
		return varianceAVX512(ptr(x), mean, len(x))
	case useAVX2:
		return varianceAVX2(ptr(x), mean, len(x))
	}
	return varianceGo(x, mean)
}

func varianceGo(x []float32, mean float32) float32 {
	var s [4]float32
	for ; len(x) >= 4; x = x[4:] {
		for j := range s {
			d := x[j] - mean
			s[j] += d * d
		}
	}
	sum := (s[0] + s[1]) + (s[2] + s[3])
	for _, v := range x {
		sum += (v - mean) * (v - mean)
	}
	return sum
}

// normalizeGo sets dst = ((x-mean)·r)·gain.
func normalizeGo(dst, x, gain []float32, mean, r float32) {
	for i := range dst {
		dst[i] = (x[i] - mean) * r * gain[i]
	}
}
