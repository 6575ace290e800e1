package engine

import (
	"errors"
	"math"
	"slices"

	"hone/kernel"
)

// A draw is one decision: whose token, from which position on, under which parameters.
type draw struct {
	params *SamplingParams
	bias   []tokenBias // params.LogitBias as a list
	seed   uint64
	choice int

	tokens []int32 // prompt and generated
	prompt int     // how many of tokens are the prompt

	banned   []int32 // end tokens while there must be more tokens
	mask     func(choice int, tokens []int32, logits []float32) error
	logprobs bool
	top      int
}

type tokenBias struct {
	id  int32
	add float32
}

var errNoToken = errors.New("engine: no token can be drawn: all logits are -Inf or not numbers (mask, logit_bias, or a broken model)")

// sampler is one worker's scratch. A draw depends on its arguments alone, never on what was drawn before.
type sampler struct {
	raw     []float32 // the model's logits, kept when logprobs are asked for and the row is changed
	weights []float32 // exp((x-max)/T) of a whole row
	sums    []float64 // of weights, by tile
	counts  []int32   // by token id; all zero between draws
	cand    []candidate
	edge    []candidate
	peaks   []float32        // maxima of pieces of the row
	classes [classes]float64 // weights by size class
}

// candidate is a token that may be drawn.
type candidate struct {
	x  float32
	w  float32
	id int32
}

// tile is how many logits are looked at (and skipped) at once.
const tile = 256

// minTemperature: below it a draw is greedy. Dividing by less would overflow.
const minTemperature = 1e-5

// next draws a token from a row of logits, which it changes.
func (s *sampler) next(d *draw, logits []float32) (int32, TokenLogprob, error) {
	var lp TokenLogprob
	var lse float32
	raw := logits
	if d.logprobs {
		if lse = kernel.LogSumExp(logits); lse != lse || math.IsInf(float64(lse), 0) {
			return 0, lp, errNoToken
		}
		lp.Top = s.topChances(logits, d.top, lse)
		if d.reshapes() {
			s.raw = append(s.raw[:0], logits...)
			raw = s.raw
		}
	}
	if err := s.reshape(d, logits); err != nil {
		return 0, lp, err
	}
	id, ok := s.pick(d, logits)
	if !ok {
		return 0, lp, errNoToken
	}
	if d.logprobs {
		lp.Token, lp.Logprob = id, raw[id]-lse
	}
	return id, lp, nil
}

// topChances returns the n most likely tokens, best first.
func (s *sampler) topChances(logits []float32, n int, lse float32) []TokenChance {
	if n == 0 {
		return nil
	}
	s.largest(logits, n)
	slices.SortFunc(s.cand, candidate.compare)
	out := make([]TokenChance, len(s.cand))
	for i, c := range s.cand {
		out[i] = TokenChance{c.id, c.x - lse}
	}
	return out
}

func (d *draw) penalizes() bool {
	p := d.params
	return (p.RepetitionPenalty != 0 && p.RepetitionPenalty != 1) || p.FrequencyPenalty != 0 || p.PresencePenalty != 0
}

func (d *draw) reshapes() bool {
	return d.penalizes() || len(d.bias) > 0 || len(d.banned) > 0 || d.mask != nil
}

// reshape applies penalties, bias and mask.
func (s *sampler) reshape(d *draw, logits []float32) error {
	if d.penalizes() {
		s.penalize(d, logits)
	}
	for _, b := range d.bias {
		logits[b.id] += b.add
	}
	for _, id := range d.banned {
		logits[id] = float32(math.Inf(-1))
	}
	if d.mask != nil {
		return d.mask(d.choice, d.tokens, logits)
	}
	return nil
}

// penalize counts the sequence's tokens afresh each time: a count kept over steps would be one more thing to restore.
func (s *sampler) penalize(d *draw, logits []float32) {
	const seen = 1 << 30
	if len(s.counts) < len(logits) {
		s.counts = make([]int32, len(logits))
	}
	repetition := d.params.RepetitionPenalty
	for i, t := range d.tokens {
		if s.counts[t] == 0 {
			s.counts[t] = seen
			logits[t] = repeat(logits[t], repetition)
		}
		if i >= d.prompt {
			s.counts[t]++
		}
	}
	for _, t := range d.tokens {
		if n := s.counts[t] &^ seen; n > 0 {
			logits[t] -= d.params.FrequencyPenalty*float32(n) + d.params.PresencePenalty
		}
		s.counts[t] = 0
	}
}

func repeat(x, penalty float32) float32 {
	switch {
	case penalty == 0 || penalty == 1:
		return x
	case x > 0:
		return x / penalty
	}
	return x * penalty
}

// pick draws from reshaped logits; ok is false when no token has a finite logit.
func (s *sampler) pick(d *draw, logits []float32) (id int32, ok bool) {
	p := d.params
	best := kernel.ArgMax(logits)
	if m := logits[best]; m != m || math.IsInf(float64(m), 0) {
		return 0, false
	}
	if p.Temperature < minTemperature || p.TopK == 1 {
		return int32(best), true
	}
	u := uniform(d.seed, d.choice, len(d.tokens))
	topP := p.TopP
	if topP == 0 {
		topP = 1
	}
	if (p.TopK == 0 || p.TopK >= len(logits)) && topP == 1 && p.MinP == 0 {
		return s.drawAll(logits, logits[best], p.Temperature, u)
	}
	if p.MinP == 0 && (p.TopK == 0 || p.TopK >= len(logits)) {
		total, ok := s.weigh(logits, logits[best], p.Temperature)
		if !ok {
			return 0, false
		}
		s.heaviest(logits, float64(topP)*total, 0.99*(1-topP)*float32(total)/float32(len(logits)))
		return s.drawCandidates(u), true
	}
	total := s.shortlist(logits, logits[best], p)
	if topP < 1 {
		s.nucleus(float64(topP) * total)
	}
	return s.drawCandidates(u), true
}

// shortlist fills s.cand with what min-p and top-k leave and returns its weight.
func (s *sampler) shortlist(logits []float32, best float32, p *SamplingParams) (total float64) {
	if p.MinP == 0 {
		s.largest(logits, p.TopK)
	} else if s.above(logits, best+p.Temperature*float32(math.Log(float64(p.MinP)))); p.TopK > 0 && p.TopK < len(s.cand) {
		s.keepBest(p.TopK)
	}
	for i := range s.cand {
		c := &s.cand[i]
		c.w = float32(math.Exp(float64((c.x - best) / p.Temperature)))
		total += float64(c.w)
	}
	return total
}

// weigh fills s.weights and s.sums and returns the sum; ok is false when it is not a number.
func (s *sampler) weigh(logits []float32, best, temperature float32) (total float64, ok bool) {
	s.weights = slices.Grow(s.weights[:0], len(logits))[:len(logits)]
	s.sums = s.sums[:0]
	scale := 1 / temperature
	for i := 0; i < len(logits); i += tile {
		x, w := logits[i:min(i+tile, len(logits))], s.weights[i:min(i+tile, len(logits))]
		if temperature != 1 {
			kernel.Scale(w, x, scale)
			x = w
		}
		sum := float64(kernel.ExpSum(w, x, best*scale))
		s.sums = append(s.sums, sum)
		total += sum
	}
	return total, total == total && !math.IsInf(total, 0)
}

// drawAll draws from the whole vocabulary: first the tile, then the token in it.
func (s *sampler) drawAll(logits []float32, best, temperature float32, u float64) (int32, bool) {
	total, ok := s.weigh(logits, best, temperature)
	if !ok {
		return 0, false
	}
	goal, n := u*total, 0
	for n < len(s.sums)-1 && goal >= s.sums[n] {
		goal -= s.sums[n]
		n++
	}
	last := int32(-1)
	for i := n * tile; i < len(s.weights); i++ {
		w := float64(s.weights[i])
		if w == 0 {
			continue
		}
		last = int32(i)
		if goal < w {
			return last, true
		}
		goal -= w
	}
	if last < 0 { // rounding carried the goal past the last token that has weight
		last = lastPositive(s.weights)
	}
	return last, true
}

func lastPositive(w []float32) int32 {
	for i, x := range slices.Backward(w) {
		if x > 0 {
			return int32(i)
		}
	}
	return 0
}

// drawCandidates draws from s.cand by weight.
func (s *sampler) drawCandidates(u float64) int32 {
	total := 0.0
	for _, c := range s.cand {
		total += float64(c.w)
	}
	goal, last := u*total, s.cand[0].id
	for _, c := range s.cand {
		if c.w == 0 {
			continue
		}
		last = c.id
		if goal < float64(c.w) {
			break
		}
		goal -= float64(c.w)
	}
	return last
}

// uniform maps (seed, choice, position) to [0,1): the finalizer of SplitMix64, once for each part. It keeps no state, so
// that a sequence goes on with the same draws after preemption, on another node, or beside a draft.
func uniform(seed uint64, choice, position int) float64 {
	h := mix(seed)
	h = mix(h ^ uint64(choice))
	h = mix(h ^ uint64(position))
	return float64(h>>11) * 0x1p-53
}

func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
