package main

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hone/internal/testdata"
	"hone/store"
)

// TestQuantize writes a variant into a directory and into the store, and uses it from there.
func TestQuantize(t *testing.T) {
	t.Setenv("HONE_HOME", filepath.Join(t.TempDir(), "store"))
	parent := testdata.Models(t, "all-minilm-l6-v2")
	dir := filepath.Join(t.TempDir(), "variant")
	var got quantizeReport
	decode(t, &got, "quantize", parent, "--weights", "int8-row", "--out", dir, "--json")
	if got.Path != dir || got.Difference != 0 || got.Weights != "int8-row" || got.BitsPerWeight < 8 || got.BitsPerWeight > 25 {
		t.Errorf("%+v", got)
	}
	var l store.Lineage
	if err := json.Unmarshal([]byte(read(t, filepath.Join(dir, "lineage.json"))), &l); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(l.ParentDigest, "sha256:") || l.Recipe != "quantize int8-row" || l.HoneVersion != version {
		t.Errorf("%+v", l)
	}
	var seen inspection
	seen.shape = &shape{}
	decode(t, &seen, "inspect", dir, "--json")
	if math.Abs(seen.Stored-got.BitsPerWeight) > 1e-9 || !seen.Served {
		t.Errorf("stored %v bits per weight, quantize said %v", seen.Stored, got.BitsPerWeight)
	}
	if out, errs, code := call(t, "quantize", parent, "--weights", "int8-row", "--out", dir); code != exitFailed || !strings.Contains(errs, "is there already") {
		t.Errorf("exit code %d, %s %s", code, out, errs)
	}

	must(t, "quantize", parent, "--weights", "int8-row", "--name", "mini8")
	if out := must(t, "list"); !strings.Contains(out, "mini8") || !strings.Contains(out, "quantize int8-row") {
		t.Error(out)
	}
	if out := must(t, "show", "mini8", "--verify"); !strings.Contains(out, "all files have their digests") {
		t.Error(out)
	}
	file := filepath.Join(t.TempDir(), "lines")
	if err := os.WriteFile(file, []byte("A cat sits on the mat.\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out := must(t, "eval", "mini8", "--cosine", file, "--parent", parent); !strings.Contains(out, "over 1 texts") {
		t.Error(out)
	}
	must(t, "rm", "mini8")
	if out := must(t, "list"); strings.Contains(out, "mini8") {
		t.Error(out)
	}
}

// TestQuantizeKeepsHead: a head that stays as it is stored, in blocks of GGUF, gives the same products when it is read back.
func TestQuantizeKeepsHead(t *testing.T) {
	t.Setenv("HONE_HOME", t.TempDir())
	var got quantizeReport
	decode(t, &got, "quantize", testdata.Models(t, smolLM2), "--weights", "int8-row", "--out", filepath.Join(t.TempDir(), "v"), "--json")
	if got.Difference != 0 {
		t.Errorf("the largest difference is %v", got.Difference)
	}
}

func TestDifference(t *testing.T) {
	nan := float32(math.NaN())
	if d := difference([]float32{1, -4}, []float32{1, -4}); d != 0 {
		t.Error(d)
	}
	if d := difference([]float32{1, -3}, []float32{1, -4}); d != 0.25 {
		t.Error(d)
	}
	if d := difference([]float32{nan, -4}, []float32{1, -4}); d <= tolerance {
		t.Errorf("%v: what is no number passes", d)
	}
}

// TestQuantizeInterrupted: nothing is left of a variant that was not finished.
func TestQuantizeInterrupted(t *testing.T) {
	home := filepath.Join(t.TempDir(), "store")
	t.Setenv("HONE_HOME", home)
	parent := testdata.Models(t, "all-minilm-l6-v2")
	into := t.TempDir()
	for _, args := range [][]string{{"--out", filepath.Join(into, "variant")}, {"--name", "mini8"}} {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		root := newRoot()
		root.SetArgs(append([]string{"quantize", parent, "--weights", "int8-row"}, args...))
		if err := root.ExecuteContext(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("%v: %v", args, err)
		}
	}
	left, err := os.ReadDir(into)
	if err != nil || len(left) != 0 {
		t.Errorf("%v left, %v", left, err)
	}
	if out := must(t, "list"); !strings.Contains(out, "no models") {
		t.Error(out)
	}
}
