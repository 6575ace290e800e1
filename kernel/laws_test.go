package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

const eps = 0x1p-24 // half a unit in the last place of 1

// A law tells what an operation on rows has to give. run writes dst (which holds old values) from the inputs; want gives
// element i in float64 and the error allowed.
type law struct {
	name   string
	inputs int
	run    func(dst []float32, in [][]float32)
	want   func(i int, old float32, in [][]float32) (value, bound float64)
}

const factor = -1.7

var laws = []law{
	{"Add", 2, func(d []float32, in [][]float32) { Add(d, in[0], in[1]) },
		func(i int, _ float32, in [][]float32) (float64, float64) { return float64(in[0][i] + in[1][i]), 0 }},
	{"Scale", 1, func(d []float32, in [][]float32) { Scale(d, in[0], factor) },
		func(i int, _ float32, in [][]float32) (float64, float64) { return float64(factor * in[0][i]), 0 }},
	{"Mul", 2, func(d []float32, in [][]float32) { Mul(d, in[0], in[1]) },
		func(i int, _ float32, in [][]float32) (float64, float64) { return float64(in[0][i] * in[1][i]), 0 }},
	{"Axpy", 1, func(d []float32, in [][]float32) { Axpy(d, factor, in[0]) },
		func(i int, old float32, in [][]float32) (float64, float64) {
			x := float64(float32(factor)) * float64(in[0][i])
			return float64(old) + x, 2 * eps * (math.Abs(float64(old)) + math.Abs(x))
		}},
	{"Exp", 1, func(d []float32, in [][]float32) { Exp(d, in[0]) },
		func(i int, _ float32, in [][]float32) (float64, float64) {
			w := math.Exp(float64(in[0][i]))
			return w, 3e-7 * w
		}},
	{"SiLUMul", 2, func(d []float32, in [][]float32) { SiLUMul(d, in[0], in[1]) },
		func(i int, _ float32, in [][]float32) (float64, float64) {
			g := float64(in[0][i])
			w := g / (1 + math.Exp(-g)) * float64(in[1][i])
			return w, 1e-6 * math.Abs(w)
		}},
	{"GELU", 1, func(d []float32, in [][]float32) { GELU(d, in[0]) },
		func(i int, _ float32, in [][]float32) (float64, float64) {
			x := float64(in[0][i])
			return x / 2 * (1 + math.Erf(x/math.Sqrt2)), 1e-6 * max(1, math.Abs(x))
		}},
	{"GELUTanh", 1, func(d []float32, in [][]float32) { GELUTanh(d, in[0]) },
		func(i int, _ float32, in [][]float32) (float64, float64) {
			x := float64(in[0][i])
			return x / 2 * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x))), 1e-6 * max(1, math.Abs(x))
		}},
	{"RMSNorm", 2, func(d []float32, in [][]float32) { RMSNorm(d, in[0], in[1], 1e-5) },
		func(i int, _ float32, in [][]float32) (float64, float64) {
			var s float64
			for _, v := range in[0] {
				s += float64(v) * float64(v)
			}
			w := float64(in[0][i]) / math.Sqrt(s/float64(len(in[0]))+1e-5) * float64(in[1][i])
			return w, (float64(len(in[0])) + 8) * eps * math.Abs(w)
		}},
	{"LayerNorm", 3, func(d []float32, in [][]float32) { LayerNorm(d, in[0], in[1], in[2], 1e-5) },
		func(i int, _ float32, in [][]float32) (float64, float64) {
			var mean, v float64
			n := float64(len(in[0]))
			for _, x := range in[0] {
				mean += float64(x) / n
			}
			for _, x := range in[0] {
				v += (float64(x) - mean) * (float64(x) - mean) / n
			}
			r := 1 / math.Sqrt(v+1e-5)
			w := (float64(in[0][i])-mean)*r*float64(in[1][i]) + float64(in[2][i])
			return w, (n + 8) * eps * (2*r*math.Abs(float64(in[1][i])) + math.Abs(w) + 1)
		}},
}

// check compares dst with the law.
func (l *law) check(t *testing.T, what string, dst, old []float32, in [][]float32) {
	t.Helper()
	for i, got := range dst {
		want, bound := l.want(i, old[i], in)
		if d := math.Abs(float64(got) - want); !(d <= bound) {
			t.Fatalf("%s %s of %d: element %d is %v, want %v ± %.2g", l.name, what, len(dst), i, got, want, bound)
		}
	}
}

// lengths are tried for every operation.
func lengths() []int {
	var out []int
	for n := range 301 {
		out = append(out, n)
	}
	if raceEnabled || testing.Short() {
		return append(out[:70], 127, 128, 129, 255, 300)
	}
	return out
}

// TestLaws runs every operation of every implementation on every length and alignment, between canaries.
func TestLaws(t *testing.T) {
	each(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(3, 4))
		for _, l := range laws {
			for _, n := range lengths() {
				for offset := range 8 {
					l.test(t, r, n, offset)
				}
			}
		}
	})
}

func (l *law) test(t *testing.T, r *rand.Rand, n, offset int) {
	t.Helper()
	var in [][]float32
	for i := range l.inputs {
		in = append(in, random(r, n+8)[(offset+3*i)%8:][:n:n])
	}
	const canary = 12345.75
	buf := random(r, n+80)
	for i := range buf {
		if i < 40+offset-8 || i >= 40+offset-8+n {
			buf[i] = canary
		}
	}
	dst := buf[32+offset:][:n:n]
	old := append([]float32(nil), dst...)
	l.run(dst, in)
	l.check(t, "", dst, old, in)
	for i, v := range buf {
		if (i < 32+offset || i >= 32+offset+n) && v != canary {
			t.Fatalf("%s of %d at offset %d wrote %d elements from its start", l.name, n, offset, i-32-offset)
		}
	}
	// In place: dst is the first input.
	again := append([][]float32{append([]float32(nil), in[0]...)}, in[1:]...)
	l.run(in[0], append([][]float32{in[0]}, in[1:]...))
	l.check(t, "in place", in[0], again[0], again)
}

// TestLawsAtPageEnds puts all operands against pages that may not be touched.
func TestLawsAtPageEnds(t *testing.T) {
	each(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(5, 6))
		for _, n := range []int{1, 3, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 100} {
			for _, front := range []bool{false, true} {
				var rows [4][]float32
				for i := range rows {
					rows[i] = guarded[float32](t, n, front)
				}
				for _, l := range laws {
					for _, row := range rows {
						copy(row, random(r, n))
					}
					old := append([]float32(nil), rows[3]...)
					l.run(rows[3], rows[:l.inputs])
					l.check(t, "at a page end", rows[3], old, rows[:l.inputs])
				}
				checkReductions(t, rows[0], rows[1])
				testPanelGuarded(t, r, n, front)
			}
		}
	})
}

func TestReductions(t *testing.T) {
	each(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(7, 8))
		for _, n := range lengths() {
			for offset := range 8 {
				checkReductions(t, random(r, n+8)[offset:][:n:n], random(r, n+8)[7-offset:][:n:n])
			}
		}
	})
}

// checkReductions holds every reduction of x (and y) against float64.
func checkReductions(t *testing.T, x, y []float32) {
	t.Helper()
	var dot, dotSize, sum, sumSize, sq, exps float64
	top, big, at := math.Inf(-1), 0.0, -1
	for i := range x {
		v, w := float64(x[i]), float64(y[i])
		dot, dotSize = dot+v*w, dotSize+math.Abs(v*w)
		sum, sumSize, sq = sum+v, sumSize+math.Abs(v), sq+v*v
		exps += math.Exp(v - 2)
		if v > top {
			top, at = v, i
		}
		big = max(big, math.Abs(v))
	}
	n := float64(len(x))
	near := func(name string, got float32, want, bound float64) {
		t.Helper()
		if d := math.Abs(float64(got) - want); d > bound {
			t.Fatalf("%s of %d = %v, want %v ± %.2g", name, len(x), got, want, bound)
		}
	}
	near("Dot", Dot(x, y), dot, (n+1)*eps*dotSize)
	near("SumSq", SumSq(x), sq, (n+1)*eps*sq)
	near("Sum", Sum(x), sum, (n+1)*eps*sumSize)
	near("AbsMax", AbsMax(x), big, 0)
	near("ExpSum", ExpSum(make([]float32, len(x)), x, 2), exps, (n*eps+5e-7)*exps)
	if got := Max(x); float64(got) != top {
		t.Fatalf("Max of %d = %v, want %v", len(x), got, top)
	}
	if got := ArgMax(x); got != at {
		t.Fatalf("ArgMax of %d = %v, want %v", len(x), got, at)
	}
	if lse := math.Log(exps) + 2; len(x) > 0 {
		near("LogSumExp", LogSumExp(x), lse, (n+8)*eps*(math.Abs(lse)+1))
	} else if got := LogSumExp(x); !math.IsInf(float64(got), -1) {
		t.Fatalf("LogSumExp of nothing = %v, want -Inf", got)
	}
}

func TestMaximaPassOverNaN(t *testing.T) {
	nan := float32(math.NaN())
	each(t, func(t *testing.T) {
		for _, n := range []int{1, 2, 5, 8, 9, 16, 17, 40, 64, 100, 131} {
			for at := range n {
				x := make([]float32, n)
				for i := range x {
					x[i] = nan
				}
				x[at] = -3
				if m, a, i := Max(x), AbsMax(x), ArgMax(x); m != -3 || a != 3 || i != at {
					t.Fatalf("n=%d, one number among NaNs at %d: Max, AbsMax, ArgMax = %v, %v, %v", n, at, m, a, i)
				}
				x[at] = nan
				if m, i := Max(x), ArgMax(x); !math.IsInf(float64(m), -1) || i != 0 {
					t.Fatalf("n=%d NaNs: Max, ArgMax = %v, %v", n, m, i)
				}
			}
		}
		x := make([]float32, 50)
		if got := ArgMax(x); got != 0 {
			t.Errorf("ArgMax of equal elements = %d, want the lowest index", got)
		}
	})
}

func TestExpSpecial(t *testing.T) {
	inf := float32(math.Inf(1))
	each(t, func(t *testing.T) {
		x := []float32{0, inf, -inf, float32(math.NaN()), 88.7, 88.8, 1e30, -87.3, -87.4, -1e30, 1e-30, float32(math.Copysign(0, -1))}
		for range 3 { // vectors and tails
			x = append(x, x...)
		}
		got := make([]float32, len(x))
		Exp(got, x)
		for i, v := range x {
			want := math.Exp(float64(v))
			if v < expMin {
				want = 0
			}
			g := float64(got[i])
			ok := g == want || math.Abs(g-want) <= 3e-7*want && !math.IsInf(want, 0) || math.IsNaN(g) && math.IsNaN(want) ||
				math.IsInf(g, 1) && want > math.MaxFloat32
			if !ok {
				t.Errorf("exp(%v) = %v, want %v", v, got[i], want)
			}
		}
	})
}

// TestExpError scans the whole range for the error that Exp promises.
func TestExpError(t *testing.T) {
	each(t, func(t *testing.T) {
		const n = 1 << 17
		x, got := make([]float32, n), make([]float32, n)
		for i := range x {
			x[i] = -87.3 + float32(i)*(176.0/n)
		}
		Exp(got, x)
		worst := 0.0
		for i, v := range x {
			want := math.Exp(float64(v))
			worst = max(worst, math.Abs(float64(got[i])-want)/want)
		}
		if worst > 3e-7 {
			t.Errorf("relative error %.3g, promised 3e-7", worst)
		}
	})
}

func TestRope(t *testing.T) {
	each(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(9, 10))
		for half := range 70 {
			x, cos, sin := random(r, 2*half+1), random(r, half), random(r, half)
			old := append([]float32(nil), x...)
			Rope(x[:2*half], cos, sin)
			for i := range half {
				a, b, c, s := float64(old[i]), float64(old[half+i]), float64(cos[i]), float64(sin[i])
				bound := 3 * eps * (math.Abs(a) + math.Abs(b)) * (math.Abs(c) + math.Abs(s))
				if math.Abs(float64(x[i])-(a*c-b*s)) > bound || math.Abs(float64(x[half+i])-(b*c+a*s)) > bound {
					t.Fatalf("half %d: pair %d became %v, %v", half, i, x[i], x[half+i])
				}
			}
			if x[2*half] != old[2*half] {
				t.Fatalf("half %d: wrote beyond the end", half)
			}
		}
	})
}

func testPanelGuarded(t *testing.T, r *rand.Rand, n int, front bool) {
	t.Helper()
	m, k := n%27+1, n
	a, b, c := guarded[float32](t, m*k, front), guarded[float32](t, k*PanelWidth, front), guarded[float32](t, m*PanelWidth, front)
	copy(a, random(r, len(a)))
	copy(b, random(r, len(b)))
	Panel(m, k, a, k, b, PanelWidth, c, PanelWidth, false)
	at := guarded[float32](t, m*k, front)
	copy(at, a)
	bt := guarded[float32](t, k*PanelWidth, front)
	copy(bt, b)
	for _, l := range layouts {
		got := guarded[float32](t, m*PanelWidth, front)
		lda, ldb := k, PanelWidth
		if l.ta {
			lda = m
		}
		if l.tb {
			ldb = k
		}
		l.f(nil, m, PanelWidth, k, at, lda, bt, ldb, got, PanelWidth, false)
	}
}

func ExamplePanel() {
	a := []float32{1, 2}
	b := make([]float32, 2*PanelWidth)
	b[0], b[PanelWidth] = 10, 100
	c := make([]float32, PanelWidth)
	Panel(1, 2, a, 2, b, PanelWidth, c, PanelWidth, false)
	fmt.Println(c[0])
	// Output: 210
}
