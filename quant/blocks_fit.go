package quant

import (
	"math"

	"hone/kernel"
)

// A blockFit finds the codes and scales of one block with a small squared error. It rests on one fact: for given codes the
// best scale (and minimum) are a linear regression, and for a given scale the best codes are the nearest ones. Each search
// starts these two steps from several ranges, since they end in the nearest valley, and keeps the best end.
//
// Formats with two levels of scales first fit each group alone, then choose the block's scales from the groups' largest,
// then the integers of each group by trial around their values, and last the block's scales again, by regression over
// all of its weights.
type blockFit struct {
	block
	f     *blockFormat
	scale [16]float32 // of groups, before they are rounded to integers
	low   [16]float32
}

// fit sets all of b for the weights x.
func (b *blockFit) fit(f *blockFormat, x []float32) {
	b.block, b.f = block{}, f
	switch {
	case f.grid != nil:
		b.fitGrid(x)
	case f.factored && f.min:
		b.fitFactoredAffine(x)
	case f.factored:
		b.fitFactored(x)
	case f.min:
		s, m := b.affine(x, f.top(), false)
		b.d, b.min = narrow16(s), narrow16(m)
		b.round(x, 0, f16(b.d), f16(b.min))
	default:
		b.d = narrow16(b.symmetric(x))
		b.round(x, 0, f16(b.d), 0)
	}
}

// top is the largest code.
func (f *blockFormat) top() int { return 1<<f.bits - 1 }

// round writes the nearest codes of x, which begins at column at of the block; zero is taken off formats without minima.
func (b *blockFit) round(x []float32, at int, s, m float32) {
	zero, top := float32(b.f.zero), float32(b.f.top())
	inverse := invert(s)
	for j, v := range x {
		q := min(top, max(0, roundEven(float32(float32(v-m)*inverse))+zero))
		b.codes[at+j] = uint8(q)
	}
}

// invert is 1/s, 0 where that is no number: all codes are 0 then.
func invert(s float32) float32 {
	if inverse := 1 / s; finite(inverse) {
		return inverse
	}
	return 0
}

// narrow16 rounds to f16.
func narrow16(v float32) uint16 {
	var half [1]uint16
	kernel.F32ToF16(half[:], []float32{v})
	return half[0]
}

// The ranges that symmetric searches try, over the plain one; fewer bits gain more from a narrow range.
var symmetricTries = map[int][]float32{
	3: {1.2, 1.1, 1, 0.94, 0.88, 0.82, 0.76, 0.7, 0.62},
	4: {1.08, 1.03, 1, 0.96, 0.92, 0.88, 0.84, 0.8, 0.75},
	5: {1.04, 1.02, 1, 0.98, 0.96, 0.94, 0.92, 0.88},
	6: {1.02, 1.01, 1, 0.99, 0.98, 0.97, 0.96},
	8: {1},
}

// symmetric finds the scale, of either sign, of x = s·q, q from −zero to top−zero.
func (b *blockFit) symmetric(x []float32) float32 {
	peak := peakOf(x)
	if peak == 0 {
		return 0
	}
	zero, top := float32(b.f.zero), float32(b.f.top())
	best := fit{loss: -1}
	for _, t := range symmetricTries[b.f.bits] {
		b.trySymmetric(x, &best, -peak*t/zero, zero, top)
		b.trySymmetric(x, &best, peak*t/(top-zero), zero, top)
	}
	for range 2 {
		if at := best.scale; !b.trySymmetric(x, &best, best.better, zero, top) || best.scale == at {
			break
		}
	}
	return best.scale
}

// trySymmetric keeps the scale if it loses less than the best so far.
func (b *blockFit) trySymmetric(x []float32, best *fit, s, zero, top float32) bool {
	if !finite(1/s) || s == 0 {
		return false
	}
	loss, xq, qq := kernel.IntFit(x, s, zero, top)
	if best.loss >= 0 && !(loss < best.loss) {
		return false
	}
	*best = fit{scale: s, loss: loss, better: s}
	if qq > 0 {
		best.better = xq / qq
	}
	return true
}

// peakOf is the value of the largest size.
func peakOf(x []float32) (peak float32) {
	for _, v := range x {
		if float32(math.Abs(float64(v))) > float32(math.Abs(float64(peak))) {
			peak = v
		}
	}
	return peak
}

// sums are those of n weights and their codes.
type sums struct {
	kernel.LineSums
	n float32
}

// codeSums rounds x to codes 0 … top of s·q+m, s = 1/inverse.
func codeSums(x []float32, inverse, m, top float32) sums {
	return sums{kernel.IntLine(x, inverse, m, top), float32(len(x))}
}

// line is the best s and m for the codes, and their squared error; with floor, m is at most 0.
func (t sums) line(floor bool) (s, m, loss float32) {
	det := float32(t.n*t.QQ) - float32(t.Q*t.Q)
	if det > 0 {
		s = (float32(t.n*t.XQ) - float32(t.Q*t.X)) / det
		m = (float32(t.QQ*t.X) - float32(t.Q*t.XQ)) / det
	} else {
		m = t.X / t.n
	}
	if floor && m > 0 {
		m, s = 0, 0
		if t.QQ > 0 {
			s = t.XQ / t.QQ
		}
	}
	return s, m, t.XX - float32(s*t.XQ) - float32(m*t.X) + t.rest(s, m)
}

// rest is what the error formula of a regression lacks where s and m are not its ends.
func (t sums) rest(s, m float32) float32 {
	return float32(s*(float32(s*t.QQ)+float32(m*t.Q)-t.XQ)) + float32(m*(float32(s*t.Q)+float32(m*t.n)-t.X))
}

// affineTries are the ranges tried over the plain one, from its lower and from its upper end.
var affineTries = map[int][]float32{
	2: {1.2, 1.1, 1, 0.93, 0.86, 0.79, 0.72, 0.65, 0.56},
	4: {1.06, 1.02, 0.98, 0.94, 0.9, 0.86, 0.82, 0.77},
	5: {1.03, 1, 0.98, 0.96, 0.93, 0.9},
}

// affine finds scale and minimum of x = s·q+m, q from 0 to top. With floor m is at most 0 and s at least 0.
func (b *blockFit) affine(x []float32, top int, floor bool) (scale, low float32) {
	lo, hi := x[0], x[0]
	for _, v := range x {
		lo, hi = min(lo, v), max(hi, v)
	}
	if floor {
		lo, hi = min(lo, 0), max(hi, 0)
	}
	if lo == hi {
		return 0, lo
	}
	least := float32(-1)
	try := func(s, m float32) bool {
		inverse := invert(s)
		s, m, loss := codeSums(x, inverse, m, float32(top)).line(floor)
		if s < 0 || least >= 0 && !(loss < least) {
			return false
		}
		scale, low, least = s, m, max(0, loss)
		return true
	}
	width := hi - lo
	for _, t := range affineTries[b.f.bits] {
		try(width*t/float32(top), lo)
		try(width*t/float32(top), hi-width*t)
	}
	for range 3 {
		if !try(scale, low) {
			break
		}
	}
	return scale, low
}

// at is the squared error of any s and m with these codes.
func (t sums) at(s, m float32) float32 {
	return t.XX - float32(s*t.XQ) - float32(m*t.X) + t.rest(s, m)
}
