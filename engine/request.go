// Package engine turns requests into tokens: a scheduler that is a pure state machine, a paged KV cache with a prefix
// tree, sampling whose draws depend on seed, choice and position alone, and one loop: schedule, run, sample, publish.
//
// The same request gives the same bits alone, in a batch, in chunks, after a prefix hit and after preemption. The model
// has to compute each row in an order that does not depend on the batch; the engine adds nothing that does.
package engine

import (
	"errors"
	"fmt"
	"math"
	"unicode/utf8"
)

// Request asks for N continuations of one prompt. It is not changed by the engine and must not be changed after Submit.
type Request struct {
	ID        string // for logs; may be empty
	Principal string // whose request it is: the unit of fairness
	Salt      string // tenant of the prefix cache: blocks are shared only under equal salts
	Priority  int    // higher runs first and may push out lower

	Prompt []int32
	N      int // choices; 0 means 1

	// MaxTokens bounds the generated tokens of a choice. 0, or more than the context leaves, means what it leaves: the
	// choice then ends with FinishLength.
	MaxTokens int
	MinTokens int // no end token and no stop string before so many generated tokens

	EOS       []int32  // end tokens; nil means those of Options
	IgnoreEOS bool     // generate on through end tokens
	Stop      []string // the text ends before the first of these, across token borders too
	// KeepSpecial writes special tokens into the text.
	KeepSpecial bool

	Sampling SamplingParams

	// Logprobs asks for the log-probability of each token and of the TopLogprobs most likely ones at its position, from
	// the model's own distribution: before penalties, bias, mask and temperature.
	Logprobs    bool
	TopLogprobs int

	// Mask, if set, is called before each draw with the tokens so far (prompt and generated, not to be kept or changed)
	// and may set entries of logits to -Inf. It may run on any goroutine, one call at a time for a choice. A panic or an
	// error ends this request alone.
	Mask func(choice int, tokens []int32, logits []float32) error
}

// SamplingParams shape the distribution that a token is drawn from, in this order: repetition, frequency and presence
// penalties, bias, the request's mask, temperature, min-p, top-k, top-p. The zero value is greedy.
type SamplingParams struct {
	Temperature float32 // below 1e-5: the most likely token, the lowest id on ties
	TopK        int     // keep the k most likely; 0: all
	TopP        float32 // keep the smallest set whose mass is at least p; 0 or 1: all
	MinP        float32 // keep tokens of at least p times the most likely one's probability; 0: all

	RepetitionPenalty float32 // over prompt and generated tokens: divides positive logits, multiplies negative ones; 0 or 1: off
	FrequencyPenalty  float32 // subtracted once for each time that a token was generated
	PresencePenalty   float32 // subtracted if a token was generated

	LogitBias map[int32]float32 // added to the logits of single tokens

	// Seed fixes the draws, which are a function of seed, choice and position in the sequence. nil: one is chosen at
	// Submit (Stream.Seed tells it).
	Seed *uint64
}

// FinishReason says why a choice ended; empty while it runs.
type FinishReason string

// The reasons a choice ends for.
const (
	FinishStop   FinishReason = "stop"   // an end token or a stop string
	FinishLength FinishReason = "length" // MaxTokens, or the context is full
	FinishAbort  FinishReason = "abort"  // the caller went away, or the engine was closed
	FinishError  FinishReason = "error"  // see Event.Err
)

// Event is what happened to one choice since the last event of that choice. A slow reader gets fewer, larger events.
type Event struct {
	Choice   int
	Tokens   []int32        // sampled tokens; an end token is the last of them and adds no text
	Logprobs []TokenLogprob // one for each of Tokens if asked for
	Text     string         // whole characters only; held back while it can be part of a stop string

	Finish   FinishReason
	StopText string // the stop string that ended the choice, if one did
	Err      error  // with FinishError and FinishAbort
	// Usage and Timings are set with Finish.
	Usage   Usage
	Timings Timings
}

// TokenLogprob is a sampled token's natural log-probability, and the most likely tokens at its position, best first.
type TokenLogprob struct {
	Token   int32
	Logprob float32
	Top     []TokenChance
}

// TokenChance is one token and its natural log-probability.
type TokenChance struct {
	Token   int32
	Logprob float32
}

// Usage counts a choice's tokens.
type Usage struct {
	PromptTokens    int
	CachedTokens    int // of the prompt, found in the prefix cache
	GeneratedTokens int // end token included
}

// Errors that Submit returns, wrapped with figures.
var (
	ErrQueueFull = errors.New("engine: queue is full")
	ErrTooLong   = errors.New("engine: prompt is too long")
	ErrInvalid   = errors.New("engine: invalid request")
	ErrDraining  = errors.New("engine: shutting down, no new requests")
	ErrClosed    = errors.New("engine: closed")
)

// Bounds on a request's lists; serve may set tighter ones.
const (
	maxChoices     = 128
	maxTopLogprobs = 64
	maxStops       = 64
	maxStopBytes   = 4096
)

// Validate checks everything that does not depend on an engine's size. Errors name the field and wrap ErrInvalid.
func (r *Request) Validate(vocab int) error {
	if len(r.Prompt) == 0 {
		return invalid("prompt", "has no tokens; add a BOS token for an empty text")
	}
	for i, t := range r.Prompt {
		if t < 0 || int(t) >= vocab {
			return invalid("prompt", "token %d at index %d is outside of the vocabulary of %d", t, i, vocab)
		}
	}
	switch {
	case r.N < 0 || r.N > maxChoices:
		return invalid("n", "%d is not in 0..%d", r.N, maxChoices)
	case r.MaxTokens < 0:
		return invalid("max_tokens", "%d is negative", r.MaxTokens)
	case r.MinTokens < 0:
		return invalid("min_tokens", "%d is negative", r.MinTokens)
	case r.MaxTokens > 0 && r.MinTokens > r.MaxTokens:
		return invalid("min_tokens", "%d is more than max_tokens %d", r.MinTokens, r.MaxTokens)
	case r.TopLogprobs < 0 || r.TopLogprobs > maxTopLogprobs:
		return invalid("top_logprobs", "%d is not in 0..%d", r.TopLogprobs, maxTopLogprobs)
	}
	if err := validStops(r.Stop); err != nil {
		return err
	}
	return r.Sampling.Validate(vocab)
}

func validStops(stops []string) error {
	if len(stops) > maxStops {
		return invalid("stop", "%d strings, more than %d", len(stops), maxStops)
	}
	for i, s := range stops {
		if s == "" || len(s) > maxStopBytes || !utf8.ValidString(s) {
			return invalid("stop", "string %d (%d bytes) must be valid UTF-8 of 1..%d bytes", i, len(s), maxStopBytes)
		}
	}
	return nil
}

// Validate checks ranges; errors name the field and wrap ErrInvalid.
func (p *SamplingParams) Validate(vocab int) error {
	ranges := []struct {
		name     string
		x        float32
		low, top float32
	}{
		{"temperature", p.Temperature, 0, 100},
		{"top_p", p.TopP, 0, 1},
		{"min_p", p.MinP, 0, 1},
		{"repetition_penalty", p.RepetitionPenalty, 0, 100},
		{"frequency_penalty", p.FrequencyPenalty, -100, 100},
		{"presence_penalty", p.PresencePenalty, -100, 100},
	}
	for _, r := range ranges {
		if !(r.x >= r.low && r.x <= r.top) { // NaN fails too
			return invalid(r.name, "%v is not in %v..%v", r.x, r.low, r.top)
		}
	}
	if p.TopK < 0 {
		return invalid("top_k", "%d is negative", p.TopK)
	}
	for t, b := range p.LogitBias {
		if t < 0 || int(t) >= vocab {
			return invalid("logit_bias", "token %d is outside of the vocabulary of %d", t, vocab)
		}
		if b != b || math.IsInf(float64(b), 1) {
			return invalid("logit_bias", "bias %v of token %d is not a finite number or -Inf", b, t)
		}
	}
	return nil
}

func invalid(field, format string, args ...any) error {
	return fmt.Errorf("%w: %s: %s", ErrInvalid, field, fmt.Sprintf(format, args...))
}
