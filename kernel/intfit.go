package kernel

import "math"

// IntFit tries the grid scale*(code-zero), codes 0…top, on x: q is the code minus zero of each value, rounded to nearest even
// and clamped. It returns the sums of (x-scale*q)^2, x*q and q*q. The sums run in eight lanes, so that every implementation
// gives the same bits: a search over grids ends in the same place everywhere.
func IntFit(x []float32, scale, zero, top float32) (loss, xq, qq float32) {
	var lanes [3][8]float32
	inverse := 1 / scale
	if n := len(x) &^ 7; useAVX2 && n > 0 {
		intFitAVX2(&x[0], n, inverse, scale, zero, top, &lanes[0][0])
		x = x[n:]
	}
	intFitGo(x, inverse, scale, zero, top, &lanes)
	return sumLanes(&lanes[0]), sumLanes(&lanes[1]), sumLanes(&lanes[2])
}

func intFitGo(x []float32, inverse, scale, zero, top float32, lanes *[3][8]float32) {
	for i, v := range x {
		q := float32(math.RoundToEven(float64(v*inverse))) + zero
		q = min(top, max(0, q)) - zero
		d := v - float32(scale*q)
		lanes[0][i&7] += float32(d * d)
		lanes[1][i&7] += float32(v * q)
		lanes[2][i&7] += float32(q * q)
	}
}

// LineSums are what a regression of values over codes needs: the sums of q, q*q, x, x*q and x*x.
type LineSums struct{ Q, QQ, X, XQ, XX float32 }

// IntLine rounds x to the codes 0…top of code/inverse+low, nearest even and clamped, and returns their sums, which run in eight
// lanes as those of IntFit.
func IntLine(x []float32, inverse, low, top float32) LineSums {
	var lanes [5][8]float32
	if n := len(x) &^ 7; useAVX2 && n > 0 {
		intLineAVX2(&x[0], n, inverse, low, top, &lanes[0][0])
		x = x[n:]
	}
	intLineGo(x, inverse, low, top, &lanes)
	return LineSums{sumLanes(&lanes[0]), sumLanes(&lanes[1]), sumLanes(&lanes[2]), sumLanes(&lanes[3]), sumLanes(&lanes[4])}
}

func intLineGo(x []float32, inverse, low, top float32, lanes *[5][8]float32) {
	for i, v := range x {
		q := float32(math.RoundToEven(float64(float32(v-low) * inverse)))
		q = min(top, max(0, q))
		for k, term := range [5]float32{q, float32(q * q), v, float32(v * q), float32(v * v)} {
			lanes[k][i&7] += term
		}
	}
}

func sumLanes(s *[8]float32) float32 {
	return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]))
}
