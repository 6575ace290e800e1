package kernel

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// countTask counts how often each piece is done.
type countTask struct {
	count   []atomic.Int32
	workers int
	spin    int
	t       testing.TB
}

func (c *countTask) Do(i, worker int) {
	if worker < 0 || worker >= c.workers {
		c.t.Errorf("piece %d: worker %d of %d", i, worker, c.workers)
	}
	c.count[i].Add(1)
	for range c.spin {
		pause(1)
	}
}

func (c *countTask) check(t testing.TB, times int32) {
	t.Helper()
	for i := range c.count {
		if got := c.count[i].Load(); got != times {
			t.Fatalf("piece %d was done %d times, want %d", i, got, times)
		}
	}
}

func TestPoolDoesEveryPieceOnce(t *testing.T) {
	for _, workers := range []int{0, 1, 2, 3, 7} {
		p := NewPool(workers)
		for n := range 40 {
			c := &countTask{count: make([]atomic.Int32, n), workers: p.Workers(), t: t}
			for range 20 {
				p.Run(n, c)
			}
			c.check(t, 20)
		}
		p.Close()
		p.Close()
		c := &countTask{count: make([]atomic.Int32, 5), workers: 1, t: t}
		p.Run(5, c)
		c.check(t, 1)
	}
	var none *Pool
	c := &countTask{count: make([]atomic.Int32, 5), workers: none.Workers(), t: t}
	none.Run(5, c)
	c.check(t, 1)
	none.Close()
}

// TestPoolWakes lets the workers fall asleep between runs.
func TestPoolWakes(t *testing.T) {
	p := NewPool(3)
	defer p.Close()
	c := &countTask{count: make([]atomic.Int32, 64), workers: 3, spin: 20, t: t}
	for i := range 60 {
		p.Run(64, c)
		time.Sleep(time.Duration(i%6) * 30 * time.Microsecond)
	}
	c.check(t, 60)
}

// nestedTask runs a pool from within a piece.
type nestedTask struct {
	p     *Pool
	inner *countTask
}

func (n *nestedTask) Do(int, int) { n.p.Run(len(n.inner.count), n.inner) }

func TestPoolNestedAndConcurrentRuns(t *testing.T) {
	p := NewPool(3)
	defer p.Close()
	inner := &countTask{count: make([]atomic.Int32, 10), workers: 3, t: t}
	p.Run(8, &nestedTask{p, inner})
	inner.check(t, 8)
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			c := &countTask{count: make([]atomic.Int32, 30), workers: 3, t: t}
			for range 200 {
				p.Run(30, c)
			}
			c.check(t, 200)
		})
	}
	wait.Wait()
}

func TestPoolRunAllocatesNothing(t *testing.T) {
	p := NewPool(2)
	defer p.Close()
	c := &countTask{count: make([]atomic.Int32, 30), workers: 2, t: t}
	if got := testing.AllocsPerRun(100, func() { p.Run(30, c) }); got != 0 {
		t.Errorf("Run allocates %v times", got)
	}
}

// TestPoolShrinksAndProbes feeds the pool stragglers by hand.
func TestPoolShrinksAndProbes(t *testing.T) {
	p := NewPool(3)
	defer p.Close()
	for range strikes {
		p.health.strike(p)
	}
	if got := p.limit.Load(); got != 2 {
		t.Fatalf("%d workers in use after %d stragglers, want 2", got, strikes)
	}
	for range 3 * strikes {
		p.health.strike(p)
	}
	if got := p.limit.Load(); got != 1 {
		t.Fatalf("%d workers in use, want 1: the caller is never taken away", got)
	}
	p.health.until.Store(int64(time.Since(poolEpoch)))
	c := &countTask{count: make([]atomic.Int32, 30), workers: 3, t: t}
	p.Run(30, c)
	c.check(t, 1)
	if got := p.limit.Load(); got != 3 {
		t.Errorf("%d workers in use after the penalty, want 3", got)
	}
	p.health.strike(p)
	if got := p.limit.Load(); got != 2 {
		t.Errorf("%d workers in use after a straggler right after the penalty, want 2", got)
	}
}

type emptyTask struct{}

func (emptyTask) Do(int, int) {}

// BenchmarkPoolDispatch is the price of a hot Run of 8 empty pieces.
func BenchmarkPoolDispatch(b *testing.B) {
	p := NewPool(2)
	defer p.Close()
	for b.Loop() {
		p.Run(8, emptyTask{})
	}
}
