package eval

import (
	"context"
	"fmt"
	"math"
)

// A Score is what one window gives: the summed −ln p of its targets, in nats, and their number.
type Score struct {
	NLL    float64
	Tokens int
}

// A Result is a perplexity. Its JSON keys are part of the contract of `hone eval --json`.
type Result struct {
	PPL     float64 `json:"ppl"`
	SE      Number  `json:"se"`     // standard error of PPL, clustered by window; null for one window
	NLL     float64 `json:"nll"`    // mean −ln p a token; PPL is its exponential
	Tokens  int     `json:"tokens"` // scored targets
	Windows int     `json:"windows"`
}

// PerplexityOf sums up windows.
func PerplexityOf(scores []Score) Result {
	sums, n := make([]float64, len(scores)), make([]int, len(scores))
	r := Result{Windows: len(scores)}
	for i, s := range scores {
		sums[i], n[i] = s.NLL, s.Tokens
		r.Tokens += s.Tokens
	}
	mean, se := clustered(sums, n)
	r.NLL, r.PPL = mean, math.Exp(mean)
	r.SE = Number(r.PPL * se)
	return r
}

// Perplexity runs a model over windows and returns each window's score. An error or a cancelled context gives the
// scores of the windows before it.
func Perplexity(ctx context.Context, lm LM, windows []Window, opt Options) ([]Score, error) {
	for i, w := range windows {
		if err := fits(lm, i, w); err != nil {
			return nil, err
		}
	}
	red := newReducer(opt, 1, lm.Vocab())
	var scores []Score
	tokens := 0
	for i, w := range windows {
		if err := forward(ctx, lm, i, w); err != nil {
			return scores, err
		}
		each := make([]float64, w.Scored())
		err := red.each(ctx, i, w, []LM{lm}, func(k int, row [][]float32) {
			each[k] = nll(row[0], w.Tokens[w.From+k])
		})
		if err != nil {
			return scores, err
		}
		s, err := total(i, w, each)
		if err != nil {
			return scores, err
		}
		scores = append(scores, Score{NLL: s, Tokens: len(each)})
		tokens += len(each)
		opt.report(i+1, len(windows), tokens)
	}
	return scores, nil
}

// total sums −ln p in the order of the text and refuses what is no number.
func total(i int, w Window, each []float64) (float64, error) {
	var s float64
	for k, v := range each {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return 0, fmt.Errorf("eval: window %d, position %d, token %d: the value is %v: the logits are not finite", i, w.From+k, w.Tokens[w.From+k], v)
		}
		s += v
	}
	return s, nil
}
