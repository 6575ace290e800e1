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
	s.cand = s.cand[:0]
	bar, room := float32(math.Inf(-1)), 2*k+tile
	for i := 0; i < len(logits); i += tile {
		part := logits[i:min(i+tile, len(logits))]
		if kernel.Max(part) <= bar { // equal ones lose to the lower ids before them
			continue
		}
		for j, x := range part {
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

// heavier fills s.cand with the tokens of at least this weight and some weight at all.
func (s *sampler) heavier(logits []float32, bar float32) {
	s.cand = s.cand[:0]
	for i := 0; i < len(logits); i += tile {
		if s.sums[i/tile] < float64(bar) {
			continue
		}
		for j, w := range s.weights[i:min(i+tile, len(logits))] {
			if w >= bar && w > 0 {
				s.cand = append(s.cand, candidate{x: logits[i+j], w: w, id: int32(i + j)})
			}
		}
	}
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
