package quant

import "math"

// factorRange is the range of a group's integers.
func (f *blockFormat) factorRange() (low, high int) {
	switch {
	case f.min && f.group == 16:
		return 0, 15
	case f.min:
		return 0, 63
	case f.bits == 3:
		return -32, 31
	}
	return -128, 127
}

// part is the g-th group of x.
func (f *blockFormat) part(x []float32, g int) []float32 { return x[g*f.group : (g+1)*f.group] }

// fitFactored fits a block whose scales are d times an integer a group.
func (b *blockFit) fitFactored(x []float32) {
	f := b.f
	low, high := f.factorRange()
	groups := f.weights / f.group
	for g := range groups {
		b.scale[g] = b.symmetric(f.part(x, g))
	}
	b.d = narrow16(peakOf(b.scale[:groups]) / float32(low))
	d := f16(b.d)
	for g := range groups {
		b.scales[g] = b.nearFactor(f.part(x, g), d, b.scale[g], low, high)
	}
	loss := b.roundGroups(x, d)
	for range 2 {
		before := *b
		if better := b.bestScale(x); better != 0 {
			b.d = narrow16(better)
		}
		if now := b.roundGroups(x, f16(b.d)); now < loss {
			loss = now
			continue
		}
		*b = before
		break
	}
}

// nearFactor is the integer near scale/d that loses least.
func (b *blockFit) nearFactor(x []float32, d, scale float32, low, high int) int8 {
	zero, top := float32(b.f.zero), float32(b.f.top())
	mid, best := nearInt(scale*invert(d), low, high), fit{loss: -1}
	found := 0
	for k := max(low, mid-1); k <= min(high, mid+1); k++ {
		if b.trySymmetric(x, &best, d*float32(k), zero, top) {
			found = k
		}
	}
	return int8(found)
}

// nearInt rounds v into a range.
func nearInt(v float32, low, high int) int {
	return int(min(float32(high), max(float32(low), roundEven(v))))
}

// roundGroups rounds a block by its integers and returns the squared error.
func (b *blockFit) roundGroups(x []float32, d float32) (loss float32) {
	f := b.f
	for g := range f.weights / f.group {
		s, part := d*float32(b.scales[g]), f.part(x, g)
		b.round(part, g*f.group, s, 0)
		for j, v := range part {
			e := v - float32(s*float32(int(b.codes[g*f.group+j])-f.zero))
			loss += float32(e * e)
		}
	}
	return loss
}

// bestScale is the regression of x over integers times codes; 0 when all of these are.
func (b *blockFit) bestScale(x []float32) float32 {
	var xq, qq float32
	for j, v := range x {
		q := float32(b.scales[j/b.f.group]) * float32(int(b.codes[j])-b.f.zero)
		xq += float32(v * q)
		qq += float32(q * q)
	}
	if qq == 0 {
		return 0
	}
	return xq / qq
}

// fitFactoredAffine fits a block whose scales and minima are d and min times integers of its groups.
func (b *blockFit) fitFactoredAffine(x []float32) {
	f := b.f
	_, high := f.factorRange()
	groups := f.weights / f.group
	var most, least float32
	for g := range groups {
		b.scale[g], b.low[g] = b.affine(f.part(x, g), f.top(), true)
		most, least = max(most, b.scale[g]), min(least, b.low[g])
	}
	b.d, b.min = narrow16(most/float32(high)), narrow16(least/float32(high))
	for g := range groups {
		b.nearFactors(f.part(x, g), g, high)
	}
	loss := b.roundAffine(x)
	for range 2 {
		before := *b
		b.bestScales(x)
		if now := b.roundAffine(x); now < loss {
			loss = now
			continue
		}
		*b = before
		break
	}
}

// nearFactors sets the integers of group g: scales around the group's own, each with the minima around what its codes want.
func (b *blockFit) nearFactors(x []float32, g, high int) {
	d, min16, top := f16(b.d), f16(b.min), float32(b.f.top())
	mid, m0 := nearInt(b.scale[g]*invert(d), 0, high), nearInt(b.low[g]*invert(min16), 0, high)
	first := codeSums(x, invert(d*float32(mid)), min16*float32(m0), top)
	least := float32(-1)
	for k := max(0, mid-1); k <= min(high, mid+1); k++ {
		s := d * float32(k)
		want := (first.X - float32(s*first.Q)) / first.n * invert(min16)
		from, to := nearInt(want, 0, high), nearInt(want, 0, high)
		if high < 16 {
			from, to = nearInt(float32(math.Floor(float64(want))), 0, high), nearInt(float32(math.Ceil(float64(want))), 0, high)
		}
		for i := from; i <= to; i++ {
			m := min16 * float32(i)
			if loss := codeSums(x, invert(s), m, top).at(s, m); least < 0 || loss < least {
				least, b.scales[g], b.mins[g] = max(0, loss), int8(k), uint8(i)
			}
		}
	}
}

// roundAffine rounds a block by its integers and returns the squared error.
func (b *blockFit) roundAffine(x []float32) (loss float32) {
	f, d, min16 := b.f, f16(b.d), f16(b.min)
	for g := range f.weights / f.group {
		s, m, part := d*float32(b.scales[g]), min16*float32(b.mins[g]), f.part(x, g)
		b.round(part, g*f.group, s, m)
		for j, v := range part {
			e := v - float32(s*float32(b.codes[g*f.group+j])) - m
			loss += float32(e * e)
		}
	}
	return loss
}

// bestScales moves d and min to the regression of x over both kinds of integers.
func (b *blockFit) bestScales(x []float32) {
	var qq, qm, mm, xq, xm float64
	for j, v := range x {
		g := j / b.f.group
		q, m := float64(b.scales[g])*float64(b.codes[j]), float64(b.mins[g])
		qq, qm, mm = qq+q*q, qm+q*m, mm+m*m
		xq, xm = xq+float64(v)*q, xm+float64(v)*m
	}
	switch det := qq*mm - qm*qm; {
	case det > 1e-9*qq*mm && mm > 0:
		d, low := (mm*xq-qm*xm)/det, (qq*xm-qm*xq)/det
		if d > 0 && low <= 0 {
			b.d, b.min = narrow16(float32(d)), narrow16(float32(low))
		}
	case qq > 0 && mm == 0 && xq > 0:
		b.d = narrow16(float32(xq / qq))
	}
}
