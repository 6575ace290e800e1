package serve

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
)

// steps is an encoder that records the texts of each step, by their first id, and works when it is told to.
type steps struct {
	took  chan []int32
	goOn  chan struct{}
	limit int // texts a step
	bad   int32
}

func (s *steps) embed(inputs []Text) (out [][]float32, err error) {
	var ids []int32
	for _, in := range inputs[:min(s.limit, len(inputs))] {
		ids = append(ids, in.IDs[0])
		out = append(out, []float32{float32(in.IDs[0])})
	}
	s.took <- ids
	<-s.goOn
	switch {
	case s.bad > 0 && slices.Contains(ids, s.bad):
		panic(fmt.Sprintf("text %d", s.bad))
	case s.bad < 0 && slices.Contains(ids, -s.bad):
		return nil, fmt.Errorf("text %d", -s.bad)
	}
	return out, nil
}

// waits tells whether n requests wait.
func (q *embedQueue) waits(n int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.waiting() == n
}

// ask asks for texts with these ids and reports what came.
func ask(ctx context.Context, q *embedQueue, ids ...int32) <-chan string {
	out := make(chan string, 1)
	var texts []Text
	for _, id := range ids {
		texts = append(texts, Text{IDs: []int32{id}})
	}
	go func() {
		defer func() {
			if p := recover(); p != nil {
				out <- "panic: " + strings.SplitN(fmt.Sprint(p), "\n", 2)[0]
			}
		}()
		vectors, err := q.vectors(ctx, texts)
		out <- strings.TrimSpace(fmt.Sprintln(vectors, err))
	}()
	return out
}

func newSteps(limit int, bad int32) (*steps, *embedQueue) {
	s := &steps{took: make(chan []int32), goOn: make(chan struct{}), limit: limit, bad: bad}
	return s, &embedQueue{embed: s.embed, most: 8}
}

func (s *steps) expect(t *testing.T, want ...int32) {
	t.Helper()
	if got := <-s.took; !slices.Equal(got, want) {
		t.Errorf("a step takes %v, want %v", got, want)
	}
	s.goOn <- struct{}{}
}

func expect(t *testing.T, got <-chan string, want string) {
	t.Helper()
	if text := <-got; text != want {
		t.Errorf("%q, want %q", text, want)
	}
}

// TestEmbedQueue: requests that wait are brought together, one text of each in turn; one that goes away is dropped.
func TestEmbedQueue(t *testing.T) {
	s, q := newSteps(3, 0)
	waits := func(n int) { eventually(t, "requests wait", func() bool { return q.waits(n) }) }
	ctx, cancel := context.WithCancelCause(t.Context())
	first := ask(t.Context(), q, 1)
	if got := <-s.took; !slices.Equal(got, []int32{1}) {
		t.Fatalf("the first step takes %v", got)
	}
	long := ask(t.Context(), q, 10, 11, 12, 13, 14)
	waits(1)
	gone := ask(ctx, q, 20, 21)
	waits(2)
	short := ask(t.Context(), q, 30)
	waits(3)
	cancel(errors.New("hung up"))
	expect(t, gone, "[] hung up")
	s.goOn <- struct{}{}
	expect(t, first, "[[1]] <nil>")
	s.expect(t, 10, 30, 11)
	expect(t, short, "[[30]] <nil>")
	s.expect(t, 12, 13, 14)
	expect(t, long, "[[10] [11] [12] [13] [14]] <nil>")
	last := ask(t.Context(), q, 40)
	s.expect(t, 40)
	expect(t, last, "[[40]] <nil>")
}

// TestEmbedQueueFaults: the request at fault fails, those beside it do not.
func TestEmbedQueueFaults(t *testing.T) {
	for _, c := range []struct {
		bad  int32
		want string
	}{{20, "panic: text 20"}, {-20, "[] embedding: text 20"}} {
		s, q := newSteps(8, c.bad)
		first := ask(t.Context(), q, 1)
		if got := <-s.took; !slices.Equal(got, []int32{1}) {
			t.Fatalf("the first step takes %v", got)
		}
		good := ask(t.Context(), q, 10, 11)
		eventually(t, "one waits", func() bool { return q.waits(1) })
		bad := ask(t.Context(), q, 20)
		eventually(t, "two wait", func() bool { return q.waits(2) })
		s.goOn <- struct{}{}
		s.expect(t, 10, 20, 11)
		s.expect(t, 10, 11)
		s.expect(t, 20)
		expect(t, first, "[[1]] <nil>")
		expect(t, good, "[[10] [11]] <nil>")
		expect(t, bad, c.want)
	}
}

// TestEmbedQueueTogether: many requests at once each get their own vectors.
func TestEmbedQueueTogether(t *testing.T) {
	q := &embedQueue{most: 64, embed: func(inputs []Text) ([][]float32, error) { return embedder(inputs[:1+len(inputs)/2]) }}
	var wg sync.WaitGroup
	for i := range int32(50) {
		wg.Go(func() {
			var texts []Text
			for n := range 1 + i%7 {
				texts = append(texts, Text{IDs: make([]int32, 1+n+i)})
			}
			vectors, err := q.vectors(t.Context(), texts)
			want, _ := embedder(texts)
			if err != nil || !slices.EqualFunc(vectors, want, slices.Equal) {
				t.Errorf("request %d: %v, %v", i, vectors, err)
			}
		})
	}
	wg.Wait()
}
