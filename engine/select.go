package engine

import (
	"cmp"
	"math"
	"slices"

	"hone/kernel"
)

// Partial selection over a row of logits. Rank is by logit, the lower id first on ties; nothing sorts the vocabulary.

// compare orders by rank, best first.
func (c candidate) compare(o candidate) int {
	if c.x != o.x {
		return cmp.Compare(o.x, c.x)
	}
	return cmp.Compare(c.id, o.id)
}

func (c candidate) better(o candidate) bool { return c.x > o.x || c.x == o.x && c.id < o.id }

// largest fills s.cand with the k best tokens (fewer if fewer are above -Inf), in no order.
func (s *sampler) largest(logits []float32, k int) {
	bar, room := s.bar(logits, k), 2*k+tile
	s.cand = s.cand[:0]
	for i := 0; i < len(logits); i += peak {
		if s.peaks[i/peak] <= bar { // equal ones lose to the lower ids before them
			continue
		}
		for j, x := range logits[i:min(i+peak, len(logits))] {
			if x > bar {
				s.cand = append(s.cand, candidate{x: x, id: int32(i + j)})
			}
		}
		if len(s.cand) >= room {
			bar = s.keepBest(k)
		}
	}
	if len(s.cand) > k {
		s.keepBest(k)
	}
}

// peak is the length of the pieces whose maxima are taken first.
const peak = 64

// bar fills s.peaks with the maxima of the row's pieces and returns a logit that the k best tokens are above: just below
// the k-th largest maximum, as k pieces have a token that high.
func (s *sampler) bar(logits []float32, k int) float32 {
	s.peaks, s.cand = s.peaks[:0], s.cand[:0]
	for i := 0; i < len(logits); i += peak {
		m := kernel.Max(logits[i:min(i+peak, len(logits))])
		s.peaks = append(s.peaks, m)
		s.cand = append(s.cand, candidate{x: m, id: int32(i)})
	}
	low := float32(math.Inf(-1))
	if k > len(s.cand) {
		return low
	}
	return math.Nextafter32(s.keepBest(k), low)
}

// above fills s.cand with the tokens of at least this logit.
func (s *sampler) above(logits []float32, bar float32) {
	s.cand = s.cand[:0]
	for i := 0; i < len(logits); i += tile {
		part := logits[i:min(i+tile, len(logits))]
		if kernel.Max(part) < bar {
			continue
		}
		for j, x := range part {
			if x >= bar {
				s.cand = append(s.cand, candidate{x: x, id: int32(i + j)})
			}
		}
	}
}

// heaviest fills s.cand with the fewest best tokens of the row whose weights sum to at least the goal. Those lighter than
// bar together weigh less than what the goal leaves out.
func (s *sampler) heaviest(logits []float32, goal float64, bar float32) {
	const steep = 64 // mostly a few tokens carry the goal, and the others need no look
	if s.gather(logits, bar*steep) < goal {
		s.gather(logits, bar)
	}
	low, high, mass := s.class(goal)
	s.split(low, high)
	sure := s.cand
	s.cand = s.edge
	s.nucleus(goal - mass)
	s.edge, s.cand = s.cand, append(sure, s.cand...)
}

// gather fills s.cand with the tokens of at least this weight, and some weight at all, and returns their sum. Like split
// it does not branch on single weights: there is no guessing them.
func (s *sampler) gather(logits []float32, bar float32) (mass float64) {
	s.cand = s.cand[:0]
	bar = max(bar, math.SmallestNonzeroFloat32)
	for i := 0; i < len(logits); i += tile {
		if s.sums[i/tile] < float64(bar) {
			continue
		}
		x := logits[i:min(i+tile, len(logits))]
		n := len(s.cand)
		s.cand = slices.Grow(s.cand, tile)[:n+tile]
		for j, w := range s.weights[i : i+len(x)] {
			s.cand[n] = candidate{x: x[j], w: w, id: int32(i + j)}
			in := 0
			if w >= bar {
				in = 1
			}
			n += in
		}
		s.cand = s.cand[:n]
	}
	for _, c := range s.cand {
		mass += float64(c.w)
	}
	return mass
}

// Size classes of weights in [0, 2): by exponent and the upper three bits of the mantissa.
const (
	classShift = 20
	classes    = 0x3f800000>>classShift + 8
)

// class sums s.cand by size class and returns the class in which the sum of the weights, from the heaviest on, reaches
// the goal, and the sum of the classes above it. Only that class needs ranking.
func (s *sampler) class(goal float64) (low, high float32, mass float64) {
	clear(s.classes[:])
	for _, c := range s.cand {
		s.classes[math.Float32bits(c.w)>>classShift] += float64(c.w)
	}
	k := len(s.classes) - 1
	for ; k > 0 && mass+s.classes[k] < goal; k-- {
		mass += s.classes[k]
	}
	return math.Float32frombits(uint32(k) << classShift), math.Float32frombits(uint32(k+1) << classShift), mass
}

// split leaves the candidates of weight high or more in s.cand and puts those from low up to high into s.edge.
func (s *sampler) split(low, high float32) {
	n, e := 0, 0
	s.edge = slices.Grow(s.edge[:0], len(s.cand)+1)[:len(s.cand)+1]
	for _, c := range s.cand {
		s.cand[n], s.edge[e] = c, c
		up, in := 0, 0
		if c.w >= high {
			up = 1
		}
		if c.w >= low {
			in = 1
		}
		n += up
		e += in - up
	}
	s.cand, s.edge = s.cand[:n], s.edge[:e]
}

// keepBest cuts s.cand down to its k best and returns the least logit among them.
func (s *sampler) keepBest(k int) float32 {
	c, lo, hi := s.cand, 0, len(s.cand)
	for hi-lo > 1 { // all before lo are among the k best, none from hi on is
		mid := partition(c[lo:hi]) + lo
		switch {
		case mid == k:
			lo, hi = k, k
		case mid < k:
			lo = mid
		default:
			hi = mid
		}
	}
	s.cand = c[:k]
	least := s.cand[0].x
	for _, c := range s.cand {
		least = min(least, c.x)
	}
	return least
}

// nucleus cuts s.cand down to its fewest best tokens whose weights sum to at least the goal.
func (s *sampler) nucleus(goal float64) {
	c, lo, hi, mass := s.cand, 0, len(s.cand), 0.0
	for hi-lo > 16 { // c[:lo] weigh mass, less than the goal; with c[lo:hi] they reach it
		mid := partition(c[lo:hi]) + lo
		half := 0.0
		for _, x := range c[lo:mid] {
			half += float64(x.w)
		}
		if mass+half >= goal {
			hi = mid
		} else {
			lo, mass = mid, mass+half
		}
	}
	slices.SortFunc(c[lo:hi], candidate.compare)
	for lo < hi {
		mass += float64(c[lo].w)
		if lo++; mass >= goal {
			break
		}
	}
	s.cand = c[:lo]
}

// partition reorders two or more candidates and returns 0 < n < len(c) so that each of c[:n] is better than each of
// c[n:]. The pivot is the median of three: the result depends on the input alone.
func partition(c []candidate) int {
	a, b, z := c[0], c[len(c)/2], c[len(c)-1]
	pivot := b
	switch {
	case a.better(b) != a.better(z): // a lies between the two
		pivot = a
	case z.better(a) != z.better(b):
		pivot = z
	}
	i, j := 0, len(c)-1
	for {
		for c[i].better(pivot) {
			i++
		}
		for pivot.better(c[j]) {
			j--
		}
		if i >= j {
			break
		}
		c[i], c[j] = c[j], c[i]
		i++
		j--
	}
	return max(1, min(i, len(c)-1))
}
