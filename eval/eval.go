// Package eval judges language models and encoders: perplexity with its standard error, and a paired comparison of a
// variant with its parent (perplexity ratio, Kullback-Leibler divergence, same top-1, cosine).
//
// Text is cut into windows (Cut), each window is one forward pass, and what a window gives (summed negative
// log-likelihood, one divergence a token) is kept by window. Tokens of one window depend on each other, so every
// standard error here treats windows, not tokens, as the independent draws. The measuring (Perplexity, Compare) and
// the statistics (PerplexityOf, Pairs.Summary) are apart: a caller can choose on some windows and report on the others
// without running anything twice.
package eval

import (
	"context"
	"fmt"
	"runtime"

	"hone/nn"
)

// An LM is what evaluation needs of a language model; nn.Exec is one.
type LM interface {
	// Forward runs one batch. Hidden states are kept until the next call.
	Forward(b *nn.Batch) error
	// Logits writes the logits of the given rows of the last batch: dst is [len(rows), Vocab()].
	Logits(dst []float32, rows []int32) error
	// Vocab is the number of logits a row.
	Vocab() int
	// MaxTokens is the most rows that one batch may have.
	MaxTokens() int
}

// Options say how to run. The zero value is good.
type Options struct {
	// Progress, if set, is called after each window.
	Progress func(Progress)
	// Rows is how many rows of logits are held at a time; 0 means 64. Results do not depend on it.
	Rows int
	// Workers is how many goroutines reduce logits; 0 means GOMAXPROCS. Results do not depend on it.
	Workers int
}

func (o Options) rows() int {
	if o.Rows > 0 {
		return o.Rows
	}
	return 64
}

func (o Options) workers() int {
	if o.Workers > 0 {
		return o.Workers
	}
	return runtime.GOMAXPROCS(0)
}

// Progress tells how far a run is.
type Progress struct {
	Window, Windows int // done, in all
	Tokens          int // scored so far
}

// report calls o.Progress if there is one.
func (o Options) report(done, all, tokens int) {
	if o.Progress != nil {
		o.Progress(Progress{Window: done, Windows: all, Tokens: tokens})
	}
}

// fits checks a window against a model before anything is run.
func fits(lm LM, i int, w Window) error {
	if err := w.check(i); err != nil {
		return err
	}
	if n := lm.MaxTokens(); len(w.Tokens) > n {
		return fmt.Errorf("eval: window %d has %d tokens, but the model takes at most %d in one batch: use a smaller --ctx", i, len(w.Tokens), n)
	}
	for k, id := range w.Tokens {
		if id < 0 || int(id) >= lm.Vocab() {
			return fmt.Errorf("eval: window %d holds token %d at %d, but the model's vocabulary has %d: the text was tokenized for another model", i, id, k, lm.Vocab())
		}
	}
	return nil
}

// forward runs one window as one sequence whose keys and values are the batch's own rows.
func forward(ctx context.Context, lm LM, i int, w Window) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	b := nn.Batch{Tokens: w.Tokens, Seqs: []nn.Seq{{Len: len(w.Tokens)}}, Stop: ctx.Err}
	if err := lm.Forward(&b); err != nil {
		return fmt.Errorf("eval: window %d: %w", i, err)
	}
	return nil
}
