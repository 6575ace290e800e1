package eval

import (
	"context"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
)

// A reducer holds the logits of a few rows of one or more models at a time and reduces them row by row.
type reducer struct {
	opt    Options
	rows   []int32
	logits [][]float32 // one buffer a model, [opt.rows(), vocab]
}

func newReducer(opt Options, models, vocab int) *reducer {
	r := &reducer{opt: opt, rows: make([]int32, 0, opt.rows()), logits: make([][]float32, models)}
	for i := range r.logits {
		r.logits[i] = make([]float32, opt.rows()*vocab)
	}
	return r
}

// each asks the models for the logits of the rows that predict w's targets, a chunk at a time, and calls
// reduce(target index from 0, row of each model) from several goroutines; each target is visited once.
func (r *reducer) each(ctx context.Context, i int, w Window, models []LM, reduce func(target int, logits [][]float32)) error {
	for at := 0; at < w.Scored(); at += cap(r.rows) {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := min(cap(r.rows), w.Scored()-at)
		r.rows = r.rows[:0]
		for k := range n {
			r.rows = append(r.rows, int32(w.From+at+k-1))
		}
		for m, lm := range models {
			if err := lm.Logits(r.logits[m][:n*lm.Vocab()], r.rows); err != nil {
				return fmt.Errorf("eval: window %d: %w", i, err)
			}
		}
		r.spread(n, func(k int, row [][]float32) {
			for m, lm := range models {
				v := lm.Vocab()
				row[m] = r.logits[m][k*v : (k+1)*v]
			}
			reduce(at+k, row)
		}, len(models))
	}
	return nil
}

// spread calls do(0) … do(n-1) from the workers, each with a scratch slice of its own.
func (r *reducer) spread(n int, do func(k int, row [][]float32), models int) {
	var next atomic.Int64
	work := func() {
		row := make([][]float32, models)
		for k := int(next.Add(1)) - 1; k < n; k = int(next.Add(1)) - 1 {
			do(k, row)
		}
	}
	var wg sync.WaitGroup
	for range min(r.opt.workers(), n) - 1 {
		wg.Go(work)
	}
	work()
	wg.Wait()
}

// logSumExp is ln Σ exp(x), summed in float64, and the place of the largest x (the lowest on ties). NaN in x gives NaN.
func logSumExp(x []float32) (lse float64, top int) {
	top = argMax(x)
	peak := float64(x[top])
	var sum float64
	for _, v := range x {
		sum += math.Exp(float64(v) - peak)
	}
	return peak + math.Log(sum), top
}

func argMax(x []float32) int {
	top := 0
	for i, v := range x {
		if v > x[top] {
			top = i
		}
	}
	return top
}

// nll is −ln softmax(x)[target], in nats.
func nll(x []float32, target int32) float64 {
	lse, _ := logSumExp(x)
	return lse - float64(x[target])
}

// A token is what one target gives in a paired comparison.
type token struct {
	parent, child float64 // −ln p(target)
	kld           float64 // Σ p·ln(p/q), p the parent's distribution, q the child's
	same          bool    // both have the same first choice
}

// pair compares two rows of logits, p the parent's and q the child's.
func pair(p, q []float32, target int32) token {
	lp, topP := logSumExp(p)
	lq, topQ := logSumExp(q)
	return token{
		parent: lp - float64(p[target]),
		child:  lq - float64(q[target]),
		kld:    divergence(p, q, lp, lq),
		same:   topP == topQ,
	}
}

// divergence is Σ p·ln(p/q) over softmax(p) and softmax(q), given their log-sum-exps: Σ p_i·(p_i − q_i) − lp + lq in
// logits, never negative but for rounding, which is cut off at 0.
func divergence(p, q []float32, lp, lq float64) float64 {
	shift := lq - lp
	var sum float64
	for i, a := range p {
		x := float64(a)
		if w := math.Exp(x - lp); w > 0 {
			sum += w * (x - float64(q[i]) + shift)
		}
	}
	if sum < 0 {
		return 0
	}
	return sum
}
