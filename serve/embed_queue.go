package serve

import (
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"time"
)

// embedQueue brings the texts of all waiting requests to the encoder together: in each step as many as it takes, one of
// every request in turn, so that a request with few texts is not kept by one with many. What stands beside a text in a
// step does not change its vector.
type embedQueue struct {
	embed Embedder
	most  int // requests none of whose texts are under way

	mu      sync.Mutex
	calls   []*embedCall // in order of arrival
	running bool
}

// embedCall is a request that waits for its vectors.
type embedCall struct {
	inputs   []Text
	vectors  [][]float32 // of the first inputs
	begun    bool
	gone     bool // nobody waits any more
	err      error
	panicked any
	done     chan struct{} // closed when the vectors, or the error, are there
}

// stepTexts bounds the texts that are offered for one step; an encoder seldom takes as many.
const stepTexts = 1024

// vectors waits for the vectors of inputs.
func (q *embedQueue) vectors(ctx context.Context, inputs []Text) ([][]float32, error) {
	c := &embedCall{inputs: inputs, done: make(chan struct{})}
	if err := q.enter(c); err != nil {
		return nil, err
	}
	select {
	case <-c.done:
	case <-ctx.Done():
		q.leave(c)
		return nil, context.Cause(ctx)
	}
	if c.panicked != nil {
		panic(c.panicked)
	}
	return c.vectors, c.err
}

func (q *embedQueue) enter(c *embedCall) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.waiting() >= q.most {
		return overloaded(q.most, time.Second)
	}
	q.calls = append(q.calls, c)
	if !q.running {
		q.running = true
		go q.run()
	}
	return nil
}

// waiting is the number of requests that the encoder has not begun; the lock is held.
func (q *embedQueue) waiting() (n int) {
	for _, c := range q.calls {
		if !c.begun && !c.gone {
			n++
		}
	}
	return n
}

func (q *embedQueue) leave(c *embedCall) {
	q.mu.Lock()
	defer q.mu.Unlock()
	c.gone = true
}

// run makes steps until nobody waits.
func (q *embedQueue) run() {
	for {
		texts, from := q.next()
		if len(texts) == 0 {
			return
		}
		q.step(texts, from)
	}
}

// next chooses the texts of a step and tells whose each is.
func (q *embedQueue) next() (texts []Text, from []*embedCall) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.tidy()
	for round, more := 0, true; more; round++ {
		more = false
		for _, c := range q.calls {
			if left := c.inputs[len(c.vectors):]; round < len(left) && len(texts) < stepTexts {
				texts, from, more = append(texts, left[round]), append(from, c), true
				c.begun = true
			}
		}
	}
	q.running = len(texts) > 0
	return texts, from
}

// tidy drops the requests that have their answer or that nobody waits for.
func (q *embedQueue) tidy() {
	live := q.calls[:0]
	for _, c := range q.calls {
		if !c.gone && !c.finished() {
			live = append(live, c)
		}
	}
	clear(q.calls[len(live):])
	q.calls = live
}

func (c *embedCall) finished() bool {
	return len(c.vectors) == len(c.inputs) || c.err != nil || c.panicked != nil
}

// step lets the encoder work and hands out what it gave. Where it fails, requests are tried one by one: only the one at
// fault fails.
func (q *embedQueue) step(texts []Text, from []*embedCall) {
	vectors, panicked, err := q.work(texts)
	if err == nil && panicked == nil {
		q.give(from, vectors)
		return
	}
	if c := from[0]; !slices.ContainsFunc(from, func(o *embedCall) bool { return o != c }) {
		q.fail(c, err, panicked)
		return
	}
	for _, c := range distinct(from) {
		q.step(c.inputs[len(c.vectors):], slices.Repeat([]*embedCall{c}, len(c.inputs)-len(c.vectors)))
	}
}

// give hands out vectors: those of the first texts of a step.
func (q *embedQueue) give(from []*embedCall, vectors [][]float32) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, v := range vectors {
		c := from[i]
		if c.vectors = append(c.vectors, v); c.finished() {
			close(c.done)
		}
	}
}

func (q *embedQueue) fail(c *embedCall, err error, panicked any) {
	q.mu.Lock()
	defer q.mu.Unlock()
	c.err, c.panicked = err, panicked
	close(c.done)
}

func distinct(from []*embedCall) (out []*embedCall) {
	for _, c := range from {
		if !slices.Contains(out, c) {
			out = append(out, c)
		}
	}
	return out
}

// work calls the encoder. Its panic is that of the requests.
func (q *embedQueue) work(texts []Text) (vectors [][]float32, panicked any, err error) {
	defer func() {
		if p := recover(); p != nil {
			panicked = fmt.Sprintf("%v\n%s", p, debug.Stack())
		}
	}()
	vectors, err = q.embed(texts)
	if err == nil && (len(vectors) == 0 || len(vectors) > len(texts)) {
		err = fmt.Errorf("%d vectors for %d inputs", len(vectors), len(texts))
	}
	if err != nil {
		err = fmt.Errorf("embedding: %w", err)
	}
	return vectors, nil, err
}
