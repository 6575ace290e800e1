package eval

import (
	"context"
	"fmt"
	"math"

	"hone/nn"
)

// An Encoder is what evaluation needs of an embedding model; nn.Exec is one.
type Encoder interface {
	Forward(b *nn.Batch) error
	// Pooled writes one vector a sequence of the last batch: dst is [len(Seqs), width].
	Pooled(dst []float32) error
	MaxTokens() int
}

// Agreement tells how far a child's embeddings are from its parent's: cosines over texts.
type Agreement struct {
	Mean  float64 `json:"mean"`
	Worst float64 `json:"worst"`
	Texts int     `json:"texts"`
}

// CompareEncoders runs both encoders over tokenized texts and compares their embeddings, vectors of the given width.
func CompareEncoders(ctx context.Context, parent, child Encoder, width int, texts [][]int32, opt Options) (Agreement, error) {
	for i, ids := range texts {
		if n := min(parent.MaxTokens(), child.MaxTokens()); len(ids) == 0 || len(ids) > n {
			return Agreement{}, fmt.Errorf("eval: text %d has %d tokens, but the encoders take 1 to %d in one batch: cut it first", i, len(ids), n)
		}
	}
	if len(texts) == 0 {
		return Agreement{}, fmt.Errorf("eval: no text to compare encoders on")
	}
	var cosines []float64
	a, b := make([]float32, width), make([]float32, width)
	tokens := 0
	for i, ids := range texts {
		if err := ctx.Err(); err != nil {
			return Agreement{}, err
		}
		for _, run := range []struct {
			e   Encoder
			dst []float32
		}{{parent, a}, {child, b}} {
			if err := embed(run.e, run.dst, ids); err != nil {
				return Agreement{}, fmt.Errorf("eval: text %d: %w", i, err)
			}
		}
		c := cosine(a, b)
		if math.IsNaN(c) {
			return Agreement{}, fmt.Errorf("eval: text %d: an embedding is zero or not finite", i)
		}
		cosines = append(cosines, c)
		tokens += len(ids)
		opt.report(i+1, len(texts), tokens)
	}
	return agreement(cosines), nil
}

func embed(e Encoder, dst []float32, ids []int32) error {
	b := nn.Batch{Tokens: ids, Seqs: []nn.Seq{{Len: len(ids)}}}
	if err := e.Forward(&b); err != nil {
		return err
	}
	return e.Pooled(dst)
}

func agreement(cosines []float64) Agreement {
	a := Agreement{Worst: math.Inf(1), Texts: len(cosines)}
	for _, c := range cosines {
		a.Mean += c / float64(len(cosines))
		a.Worst = min(a.Worst, c)
	}
	return a
}

// cosine of two vectors, in float64; NaN when one is zero.
func cosine(a, b []float32) float64 {
	var ab, aa, bb float64
	for i := range a {
		x, y := float64(a[i]), float64(b[i])
		ab += x * y
		aa += x * x
		bb += y * y
	}
	return ab / math.Sqrt(aa*bb)
}
