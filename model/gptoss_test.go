package model

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hone/quant"
)

// TestMXFP4Directory: gpt-oss as it was published, experts in 4-bit floats (internal/oracle/mxfp4.py), gives the logits of
// its decoded weights, from the directory and from the GGUF file that is written of it.
func TestMXFP4Directory(t *testing.T) {
	const dir = "testdata/gptoss-mxfp4"
	var want struct {
		IDs         []int32
		First, Last []float32
	}
	readJSONFile(t, filepath.Join(dir, "logits.json"), &want)
	check := func(form, path, weights string, most float64) {
		_, x := load(t, path, weights, 16)
		out := logits(t, x, want.IDs)
		n := x.Vocab()
		if d := max(farthest(out[2*n:3*n], want.First), farthest(out[len(out)-n:], want.Last)); d > most {
			t.Errorf("%s, weights %q: a logit is off by %v, at most %v", form, weights, d, most)
		} else {
			t.Logf("%s, weights %q: %v", form, weights, d)
		}
	}
	check("directory", dir, "f32", 1e-4)
	check("directory", dir, "", 0.5)
	m := expect(t, "directory", dir, "")
	for _, name := range []string{"gate_proj", "up_proj", "down_proj"} {
		w, err := m.Matrix("model.layers.1.mlp.experts.2." + name + ".weight")
		if err != nil || w.Format() != "mxfp4" {
			t.Errorf("%s is served as %v: %v", name, w, err)
		}
	}
	checkKept(t, m)
	path, err := asGGUF(t, m)
	if err != nil {
		t.Fatal(err)
	}
	check("GGUF", path, "f32", 1e-4)
	check("written again", asHF(t, m), "f32", 1e-4)
}

// checkKept: a GGUF file can take the experts' blocks without a rounding.
func checkKept(t *testing.T, m *Model) {
	t.Helper()
	stored, err := m.Design.GGUFTensors()
	if err != nil {
		t.Fatal(err)
	}
	kept := 0
	for _, s := range stored {
		if !strings.Contains(s.Name, "_exps.weight") {
			continue
		}
		w, err := s.Matrix(m)
		if err != nil {
			t.Fatal(err)
		}
		rows, cols := w.Dims()
		row, ok := quant.AppendRow(nil, w, rows-1)
		if !ok || w.Format() != "mxfp4" || len(row) != cols/32*17 {
			t.Errorf("%s would be written as %s, %d bytes a row, %v", s.Name, w.Format(), len(row), ok)
			continue
		}
		kept++
		again, err := quant.FromBytes("mxfp4", 1, cols, row)
		if err != nil {
			t.Fatal(err)
		}
		a, b := make([]float32, cols), make([]float32, cols)
		w.ReadRow(a, rows-1)
		if again.ReadRow(b, 0); !slices.Equal(a, b) {
			t.Errorf("%s: the last row changes its values", s.Name)
		}
	}
	if kept != 3*2 {
		t.Errorf("%d banks are kept, want 6", kept)
	}
}
