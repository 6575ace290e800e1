package serve

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"hone/engine"
	"hone/internal/testdata"
	"hone/kernel"
	"hone/model"
	"hone/nn"
)

// realEngine runs SmolLM2 in the speed rows' 4-bit format on two threads.
func realEngine(t testing.TB) *engine.Engine {
	t.Helper()
	m, err := model.Open(testdata.Models(t, "smollm2-135m-instruct.Q4_1.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.File.Close() })
	weights, err := model.ParseWeights("q4")
	if err != nil {
		t.Fatal(err)
	}
	pool := kernel.NewPool(2)
	t.Cleanup(pool.Close)
	const blocks = 32 * 8
	x, err := m.Load(model.LoadOptions{Weights: weights, MaxTokens: 512, MaxContext: 1024, KV: nn.KVConfig{Blocks: blocks}, Pool: pool})
	if err != nil {
		t.Fatal(err)
	}
	tok, err := m.Tokenizer()
	if err != nil {
		t.Fatal(err)
	}
	e, err := engine.New(x, engine.Options{Blocks: blocks, Context: 1024, Tokenizer: engine.Decoding(tok), EOS: tok.EOS(), Pool: pool, NoPrefixCache: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

// BenchmarkRealStreams32 runs 32 streams over HTTP and the same requests on the bare engine by turns, in one process on
// the same cores, and reports the ratio of the medians of their speeds.
func BenchmarkRealStreams32(b *testing.B) {
	const streams, tokens = 32, 64
	e := realEngine(b)
	base, _ := start(b, realServer(b, e, func(c *Config) { c.Tokenizer = wideTokenizer{} }))
	var direct, http []float64
	for b.Loop() {
		direct = append(direct, speed(b, streams, tokens, func(i int) error { return submitDirect(e, i, tokens) }))
		http = append(http, speed(b, streams, tokens, func(i int) error { return streamOverTCP(base, i, tokens) }))
	}
	slices.Sort(direct)
	slices.Sort(http)
	b.ReportMetric(direct[len(direct)/2], "engine-tok/s")
	b.ReportMetric(http[len(http)/2], "http-tok/s")
	b.ReportMetric(http[len(http)/2]/direct[len(direct)/2], "ratio")
}

// wideTokenizer has ids for a prompt of a real vocabulary; the benchmark asks for no logprobs, so no token is spelled.
type wideTokenizer struct{ byteTokenizer }

func (wideTokenizer) VocabSize() int { return 49152 }

// speed returns the tokens per second of streams that run at once.
func speed(b *testing.B, streams, tokens int, one func(i int) error) float64 {
	begun := time.Now()
	var wait sync.WaitGroup
	for i := range streams {
		wait.Go(func() {
			if err := one(i); err != nil {
				b.Error(err)
			}
		})
	}
	wait.Wait()
	return float64(streams*tokens) / time.Since(begun).Seconds()
}

func promptIDs(i int) []int32 {
	ids := make([]int32, 16)
	for k := range ids {
		ids[k] = int32(scramble(uint64(i)<<16|uint64(k))%40000) + 100
	}
	return ids
}

func submitDirect(e *engine.Engine, i, tokens int) error {
	s, err := e.Submit(context.Background(), engine.Request{Prompt: promptIDs(i), N: 1, MaxTokens: tokens, IgnoreEOS: true})
	if err != nil {
		return err
	}
	_, err = s.Collect(context.Background())
	return err
}
