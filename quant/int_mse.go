package quant

func init() {
	for _, group := range []int{32, 64, 128} {
		for _, asym := range []bool{false, true} {
			register(intFormat{bits: 4, group: group, asym: asym, search: true})
		}
	}
}

// The factors on the plain grid's range that are tried, in 1/64.
const searchFrom, searchTo, searchStep, searchUnit = 40, 68, 2, 64

// fit is a grid and what rounding to it loses.
type fit struct {
	scale float32
	zero  int
	loss  float32
}

// searchGrid tries ranges wider and narrower than the plain one, then moves the best grid to where its own codes want it.
// Symmetric codes reach one step further down than up, so a negative scale is tried as well: it gives the longer side to the
// larger weights.
func (f intFormat) searchGrid(x []float32, low, high float32) (scale float32, zero int) {
	best := fit{loss: -1}
	for k := searchTo; k >= searchFrom; k -= searchStep {
		shrink := float32(k) / searchUnit
		s, z := f.grid(low*shrink, high*shrink)
		f.try(x, &best, s, z)
		if !f.asym {
			f.try(x, &best, -s, z)
		}
	}
	for range 2 {
		at := best
		for z := at.zero - 1; z <= at.zero+1; z++ {
			if z == at.zero || f.asym && z >= 0 && z < 1<<f.bits {
				f.try(x, &best, f.leastSquares(x, at.scale, z), z)
			}
		}
		if best == at {
			break
		}
	}
	return best.scale, best.zero
}

// try keeps the grid if it loses less than the best so far.
func (f intFormat) try(x []float32, best *fit, scale float32, zero int) {
	if e := f.squaredError(x, scale, zero); best.loss < 0 || e < best.loss {
		*best = fit{scale, zero, e}
	}
}

// leastSquares is the scale that suits the codes of the given grid best.
func (f intFormat) leastSquares(x []float32, scale float32, zero int) float32 {
	if scale == 0 {
		return 0
	}
	inverse, z, top := 1/scale, float32(zero), float32(int(1)<<f.bits-1)
	var xq, qq float32
	for _, v := range x {
		q := min(top, max(0, roundEven(v*inverse)+z)) - z
		xq += v * q
		qq += q * q
	}
	if qq == 0 {
		return scale
	}
	return f.narrow(xq / qq)
}

// squaredError is what rounding x to the grid loses.
func (f intFormat) squaredError(x []float32, scale float32, zero int) float32 {
	if scale == 0 {
		return 0
	}
	inverse, z, sum := 1/scale, float32(zero), float32(0)
	top := float32(int(1)<<f.bits - 1)
	for _, v := range x {
		q := min(top, max(0, roundEven(v*inverse)+z)) - z
		d := v - q*scale
		sum += d * d
	}
	return sum
}
