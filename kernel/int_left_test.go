package kernel

import (
	"math/rand/v2"
	"testing"
)

// TestIntLeft: every implementation gives what the definition leaves over, to the last bit, and writes nothing beyond.
func TestIntLeft(t *testing.T) {
	eachInt(t, func(t *testing.T) {
		for _, group := range []int{32, 64, 128} {
			for n := 1; n <= 300; n += 7 {
				rng := rand.New(rand.NewPCG(uint64(group), uint64(n)))
				x := make([]float32, n)
				for i := range x {
					x[i] = float32(rng.NormFloat64())
				}
				row := make([]byte, IntRowBytes((n+group-1)/group*group, group))
				IntQuantize(row, x, group, false)
				got := make([]float32, n+1)
				got[n] = 77
				IntLeft(got[:n], x, row, group)
				for i, v := range x {
					record := row[i/group*(group+IntMeta):]
					scaled := float32(-float32At(record[group:], metaScale/4) * float32(int8(record[i%group])))
					if want := scaled + v; got[i] != want {
						t.Fatalf("group %d, %d values: value %d leaves %v, want %v", group, n, i, got[i], want)
					}
				}
				if got[n] != 77 {
					t.Fatalf("group %d, %d values: written beyond", group, n)
				}
			}
		}
	})
}
