package model

import (
	"math"
	"strings"
	"testing"

	"hone/internal/testdata"
	"hone/kernel"
)

// TestPlan holds the plan against what loading really takes.
func TestPlan(t *testing.T) {
	m, err := Open(testdata.Data(t, "models/babyllama-tok361-gguf/babyllama-tok361-f32.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	defer m.File.Close()
	pool := kernel.NewPool(1)
	defer pool.Close()
	for _, spec := range []string{"", "bf16", "int8-row", "int4-g128,head=int8-row"} {
		w, err := ParseWeights(spec)
		if err != nil {
			t.Fatal(err)
		}
		plan, err := m.Plan(w)
		if err != nil {
			t.Fatal(err)
		}
		x, err := m.Load(LoadOptions{Weights: w, MaxTokens: 16, Pool: pool})
		if err != nil {
			t.Fatal(err)
		}
		got, want := float64(plan.Weights()), float64(x.Memory().Weights)
		if got < 0.97*want || got > 1.6*want { // the table beside a tied head counts, padding of panels does not
			t.Errorf("%q: the plan says %.0f bytes of weights, loading took %.0f", spec, got, want)
		}
		if x.Memory().Activations > plan.Activations(16) {
			t.Errorf("%q: the plan says %d bytes of activations, loading took %d", spec, plan.Activations(16), x.Memory().Activations)
		}
		if plan.Values() != 1015424 { // the file holds the head beside the embedding that it was tied to
			t.Errorf("%q: %d values", spec, plan.Values())
		}
		if spec == "" && math.Abs(plan.BitsPerWeight()-32) > 1e-9 {
			t.Errorf("%v bits per weight of an f32 file", plan.BitsPerWeight())
		}
	}
	w, err := ParseWeights("int4-g128")
	if err != nil {
		t.Fatal(err)
	}
	plan, err := m.Plan(w)
	if err != nil {
		t.Fatal(err)
	}
	if notes := plan.Notes(); len(notes) != 1 || !strings.Contains(notes[0], "does not divide 352 columns") {
		t.Errorf("notes %q", notes)
	}
}
