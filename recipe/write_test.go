package recipe

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hone/eval"
	"hone/internal/testdata"
	"hone/kernel"
	"hone/model"
	"hone/nn"
)

func open(t *testing.T, path string) *model.Model {
	t.Helper()
	m, err := model.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.File.Close() })
	return m
}

// logits runs some tokens through a model in given formats.
func logits(t *testing.T, m *model.Model, w model.Weights) []float32 {
	t.Helper()
	pool := kernel.NewPool(1)
	defer pool.Close()
	x, err := m.Load(model.LoadOptions{Weights: w, MaxTokens: 8, Pool: pool})
	if err != nil {
		t.Fatal(err)
	}
	if err := x.Forward(&nn.Batch{Tokens: []int32{1, 17, 200, 3, 99}, Seqs: []nn.Seq{{Len: 5}}}); err != nil {
		t.Fatal(err)
	}
	out := make([]float32, 2*x.Vocab())
	if err := x.Logits(out, []int32{2, 4}); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestSavedVariant: what is saved gives the bits of the parent that is rounded while it is loaded, from a directory and
// from GGUF, whose rows stand in another order; its tokens are the parent's.
func TestSavedVariant(t *testing.T) {
	gguf := tinyGGUF(t)
	plain := filepath.Join(t.TempDir(), "plain")
	if err := Write(t.Context(), plain, open(t, gguf), model.Weights{}, nil); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{gguf, plain} {
		parent := open(t, path)
		for _, spec := range []string{"int4-g32-a8,head=int8-row", "int4-g32-asym-a8", "int4-g32-asym", "int8-g64", "int8-row", "int8-g32-a8,head=int8-row-a8", "w8a8", "bf16"} {
			w, err := model.ParseWeights(spec)
			if err != nil {
				t.Fatal(err)
			}
			dir := filepath.Join(t.TempDir(), "variant")
			if err := Write(t.Context(), dir, parent, w, map[string][]byte{"lineage.json": []byte("{}")}); err != nil {
				t.Fatalf("%s as %s: %v", path, spec, err)
			}
			saved := open(t, dir)
			kept := model.Weights{}
			if spec == "w8a8" { // the same codes and scales as int8-row; activations are rounded by choice
				kept.Linears = "w8a8"
			}
			got, want := logits(t, saved, kept), logits(t, parent, w)
			for i := range want {
				if math.Float32bits(got[i]) != math.Float32bits(want[i]) {
					t.Errorf("%s as %s: logit %d is %v, of the parent in this format %v", path, spec, i, got[i], want[i])
					break
				}
			}
			checkTokens(t, parent, saved)
			if b, err := os.ReadFile(filepath.Join(dir, "lineage.json")); err != nil || string(b) != "{}" {
				t.Errorf("lineage %q, %v", b, err)
			}
		}
	}
}

func checkTokens(t *testing.T, parent, saved *model.Model) {
	t.Helper()
	a, err := parent.Tokenizer()
	if err != nil {
		t.Fatal(err)
	}
	b, err := saved.Tokenizer()
	if err != nil {
		t.Fatal(err)
	}
	all := make([]int32, a.VocabSize())
	for i := range all {
		all[i] = int32(i)
	}
	if x, y := a.Decode(all, false), b.Decode(all, false); x != y {
		t.Errorf("the saved vocabulary reads %.60q, the parent's %.60q", y, x)
	}
	if !slices.Equal(a.EOS(), b.EOS()) || begin(a) != begin(b) {
		t.Errorf("texts begin with %d and end with %v, the parent's with %d and %v", begin(b), b.EOS(), begin(a), a.EOS())
	}
}

// TestWriteStopped: a step's error ends the work and leaves nothing.
func TestWriteStopped(t *testing.T) {
	parent := open(t, tinyGGUF(t))
	dir := filepath.Join(t.TempDir(), "variant")
	stop, steps := errors.New("stop"), 0
	err := Write(t.Context(), dir, parent, model.Weights{Linears: "int8-row"}, nil, func(done, all int) error {
		if steps++; done != steps || all != 20 {
			t.Errorf("step %d of %d is called as the %d.", done, all, steps)
		}
		if done == 3 {
			return stop
		}
		return nil
	})
	if !errors.Is(err, stop) || steps != 3 {
		t.Errorf("%v after %d steps", err, steps)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("something was left: %v", err)
	}
}

// TestPoolingIsKept: a saved encoder pools as its parent does.
func TestPoolingIsKept(t *testing.T) {
	m := open(t, testdata.Models(t, "all-minilm-l6-v2"))
	for _, want := range []nn.Pool{{Kind: nn.PoolFirst}, {Kind: nn.PoolMax, Normalize: true}, {Normalize: true}} {
		pool := m.Design.Program.Pool
		pool.Kind, pool.Normalize = want.Kind, want.Normalize
		dir := filepath.Join(t.TempDir(), "x")
		if err := Write(t.Context(), dir, m, model.Weights{}, nil); err != nil {
			t.Fatal(err)
		}
		if got := open(t, dir).Design.Program.Pool; got.Kind != want.Kind || got.Normalize != want.Normalize {
			t.Errorf("%+v was saved as %+v", want, got)
		}
	}
}

func TestEvidenceText(t *testing.T) {
	m := open(t, tinyGGUF(t))
	file := filepath.Join(t.TempDir(), "text")
	spec := Spec{Model: m, Data: file, Windows: 6, Tokens: 16}
	if err := os.WriteFile(file, []byte(strings.Repeat("Once upon a time there was a cat. ", 40)), 0o600); err != nil {
		t.Fatal(err)
	}
	windows, e, err := spec.evidence(t.Context(), nil)
	if err != nil || len(windows) != 6 || e.Kind != "text" || e.File != file || e.Windows != 6 || e.Tokens != 16 || e.Seed != 0 {
		t.Fatalf("%d windows, %+v, %v", len(windows), e, err)
	}
	for _, w := range windows {
		if len(w.Tokens) != 16 {
			t.Errorf("a window of %d tokens", len(w.Tokens))
		}
	}
	_, again, err := spec.evidence(t.Context(), nil)
	if err != nil || again.Digest != e.Digest || !strings.HasPrefix(e.Digest, "sha256:") {
		t.Errorf("digests %s and %s, %v", e.Digest, again.Digest, err)
	}
	if err := os.WriteFile(file, []byte("Too short."), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := spec.evidence(t.Context(), nil); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("a short text: %v", err)
	}
	spec.Data = file + ".absent"
	if _, _, err := spec.evidence(t.Context(), nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an absent text: %v", err)
	}
}

// TestEvidenceJSON is the form that eval reads back.
func TestEvidenceJSON(t *testing.T) {
	e := Evidence{ids: []eval.Window{{From: 1, Tokens: []int32{4, 5}}, {From: 2, Tokens: []int32{6}}}}
	const want = `{"windows":[{"from":1,"tokens":[4,5]},{"from":2,"tokens":[6]}]}` + "\n"
	if got := string(e.JSON()); got != want {
		t.Errorf("%s", got)
	}
}

// TestSampledEvidence: the parent's own text is the same for the same seed and another for another.
func TestSampledEvidence(t *testing.T) {
	m := open(t, tinyGGUF(t))
	pool := kernel.NewPool(1)
	defer pool.Close()
	digests := map[string]bool{}
	for _, seed := range []uint64{1, 1, 2} {
		spec := Spec{Model: m, Windows: 4, Tokens: 16, Seed: seed, Pool: pool, Progress: func(string, int, int) {}}
		x, err := spec.load(t.Context(), model.Weights{})
		if err != nil {
			t.Fatal(err)
		}
		windows, e, err := spec.evidence(t.Context(), x)
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range windows {
			if len(w.Tokens) != 16 || w.Tokens[0] != 256 {
				t.Errorf("a window of %d tokens begins with %d", len(w.Tokens), w.Tokens[0])
			}
		}
		digests[e.Digest] = true
	}
	if len(digests) != 2 {
		t.Errorf("%d different texts of two seeds", len(digests))
	}
}
