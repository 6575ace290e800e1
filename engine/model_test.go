package engine_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"hone/engine"
	"hone/internal/testdata"
	"hone/kernel"
	"hone/model"
	"hone/nn"
	"hone/tokenizer"
)

const smol = "smollm2-135m-instruct.Q4_1.gguf"

// load opens SmolLM2 with this many KV blocks.
func load(t testing.TB, blocks, context int) (*nn.Exec, tokenizer.Tokenizer, *kernel.Pool) {
	t.Helper()
	m, err := model.Open(testdata.Models(t, smol))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.File.Close() })
	tok, err := m.Tokenizer()
	if err != nil {
		t.Fatal(err)
	}
	pool := kernel.NewPool(2)
	t.Cleanup(pool.Close)
	x, err := m.Load(model.LoadOptions{MaxTokens: 512, MaxContext: context, KV: nn.KVConfig{Type: "bf16", Blocks: blocks}, Pool: pool})
	if err != nil {
		t.Fatal(err)
	}
	return x, tok, pool
}

func run(t testing.TB, x *nn.Exec, opt engine.Options, requests []engine.Request, together bool) ([]engine.Result, engine.Stats) {
	t.Helper()
	e, err := engine.New(x, opt)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	var out []engine.Result
	var streams []*engine.Stream
	take := func() {
		for _, s := range streams {
			r, err := s.Collect(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, r...)
		}
		streams = streams[:0]
	}
	for i, r := range requests {
		s, err := e.Submit(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		if streams = append(streams, s); !together {
			take()
		} else if i%2 == 1 { // the next ones find these at work
			for e.Stats().GeneratedTokens < uint64(2*i) {
				time.Sleep(time.Millisecond)
			}
		}
	}
	take()
	return out, e.Stats()
}

// TestRealModelSameBits: alone with whole prompts, and together with too few blocks, small steps and the prefix cache.
func TestRealModelSameBits(t *testing.T) {
	const blocks = 14
	x, tok, pool := load(t, blocks, 512)
	var requests []engine.Request
	for i := range 8 {
		seed := uint64(i)
		text := strings.Repeat("The quick brown fox jumps over the lazy dog. ", 4+i%2) + fmt.Sprintf("Number %d follows. ", i) + strings.Repeat("And then ", i)
		requests = append(requests, engine.Request{
			Prompt: encode(t, tok, text), MaxTokens: 12 + i, IgnoreEOS: true,
			Logprobs: true, TopLogprobs: 3, Priority: i / 2, // later ones push out earlier ones
			Sampling: engine.SamplingParams{Temperature: float32(i%3) / 2, TopP: 0.95, Seed: &seed},
		})
	}
	opt := engine.Options{Blocks: blocks, Context: 400, Tokenizer: engine.Decoding(tok), EOS: tok.EOS(), Pool: pool, NoPrefixCache: true}
	want, _ := run(t, x, opt, requests, false)
	opt.NoPrefixCache, opt.StepTokens, opt.MaxSeqs = false, 23, 3
	got, stats := run(t, x, opt, requests, true)
	if stats.Preemptions == 0 || stats.CachedTokens == 0 || stats.BatchSize.Mean() < 2 {
		t.Errorf("%d preemptions, %d cached tokens, mean batch %.1f: the load is too light", stats.Preemptions, stats.CachedTokens, stats.BatchSize.Mean())
	}
	for i := range want {
		if !slices.Equal(got[i].Tokens, want[i].Tokens) || got[i].Text != want[i].Text || !reflect.DeepEqual(got[i].Logprobs, want[i].Logprobs) {
			t.Errorf("request %d: %q, alone %q", i, got[i].Text, want[i].Text)
		}
	}
}

func encode(t testing.TB, tok tokenizer.Tokenizer, text string) []int32 {
	t.Helper()
	ids, err := tok.Encode(text, tokenizer.EncodeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

// BenchmarkLongPrompt prints percentiles of the time between tokens of eight streams, quiet and while a prompt of
// 4,000 tokens comes in, and how long that prompt took to its first token beside them.
func BenchmarkLongPrompt(b *testing.B) {
	x, tok, pool := load(b, 400, 8192)
	long := encode(b, tok, strings.Repeat("All work and no play makes a long prompt for a small model. ", 400))[:4000]
	for b.Loop() {
		quiet, _ := gaps(b, x, pool, tok, nil)
		loud, ttft := gaps(b, x, pool, tok, long)
		for _, p := range []int{50, 99} {
			q, l := quiet[len(quiet)*p/100].Seconds(), loud[len(loud)*p/100].Seconds()
			b.ReportMetric(q*1e3, fmt.Sprintf("quiet-p%d-ms", p))
			b.ReportMetric(l*1e3, fmt.Sprintf("loud-p%d-ms", p))
			b.ReportMetric(l/q, fmt.Sprintf("ratio-p%d", p))
		}
		b.ReportMetric(ttft.Seconds(), "long-ttft-s")
	}
}

// gaps runs eight streams, then the long prompt if there is one, and returns the gaps since, sorted.
func gaps(b *testing.B, x *nn.Exec, pool *kernel.Pool, tok tokenizer.Tokenizer, long []int32) (seen []time.Duration, ttft time.Duration) {
	counting := make(chan struct{})
	e, err := engine.New(x, engine.Options{Blocks: 400, Pool: pool, Tokenizer: engine.Decoding(tok), NoPrefixCache: true, Hooks: engine.Hooks{InterToken: func(d time.Duration) {
		select {
		case <-counting:
			seen = append(seen, d)
		default:
		}
	}}})
	if err != nil {
		b.Fatal(err)
	}
	var streams []*engine.Stream
	for i := range 8 {
		r := engine.Request{Prompt: encode(b, tok, fmt.Sprintf("Story %d. Once upon a time", i)), MaxTokens: 500, IgnoreEOS: true}
		s, err := e.Submit(b.Context(), r)
		if err != nil {
			b.Fatal(err)
		}
		streams = append(streams, s)
	}
	for e.Stats().GeneratedTokens < 400 {
		time.Sleep(time.Millisecond)
	}
	close(counting)
	if long != nil {
		s, err := e.Submit(b.Context(), engine.Request{Prompt: long, MaxTokens: 1, IgnoreEOS: true})
		if err != nil {
			b.Fatal(err)
		}
		out, _ := s.Collect(b.Context())
		ttft = out[0].Timings.Queue + out[0].Timings.Prefill
	} else {
		time.Sleep(2 * time.Second)
	}
	for _, s := range streams {
		s.Close()
	}
	e.Close()
	slices.Sort(seen)
	return seen, ttft
}
