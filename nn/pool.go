package nn

import (
	"fmt"
	"math"

	"hone/kernel"
)

// Pool turns an encoder's rows into one vector a sequence: the mean over its rows, L2-normalised when Normalize is set
// (Reimers and Gurevych 2019).
type Pool struct {
	Normalize bool
	width     int
}

// MeanPool ends an encoder.
func (b *Builder) MeanPool(x Value, normalize bool) {
	b.p.Hidden = x
	b.p.Pool = &Pool{normalize, b.p.Width(x)}
}

// Pooled writes one vector for each sequence of the last batch to dst [len(Seqs), width].
func (x *Exec) Pooled(dst []float32) error {
	p := x.p.Pool
	if p == nil {
		return fmt.Errorf("nn: this model is a language model and has no pooled output")
	}
	if len(dst) < len(x.batch.Seqs)*p.width {
		return fmt.Errorf("nn: %d pooled vectors need %d floats, got %d", len(x.batch.Seqs), len(x.batch.Seqs)*p.width, len(dst))
	}
	hidden := x.value(x.p.Hidden)
	for i, s := range x.batch.Seqs {
		y := dst[i*p.width : (i+1)*p.width]
		clear(y)
		for r := s.Offset; r < s.Offset+s.Len; r++ {
			kernel.Add(y, y, hidden[r*p.width:(r+1)*p.width])
		}
		kernel.Scale(y, y, 1/float32(s.Len))
		if p.Normalize {
			normalize(y)
		}
	}
	return nil
}

func normalize(y []float32) {
	if n := sqrt32(kernel.SumSq(y)); n > 0 {
		kernel.Scale(y, y, 1/n)
	}
}

func sqrt32(x float32) float32 { return float32(math.Sqrt(float64(x))) }

// PooledWidth is the length of a pooled vector, 0 for language models.
func (x *Exec) PooledWidth() int {
	if x.p.Pool == nil {
		return 0
	}
	return x.p.Pool.width
}
