package main

import (
	"context"
	"errors"
	"fmt"

	"hone/engine"
	"hone/model"
	"hone/nn"
	"hone/serve"
)

// late stands for an engine or an encoder that is still being loaded: requests wait for it.
type late struct {
	ready  chan struct{} // closed when one of those below is there
	engine *engine.Engine
	vector serve.Embedder
	err    error // why there will be neither
}

func newLate() *late { return &late{ready: make(chan struct{})} }

// set lets the requests through.
func (l *late) set(e *engine.Engine, embed serve.Embedder) {
	l.engine, l.vector = e, embed
	close(l.ready)
}

// fail lets the requests fail.
func (l *late) fail(err error) {
	l.err = err
	close(l.ready)
}

// wait returns when the model is there, or why it will not be.
func (l *late) wait(ctx context.Context) error {
	select {
	case <-l.ready:
		return l.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (l *late) close() {
	if l.engine != nil {
		l.engine.Close()
	}
}

func (l *late) isReady() bool {
	select {
	case <-l.ready:
		return l.err == nil
	default:
		return false
	}
}

// check is what /readyz asks.
func (l *late) check() error {
	if !l.isReady() {
		return errors.New("the weights are being loaded")
	}
	return nil
}

// Submit waits for the engine and submits.
func (l *late) Submit(ctx context.Context, r engine.Request) (serve.Stream, error) {
	if err := l.wait(ctx); err != nil {
		return nil, err
	}
	return serve.FromEngine(l.engine).Submit(ctx, r)
}

// Stats are the engine's, zero before it is there.
func (l *late) Stats() engine.Stats {
	if !l.isReady() || l.engine == nil {
		return engine.Stats{}
	}
	return l.engine.Stats()
}

func (l *late) embed(inputs []serve.Text) ([][]float32, error) {
	if err := l.wait(context.Background()); err != nil { // requests that leave meanwhile do so by themselves
		return nil, err
	}
	return l.vector(inputs)
}

// classesOf are the labels of a model with a classification head, nil for others.
func classesOf(m *model.Model) *serve.Classes {
	c := m.Design.Classes
	if c == nil {
		return nil
	}
	return &serve.Classes{Labels: c.Labels, Scores: c.Scores}
}

// embedder runs texts through an encoder, as many of the first as fit into one batch.
func embedder(s *session) serve.Embedder {
	return func(inputs []serve.Text) ([][]float32, error) { return embed(s.exec, inputs) }
}

func embed(x *nn.Exec, inputs []serve.Text) ([][]float32, error) {
	var b nn.Batch
	typed := x.Program().TokenTypes() > 1 // a model that does not tell two texts apart reads both alike
	for _, in := range inputs {
		if len(b.Tokens)+len(in.IDs) > x.MaxTokens() {
			break
		}
		b.Seqs = append(b.Seqs, nn.Seq{Offset: len(b.Tokens), Len: len(in.IDs)})
		b.Tokens = append(b.Tokens, in.IDs...)
		if typed && in.Types != nil {
			b.Types = append(b.Types, make([]int32, len(b.Tokens)-len(in.IDs)-len(b.Types))...)
			b.Types = append(b.Types, in.Types...)
		}
	}
	if b.Types != nil {
		b.Types = append(b.Types, make([]int32, len(b.Tokens)-len(b.Types))...)
	}
	if len(b.Seqs) == 0 {
		return nil, fmt.Errorf("an input has %d tokens, the encoder takes %d", len(inputs[0].IDs), x.MaxTokens())
	}
	if err := x.Forward(&b); err != nil {
		return nil, err
	}
	width := x.PooledWidth()
	flat := make([]float32, len(b.Seqs)*width)
	if err := x.Pooled(flat); err != nil {
		return nil, err
	}
	out := make([][]float32, len(b.Seqs))
	for i := range out {
		out[i] = flat[i*width : (i+1)*width]
	}
	return out, nil
}
