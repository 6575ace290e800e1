package engine

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Engine runs requests over one model. Its methods may be called from any goroutine.
type Engine struct {
	opt   Options
	vocab int
	loop  loop

	mu       sync.Mutex
	inbox    []*job
	cancels  []*job
	queued   int // choices that did not run yet
	jobs     int // not ended
	draining bool
	closed   bool
	stats    Stats

	wake    chan struct{} // something changed for the loop
	drained chan struct{} // closed when draining and no job is left
	done    chan struct{} // closed when the loop has ended
	salts   atomic.Uint64
}

// New checks the options and starts the engine's loop.
func New(m Model, opt Options) (*Engine, error) {
	e, err := newEngine(m, opt)
	if err != nil {
		return nil, err
	}
	go e.loop.run()
	return e, nil
}

// newEngine makes an engine whose loop does not run yet.
func newEngine(m Model, opt Options) (*Engine, error) {
	opt, err := opt.withDefaults(m)
	if err != nil {
		return nil, err
	}
	e := &Engine{opt: opt, vocab: m.Vocab(), wake: make(chan struct{}, 1), drained: make(chan struct{}), done: make(chan struct{}), stats: newStats(opt)}
	e.loop.init(e, m)
	return e, nil
}

func (o Options) withDefaults(m Model) (Options, error) {
	if o.Blocks < 1 {
		return o, fmt.Errorf("engine: %d KV blocks: at least one is needed; give the cache more memory", o.Blocks)
	}
	rows := m.MaxTokens()
	if m.Vocab() < 1 || rows < 1 {
		return o, fmt.Errorf("engine: model with a vocabulary of %d and steps of %d rows cannot generate", m.Vocab(), rows)
	}
	setDefault(&o.MaxSeqs, 64)
	setDefault(&o.StepTokens, 512)
	setDefault(&o.MaxQueue, 1024)
	o.StepTokens = min(o.StepTokens, rows)
	o.MaxSeqs = min(o.MaxSeqs, o.StepTokens)
	if o.Slowdown == 0 {
		o.Slowdown = 1.6
	}
	if o.Slowdown <= 1 || o.MaxSeqs < 1 || o.MaxQueue < 1 || o.Context < 0 {
		return o, fmt.Errorf("engine: options out of range: slowdown %v (above 1), %d sequences, queue %d, context %d", o.Slowdown, o.MaxSeqs, o.MaxQueue, o.Context)
	}
	return o, nil
}

func setDefault(x *int, value int) {
	if *x == 0 {
		*x = value
	}
}

// Context returns the most tokens of a sequence, prompt included: that of the options, or what the blocks hold.
func (e *Engine) Context() int { return e.loop.context }

// Submit queues a request. The request ends early when ctx ends. Errors wrap ErrInvalid, ErrTooLong, ErrQueueFull,
// ErrDraining or ErrClosed.
func (e *Engine) Submit(ctx context.Context, r Request) (*Stream, error) {
	if err := e.check(&r); err != nil {
		return nil, err
	}
	seed := rand.Uint64()
	if r.Sampling.Seed != nil {
		seed = *r.Sampling.Seed
	}
	n := max(r.N, 1)
	j := &job{req: r, submitted: time.Now(), live: n}
	j.stream = newStream(n, seed, func(cause error) { e.cancel(j, cause) })
	e.makeChoices(j, e.loop.context)
	if err := e.enqueue(ctx, j, n); err != nil {
		return nil, err
	}
	e.poke()
	return j.stream, nil
}

func (e *Engine) check(r *Request) error {
	if err := r.Validate(e.vocab); err != nil {
		return err
	}
	if len(r.Stop) > 0 && e.opt.Tokenizer == nil {
		return invalid("stop", "the engine has no tokenizer, so there is no text to look in")
	}
	if n := len(r.Prompt); n >= e.loop.context {
		return fmt.Errorf("%w: %d tokens, but the context is %d tokens and the answer needs one at least; shorten the prompt or serve with a larger context", ErrTooLong, n, e.loop.context)
	}
	return nil
}

// enqueue puts a job into the inbox unless the engine is full or going down.
func (e *Engine) enqueue(ctx context.Context, j *job, n int) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.closed:
		return ErrClosed
	case e.draining:
		return ErrDraining
	case e.queued+n > e.opt.MaxQueue:
		return fmt.Errorf("%w: %d choices wait, %d more do not fit into %d; try again later", ErrQueueFull, e.queued, n, e.opt.MaxQueue)
	}
	e.queued += n
	e.jobs++
	e.inbox = append(e.inbox, j)
	j.unhook = context.AfterFunc(ctx, func() { e.cancel(j, context.Cause(ctx)) })
	return nil
}

// cancel asks the loop to end a job. Later calls, and calls after the end, do nothing.
func (e *Engine) cancel(j *job, cause error) {
	e.mu.Lock()
	if j.cause == nil && !e.closed {
		j.cause = cause
		e.cancels = append(e.cancels, j)
	}
	e.mu.Unlock()
	e.poke()
}

func (e *Engine) poke() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// Drain refuses new requests, waits until all accepted ones ended, and closes the engine. When ctx ends first it aborts
// what is left and returns ctx's error.
func (e *Engine) Drain(ctx context.Context) error {
	e.mu.Lock()
	e.draining = true
	e.mu.Unlock()
	e.poke()
	var err error
	select {
	case <-e.drained:
	case <-e.done:
	case <-ctx.Done():
		err = ctx.Err()
	}
	e.Close()
	return err
}

// Close aborts all requests and returns when the loop has ended.
func (e *Engine) Close() error {
	e.mu.Lock()
	e.closed = true
	e.mu.Unlock()
	e.poke()
	<-e.done
	return nil
}

// salt separates tenants' salts from the engine's own.
func (e *Engine) salt(tenant string) string { return "tenant " + tenant }

func (e *Engine) ownSalt() string { return "request " + strconv.FormatUint(e.salts.Add(1), 10) }
