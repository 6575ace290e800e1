package bench

import (
	"fmt"
	"testing"

	"hone/internal/testdata"
	"hone/kernel"
	"hone/model"
	"hone/nn"
)

// subject loads the off-grid SmolLM2 in a format, for one thread: the figures are those of the code, not of the pool.
func subject(b *testing.B, weights string, w Work) Subject {
	b.Helper()
	m, err := model.Open(testdata.Models(b, "smollm2-135m-offgrid.F32.gguf"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { m.File.Close() })
	formats, err := model.ParseWeights(weights)
	if err != nil {
		b.Fatal(err)
	}
	pool := kernel.NewPool(1)
	b.Cleanup(pool.Close)
	x, err := m.Load(model.LoadOptions{Weights: formats, MaxTokens: w.MaxTokens(), Pool: pool, KV: nn.KVConfig{Blocks: w.KVBlocks()}})
	if err != nil {
		b.Fatal(err)
	}
	return Subject{Exec: x, WeightBytes: x.Memory().Weights}
}

func BenchmarkSmolLM2(b *testing.B) {
	work := Work{Prefill: 512, Decode: 64, Batch: 32, BatchPrompt: 64, BatchDecode: 16}
	for _, weights := range []string{"q4", "q8", "w8a8", "bf16", "f32"} {
		b.Run(weights, func(b *testing.B) {
			s := subject(b, weights, work)
			b.Run(fmt.Sprintf("prefill-%d", work.Prefill), func(b *testing.B) {
				for b.Loop() {
					if _, _, err := s.prefill(work.Prefill); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(work.Prefill*b.N)/b.Elapsed().Seconds(), "tokens/s")
			})
			b.Run(fmt.Sprintf("decode-%d", work.Decode), func(b *testing.B) {
				for b.Loop() {
					if _, _, err := s.decode(work.Decode); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(work.Decode*b.N)/b.Elapsed().Seconds(), "tokens/s")
			})
			b.Run(fmt.Sprintf("batch-%d", work.Batch), func(b *testing.B) {
				var spent float64
				for b.Loop() {
					took, _, err := s.batch(work)
					if err != nil {
						b.Fatal(err)
					}
					spent += took.Seconds()
				}
				b.ReportMetric(float64(work.Batch*work.BatchDecode*b.N)/spent, "tokens/s")
			})
		})
	}
}
