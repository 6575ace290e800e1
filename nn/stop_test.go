package nn

import (
	"errors"
	"sync/atomic"
	"testing"

	"hone/kernel"
)

// TestStop: a load can be given up at any moment, while it only reads and while it rounds, and so can a batch.
func TestStop(t *testing.T) {
	pool := kernel.NewPool(2)
	defer pool.Close()
	src, stop := newRandomSource(tinyLlama(), 1), errors.New("enough")
	for _, format := range []string{"", "int8-row", "int4-g32-asym-mse"} {
		for after := int64(0); ; after = after*2 + 1 {
			var asked atomic.Int64
			x, err := New(tinyLlama(), src, Options{MaxTokens: 8, Pool: pool, Formats: inFormat(format), Stop: func() error {
				if asked.Add(1) > after {
					return stop
				}
				return nil
			}})
			if err == nil {
				if n := asked.Load(); n == 0 || after == 0 {
					t.Errorf("%q: asked %d times, not stopped after %d", format, n, after)
				}
				stopBatch(t, x, stop)
				break
			}
			if !errors.Is(err, stop) || x != nil {
				t.Fatalf("%q after %d: %v", format, after, err)
			}
		}
	}
}

// stopBatch gives up a batch in its middle; the next one runs.
func stopBatch(t *testing.T, x *Exec, stop error) {
	t.Helper()
	b, asked := Batch{Tokens: []int32{1, 2, 3}, Seqs: []Seq{{Len: 3}}}, 0
	b.Stop = func() error {
		if asked++; asked > 3 {
			return stop
		}
		return nil
	}
	logits := make([]float32, x.Vocab())
	if err := x.Forward(&b); !errors.Is(err, stop) || asked != 4 || x.Logits(logits, []int32{0}) == nil {
		t.Errorf("%v, asked %d times; hidden states of a batch that was given up can be read", err, asked)
	}
	b.Stop = nil
	if err := x.Forward(&b); err != nil {
		t.Error(err)
	}
	if err := x.Logits(logits, []int32{2}); err != nil {
		t.Error(err)
	}
}
