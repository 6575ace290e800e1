package kernel

import "math"

// Constants of the single precision exponential: exp(x) = 2^n·exp(r), n = round(x/ln 2), r = x - n·ln 2 in two steps
// (expLn2Hi has few enough bits for n·expLn2Hi to be exact), exp(r) by a polynomial of degree 6 fitted on
// |r| ≤ ln2/2 with p(0) = p'(0) = 1.
const (
	expLog2e = 1.44269504088896341
	expLn2Hi = 0.693359375
	expLn2Lo = -2.12194440054690583e-4
	expMax   = 88.72284  // above it float32 overflows
	expMin   = -87.33654 // below it the result is not a normal number and becomes 0
)

// expPoly holds the coefficients of r^2 … r^6.
var expPoly = [5]float32{0.5, 0.166666671, 0.0416664146, 0.00833336823, 0.00139316242}

// exp32 is the definition of Exp for one element; relative error below 2e-7.
func exp32(x float32) float32 {
	switch {
	case x > expMax:
		return float32(math.Inf(1))
	case x < expMin:
		return 0
	case x != x:
		return x
	}
	t := x * expLog2e
	n := int32(t + float32(math.Copysign(0.5, float64(t))))
	f := float32(n)
	r := x - f*expLn2Hi
	r -= f * expLn2Lo
	p := expPoly[4]
	p = p*r + expPoly[3]
	p = p*r + expPoly[2]
	p = p*r + expPoly[1]
	p = p*r + expPoly[0]
	p = p*r*r + r + 1
	// n reaches 128 where 2^n alone is out of range, so the power is put together from two factors.
	h := n >> 1
	return p * pow2(h) * pow2(n-h)
}

// pow2 returns 2^n for |n| ≤ 126.
func pow2(n int32) float32 { return math.Float32frombits(uint32(n+127) << 23) }

// Exp sets dst[i] = e^x[i] with a relative error below 3e-7. Results too small for a normal float32 become 0.
func Exp(dst, x []float32) {
	n := len(dst)
	x = x[:n]
	writes(dst)
	reads(x)
	switch {
	case useAVX512:
		expAVX512(ptr(dst), ptr(x), n)
	case useAVX2:
		expAVX2(ptr(dst), ptr(x), n)
	default:
		expGo(dst, x)
	}
}

func expGo(dst, x []float32) {
	for i := range dst {
		dst[i] = exp32(x[i])
	}
}

// ExpSum sets dst[i] = e^(x[i]-max) and returns the sum of dst. max must be finite.
func ExpSum(dst, x []float32, max float32) float32 {
	n := len(dst)
	x = x[:n]
	writes(dst)
	reads(x)
	switch {
	case useAVX512:
		return expSumAVX512(ptr(dst), ptr(x), max, n)
	case useAVX2:
		return expSumAVX2(ptr(dst), ptr(x), max, n)
	}
	return expSumGo(dst, x, max)
}

func expSumGo(dst, x []float32, max float32) float32 {
	for i := range dst {
		dst[i] = exp32(x[i] - max)
	}
	return sumGo(dst)
}

// LogSumExp returns log Σ e^x[i]; -Inf for an empty x.
func LogSumExp(x []float32) float32 {
	m := Max(x)
	if math.IsInf(float64(m), 0) {
		return m
	}
	var buf [512]float32
	var sum float64
	for len(x) > 0 {
		n := min(len(x), len(buf))
		sum += float64(ExpSum(buf[:n], x[:n], m))
		x = x[n:]
	}
	return float32(float64(m) + math.Log(sum))
}
