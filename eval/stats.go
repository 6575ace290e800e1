package eval

import (
	"math"
	"slices"
)

// clustered estimates the mean of a quantity per token from sums by window: Σ sum / Σ n, and its standard error with
// windows as clusters (the linearized ratio estimator, W/(W−1) in front): NaN for fewer than two windows.
func clustered(sum []float64, n []int) (mean, se float64) {
	var s, tokens float64
	for i := range sum {
		s += sum[i]
		tokens += float64(n[i])
	}
	mean = s / tokens
	w := float64(len(sum))
	if w < 2 {
		return mean, math.NaN()
	}
	var ss float64
	for i := range sum {
		r := sum[i] - mean*float64(n[i])
		ss += r * r
	}
	return mean, math.Sqrt(ss*w/(w-1)) / tokens
}

// quantile of sorted values by linear interpolation between order statistics (NumPy's default).
func quantile(sorted []float64, q float64) float64 {
	at := q * float64(len(sorted)-1)
	i := int(at)
	if i+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	return sorted[i] + (at-float64(i))*(sorted[i+1]-sorted[i])
}

// t95 holds the 0.95 quantiles of Student's t for 1 to 10 degrees of freedom.
var t95 = [...]float64{6.313752, 2.919986, 2.353363, 2.131847, 2.015048, 1.943180, 1.894579, 1.859548, 1.833113, 1.812461}

// student95 is the 0.95 quantile of Student's t: the table, then the expansion in 1/df around the normal quantile
// (Abramowitz and Stegun 26.7.5), which is good to 1e-5 there. +Inf without a degree of freedom.
func student95(df int) float64 {
	if df < 1 {
		return math.Inf(1)
	}
	if df <= len(t95) {
		return t95[df-1]
	}
	const z = 1.6448536269514722
	z2, v := z*z, float64(df)
	g1 := z * (z2 + 1) / 4
	g2 := z * ((5*z2+16)*z2 + 3) / 96
	g3 := z * (((3*z2+19)*z2+17)*z2 - 15) / 384
	g4 := z * ((((79*z2+776)*z2+1482)*z2-1920)*z2 - 945) / 92160
	return z + g1/v + g2/(v*v) + g3/(v*v*v) + g4/(v*v*v*v)
}

// A Ratio of perplexities, child over parent.
type Ratio struct {
	Value   float64 `json:"value"`
	SE      Number  `json:"se"`      // standard error by windows; null for one window
	Upper95 Number  `json:"upper95"` // upper bound of the one-sided 95 % interval; null (unbounded) for one window
}

// ratio takes the log of a perplexity ratio with its standard error over some windows to the ratio itself. The bound is
// taken in the logarithm, where the estimate is a mean, with Student's t for windows−1 degrees of freedom.
func ratio(log, se float64, windows int) Ratio {
	v := math.Exp(log)
	upper := math.Inf(1)
	if !math.IsNaN(se) {
		upper = math.Exp(log + student95(windows-1)*se)
	}
	return Ratio{Value: v, SE: Number(v * se), Upper95: Number(upper)}
}

// KLD sums up the Kullback-Leibler divergence parent‖child over tokens, in nats.
type KLD struct {
	Mean float64 `json:"mean"`
	SE   Number  `json:"se"` // of the mean, by windows
	P50  float64 `json:"p50"`
	P99  float64 `json:"p99"`
	Max  float64 `json:"max"`
}

// spread sums up per-token values kept by window.
func spread(byWindow [][]float64) KLD {
	var all, sums []float64
	var n []int
	for _, w := range byWindow {
		var s float64
		for _, v := range w {
			s += v
		}
		all, sums, n = append(all, w...), append(sums, s), append(n, len(w))
	}
	slices.Sort(all)
	mean, se := clustered(sums, n)
	return KLD{Mean: mean, SE: Number(se), P50: quantile(all, 0.5), P99: quantile(all, 0.99), Max: all[len(all)-1]}
}
