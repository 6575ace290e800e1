package eval

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func near(t *testing.T, what string, got, want, tol float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tol) {
		t.Errorf("%s: %.12g, want %.12g ± %g", what, got, want, tol)
	}
}

// The numbers of this test are NumPy's and SciPy's.
func TestClustered(t *testing.T) {
	sum, n := []float64{10, 14.5, 9.25, 20}, []int{4, 6, 4, 9}
	mean, se := clustered(sum, n)
	near(t, "mean", mean, 2.3369565217391304, 1e-14)
	near(t, "se", se, 0.0660319170851821, 1e-14)
	if _, se := clustered(sum[:1], n[:1]); !math.IsNaN(se) {
		t.Errorf("one window has standard error %v, want NaN", se)
	}
}

func TestSummary(t *testing.T) {
	kld := func(n int, v float64) []float64 { return slices.Repeat([]float64{v}, n) }
	c := Pairs{
		{10, 10.5, kld(4, 0.1), 4}, {14.5, 15, kld(6, 0.2), 3}, {9.25, 9.25, kld(4, 0), 4}, {20, 21, kld(9, 0.3), 6},
	}.Summary()
	near(t, "ratio", c.PPLRatio.Value, 1.0908492504589336, 1e-14)
	near(t, "se", float64(c.PPLRatio.SE), 0.023988961914661898, 1e-14)
	near(t, "upper", float64(c.PPLRatio.Upper95), 1.1487903787627933, 1e-7)
	near(t, "ppl", c.PPL, 11.289951061531498, 1e-12)
	near(t, "parent", c.ParentPPL, 10.34968952564406, 1e-12)
	near(t, "kld", c.KLD.Mean, (0.4+1.2+2.7)/23, 1e-14)
	near(t, "p50", c.KLD.P50, 0.2, 0)
	near(t, "p99", c.KLD.P99, 0.3, 0)
	near(t, "same", c.SameTop1, 17.0/23, 1e-15)
	if c.Tokens != 23 || c.Windows != 4 {
		t.Errorf("%d tokens, %d windows", c.Tokens, c.Windows)
	}
}

func TestQuantile(t *testing.T) {
	x := []float64{0.1, 0.2, 0.3, 0.5, 0.7, 0.9}
	for q, want := range map[float64]float64{0: 0.1, 0.25: 0.225, 0.5: 0.4, 0.99: 0.89, 1: 0.9} {
		near(t, "quantile", quantile(x, q), want, 1e-15)
	}
	near(t, "of one", quantile(x[:1], 0.99), 0.1, 0)
}

func TestStudent(t *testing.T) {
	want := map[int]float64{1: 6.313751514675037, 2: 2.9199855803537242, 5: 2.0150483733330233, 10: 1.8124611228116756, 11: 1.7958848187040433,
		12: 1.782287555649319, 15: 1.753050355692572, 19: 1.7291328115213682, 20: 1.7247182429207866, 30: 1.697260886593957, 100: 1.6602343260853392, 1000: 1.6463788172854643}
	for df, v := range want {
		near(t, "t", student95(df), v, 1e-5)
	}
	if !math.IsInf(student95(0), 1) {
		t.Error("no degree of freedom must give no bound")
	}
}

// TestUpperCovers: over many made-up experiments with 10 unequal windows the bound lies above the truth about 95 times
// in 100. A normal quantile in place of Student's falls below the limit.
func TestUpperCovers(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	const trials, truth = 4000, 0.02
	covered := 0
	for range trials {
		diff, n := make([]float64, 10), make([]int, 10)
		for i := range diff {
			n[i] = 480 + r.IntN(64)
			diff[i] = float64(n[i]) * (truth + 0.01*r.NormFloat64())
		}
		log, se := clustered(diff, n)
		if float64(ratio(log, se, len(n)).Upper95) >= math.Exp(truth) {
			covered++
		}
	}
	if share := float64(covered) / trials; share < 0.94 || share > 0.96 {
		t.Errorf("the bound covers the truth in %.1f %% of experiments, want about 95 %%", 100*share)
	}
}

// TestClusteredLaws: scaling and doubling behave as for a mean with independent clusters.
func TestClusteredLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.SliceOfN(rapid.IntRange(1, 50), 2, 20).Draw(t, "n")
		sum := rapid.SliceOfN(rapid.Float64Range(-100, 100), len(n), len(n)).Draw(t, "sum")
		mean, se := clustered(sum, n)
		if se < 0 || math.IsNaN(se) {
			t.Fatalf("se %v", se)
		}
		scaled := slices.Clone(sum)
		for i := range scaled {
			scaled[i] *= 3
		}
		m3, se3 := clustered(scaled, n)
		twice, tse := clustered(slices.Concat(sum, sum), slices.Concat(n, n))
		w := float64(len(n))
		for _, c := range [][2]float64{{m3, 3 * mean}, {se3, 3 * se}, {twice, mean}, {tse, se * math.Sqrt((w-1)/(2*w-1))}} {
			if math.Abs(c[0]-c[1]) > 1e-9*(1+math.Abs(c[1])) {
				t.Fatalf("%v, want %v", c[0], c[1])
			}
		}
	})
}

func TestJSON(t *testing.T) {
	one := Pairs{{10, 10.5, []float64{0.1, 0.3}, 1}}.Summary()
	b, err := json.Marshal(one)
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"ppl", "se", "nll", "tokens", "windows", "parent_ppl", "kld", "same_top1", "ppl_ratio"} {
		if _, ok := m[key]; !ok {
			t.Errorf("no key %q in %s", key, b)
		}
	}
	ratio, kld := m["ppl_ratio"].(map[string]any), m["kld"].(map[string]any)
	if ratio["upper95"] != nil || ratio["se"] != nil || m["se"] != nil {
		t.Errorf("unknown numbers must be null: %s", b)
	}
	for _, key := range []string{"mean", "p50", "p99", "max"} {
		if _, ok := kld[key].(float64); !ok {
			t.Errorf("no number %q in %s", key, b)
		}
	}
	var back Comparison
	if err := json.Unmarshal(b, &back); err != nil || !math.IsNaN(float64(back.SE)) || back.PPL != one.PPL {
		t.Errorf("read back %+v, %v", back, err)
	}
}
