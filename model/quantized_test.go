package model

import (
	"math"
	"path/filepath"
	"testing"
)

// quantizedFormats are the number formats that the q projection and the down projection of each directory are served in.
var quantizedFormats = map[string][2]string{
	"gptq-4-g32":          {"int4-g32", "int4-g32"},
	"gptq-4-g32-asym-v2":  {"int4-g32-asym", "int4-g32-asym"},
	"gptq-4-g32-act":      {"int4-g32", "int4-g32"},
	"gptq-4-g64-asym-old": {"int4-g64-asym", "f32"}, // 96 columns are a group and a half
	"gptq-4-g16":          {"f32", "f32"},
	"gptq-8-row-asym":     {"int8-row-asym", "int8-row-asym"},
	"gptq-3-g32":          {"int4-g32-asym", "int4-g32-asym"},
	"gptq-2-g32-asym":     {"int4-g32-asym", "int4-g32-asym"},
	"awq-g32":             {"int4-g32-asym", "int4-g32-asym"},
	"awq-row-old":         {"int4-row-asym", "int4-row-asym"},
	"ct-4-g32":            {"int4-g32", "int4-g32"},
	"ct-4-g32-asym-f32":   {"int4-g32-asym", "int4-g32-asym"},
	"ct-4-g32-act":        {"int4-g32", "int4-g32"},
	"ct-6-channel":        {"int8-row-asym", "int8-row-asym"},
	"ct-w8a8":             {"w8a8", "w8a8"},
	"ct-w8a8-static":      {"int8-row-a8", "int8-row-a8"},
	"ct-mixed":            {"int8-row-asym", "int4-g32"},
}

// TestQuantizedDirectories: the logits of directories that Python tools packed (internal/oracle/quantized.py) are those of
// their dequantized weights; as they are served, with 16-bit inputs of products (int8 where they ask for it), they are near them.
func TestQuantizedDirectories(t *testing.T) {
	dirs, err := filepath.Glob("testdata/quantized/*")
	if err != nil || len(dirs) != len(quantizedFormats) {
		t.Fatalf("%d directories: %v", len(dirs), err)
	}
	for _, dir := range dirs {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			var want struct {
				IDs         []int32
				First, Last []float32
			}
			readJSONFile(t, filepath.Join(dir, "logits.json"), &want)
			for weights, most := range map[string]float64{"f32": 5e-5, "": 0.5} {
				m, x := load(t, dir, weights, 16)
				out := logits(t, x, want.IDs)
				n := x.Vocab()
				if d := max(farthest(out[2*n:3*n], want.First), farthest(out[len(out)-n:], want.Last)); d > most {
					t.Errorf("weights %q: a logit is off by %v, at most %v", weights, d, most)
				} else {
					t.Logf("weights %q: %v", weights, d)
				}
				checkFormats(t, m, quantizedFormats[filepath.Base(dir)])
			}
		})
	}
}

func farthest(got, want []float32) float64 {
	d := 0.0
	for i, v := range want {
		d = max(d, math.Abs(float64(got[i]-v)))
	}
	return d
}

func checkFormats(t *testing.T, m *Model, want [2]string) {
	t.Helper()
	for i, name := range []string{"model.layers.0.self_attn.q_proj.weight", "model.layers.0.mlp.down_proj.weight"} {
		w, err := m.Matrix(name)
		if err != nil {
			t.Fatal(err)
		}
		info, _ := m.File.Info(name)
		if w.Format() != want[i] || info.Format != want[i] {
			t.Errorf("%s is served as %s and listed as %s, want %s", name, w.Format(), info.Format, want[i])
		}
	}
}
