package kernel

import "math"

// Dot returns the inner product of a and b[:len(a)].
func Dot(a, b []float32) float32 {
	n := len(a)
	b = b[:n]
	reads(a)
	reads(b)
	switch {
	case useAVX512:
		return dotAVX512(ptr(a), ptr(b), n)
	case useAVX2:
		return dotAVX2(ptr(a), ptr(b), n)
	}
	return dotGo(a, b)
}

func dotGo(a, b []float32) float32 {
	var s [4]float32
	for ; len(a) >= 4 && len(b) >= 4; a, b = a[4:], b[4:] {
		s[0] += a[0] * b[0]
		s[1] += a[1] * b[1]
		s[2] += a[2] * b[2]
		s[3] += a[3] * b[3]
	}
	sum := (s[0] + s[1]) + (s[2] + s[3])
	for i := range a {
		sum += a[i] * b[i]
	}
	return sum
}

// SumSq returns the sum of the squares of x.
func SumSq(x []float32) float32 { return Dot(x, x) }

// Sum returns the sum of x.
func Sum(x []float32) float32 {
	reads(x)
	switch {
	case useAVX512:
		return sumAVX512(ptr(x), len(x))
	case useAVX2:
		return sumAVX2(ptr(x), len(x))
	}
	return sumGo(x)
}

func sumGo(x []float32) float32 {
	var s [4]float32
	for ; len(x) >= 4; x = x[4:] {
		s[0] += x[0]
		s[1] += x[1]
		s[2] += x[2]
		s[3] += x[3]
	}
	sum := (s[0] + s[1]) + (s[2] + s[3])
	for _, v := range x {
		sum += v
	}
	return sum
}

// Max returns the largest element, -Inf for none. NaNs are passed over.
func Max(x []float32) float32 {
	reads(x)
	switch n := len(x); {
	case useAVX512 && n >= 16:
		return maxAVX512(ptr(x), n)
	case useAVX2 && n >= 8:
		return maxAVX2(ptr(x), n)
	}
	return maxGo(x)
}

func maxGo(x []float32) float32 {
	m := float32(math.Inf(-1))
	for _, v := range x {
		if v > m {
			m = v
		}
	}
	return m
}

// AbsMax returns the largest magnitude, 0 for none. NaNs are passed over.
func AbsMax(x []float32) float32 {
	reads(x)
	switch n := len(x); {
	case useAVX512 && n >= 16:
		return absMaxAVX512(ptr(x), n)
	case useAVX2 && n >= 8:
		return absMaxAVX2(ptr(x), n)
	}
	return absMaxGo(x)
}

func absMaxGo(x []float32) float32 {
	m := float32(0)
	for _, v := range x {
		if v = abs32(v); v > m {
			m = v
		}
	}
	return m
}

// ArgMax returns the lowest index of the largest element; NaNs are passed over. It is 0 when no element exceeds -Inf,
// and -1 for an empty x.
func ArgMax(x []float32) int {
	if len(x) == 0 {
		return -1
	}
	return max(index(x, Max(x)), 0)
}

// index returns the first i with x[i] == v, or -1.
func index(x []float32, v float32) int {
	n, at := 0, -1
	reads(x)
	switch {
	case useAVX512:
		n = len(x) &^ 15
		at = indexAVX512(ptr(x), v, n)
	case useAVX2:
		n = len(x) &^ 7
		at = indexAVX2(ptr(x), v, n)
	}
	if at >= 0 {
		return at
	}
	if at = indexGo(x[n:], v); at >= 0 {
		at += n
	}
	return at
}

func indexGo(x []float32, v float32) int {
	for i := range x {
		if x[i] == v {
			return i
		}
	}
	return -1
}

func abs32(v float32) float32 { return math.Float32frombits(math.Float32bits(v) &^ (1 << 31)) }
