package quant

import "hone/kernel"

func init() {
	for _, group := range []int{32, 64, 128} {
		for _, asym := range []bool{false, true} {
			registerInt(intFormat{bits: 4, group: group, asym: asym, search: true})
		}
	}
}

// The factors on the plain grid's range that are tried, in 1/64.
const searchFrom, searchTo, searchStep, searchUnit = 40, 68, 4, 64

// fit is a grid, what rounding to it loses, and the scale that its own codes would like best.
type fit struct {
	scale, loss, better float32
	zero                int
}

// searchGrid tries ranges wider and narrower than the plain one, then moves the best grid to where its codes want it, and its
// zero point by one. Symmetric codes reach one step further down than up, so a negative scale is tried as well: it gives the
// longer side to the larger weights.
func (f intFormat) searchGrid(x []float32, low, high float32) (scale float32, zero int) {
	if low == high {
		return f.grid(low, high)
	}
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
		f.try(x, &best, at.better, at.zero)
		if f.asym && at.zero > 0 {
			f.try(x, &best, at.scale, at.zero-1)
		}
		if f.asym && at.zero < 1<<f.bits-1 {
			f.try(x, &best, at.scale, at.zero+1)
		}
		if best == at {
			break
		}
	}
	return best.scale, best.zero
}

// try keeps the grid if it loses less than the best so far.
func (f intFormat) try(x []float32, best *fit, scale float32, zero int) {
	if scale == 0 {
		return
	}
	loss, xq, qq := kernel.IntFit(x, scale, float32(zero), float32(int(1)<<f.bits-1))
	if best.loss >= 0 && !(loss < best.loss) {
		return
	}
	*best = fit{scale, loss, scale, zero}
	if qq > 0 {
		best.better = f.narrow(xq / qq)
	}
}
