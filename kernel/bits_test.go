package kernel

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// TestPanelBits cuts a panel into rows and into depths: no bit may change.
func TestPanelBits(t *testing.T) {
	each(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(11, 12))
		const m, k, lda, ldb = 29, 77, 80, 35
		a, b, c := random(r, m*lda), random(r, k*ldb), random(r, m*PanelWidth)
		for _, acc := range []bool{false, true} {
			want := append([]float32(nil), c...)
			Panel(m, k, a, lda, b, ldb, want, PanelWidth, acc)
			for rows := 1; rows <= m; rows++ {
				got := append([]float32(nil), c...)
				for i := 0; i < m; i += rows {
					Panel(min(rows, m-i), k, a[i*lda:], lda, b, ldb, got[i*PanelWidth:], PanelWidth, acc)
				}
				sameBits(t, fmt.Sprintf("%d rows at a time", rows), got, want)
			}
			for depth := 1; depth <= k; depth++ {
				got := append([]float32(nil), c...)
				for j := 0; j < k; j += depth {
					Panel(m, min(depth, k-j), a[j:], lda, b[j*ldb:], ldb, got, PanelWidth, acc || j > 0)
				}
				sameBits(t, fmt.Sprintf("%d deep at a time", depth), got, want)
			}
		}
	})
}

// TestGemmBits computes each product whole and in parts, with pools of several sizes: no bit may change, and the three
// layouts agree.
func TestGemmBits(t *testing.T) {
	const m, n, k = 205, 300, 530
	var pools []*Pool
	for _, workers := range []int{1, 2, 5} {
		p := NewPool(workers)
		defer p.Close()
		pools = append(pools, p)
	}
	r := rand.New(rand.NewPCG(13, 14))
	a, b := random(r, m*k), random(r, k*n)
	at, bt := transposed(a, m, k), transposed(b, k, n)
	each(t, func(t *testing.T) {
		if Active() == "go" && (raceEnabled || testing.Short()) {
			t.Skip("left out: the portable body takes long here")
		}
		want := make([]float32, m*n)
		GemmNN(nil, m, n, k, a, k, b, n, want, n, false)
		for _, p := range pools {
			got := make([]float32, m*n)
			GemmNN(p, m, n, k, a, k, b, n, got, n, false)
			sameBits(t, fmt.Sprintf("NN, %d workers", p.Workers()), got, want)
			GemmNT(p, m, n, k, a, k, bt, k, got, n, false)
			sameBits(t, fmt.Sprintf("NT, %d workers", p.Workers()), got, want)
			GemmTN(p, m, n, k, at, m, b, n, got, n, false)
			sameBits(t, fmt.Sprintf("TN, %d workers", p.Workers()), got, want)
		}
		for _, rows := range []int{1, 2, 7, 13, 32, 96, 100, 193} {
			for _, cols := range []int{n, 1, 31, 33, 257} {
				got := make([]float32, rows*cols)
				GemmNT(pools[1], rows, cols, k, a, k, bt, k, got, cols, false)
				for i := range rows {
					sameBits(t, fmt.Sprintf("NT %d by %d", rows, cols), got[i*cols:][:cols], want[i*n:][:cols])
				}
				GemmTN(pools[1], rows, cols, k, at, m, b, n, got, cols, false)
				for i := range rows {
					sameBits(t, fmt.Sprintf("TN %d by %d", rows, cols), got[i*cols:][:cols], want[i*n:][:cols])
				}
			}
		}
		// Depth in two parts.
		got := make([]float32, m*n)
		GemmNN(pools[1], m, n, 100, a, k, b, n, got, n, false)
		GemmNN(pools[1], m, n, k-100, a[100:], k, b[100*n:], n, got, n, true)
		sameBits(t, "NN in two depths", got, want)
	})
}

func transposed(x []float32, rows, cols int) []float32 {
	out := make([]float32, len(x))
	for i := range rows {
		for j := range cols {
			out[j*rows+i] = x[i*cols+j]
		}
	}
	return out
}

// TestRowBits moves rows over all alignments: no bit may change.
func TestRowBits(t *testing.T) {
	each(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(15, 16))
		const n = 143
		x, y := random(r, n), random(r, n)
		want := [...]float32{Dot(x, y), Sum(x), SumSq(x), ExpSum(make([]float32, n), x, 2), LogSumExp(x), variance(x, 0.1)}
		for offset := range 16 {
			a, b := append(make([]float32, offset), x...)[offset:], append(make([]float32, 16-offset), y...)[16-offset:]
			got := [...]float32{Dot(a, b), Sum(a), SumSq(a), ExpSum(make([]float32, n+offset)[offset:], a, 2), LogSumExp(a), variance(a, 0.1)}
			sameBits(t, fmt.Sprintf("offset %d", offset), got[:], want[:])
		}
	})
}

// TestPackPanelStaysInside packs the slices of an incomplete panel backwards: none may touch another.
func TestPackPanelStaysInside(t *testing.T) {
	const n, k = 45, 2*gemmKC + 3
	r := rand.New(rand.NewPCG(17, 18))
	b := random(r, n*k)
	each(t, func(t *testing.T) {
		var g gemmRun
		g.cut(gemmArgs{m: gemmFew + 1, n: n, k: k, a: make([]float32, (gemmFew+1)*k), rs: k, ks: 1, b: b, ldb: k, bT: true})
		for i := g.packTasks() - 1; i >= 0; i-- {
			g.packTask(i, 0)
		}
		for p := range g.panels {
			for j := range k {
				for x := range PanelWidth {
					want := float32(0)
					if col := p*PanelWidth + x; col < n {
						want = b[col*k+j]
					}
					if got := g.packedB[(p*k+j)*PanelWidth+x]; got != want {
						t.Fatalf("panel %d, row %d, column %d: %v, want %v", p, j, x, got, want)
					}
				}
			}
		}
	})
}
