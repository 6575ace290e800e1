package parallel

import (
	"sync"
	"testing"
)

// each runs one goroutine a rank and waits for all.
func each(n int, run func(g Group)) {
	var wg sync.WaitGroup
	for _, g := range NewMemory(n) {
		wg.Go(func() { run(g) })
	}
	wg.Wait()
}

// TestMemory: many rounds of both collectives, with lengths that differ between rounds and, for gathers, between ranks.
func TestMemory(t *testing.T) {
	for _, n := range []int{1, 2, 3, 5} {
		each(n, func(g Group) {
			if g.Size() != n {
				t.Errorf("size %d of %d", g.Size(), n)
			}
			for round := range 200 {
				checkReduce(t, g, round)
				checkGather(t, g, round)
			}
		})
	}
}

func checkReduce(t *testing.T, g Group, round int) {
	x := make([]float32, round%7)
	var want float32
	for i := range x {
		x[i] = float32((g.Rank() + 1) * (round + 1))
	}
	for rank := range g.Size() {
		want += float32((rank + 1) * (round + 1))
	}
	g.AllReduce(x)
	for i, v := range x {
		if v != want {
			t.Errorf("round %d, rank %d: sum %d is %v, want %v", round, g.Rank(), i, v, want)
		}
	}
}

func checkGather(t *testing.T, g Group, round int) {
	length := func(rank int) int { return (rank + round) % 4 }
	x := make([]float32, length(g.Rank()))
	for i := range x {
		x[i] = float32(100*g.Rank() + i)
	}
	parts := g.AllGather(x)
	clear(x) // the others read copies
	for rank, part := range parts {
		if len(part) != length(rank) {
			t.Errorf("round %d, rank %d: %d values of rank %d, want %d", round, g.Rank(), len(part), rank, length(rank))
		}
		for i, v := range part {
			if v != float32(100*rank+i) {
				t.Errorf("round %d, rank %d: value %d of rank %d is %v", round, g.Rank(), i, rank, v)
			}
		}
	}
}

// TestSumInRankOrder: the sum is taken in rank order whichever rank comes first: (1e8 + 1) - 1e8 is 0 in f32, another
// order gives 1.
func TestSumInRankOrder(t *testing.T) {
	values := []float32{1e8, 1, -1e8}
	for range 50 {
		each(3, func(g Group) {
			x := []float32{values[g.Rank()]}
			g.AllReduce(x)
			if x[0] != 0 {
				t.Errorf("rank %d: %v, want the sum in rank order, 0", g.Rank(), x[0])
			}
		})
	}
}
