package kernel

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

// each runs a test once with every implementation of this machine.
func each(t *testing.T, f func(t *testing.T)) {
	before := Active()
	t.Cleanup(func() { _ = Use(before) })
	for _, name := range Implementations() {
		if err := Use(name); err != nil {
			t.Fatal(err)
		}
		t.Run(name, f)
	}
}

func TestUse(t *testing.T) {
	each(t, func(t *testing.T) {})
	if Implementations()[0] != "go" {
		t.Errorf("Implementations() = %v, want go first", Implementations())
	}
	if err := Use("sse"); err == nil {
		t.Error(`Use("sse") = nil, want an error`)
	}
	if err := obey(""); err != nil {
		t.Errorf("HONE_CPU unset: %v", err)
	}
	if err := obey("sse"); err == nil || !strings.Contains(err.Error(), "HONE_CPU") || !strings.Contains(err.Error(), "go") {
		t.Errorf("HONE_CPU=sse: %v, want an error that names the variable and the choices", err)
	}
}

func random(r *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = r.Float32()*4 - 2
	}
	return x
}

// product is the oracle of the three products in float64, with the sum of magnitudes for the error bound.
func product(m, n, k int, a, b func(i, j int) float32) (c, size []float64) {
	c, size = make([]float64, m*n), make([]float64, m*n)
	for i := range m {
		for x := range n {
			for j := range k {
				v := float64(a(i, j)) * float64(b(j, x))
				c[i*n+x] += v
				size[i*n+x] += math.Abs(v)
			}
		}
	}
	return c, size
}

type gemmFunc func(p *Pool, m, n, k int, a []float32, lda int, b []float32, ldb int, c []float32, ldc int, acc bool)

var layouts = []struct {
	name   string
	f      gemmFunc
	ta, tb bool
}{{"NT", GemmNT, false, true}, {"NN", GemmNN, false, false}, {"TN", GemmTN, true, false}}

func TestGemm(t *testing.T) {
	p := NewPool(2)
	defer p.Close()
	sizes := [][3]int{{1, 1, 1}, {300, 32, 0}, {3, 5, 7}, {13, 33, 17}, {25, 64, 257}, {97, 31, 65}, {200, 290, 9}}
	if !raceEnabled {
		sizes = append(sizes, [3]int{193, 70, 258})
	}
	each(t, func(t *testing.T) {
		for _, l := range layouts {
			for _, s := range sizes {
				for _, acc := range []bool{false, true} {
					testGemm(t, p, l.name, l.f, l.ta, l.tb, s[0], s[1], s[2], acc)
				}
			}
		}
	})
}

// TestGemmRandomSizes tries sizes about all the borders of the cut, with more workers than cores.
func TestGemmRandomSizes(t *testing.T) {
	p := NewPool(5)
	defer p.Close()
	border := func(r *rand.Rand, at ...int) int { return max(at[r.IntN(len(at))]+r.IntN(5)-2, 1) }
	r := rand.New(rand.NewPCG(21, 22))
	for range 40 {
		m, n, k := border(r, 1, 12, 24, 96, gemmFew, 240), border(r, 1, 32, 64, 8*PanelWidth, 300), border(r, 1, 4, 40, gemmKC, 2*gemmKC)
		if m*n*k > 4_000_000 || raceEnabled && m*n*k > 400_000 {
			continue
		}
		for _, l := range layouts {
			testGemm(t, p, l.name, l.f, l.ta, l.tb, m, n, k, r.IntN(2) == 0)
		}
	}
}

func testGemm(t *testing.T, p *Pool, name string, f gemmFunc, ta, tb bool, m, n, k int, acc bool) {
	r := rand.New(rand.NewPCG(uint64(m), uint64(n*1000+k)))
	lda, ldb, ldc := k+3, n+1, n+2
	a, b := random(r, m*lda), random(r, k*ldb)
	at := func(i, j int) float32 { return a[i*lda+j] }
	bt := func(j, x int) float32 { return b[j*ldb+x] }
	if ta {
		lda = m + 3
		a = random(r, k*lda)
		at = func(i, j int) float32 { return a[j*lda+i] }
	}
	if tb {
		ldb = k + 1
		b = random(r, n*ldb)
		bt = func(j, x int) float32 { return b[x*ldb+j] }
	}
	c := random(r, m*ldc)
	old := append([]float32(nil), c...)
	f(p, m, n, k, a, lda, b, ldb, c, ldc, acc)
	want, size := product(m, n, k, at, bt)
	for i := range m {
		for x := range n {
			w, bound := want[i*n+x], size[i*n+x]
			if acc {
				w += float64(old[i*ldc+x])
				bound += math.Abs(float64(old[i*ldc+x]))
			}
			if d := math.Abs(float64(c[i*ldc+x]) - w); d > float64(k+1)*0x1p-24*bound {
				t.Fatalf("%s %d×%d×%d acc=%v: C[%d,%d] = %v, want %v", name, m, n, k, acc, i, x, c[i*ldc+x], w)
			}
		}
		for x := n; x < ldc; x++ {
			if c[i*ldc+x] != old[i*ldc+x] {
				t.Fatalf("%s %d×%d×%d: C[%d,%d] beyond the last column was written", name, m, n, k, i, x)
			}
		}
	}
}
