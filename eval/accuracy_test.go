package eval

import (
	"encoding/json"
	"math"
	"testing"
)

// TestMcNemar: p-values by exact binomial sums of whole numbers, and by chi-squared with continuity correction beyond exactFlips.
func TestMcNemar(t *testing.T) {
	for _, c := range []struct {
		lost, won int
		p         float64
	}{
		{0, 0, 1}, {1, 1, 1}, {0, 1, 1}, {0, 5, 0.0625}, {5, 0, 0.0625}, {2, 8, 0.109375}, {10, 25, 0.01667384780},
		{480, 520, 0.21744829320}, {600, 700, 0.00603698110},
	} {
		if got := mcNemar(c.lost, c.won); math.Abs(got-c.p) > 1e-8 {
			t.Errorf("%d lost, %d won: %v, want %v", c.lost, c.won, got, c.p)
		}
	}
}

// made are outcomes with the given choices; choice 1 is right.
func made(choices ...int) []Outcome {
	var out []Outcome
	for _, c := range choices {
		out = append(out, Outcome{Choice: c, Right: c == 1, Norm: 1 - c%2, RightNorm: c%2 == 0, LL: []float64{-math.Ln2}})
	}
	return out
}

func TestPair(t *testing.T) {
	a := &Asked{Task: &Task{Name: "x", Kind: Choose}}
	child, parent := made(1, 1, 0, 2, 0, 1), made(1, 0, 1, 3, 0, 1)
	p, err := a.Pair(child, parent)
	if err != nil {
		t.Fatal(err)
	}
	if p.Won != 1 || p.Lost != 1 || p.Flips != 2 || p.McNemar != 1 || math.Abs(p.Same-0.5) > 1e-12 || p.Accuracy.Value != 0.5 {
		t.Errorf("%+v", p)
	}
	// SE of the difference: differences 0 1 -1 0 0 0 have variance 2/5, and there are 6 of them.
	if p.Difference.Value != 0 || math.Abs(float64(p.Difference.SE)-math.Sqrt(2.0/5/6)) > 1e-12 {
		t.Errorf("%+v", p.Difference)
	}
	if n := p.ByNorm; n == nil || n.Won != 2 || n.Lost != 1 {
		t.Errorf("%+v", n)
	}
	r := a.Sum(child)
	if r.Items != 6 || r.Accuracy.Value != 0.5 || math.Abs(float64(r.Accuracy.SE)-math.Sqrt(0.25/5)) > 1e-12 || r.Normalised.Value != 0.5 || r.PPL != nil {
		t.Errorf("%+v", r)
	}
	if _, err := a.Pair(child, parent[:3]); err == nil {
		t.Error("outcomes of other items")
	}
	recall := &Asked{Task: &Task{Name: "x", Kind: Recall}}
	if r := recall.Sum(child); r.Normalised != nil || math.Abs(float64(*r.PPL)-2) > 1e-12 {
		t.Errorf("%+v", r)
	}
	if p, _ := recall.Pair(child, parent); math.Abs(p.Same-4.0/6) > 1e-12 {
		t.Errorf("%+v", p)
	}
	b, err := json.Marshal(a.Sum(made(1)))
	if want := `{"task":"x","items":1,"accuracy":{"value":1,"se":null},"accuracy_norm":{"value":0,"se":null}}`; err != nil || string(b) != want {
		t.Errorf("%s, %v; want %s", b, err, want)
	}
}
