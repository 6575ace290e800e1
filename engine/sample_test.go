package engine

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// plainDraw is the definition of a draw: a full sort, float64, no shortcuts. It returns the tokens that stay and their
// probabilities, best first.
func plainDraw(d *draw, logits []float32) (ids []int, probs []float64) {
	x := make([]float64, len(logits))
	count := make([]float64, len(logits))
	seen := make([]bool, len(logits))
	for i, t := range d.tokens {
		seen[t] = true
		if i >= d.prompt {
			count[t]++
		}
	}
	p := d.params
	for i := range x {
		v := logits[i]
		if seen[i] && p.RepetitionPenalty != 0 {
			if v > 0 {
				v /= p.RepetitionPenalty
			} else {
				v *= p.RepetitionPenalty
			}
		}
		if count[i] > 0 {
			v -= p.FrequencyPenalty*float32(count[i]) + p.PresencePenalty
		}
		x[i] = float64(v + p.LogitBias[int32(i)])
		if slices.Contains(d.banned, int32(i)) {
			x[i] = math.Inf(-1)
		}
		ids = append(ids, i)
	}
	slices.SortStableFunc(ids, func(a, b int) int {
		switch {
		case x[a] > x[b]:
			return -1
		case x[a] < x[b]:
			return 1
		}
		return 0
	})
	if p.Temperature == 0 {
		return ids[:1], []float64{1}
	}
	best, sum := x[ids[0]], 0.0
	for _, i := range ids {
		w := math.Exp((x[i] - best) / float64(p.Temperature))
		if w < float64(p.MinP) || p.TopK > 0 && len(probs) == p.TopK {
			break
		}
		probs = append(probs, w)
		sum += w
	}
	if p.TopP > 0 && p.TopP < 1 {
		mass := 0.0
		for i, w := range probs {
			if mass += w; mass >= float64(p.TopP)*sum {
				probs, sum = probs[:i+1], mass
				break
			}
		}
	}
	for i := range probs {
		probs[i] /= sum
	}
	return ids[:len(probs)], probs
}

func drawCases() map[string]SamplingParams {
	return map[string]SamplingParams{
		"greedy":         {},
		"all":            {Temperature: 1},
		"warm":           {Temperature: 1.7},
		"cold":           {Temperature: 0.3},
		"top-k":          {Temperature: 1, TopK: 5},
		"top-k 1":        {Temperature: 1, TopK: 1},
		"top-k all":      {Temperature: 1, TopK: 100000},
		"top-p":          {Temperature: 1, TopP: 0.6},
		"top-p small":    {Temperature: 1, TopP: 0.01},
		"top-p large":    {Temperature: 1, TopP: 0.999},
		"min-p":          {Temperature: 1, MinP: 0.3},
		"min-p 1":        {Temperature: 1, MinP: 1},
		"all three":      {Temperature: 0.8, TopK: 12, TopP: 0.8, MinP: 0.05},
		"penalties":      {RepetitionPenalty: 1.5, FrequencyPenalty: 0.7, PresencePenalty: 0.4},
		"penalized draw": {Temperature: 1, TopP: 0.7, RepetitionPenalty: 1.2, FrequencyPenalty: -0.6},
		"bias":           {Temperature: 1, TopK: 4, LogitBias: map[int32]float32{2: 3, 3: -100, 5: float32(math.Inf(-1))}},
	}
}

// TestDrawsFollowTheDefinition draws many times with different seeds and compares frequencies with plainDraw.
func TestDrawsFollowTheDefinition(t *testing.T) {
	const vocab, draws = 600, 20000
	rng := rand.New(rand.NewPCG(1, 1))
	logits := make([]float32, vocab)
	for i := range logits {
		logits[i] = float32(int(rng.NormFloat64()*16)) / 8 // with ties
	}
	tokens := []int32{7, 9, 9, 11, 2, 2, 2}
	var s sampler
	for name, p := range drawCases() {
		d := &draw{params: &p, bias: flatten(p.LogitBias), tokens: tokens, prompt: 2, banned: []int32{1}}
		ids, probs := plainDraw(d, logits)
		counts := map[int]float64{}
		row := make([]float32, vocab)
		for seed := range draws {
			copy(row, logits)
			d.seed = uint64(seed)
			id, _, err := s.next(d, row)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			counts[int(id)]++
		}
		chi := 0.0
		for i, id := range ids {
			expect := probs[i] * draws
			chi += (counts[id] - expect) * (counts[id] - expect) / expect
			delete(counts, id)
		}
		if len(counts) > 0 {
			t.Errorf("%s: drew tokens that are cut off: %v", name, counts)
		}
		// chi² has mean n-1 and variance 2(n-1); seeds are fixed, so this either holds or does not.
		if n := float64(len(ids) - 1); chi > n+5*math.Sqrt(2*n+1) {
			t.Errorf("%s: chi² %.1f for %d tokens", name, chi, len(ids))
		}
	}
}

// TestSelectionEqualsSort compares the partial selections with sorting.
func TestSelectionEqualsSort(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 2000).Draw(t, "n")
		levels := rapid.IntRange(1, 300).Draw(t, "levels")
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		logits := make([]float32, n)
		sorted := make([]candidate, n)
		for i := range logits {
			logits[i] = float32(rng.IntN(levels))
			w := rng.Float32()
			sorted[i] = candidate{logits[i], w, int32(i)}
		}
		var s sampler
		s.cand = slices.Clone(sorted)
		slices.SortFunc(sorted, candidate.compare)
		total := 0.0
		for _, c := range sorted {
			total += float64(c.w)
		}
		goal := total * rapid.Float64Range(0.001, 0.999).Draw(t, "p")
		s.nucleus(goal)
		mass, keep := 0.0, 0
		for keep < n && mass < goal {
			mass += float64(sorted[keep].w)
			keep++
		}
		same(t, "nucleus", s.cand, sorted[:keep])

		s.weights, s.sums = s.weights[:0], s.sums[:0]
		for i := range logits { // heavier where the logit is larger, as weights are
			s.weights = append(s.weights, float32(math.Exp(float64(logits[i]-float32(levels))/40)))
			sorted[i] = candidate{logits[i], s.weights[i], int32(i)}
		}
		total = 0
		for i := 0; i < n; i += tile {
			sum := float64(0)
			for _, w := range s.weights[i:min(i+tile, n)] {
				sum += float64(w)
			}
			s.sums = append(s.sums, sum)
			total += sum
		}
		slices.SortFunc(sorted, candidate.compare)
		goal = total * rapid.Float64Range(0.001, 0.999).Draw(t, "p")
		s.heaviest(logits, goal, float32(total-goal)/float32(n)*0.99)
		mass, keep = 0, 0
		for keep < n && mass < goal {
			mass += float64(sorted[keep].w)
			keep++
		}
		same(t, "heaviest", s.cand, sorted[:keep])

		k := rapid.IntRange(1, n).Draw(t, "k")
		s.largest(logits, k)
		for i := range s.cand {
			s.cand[i].w = 0
		}
		for i := range sorted {
			sorted[i].w = 0
		}
		same(t, "largest", s.cand, sorted[:k])
	})
}

func same(t *rapid.T, what string, got, want []candidate) {
	got = slices.Clone(got)
	slices.SortFunc(got, candidate.compare)
	if !slices.Equal(got, want) {
		t.Fatalf("%s: %d tokens %v, want %d %v", what, len(got), got, len(want), want)
	}
}

func TestLogprobsAreTheModels(t *testing.T) {
	logits := []float32{1, 3, 2, 3, -1}
	var s sampler
	d := &draw{params: &SamplingParams{}, bias: []tokenBias{{2, 50}}, logprobs: true, top: 3}
	id, lp, err := s.next(d, slices.Clone(logits))
	if err != nil || id != 2 {
		t.Fatalf("token %d, %v; the bias makes it 2", id, err)
	}
	sum := 0.0
	for _, x := range logits {
		sum += math.Exp(float64(x))
	}
	want := func(id int) float64 { return float64(logits[id]) - math.Log(sum) }
	if math.Abs(float64(lp.Logprob)-want(2)) > 1e-6 {
		t.Errorf("logprob %v, want %v: the model's, not the biased one's", lp.Logprob, want(2))
	}
	for i, id := range []int{1, 3, 2} { // lower id first on the tie
		if c := lp.Top[i]; int(c.Token) != id || math.Abs(float64(c.Logprob)-want(id)) > 1e-6 {
			t.Errorf("top %d: %+v, want token %d, %v", i, c, id, want(id))
		}
	}
	if len(lp.Top) != 3 {
		t.Errorf("%d top tokens, want 3", len(lp.Top))
	}
}

func TestNoTokenIsAnError(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(-1))
	var s sampler
	for _, p := range []SamplingParams{{}, {Temperature: 1}, {Temperature: 1, TopP: 0.5}, {Temperature: 1, TopK: 2}, {Temperature: 1, MinP: 0.5}} {
		for _, row := range [][]float32{{nan, nan, nan}, {inf, inf, inf}} {
			for _, logprobs := range []bool{false, true} {
				if id, _, err := s.next(&draw{params: &p, logprobs: logprobs}, slices.Clone(row)); !errors.Is(err, errNoToken) {
					t.Errorf("%+v of %v: token %d, %v", p, row, id, err)
				}
			}
		}
	}
}

// TestDrawsAreFixed holds the mapping from seed, choice and position to draws: it must not change between versions, or
// seeds lose their meaning.
func TestDrawsAreFixed(t *testing.T) {
	got := fmt.Sprintf("%.6f %.6f %.6f %.6f", uniform(0, 0, 0), uniform(1, 0, 0), uniform(0, 1, 0), uniform(0, 0, 1))
	if want := drawsGolden; got != want {
		t.Errorf("draws %s, want %s", got, want)
	}
	var sum float64
	for i := range 10000 {
		sum += uniform(5, i%3, i)
	}
	if mean := sum / 10000; math.Abs(mean-0.5) > 0.01 {
		t.Errorf("mean of draws %v", mean)
	}
}

func BenchmarkSample(b *testing.B) {
	const vocab = 49152
	rng := rand.New(rand.NewPCG(1, 1))
	logits := make([]float32, vocab)
	for i := range logits {
		logits[i] = float32(rng.NormFloat64() * 2.5)
	}
	row := make([]float32, vocab)
	tokens := make([]int32, 500)
	for name, p := range map[string]SamplingParams{
		"greedy": {}, "all": {Temperature: 0.8}, "top-k40": {Temperature: 0.8, TopK: 40}, "top-p0.9": {Temperature: 0.8, TopP: 0.9},
		"top-p0.9-hot": {Temperature: 2, TopP: 0.9}, "top-p0.9-peaked": {Temperature: 0.4, TopP: 0.9}, "min-p": {Temperature: 0.8, MinP: 0.05}, "penalties": {RepetitionPenalty: 1.1, FrequencyPenalty: 0.1},
	} {
		b.Run(name, func(b *testing.B) {
			var s sampler
			d := &draw{params: &p, tokens: tokens}
			b.ReportAllocs()
			for i := range b.N {
				copy(row, logits)
				d.seed = uint64(i)
				if _, _, err := s.next(d, row); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

const drawsGolden = "0.138709 0.693512 0.269130 0.184367"
