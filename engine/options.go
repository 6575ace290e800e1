package engine

import (
	"maps"
	"time"

	"hone/kernel"
	"hone/nn"
)

// Model is what the engine needs of a loaded model. It is called from one goroutine.
type Model interface {
	// Forward computes a step: it writes keys and values of the batch's rows into their blocks and keeps the last hidden
	// states until the next Forward. Running the same rows again writes the same values.
	Forward(b *nn.Batch) error
	// Logits writes the logits of the given rows of the last batch: dst is [len(rows), Vocab()].
	Logits(dst []float32, rows []int32) error
	Vocab() int
	MaxTokens() int // rows that one Forward takes
}

// Decoder turns a choice's tokens into text as they come.
type Decoder interface {
	Add(id int32) string // the whole characters that id completes
	Flush() string       // what is left at the end
}

// Tokenizer makes a decoder for each choice.
type Tokenizer interface {
	NewDecoder(skipSpecial bool) Decoder
}

// Decoding adapts a tokenizer whose decoder has a type of its own.
func Decoding[D Decoder](t interface{ NewDecoder(skipSpecial bool) D }) Tokenizer {
	return adapted[D]{t}
}

type adapted[D Decoder] struct {
	t interface{ NewDecoder(skipSpecial bool) D }
}

func (a adapted[D]) NewDecoder(skipSpecial bool) Decoder { return a.t.NewDecoder(skipSpecial) }

// Options size an engine. Only Blocks is required.
type Options struct {
	Blocks     int // KV blocks of nn.BlockTokens positions that the model has memory for
	Context    int // most tokens of a sequence, prompt included; 0: as many as the blocks hold
	MaxSeqs    int // sequences that run at once; 0: 64
	StepTokens int // rows of a step; 0: 512. Never more than the model's MaxTokens
	MaxQueue   int // choices that wait for their first step; 0: 1024

	NoPrefixCache bool // no block is shared between requests (the choices of one request still share their prompt)

	Tokenizer Tokenizer    // nil: events carry no text, and stop strings are refused
	EOS       []int32      // end tokens of requests that name none
	Pool      *kernel.Pool // for sampling; nil: on the loop's goroutine

	// Slowdown bounds a step with prefill to about so many times the duration of a decode-only step while sequences
	// decode; 0: 1.6. It changes when tokens come, never which.
	Slowdown float64

	Hooks Hooks
}

// Hooks are called from the engine's loop and must return at once. Any may be nil.
type Hooks struct {
	Step       func(StepInfo)
	FirstToken func(sinceSubmit time.Duration)
	InterToken func(gap time.Duration)
	Finish     func(FinishReason, Usage, Timings)
}

// StepInfo describes a finished step.
type StepInfo struct {
	Sequences int // in the batch
	Tokens    int // rows in the batch
	Prefill   int // rows of it that are not decode steps
	Duration  time.Duration
}

// Stats is a snapshot for metrics and readiness.
type Stats struct {
	Waiting int // choices that did not run yet, or were pushed out
	Running int // choices that hold blocks

	Blocks     int
	BlocksUsed int // held by running choices; the others are free, or cached and free to take

	PromptTokens    uint64 // of admitted choices
	CachedTokens    uint64 // of these, found in the prefix cache
	GeneratedTokens uint64
	Preemptions     uint64
	Steps           uint64
	Finished        map[FinishReason]uint64

	// LastStep is when the loop last finished a step. Work without a step for long is a stalled engine.
	LastStep time.Time

	BatchSize Histogram // sequences of a step
	TTFT      Histogram // seconds from Submit to the first token of a choice
	ITL       Histogram // seconds between tokens of a choice
	E2E       Histogram // seconds from Submit to the end of a choice
	Queue     Histogram // seconds from Submit to the first step of a choice
}

func newStats(o Options) Stats {
	return Stats{
		Blocks:    o.Blocks,
		Finished:  map[FinishReason]uint64{FinishStop: 0, FinishLength: 0, FinishAbort: 0, FinishError: 0},
		BatchSize: newHistogram(batchBounds...),
		TTFT:      newHistogram(ttftBounds...),
		ITL:       newHistogram(itlBounds...),
		E2E:       newHistogram(e2eBounds...),
		Queue:     newHistogram(e2eBounds...),
	}
}

// Stats returns a snapshot.
func (e *Engine) Stats() Stats {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := e.stats
	for _, j := range e.inbox {
		s.Waiting += len(j.choices)
	}
	s.Finished = maps.Clone(s.Finished)
	for _, h := range []*Histogram{&s.BatchSize, &s.TTFT, &s.ITL, &s.E2E, &s.Queue} {
		*h = h.clone()
	}
	return s
}
