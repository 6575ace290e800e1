package recipe

import (
	"math"
	"testing"

	"hone/eval"
)

func comparison(ratio, upper, kld float64) *eval.Comparison {
	return &eval.Comparison{PPLRatio: eval.Ratio{Value: ratio, Upper95: eval.Number(upper)}, KLD: eval.KLD{Mean: kld}}
}

func TestChoose(t *testing.T) {
	row := func(prefill, decode, kld float64, inside bool) Row {
		return Row{Prefill: prefill, Decode: decode, Choose: comparison(1, 1, kld), Inside: inside}
	}
	for _, c := range []struct {
		name string
		rows []Row
		want int
	}{
		{"nothing fits", []Row{row(1000, 100, 0, false)}, -1},
		{"no rows", nil, -1},
		{"fastest", []Row{row(1000, 100, 0.1, true), row(2000, 200, 0.2, true)}, 1},
		{"fastest is refused", []Row{row(1000, 100, 0.1, true), row(2000, 200, 0.2, false)}, 0},
		{"tie goes to the lower divergence", []Row{row(1000, 100, 0.1, true), row(1030, 103, 0.2, true)}, 0},
		{"more than a tie", []Row{row(1000, 100, 0.1, true), row(1080, 108, 0.2, true)}, 1},
		{"a refused row wins no tie", []Row{row(1000, 100, 0.1, false), row(1030, 103, 0.2, true)}, 1},
	} {
		if got := choose(c.rows); got != c.want {
			t.Errorf("%s: row %d, want %d", c.name, got, c.want)
		}
	}
}

func TestChosen(t *testing.T) {
	variant := Row{Weights: "int8-row", Prefill: 1000, Decode: 100, Inside: true, Choose: comparison(1, 1, 0)}
	refused := variant
	refused.Inside = false
	for _, c := range []struct {
		parent float64
		row    Row
		want   string
	}{{100, variant, "int8-row"}, {104, variant, "int8-row"}, {120, variant, AsStored}, {120, refused, ""}} {
		if got := chosen(Row{Weights: AsStored, Prefill: 1000 * c.parent / 100, Decode: c.parent}, []Row{c.row}); got != c.want {
			t.Errorf("model at %v tokens/s: chosen %q, want %q", c.parent, got, c.want)
		}
	}
}

// pairsOf makes windows of 100 targets whose child is worse by the given differences a target.
func pairsOf(diffs ...float64) eval.Pairs {
	var p eval.Pairs
	for _, d := range diffs {
		p = append(p, eval.Pair{Parent: 300, Child: 300 + 100*d, KLD: make([]float64, 100)})
	}
	return p
}

func TestFillAndHopeless(t *testing.T) {
	steady := pairsOf(0.004, 0.005, 0.004, 0.005, 0.004, 0.005)
	var r Row
	fill(&r, steady, 6, 1.01)
	if !r.Inside {
		t.Errorf("a steady ratio of %v misses 1.01", r.Quality.PPLRatio)
	}
	fill(&r, steady, 8, 1.01)
	if r.Inside {
		t.Error("a candidate that was given up is inside")
	}
	wild := pairsOf(0.3, -0.3, 0.3, -0.3, 0.01, 0.0)
	fill(&r, wild, 6, 1.01)
	if r.Inside {
		t.Errorf("a ratio known to ± %v is inside", float64(r.Quality.PPLRatio.SE))
	}
	if hopeless(wild, 1.01) || hopeless(steady, 1.01) || hopeless(pairsOf(2, 2), 1.01) {
		t.Error("given up too early")
	}
	if !hopeless(pairsOf(0.2, 0.3, 0.2, 0.3), 1.01) {
		t.Error("a ratio of 1.28 is not given up")
	}
	if math.IsNaN(r.Quality.PPLRatio.Value) {
		t.Error("no ratio")
	}
}

func TestBudgetText(t *testing.T) {
	if b, err := BudgetText("ppl=1.02"); err != nil || b != 1.02 {
		t.Error(b, err)
	}
	for _, bad := range []string{"", "1.01", "ppl=", "ppl=0.9", "ppl=NaN", "kld=0.1", "ppl=x"} {
		if _, err := BudgetText(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}
