package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"hone/nn"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t *testing.T, m Model, opt Options) *Engine {
	t.Helper()
	if opt.Tokenizer == nil {
		opt.Tokenizer = Decoding(fakeTokenizer{})
	}
	e, err := New(m, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

func submit(t *testing.T, e *Engine, r Request) *Stream {
	t.Helper()
	s, err := e.Submit(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func collect(t *testing.T, s *Stream) []Result {
	t.Helper()
	out, err := s.Collect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestGreedyEqualsTheModelAlone(t *testing.T) {
	e := start(t, newFakeModel(64), Options{Blocks: 64})
	prompt := fakePrompt(1, 100)
	r := collect(t, submit(t, e, Request{Prompt: prompt, MaxTokens: 80}))[0]
	want := fakeGreedy(prompt, 80, 50)
	if !slices.Equal(r.Tokens, want) {
		t.Fatalf("tokens %v, want %v", r.Tokens, want)
	}
	if r.Text != fakeText(want) {
		t.Errorf("text %q, want %q", r.Text, fakeText(want))
	}
	if r.Finish != FinishLength || r.Usage != (Usage{PromptTokens: 100, GeneratedTokens: 80}) {
		t.Errorf("finish %q, usage %+v", r.Finish, r.Usage)
	}
	if s := e.Stats(); s.BlocksUsed != 0 || s.Running != 0 || s.Finished[FinishLength] != 1 || s.GeneratedTokens != 80 || s.ITL.Count != 79 {
		t.Errorf("statistics after the end: %+v", s)
	}
}

func TestManyAtOnceEqualAlone(t *testing.T) {
	e := start(t, newFakeModel(64), Options{Blocks: 64, MaxSeqs: 8})
	var streams []*Stream
	for i := range 40 {
		streams = append(streams, submit(t, e, Request{Prompt: fakePrompt(i, 20+3*i), MaxTokens: 40}))
	}
	for i, s := range streams {
		want := fakeGreedy(fakePrompt(i, 20+3*i), 40, 50)
		if r := collect(t, s)[0]; !slices.Equal(r.Tokens, want) {
			t.Errorf("request %d: tokens %v, want %v", i, r.Tokens, want)
		}
	}
}

func TestEndTokens(t *testing.T) {
	e := start(t, newFakeModel(64), Options{Blocks: 64})
	prompt := fakePrompt(2, 40)
	whole := fakeGreedy(prompt, 60, 50)
	end := whole[20]
	at := slices.Index(whole, end)
	for _, c := range []struct {
		name string
		r    Request
		want []int32
		why  FinishReason
	}{
		{"stops", Request{EOS: []int32{end}}, whole[:at+1], FinishStop},
		{"ignored", Request{EOS: []int32{end}, IgnoreEOS: true}, whole, FinishLength},
		{"not one of them", Request{EOS: []int32{}}, whole, FinishLength},
	} {
		c.r.Prompt, c.r.MaxTokens = prompt, 60
		r := collect(t, submit(t, e, c.r))[0]
		if !slices.Equal(r.Tokens, c.want) || r.Finish != c.why {
			t.Errorf("%s: %v (%s), want %v (%s)", c.name, r.Tokens, r.Finish, c.want, c.why)
		}
		if c.why == FinishStop && r.Text != fakeText(c.want[:at]) {
			t.Errorf("%s: text %q holds the end token", c.name, r.Text)
		}
	}
	r := collect(t, submit(t, e, Request{Prompt: prompt, EOS: []int32{end}, MinTokens: at + 10, MaxTokens: 60}))[0]
	if len(r.Tokens) < at+10 || slices.Contains(r.Tokens[:at+9], end) {
		t.Errorf("min_tokens %d: %v holds %d too early", at+10, r.Tokens, end)
	}
}

func TestStopStringEndsTheText(t *testing.T) {
	e := start(t, newFakeModel(64), Options{Blocks: 64})
	prompt := fakePrompt(3, 40)
	text := fakeText(fakeGreedy(prompt, 60, 50))
	stop := text[30:34]
	cut := strings.Index(text, stop)
	r := collect(t, submit(t, e, Request{Prompt: prompt, Stop: []string{"\x01", stop}, MaxTokens: 60}))[0]
	if r.Text != text[:cut] || r.Finish != FinishStop || r.StopText != stop {
		t.Errorf("text %q (%s, %q), want %q", r.Text, r.Finish, r.StopText, text[:cut])
	}
	if r := collect(t, submit(t, e, Request{Prompt: prompt, Stop: []string{text[58:] + "?"}, MaxTokens: 60}))[0]; r.Text != text {
		t.Errorf("text held back at the end was lost: %q, want %q", r.Text, text)
	}
}

func TestChoicesShareThePrompt(t *testing.T) {
	e := start(t, newFakeModel(64), Options{Blocks: 64, NoPrefixCache: true})
	seed := uint64(7)
	r := Request{Prompt: fakePrompt(4, 100), N: 4, MaxTokens: 30, Sampling: SamplingParams{Temperature: 1, Seed: &seed}}
	out := collect(t, submit(t, e, r))
	for i, c := range out {
		if i > 0 && c.Usage.CachedTokens != 96 {
			t.Errorf("choice %d computed its prompt again: %+v", i, c.Usage)
		}
		for k := range i {
			if slices.Equal(c.Tokens, out[k].Tokens) {
				t.Errorf("choices %d and %d are equal", i, k)
			}
		}
	}
	r.N = 1
	if again := collect(t, submit(t, e, r))[0]; !slices.Equal(again.Tokens, out[0].Tokens) || again.Usage.CachedTokens != 0 {
		t.Errorf("choice 0 alone: %v, %+v; in four: %v", again.Tokens, again.Usage, out[0].Tokens)
	}
}

func TestPrefixCacheIsPerSalt(t *testing.T) {
	e := start(t, newFakeModel(64), Options{Blocks: 64})
	for _, c := range []struct {
		salt   string
		cached int
	}{{"a", 0}, {"a", 96}, {"b", 0}, {"", 0}, {"a", 96}} {
		r := collect(t, submit(t, e, Request{Salt: c.salt, Prompt: fakePrompt(5, 100), MaxTokens: 3}))[0]
		if r.Usage.CachedTokens != c.cached {
			t.Errorf("salt %q: %d tokens cached, want %d", c.salt, r.Usage.CachedTokens, c.cached)
		}
	}
}

func TestSubmitRefuses(t *testing.T) {
	e := start(t, newFakeModel(4), Options{Blocks: 4, Context: 64})
	for _, c := range []struct {
		r    Request
		want error
		says string
	}{
		{Request{}, ErrInvalid, "prompt"},
		{Request{Prompt: []int32{50}}, ErrInvalid, "vocabulary of 50"},
		{Request{Prompt: []int32{-1}}, ErrInvalid, "vocabulary"},
		{Request{Prompt: fakePrompt(1, 64)}, ErrTooLong, "context is 64 tokens"},
		{Request{Prompt: []int32{1}, N: -1}, ErrInvalid, "n:"},
		{Request{Prompt: []int32{1}, MaxTokens: -1}, ErrInvalid, "max_tokens"},
		{Request{Prompt: []int32{1}, Stop: []string{""}}, ErrInvalid, "stop"},
		{Request{Prompt: []int32{1}, Stop: []string{"\xff"}}, ErrInvalid, "stop"},
		{Request{Prompt: []int32{1}, Sampling: SamplingParams{Temperature: -1}}, ErrInvalid, "temperature"},
		{Request{Prompt: []int32{1}, Sampling: SamplingParams{TopP: 1.5}}, ErrInvalid, "top_p"},
		{Request{Prompt: []int32{1}, Sampling: SamplingParams{LogitBias: map[int32]float32{77: 1}}}, ErrInvalid, "logit_bias"},
	} {
		_, err := e.Submit(t.Context(), c.r)
		if !errors.Is(err, c.want) || !strings.Contains(fmt.Sprint(err), c.says) {
			t.Errorf("%+v: error %v, want %v with %q", c.r, err, c.want, c.says)
		}
	}
}

func TestQueueHasACap(t *testing.T) {
	g := newGate()
	m := newFakeModel(8)
	m.before = func(*nn.Batch) error { g.pass(); return nil }
	e := start(t, m, Options{Blocks: 8, MaxQueue: 3})
	defer g.let(-1)
	first := submit(t, e, Request{Prompt: []int32{1}, MaxTokens: 5})
	waitFor(t, func() bool { return e.Stats().Queue.Count == 1 })
	var rest []*Stream
	for range 3 {
		rest = append(rest, submit(t, e, Request{Prompt: []int32{2}, MaxTokens: 5}))
	}
	if _, err := e.Submit(t.Context(), Request{Prompt: []int32{2}}); !errors.Is(err, ErrQueueFull) {
		t.Errorf("fourth in a queue of three: %v", err)
	}
	g.let(-1)
	for _, s := range append(rest, first) {
		collect(t, s)
	}
	collect(t, submit(t, e, Request{Prompt: []int32{2}, N: 3, MaxTokens: 1}))
}

func TestCancelFreesBlocksWithinOneStep(t *testing.T) {
	g := newGate()
	m := newFakeModel(16)
	m.before = func(*nn.Batch) error { g.pass(); return nil }
	e := start(t, m, Options{Blocks: 16})
	defer g.let(-1)
	ctx, cancel := context.WithCancel(t.Context())
	gone, err := e.Submit(ctx, Request{Prompt: fakePrompt(1, 70), MaxTokens: 100})
	if err != nil {
		t.Fatal(err)
	}
	stays := submit(t, e, Request{Prompt: fakePrompt(2, 10), MaxTokens: 20})
	g.let(3)
	waitFor(t, func() bool { return e.Stats().Steps == 3 })
	if used := e.Stats().BlocksUsed; used != 4 {
		t.Fatalf("%d blocks used by both, want 4", used)
	}
	cancel()
	waitFor(t, func() bool { e.mu.Lock(); defer e.mu.Unlock(); return len(e.cancels) > 0 })
	g.let(1) // the step that is under way
	waitFor(t, func() bool { return e.Stats().BlocksUsed == 1 })
	if out := collect(t, gone)[0]; out.Finish != FinishAbort || !errors.Is(out.Err, context.Canceled) {
		t.Errorf("cancelled request ended with %q, %v", out.Finish, out.Err)
	}
	g.let(-1)
	if out := collect(t, stays)[0]; !slices.Equal(out.Tokens, fakeGreedy(fakePrompt(2, 10), 20, 50)) {
		t.Error("the other request's tokens changed")
	}
}

func waitFor(t *testing.T, ok func() bool) {
	t.Helper()
	for range 5000 {
		if ok() {
			return
		}
		sleep()
	}
	t.Fatal("did not happen within 5 seconds")
}

// TestHistoryReachesTheDraw: penalties and draws see exactly the tokens so far.
func TestHistoryReachesTheDraw(t *testing.T) {
	e := start(t, newFakeModel(64), Options{Blocks: 64})
	prompt, seed := fakePrompt(9, 33), uint64(3)
	p := SamplingParams{RepetitionPenalty: 1.4, FrequencyPenalty: 0.5, PresencePenalty: 0.3}
	tokens, row := slices.Clone(prompt), make([]float32, 50)
	for range 40 {
		fakeLogits(row, fakeHash(tokens))
		ids, _ := plainDraw(&draw{params: &p, tokens: tokens, prompt: len(prompt)}, row)
		tokens = append(tokens, int32(ids[0]))
	}
	if r := collect(t, submit(t, e, Request{Prompt: prompt, MaxTokens: 40, Sampling: p}))[0]; !slices.Equal(r.Tokens, tokens[len(prompt):]) {
		t.Errorf("penalized: %v, want %v", r.Tokens, tokens[len(prompt):])
	}
	// A request that goes on where another stopped draws the same tokens.
	p = SamplingParams{Temperature: 1, Seed: &seed}
	whole := collect(t, submit(t, e, Request{Prompt: prompt, MaxTokens: 40, Sampling: p}))[0].Tokens
	later := collect(t, submit(t, e, Request{Prompt: slices.Concat(prompt, whole[:15]), MaxTokens: 25, Sampling: p}))[0].Tokens
	if !slices.Equal(later, whole[15:]) {
		t.Errorf("continued: %v, want %v", later, whole[15:])
	}
}
