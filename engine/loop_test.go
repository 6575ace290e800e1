package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"hone/nn"
)

// TestDecodeStepAllocatesNothing drives the loop by hand: 32 sequences, greedy and sampled, with text and statistics.
func TestDecodeStepAllocatesNothing(t *testing.T) {
	m := newFakeModel(256)
	e, err := newEngine(m, Options{Blocks: 256, Tokenizer: Decoding(fakeTokenizer{})})
	if err != nil {
		t.Fatal(err)
	}
	seed := uint64(1)
	params := []SamplingParams{
		{}, {Temperature: 1, Seed: &seed}, {Temperature: 0.8, TopP: 0.9, Seed: &seed}, {Temperature: 1, TopK: 5, Seed: &seed},
		{Temperature: 1, MinP: 0.1, RepetitionPenalty: 1.1, FrequencyPenalty: 0.1, LogitBias: map[int32]float32{1: 1}, Seed: &seed},
	}
	for i := range 32 {
		s := submit(t, e, Request{Prompt: fakePrompt(i, 5), Sampling: params[i%len(params)], Stop: []string{"\x00"}, MaxTokens: 200})
		s.pending[0].tokens = make([]int32, 0, 400) // as a reader leaves them
		s.pending[0].text = make([]byte, 0, 1000)
	}
	e.loop.intake()
	for range 20 {
		e.loop.step()
	}
	if n := testing.AllocsPerRun(100, func() {
		e.loop.intake()
		if !e.loop.step() {
			t.Fatal("nothing to do")
		}
	}); n != 0 {
		t.Errorf("a decode step of 32 sequences allocates %v times", n)
	}
	if s := e.Stats(); s.Running != 32 || s.BatchSize.Mean() != 32 {
		t.Errorf("%d running, mean batch %v: want 32", s.Running, s.BatchSize.Mean())
	}
	go e.loop.run()
	e.Close()
}

// TestFaultsEndOneRequest: whatever breaks inside one request, the others' tokens are those of their own.
func TestFaultsEndOneRequest(t *testing.T) {
	const poison = int32(49) // the model fails on batches that hold this prompt token
	broken := map[string]struct {
		r    Request
		says string
	}{
		"mask error":  {Request{Prompt: fakePrompt(1, 8), Mask: func(int, []int32, []float32) error { return errors.New("no such state") }}, "no such state"},
		"mask panic":  {Request{Prompt: fakePrompt(1, 8), Mask: func(int, []int32, []float32) error { panic("odd grammar") }}, "odd grammar"},
		"mask all":    {Request{Prompt: fakePrompt(1, 8), Mask: maskAll}, "no token"},
		"model error": {Request{Prompt: []int32{1, poison, 1}}, "cannot compute"},
		"model panic": {Request{Prompt: []int32{poison, 2, poison}}, "index out of"},
	}
	for name, c := range broken {
		t.Run(name, func(t *testing.T) {
			m := newFakeModel(64)
			m.before = func(b *nn.Batch) error {
				switch n := count(b.Tokens, poison); n {
				case 1:
					return errors.New("cannot compute this")
				case 2:
					panic("index out of bounds")
				}
				return nil
			}
			e := start(t, m, Options{Blocks: 64})
			c.r.MaxTokens = 10
			var good []*Stream
			for i := range 5 {
				good = append(good, submit(t, e, Request{Prompt: clean(fakePrompt(i, 40)), MaxTokens: 30, Sampling: SamplingParams{LogitBias: map[int32]float32{poison: -100}}}))
				if i == 2 {
					r := collect(t, submit(t, e, c.r))[0]
					if r.Finish != FinishError || r.Err == nil || !strings.Contains(r.Err.Error(), c.says) {
						t.Errorf("ended with %q, %v, want an error with %q", r.Finish, r.Err, c.says)
					}
				}
			}
			for i, s := range good {
				if r := collect(t, s)[0]; r.Finish != FinishLength || len(r.Tokens) != 30 {
					t.Errorf("good request %d ended with %q (%v) after %d tokens", i, r.Finish, r.Err, len(r.Tokens))
				}
			}
			if s := e.Stats(); s.BlocksUsed != 0 || s.Finished[FinishError] != 1 {
				t.Errorf("%d blocks used, %d errors", s.BlocksUsed, s.Finished[FinishError])
			}
		})
	}
}

// brokenDecoder fails on its second token.
type brokenDecoder struct{ n int }

func (d *brokenDecoder) Add(int32) string {
	if d.n++; d.n == 2 {
		panic("half a character")
	}
	return "x"
}

func (d *brokenDecoder) Flush() string { panic("asked again") }

type brokenTokenizer struct{ n int }

// NewDecoder breaks the first request's text.
func (b *brokenTokenizer) NewDecoder(bool) Decoder {
	if b.n++; b.n == 1 {
		return &brokenDecoder{}
	}
	return &fakeDecoder{}
}

func TestBrokenTextEndsOneRequest(t *testing.T) {
	e := start(t, newFakeModel(64), Options{Blocks: 64, Tokenizer: &brokenTokenizer{}})
	bad := submit(t, e, Request{Prompt: fakePrompt(1, 8), MaxTokens: 30})
	good := submit(t, e, Request{Prompt: fakePrompt(2, 8), MaxTokens: 30})
	var p *PanicError
	if r := collect(t, bad)[0]; r.Finish != FinishError || !errors.As(r.Err, &p) || strings.Contains(r.Err.Error(), "goroutine") || r.Text != "x" {
		t.Errorf("broken one ended with %q, %v, text %q", r.Finish, r.Err, r.Text)
	}
	if r := collect(t, good)[0]; r.Finish != FinishLength || len(r.Tokens) != 30 {
		t.Errorf("the other ended with %q (%v)", r.Finish, r.Err)
	}
}

func maskAll(_ int, _ []int32, logits []float32) error {
	for i := range logits {
		logits[i] = float32(math.Inf(-1))
	}
	return nil
}

func count(tokens []int32, t int32) (n int) {
	for _, x := range tokens {
		if x == t {
			n++
		}
	}
	return n
}

func clean(tokens []int32) []int32 {
	for i := range tokens {
		tokens[i] %= 49
	}
	return tokens
}

func TestDrainFinishesWhatRuns(t *testing.T) {
	e := start(t, newFakeModel(64), Options{Blocks: 64, MaxSeqs: 2})
	var streams []*Stream
	for i := range 8 {
		streams = append(streams, submit(t, e, Request{Prompt: fakePrompt(i, 30), MaxTokens: 40}))
	}
	if err := e.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i, s := range streams {
		if r := collect(t, s)[0]; r.Finish != FinishLength || !slices.Equal(r.Tokens, fakeGreedy(fakePrompt(i, 30), 40, 50)) {
			t.Errorf("request %d: %q after %d tokens", i, r.Finish, len(r.Tokens))
		}
	}
	if _, err := e.Submit(t.Context(), Request{Prompt: []int32{1}}); !errors.Is(err, ErrClosed) && !errors.Is(err, ErrDraining) {
		t.Errorf("after draining: %v", err)
	}
	if err := e.Drain(t.Context()); err != nil {
		t.Errorf("again: %v", err)
	}
}

func TestDrainGivesUp(t *testing.T) {
	g := newGate()
	m := newFakeModel(8)
	m.before = func(*nn.Batch) error { g.pass(); return nil }
	e := start(t, m, Options{Blocks: 8})
	s := submit(t, e, Request{Prompt: []int32{1}, MaxTokens: 100})
	ctx, cancel := context.WithCancel(t.Context())
	errs := make(chan error)
	go func() { errs <- e.Drain(ctx) }()
	waitFor(t, func() bool {
		_, err := e.Submit(t.Context(), Request{Prompt: []int32{1}})
		return errors.Is(err, ErrDraining)
	})
	cancel()
	waitFor(t, func() bool {
		_, err := e.Submit(t.Context(), Request{Prompt: []int32{1}})
		return errors.Is(err, ErrClosed)
	})
	g.let(-1)
	if err := <-errs; !errors.Is(err, context.Canceled) {
		t.Errorf("drain: %v", err)
	}
	if r := collect(t, s)[0]; r.Finish != FinishAbort || !errors.Is(r.Err, ErrClosed) {
		t.Errorf("request ended with %q, %v", r.Finish, r.Err)
	}
}

// TestReadersDoNotHoldTheLoop: one reader never reads, one goes away, one reads each event.
func TestReadersDoNotHoldTheLoop(t *testing.T) {
	e := start(t, newFakeModel(64), Options{Blocks: 64})
	never := submit(t, e, Request{Prompt: fakePrompt(1, 30), MaxTokens: 200})
	away := submit(t, e, Request{Prompt: fakePrompt(2, 30), MaxTokens: 200})
	each := submit(t, e, Request{Prompt: fakePrompt(3, 30), MaxTokens: 200})
	if _, err := away.Recv(t.Context()); err != nil {
		t.Fatal(err)
	}
	away.Close()
	away.Close()
	var tokens []int32
	for {
		ev, err := each.Recv(t.Context())
		if err == io.EOF {
			break
		}
		tokens = append(tokens, ev.Tokens...)
	}
	if !slices.Equal(tokens, fakeGreedy(fakePrompt(3, 30), 200, 50)) {
		t.Error("events do not add up to the tokens")
	}
	waitFor(t, func() bool { s := e.Stats(); return s.Running == 0 && s.Waiting == 0 })
	if r := collect(t, never)[0]; len(r.Tokens) != 200 {
		t.Errorf("late reader got %d tokens, want 200", len(r.Tokens))
	}
}

func TestRecvEndsWithItsContext(t *testing.T) {
	g := newGate()
	m := newFakeModel(8)
	m.before = func(*nn.Batch) error { g.pass(); return nil }
	e := start(t, m, Options{Blocks: 8})
	s := submit(t, e, Request{Prompt: []int32{1}, MaxTokens: 3})
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
	defer cancel()
	if _, err := s.Recv(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Recv: %v", err)
	}
	g.let(-1)
	if r := collect(t, s)[0]; r.Finish != FinishLength {
		t.Errorf("the request ended with %q", r.Finish)
	}
}

func TestHooksAndTimings(t *testing.T) {
	var mu sync.Mutex
	var log []string
	note := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		log = append(log, fmt.Sprintf(format, args...))
	}
	e := start(t, newFakeModel(8), Options{Blocks: 8, Hooks: Hooks{
		Step:       func(s StepInfo) { note("step %d/%d/%d", s.Sequences, s.Tokens, s.Prefill) },
		FirstToken: func(time.Duration) { note("first") },
		InterToken: func(time.Duration) { note("next") },
		Finish:     func(why FinishReason, u Usage, _ Timings) { note("%s %d", why, u.GeneratedTokens) },
	}})
	r := collect(t, submit(t, e, Request{Prompt: fakePrompt(1, 40), MaxTokens: 2}))[0]
	e.Close()
	if got, want := strings.Join(log, ", "), "first, step 1/40/40, next, length 2, step 1/1/0"; got != want {
		t.Errorf("hooks: %s; want %s", got, want)
	}
	if r.Timings.Prefill <= 0 || r.Timings.Decode <= 0 || r.Timings.Queue < 0 {
		t.Errorf("timings %+v", r.Timings)
	}
	if s := e.Stats(); s.TTFT.Count != 1 || s.ITL.Count != 1 || s.E2E.Count != 1 || s.LastStep.IsZero() {
		t.Errorf("statistics %+v", s)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for _, o := range []Options{{}, {Blocks: 4, Slowdown: 0.5}, {Blocks: 4, MaxSeqs: -1}, {Blocks: 4, MaxQueue: -2}, {Blocks: 4, Context: -1}, {Blocks: 4, StepTokens: -1}} {
		if _, err := newEngine(newFakeModel(4), o); err == nil {
			t.Errorf("%+v: taken", o)
		}
	}
}

// idleModel costs nothing, so that a step is the engine's own work.
type idleModel struct{ vocab int }

func (m idleModel) Forward(*nn.Batch) error               { return nil }
func (m idleModel) Logits(dst []float32, _ []int32) error { dst[7]++; return nil }
func (m idleModel) Vocab() int                            { return m.vocab }
func (m idleModel) MaxTokens() int                        { return 512 }

// BenchmarkStep is the engine's own time for a decode step of 32 sequences with text; sampling of a vocabulary of 49,152
// included and not.
func BenchmarkStep(b *testing.B) {
	for _, vocab := range []int{50, 49152} {
		b.Run(fmt.Sprint(vocab), func(b *testing.B) {
			e, err := newEngine(idleModel{vocab}, Options{Blocks: 1 << 16, Tokenizer: Decoding(fakeTokenizer{})})
			if err != nil {
				b.Fatal(err)
			}
			for i := range 32 {
				s, err := e.Submit(b.Context(), Request{Prompt: fakePrompt(i, 200), IgnoreEOS: true})
				if err != nil {
					b.Fatal(err)
				}
				go s.Collect(b.Context())
			}
			e.loop.intake()
			for b.Loop() {
				e.loop.intake()
				e.loop.step()
			}
			go e.loop.run()
			e.Close()
		})
	}
}
