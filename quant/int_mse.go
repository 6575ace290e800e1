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

// searchGrid tries ranges wider and narrower than the plain one and keeps the one with the least squared error. Symmetric codes
// reach one step further down than up, so a negative scale is tried as well: it gives the longer side to the larger weights.
func (f intFormat) searchGrid(x []float32, low, high float32) (scale float32, zero int) {
	best := float32(-1)
	for k := searchTo; k >= searchFrom; k -= searchStep {
		shrink := float32(k) / searchUnit
		s, z := f.grid(low*shrink, high*shrink)
		for range 2 {
			if e := f.squaredError(x, s, z); best < 0 || e < best {
				best, scale, zero = e, s, z
			}
			if f.asym {
				break
			}
			s = -s
		}
	}
	return scale, zero
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
