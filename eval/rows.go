package eval

import (
	"context"
	"fmt"
	"math"
	"sync"
	"sync/atomic"

	"hone/kernel"
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

// chunk is how many exponentials are held at a time. They are single precision (relative error below 3e-7), their sums
// double, so a log-sum-exp is good to about 1e-6 whatever the size of the vocabulary.
const chunk = 512

// softSum is Σ exp(x − peak).
func softSum(x []float32, peak float32) float64 {
	var buf [chunk]float32
	var sum float64
	for len(x) > 0 {
		n := min(len(x), chunk)
		sum += float64(kernel.ExpSum(buf[:n], x[:n], peak))
		x = x[n:]
	}
	return sum
}

// logSumExp is ln Σ exp(x), and the place of the largest x (the lowest on ties). NaN or +Inf in x gives NaN.
func logSumExp(x []float32) (lse float64, top int) {
	top = kernel.ArgMax(x)
	return float64(x[top]) + math.Log(softSum(x, x[top])), top
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
	topP := kernel.ArgMax(p)
	sum, weighted := divergence(p, q, p[topP])
	lp := float64(p[topP]) + math.Log(sum)
	lq, topQ := logSumExp(q)
	return token{
		parent: lp - float64(p[target]),
		child:  lq - float64(q[target]),
		kld:    max(weighted/sum-lp+lq, 0), // below 0 by rounding alone
		same:   topP == topQ,
	}
}

// divergence walks both rows once: sum is Σ exp(p − peak) as softSum adds it, weighted is Σ exp(p − peak)·(p − q). The
// Kullback-Leibler divergence is weighted/sum − lse(p) + lse(q).
func divergence(p, q []float32, peak float32) (sum, weighted float64) {
	var buf [chunk]float32
	for len(p) > 0 {
		n := min(len(p), chunk)
		sum += float64(kernel.ExpSum(buf[:n], p[:n], peak))
		weighted += weigh(buf[:n], p[:n], q[:n])
		p, q = p[n:], q[n:]
	}
	return sum, weighted
}

// weigh is Σ e·(p − q). Where e is 0 the difference does not count, though it may be infinite.
func weigh(e, p, q []float32) float64 {
	p, q = p[:len(e)], q[:len(e)]
	var even, odd float64
	for i := 0; i+1 < len(e); i += 2 {
		if e[i] != 0 {
			even += float64(e[i]) * (float64(p[i]) - float64(q[i]))
		}
		if e[i+1] != 0 {
			odd += float64(e[i+1]) * (float64(p[i+1]) - float64(q[i+1]))
		}
	}
	if i := len(e) - 1; len(e)%2 == 1 && e[i] != 0 {
		odd += float64(e[i]) * (float64(p[i]) - float64(q[i]))
	}
	return even + odd
}
