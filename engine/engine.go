package engine

import "context"

// Engine runs requests over one model. Its methods may be called from any goroutine.
type Engine struct{}

// New checks the options and starts the engine's loop.
func New(m Model, opt Options) (*Engine, error) { return nil, ErrClosed }

// Submit queues a request. The request ends early when ctx ends. Errors wrap ErrInvalid, ErrTooLong, ErrQueueFull,
// ErrDraining or ErrClosed.
func (e *Engine) Submit(ctx context.Context, r Request) (*Stream, error) { return nil, ErrClosed }

// Drain refuses new requests, waits until all accepted ones ended, and closes the engine. When ctx ends first it aborts
// what is left and returns ctx's error.
func (e *Engine) Drain(ctx context.Context) error { return nil }

// Close aborts all requests and returns when the loop has ended.
func (e *Engine) Close() error { return nil }

// Stats returns a snapshot.
func (e *Engine) Stats() Stats { return Stats{} }
