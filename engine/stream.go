package engine

import (
	"context"
	"io"
	"slices"
	"strings"
	"sync"
	"time"
)

// Timings are the durations of a choice's life. Each starts where the one before ends.
type Timings struct {
	Queue   time.Duration // from Submit until it first ran
	Prefill time.Duration // until its first token
	Decode  time.Duration // until its last token
}

// Stream delivers the events of one request. Reading it late never holds up the engine: what was not read yet is merged
// into the next event of the same choice. Any goroutine may call its methods; one reads.
type Stream struct {
	seed   uint64
	cancel func(error)

	mu      sync.Mutex
	pending []pending // by choice
	unread  int       // choices with something to read
	open    int       // choices whose last event was not read yet
	next    int       // where Recv looks first
	ready   chan struct{}
}

// pending is what a choice has for its reader. Its buffers are reused.
type pending struct {
	tokens   []int32
	logprobs []TokenLogprob
	text     []byte
	last     Event // with Finish: the figures of the end
	dirty    bool
}

func newStream(choices int, seed uint64, cancel func(error)) *Stream {
	return &Stream{seed: seed, cancel: cancel, pending: make([]pending, choices), open: choices, ready: make(chan struct{}, 1)}
}

// Seed returns the seed of the draws: the request's, or the one chosen for it.
func (s *Stream) Seed() uint64 { return s.seed }

// Recv waits for the next event. It returns io.EOF after the last event of the last choice, and ctx's error when ctx ends
// first, which does not end the request: Close or the context of Submit does.
func (s *Stream) Recv(ctx context.Context) (Event, error) {
	for {
		if e, err, ok := s.take(); ok {
			return e, err
		}
		select {
		case <-s.ready:
		case <-ctx.Done():
			return Event{}, ctx.Err()
		}
	}
}

// Close ends the request if it still runs; its blocks are free within one step. It may be called many times.
func (s *Stream) Close() { s.cancel(context.Canceled) }

// take returns the oldest unread event; ok is false when there is nothing to return yet.
func (s *Stream) take() (e Event, err error, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == 0 {
		return Event{}, io.EOF, true
	}
	if s.unread == 0 {
		return Event{}, nil, false
	}
	for !s.pending[s.next].dirty {
		s.next = (s.next + 1) % len(s.pending)
	}
	choice := s.next
	s.next = (s.next + 1) % len(s.pending)
	s.unread--
	p := &s.pending[choice]
	e = p.drain(choice)
	if e.Finish != "" {
		s.open--
	}
	return e, nil, true
}

// drain copies what is pending out and empties the buffers.
func (p *pending) drain(choice int) Event {
	e := p.last
	e.Choice = choice
	e.Tokens = slices.Clone(p.tokens)
	e.Text = string(p.text)
	e.Logprobs = slices.Clone(p.logprobs)
	p.tokens, p.text, p.logprobs = p.tokens[:0], p.text[:0], p.logprobs[:0]
	p.last, p.dirty = Event{}, false
	return e
}

// push adds to a choice's pending event; end is nil unless it is the last. It never waits for the reader.
func (s *Stream) push(choice int, tokens []int32, text []byte, logprobs []TokenLogprob, end *Event) {
	s.mu.Lock()
	p := &s.pending[choice]
	p.tokens = append(p.tokens, tokens...)
	p.text = append(p.text, text...)
	p.logprobs = append(p.logprobs, logprobs...)
	if end != nil {
		p.last = *end
	}
	if !p.dirty {
		p.dirty = true
		s.unread++
	}
	s.mu.Unlock()
	select {
	case s.ready <- struct{}{}:
	default:
	}
}

// Result is a whole choice.
type Result struct {
	Tokens   []int32
	Logprobs []TokenLogprob
	Text     string
	Finish   FinishReason
	StopText string
	Err      error
	Usage    Usage
	Timings  Timings
}

// Collect reads the stream to its end and returns the choices in order. When ctx ends first the request is closed.
func (s *Stream) Collect(ctx context.Context) ([]Result, error) {
	out := make([]Result, len(s.pending))
	text := make([]strings.Builder, len(out))
	defer func() {
		for i := range out {
			out[i].Text = text[i].String()
		}
	}()
	for {
		e, err := s.Recv(ctx)
		if err == io.EOF {
			return out, nil
		}
		if err != nil {
			s.Close()
			return out, err
		}
		r := &out[e.Choice]
		r.Tokens = append(r.Tokens, e.Tokens...)
		r.Logprobs = append(r.Logprobs, e.Logprobs...)
		text[e.Choice].WriteString(e.Text)
		r.Finish, r.StopText, r.Err, r.Usage, r.Timings = e.Finish, e.StopText, e.Err, e.Usage, e.Timings
	}
}
