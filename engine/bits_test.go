package engine

import (
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"hone/kernel"
	"hone/nn"
)

// bitsRequests are requests whose answers must not depend on anything around them.
func bitsRequests() []Request {
	seed := func(s uint64) *uint64 { return &s }
	params := []SamplingParams{
		{},
		{Temperature: 1, Seed: seed(1)},
		{Temperature: 0.7, TopP: 0.8, Seed: seed(2)},
		{Temperature: 1.5, TopK: 7, Seed: seed(3)},
		{Temperature: 1, MinP: 0.05, TopP: 0.9, TopK: 20, Seed: seed(4)},
		{RepetitionPenalty: 1.3, FrequencyPenalty: 0.4, PresencePenalty: 0.2},
		{Temperature: 1, FrequencyPenalty: -0.5, LogitBias: map[int32]float32{3: 2, 4: -100}, Seed: seed(5)},
	}
	var list []Request
	for i := range 28 {
		r := Request{ID: fmt.Sprint(i), Sampling: params[i%len(params)], MaxTokens: 1 + i*7%45, EOS: []int32{int32(i)}}
		r.Prompt = append(fakePrompt(i%3, 32*(i%4)), fakePrompt(100+i, 1+i*5%60)...) // some share a beginning
		if i%4 == 0 {
			r.N = 3
		}
		if i%5 == 0 {
			r.Logprobs, r.TopLogprobs = true, 4
		}
		if i%6 == 1 {
			r.Stop = []string{"ab", "e", "Xyz"}
		}
		if i%7 == 2 {
			r.MinTokens = 5
		}
		if i%9 == 3 {
			r.Mask = func(_ int, tokens []int32, logits []float32) error {
				logits[tokens[len(tokens)-1]] = -1e9 // never the same twice
				return nil
			}
		}
		list = append(list, r)
	}
	return list
}

// alone runs each request by itself: nothing is shared, cut or pushed out.
func alone(t *testing.T, requests []Request) [][]Result {
	e := start(t, newFakeModel(64), Options{Blocks: 64, NoPrefixCache: true})
	var out [][]Result
	for _, r := range requests {
		r.N = max(r.N, 1)
		out = append(out, collect(t, submit(t, e, r)))
	}
	return out
}

// TestSameBits is the engine's promise: whatever the load, the sizes and the luck, a request's tokens, text and
// logprobs are those of the request alone.
func TestSameBits(t *testing.T) {
	requests := bitsRequests()
	want := alone(t, requests)
	trials := 60
	if testing.Short() {
		trials = 8
	}
	var preempted, cached uint64
	for trial := range trials {
		s := bitsTrial(t, uint64(trial), requests, want)
		preempted += s.Preemptions
		cached += s.CachedTokens
	}
	if preempted == 0 || cached == 0 {
		t.Errorf("%d preemptions, %d cached tokens: the trials did not reach what they are for", preempted, cached)
	}
}

func bitsTrial(t *testing.T, seed uint64, requests []Request, want [][]Result) Stats {
	rng := rand.New(rand.NewPCG(seed, 1))
	blocks := 7 + rng.IntN(20)
	m := newFakeModel(blocks)
	pool := kernel.NewPool(1 + rng.IntN(3))
	defer pool.Close()
	var e *Engine
	opt := Options{Blocks: blocks, StepTokens: 1 + rng.IntN(80), MaxSeqs: 1 + rng.IntN(32), NoPrefixCache: rng.IntN(3) == 0,
		Slowdown: 1.1 + 3*rng.Float64(), Tokenizer: Decoding(fakeTokenizer{}), Pool: pool}
	opt.Hooks.Step = func(StepInfo) {
		if err := e.loop.sched.CheckIntegrity(); err != nil {
			t.Errorf("trial %d: %v", seed, err)
		}
	}
	m.before = func(b *nn.Batch) error { // a slow machine, now and then
		if len(b.Tokens)%7 == 0 {
			time.Sleep(20 * time.Microsecond)
		}
		return nil
	}
	e, err := New(m, opt)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	type run struct {
		i      int
		s      *Stream
		cancel context.CancelFunc
	}
	var runs []run
	for _, i := range rng.Perm(len(requests)) {
		r := requests[i]
		r.Priority, r.Principal = rng.IntN(3), fmt.Sprint(rng.IntN(3))
		r.Salt = []string{"", "x"}[rng.IntN(2)]
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		s, err := e.Submit(ctx, r)
		if err != nil {
			t.Fatal(err)
		}
		runs = append(runs, run{i, s, cancel})
		if rng.IntN(4) == 0 {
			time.Sleep(time.Duration(rng.IntN(300)) * time.Microsecond)
		}
		if rng.IntN(6) == 0 {
			runs[rng.IntN(len(runs))].cancel()
		}
	}
	for _, r := range runs {
		for c, got := range collect(t, r.s) {
			if fault := differ(got, want[r.i][c]); fault != "" {
				t.Errorf("trial %d (%+v): request %d choice %d: %s", seed, e.opt, r.i, c, fault)
			}
		}
	}
	waitFor(t, func() bool { return e.Stats().BlocksUsed == 0 })
	return e.Stats()
}

// differ says how a result differs from the one alone; an aborted one has to be a beginning of it.
func differ(got, want Result) string {
	n := len(want.Tokens)
	if got.Finish == FinishAbort {
		n = min(len(got.Tokens), n)
		if !strings.HasPrefix(want.Text, got.Text) {
			return fmt.Sprintf("aborted with text %q, alone %q", got.Text, want.Text)
		}
	} else if got.Text != want.Text || got.Finish != want.Finish || got.StopText != want.StopText {
		return fmt.Sprintf("text %q (%s %q), alone %q (%s %q)", got.Text, got.Finish, got.StopText, want.Text, want.Finish, want.StopText)
	}
	if !slices.Equal(got.Tokens, want.Tokens[:n]) {
		return fmt.Sprintf("tokens %v, alone %v", got.Tokens, want.Tokens)
	}
	if len(want.Logprobs) > 0 && n > 0 && !reflect.DeepEqual(got.Logprobs, want.Logprobs[:n]) {
		return fmt.Sprintf("logprobs %v, alone %v", got.Logprobs, want.Logprobs)
	}
	return ""
}

// TestSeveralStepsUnderWay plans up to three batches before the first is done, as a pipeline does.
func TestSeveralStepsUnderWay(t *testing.T) {
	for trial := range 150 {
		pipelineTrial(t, rand.New(rand.NewPCG(uint64(trial), 2)))
		if t.Failed() {
			t.Fatalf("trial %d", trial)
		}
	}
}

func pipelineTrial(t *testing.T, rng *rand.Rand) {
	const generated = 20
	blocks := 6 + rng.IntN(12)
	m := newFakeModel(blocks)
	s := NewScheduler(SchedulerConfig{Blocks: blocks, StepTokens: 1 + rng.IntN(50), MaxSeqs: 1 + rng.IntN(10)})
	var seqs []*Sequence
	for i := range 10 {
		prompt := append(fakePrompt(0, 32*rng.IntN(3)), fakePrompt(i, 1+rng.IntN(50))...)
		q := NewSequence(fmt.Sprint(i), prompt, len(prompt)+generated)
		q.Priority, q.Principal = rng.IntN(2), fmt.Sprint(rng.IntN(2))
		if err := s.Add(q); err != nil {
			t.Fatal(err)
		}
		seqs = append(seqs, q)
	}
	var flying []*Batch
	for steps := 0; ; steps++ {
		if steps > 20000 {
			t.Fatal("no end in sight")
		}
		if len(flying) < 3 && rng.IntN(3) > 0 {
			if b := s.Step(1 + rng.IntN(20)); b != nil {
				flying = append(flying, b)
			} else if len(flying) == 0 {
				break
			}
		} else if len(flying) > 0 {
			s.Done(flying[0], pipelineOutcomes(t, m, flying[0], generated, rng))
			flying = flying[1:]
		}
		if rng.IntN(200) == 0 {
			s.Abort(seqs[rng.IntN(len(seqs))])
		}
		if err := s.CheckIntegrity(); err != nil {
			t.Fatal(err)
		}
	}
	for _, q := range seqs {
		want := fakeGreedy(q.tokens[:q.prompt], len(q.Generated()), 50)
		if q.state != ended || !slices.Equal(q.Generated(), want) {
			t.Fatalf("sequence %s (state %d): %v, want %v", q.Name, q.state, q.Generated(), want)
		}
	}
}

// pipelineOutcomes runs a batch and brings no token now and then, or several, as a speculating runner may.
func pipelineOutcomes(t *testing.T, m *fakeModel, b *Batch, most int, rng *rand.Rand) []Outcome {
	if err := m.Forward(&b.Input); err != nil {
		t.Fatal(err)
	}
	var out []Outcome
	row := 0
	for _, it := range b.Items {
		var o Outcome
		if it.Sample {
			h := m.hashes[b.Rows[row]]
			row++
			left := most - len(it.Seq.Generated())
			n := []int{0, 1, 1, 1, 1, 2, 3}[rng.IntN(7)]
			if n > 0 {
				o.Tokens = greedyFrom(h, min(n, left))
			}
			o.End = len(o.Tokens) == left
		}
		out = append(out, o)
	}
	return out
}

// greedyFrom continues a history whose hash is h.
func greedyFrom(h uint64, n int) []int32 {
	row := make([]float32, 50)
	var out []int32
	for range n {
		fakeLogits(row, h)
		best := int32(kernel.ArgMax(row))
		out = append(out, best)
		h = fakeStep(h, best)
	}
	return out
}
