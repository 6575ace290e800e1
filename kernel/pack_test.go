package kernel

import (
	"math/rand/v2"
	"testing"
)

// TestColumns: element by element, on every implementation, rows further apart than they are long.
func TestColumns(t *testing.T) {
	before := Active()
	defer func() { _ = Use(before) }()
	r := rand.New(rand.NewPCG(3, 4))
	for _, name := range Implementations() {
		_ = Use(name)
		for _, n := range []int{0, 1, 3, 4, 31, 32, 64, 80} {
			ld := n + 5
			src, dst := random(r, PanelWidth*ld), make([]float32, n*PanelWidth+1)
			Columns(dst[:n*PanelWidth], src, ld, n)
			for j := range n {
				for x := range PanelWidth {
					if dst[j*PanelWidth+x] != src[x*ld+j] {
						t.Fatalf("%s, %d rows: element %d of row %d is %v, want %v", name, n, x, j, dst[j*PanelWidth+x], src[x*ld+j])
					}
				}
			}
			if dst[n*PanelWidth] != 0 {
				t.Errorf("%s, %d rows: wrote beyond the last", name, n)
			}
		}
	}
}
