package recipe

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"

	"hone/kernel"
	"hone/model"
	"hone/nn"
)

// TestSavedFused: weights that a family's files hold in one matrix are saved in one, where rows can be put together; the
// variant gives the bits of the parent that is rounded while it is loaded.
func TestSavedFused(t *testing.T) {
	b, err := os.ReadFile("../model/testdata/architectures.json")
	if err != nil {
		t.Fatal(err)
	}
	var all struct{ Cases []archCase }
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	tok, err := open(t, tinyGGUF(t)).Tokenizer()
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]string{
		"phi3":    "model.layers.1.mlp.gate_up_proj.weight",
		"gptneox": "gpt_neox.layers.1.attention.query_key_value.weight",
		"gpt2":    "transformer.h.1.attn.k_proj.weight", // stored [in, out]: its groups would run across rows
		"gemma2":  "model.layers.1.mlp.gate_proj.weight",
	}
	for _, c := range all.Cases {
		if names[c.Name] == "" {
			continue
		}
		dir := c.write(t)
		tokenizer, config := tok.ToJSON()
		for name, b := range map[string][]byte{"tokenizer.json": tokenizer, "tokenizer_config.json": config} {
			if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		parent := open(t, dir)
		for _, spec := range []string{"int8-row,head=int8-row", "int4-row-asym", "bf16"} {
			w, err := model.ParseWeights(spec)
			if err != nil {
				t.Fatal(err)
			}
			variant := filepath.Join(t.TempDir(), "variant")
			if err := Write(t.Context(), variant, parent, w, nil); err != nil {
				t.Fatalf("%s as %s: %v", c.Name, spec, err)
			}
			saved := open(t, variant)
			got, want := lastLogitsAs(t, saved, model.Weights{}), lastLogitsAs(t, parent, w)
			for i := range want {
				if math.Float32bits(got[i]) != math.Float32bits(want[i]) {
					t.Errorf("%s as %s: logit %d is %v, of the parent in this format %v", c.Name, spec, i, got[i], want[i])
					break
				}
			}
			if _, ok := saved.File.Info(names[c.Name]); ok == (spec == "bf16" && c.Name == "gpt2") {
				t.Errorf("%s as %s: holds %s: %v", c.Name, spec, names[c.Name], ok)
			}
		}
	}
}

// lastLogitsAs runs some ids in given formats and returns the last row of logits.
func lastLogitsAs(t *testing.T, m *model.Model, w model.Weights) []float32 {
	t.Helper()
	pool := kernel.NewPool(1)
	defer pool.Close()
	ids := []int32{1, 17, 20, 3, 59}
	x, err := m.Load(model.LoadOptions{Weights: w, MaxTokens: len(ids), Pool: pool})
	if err != nil {
		t.Fatal(err)
	}
	if err := x.Forward(&nn.Batch{Tokens: ids, Seqs: []nn.Seq{{Len: len(ids)}}}); err != nil {
		t.Fatal(err)
	}
	out := make([]float32, x.Vocab())
	if err := x.Logits(out, []int32{int32(len(ids) - 1)}); err != nil {
		t.Fatal(err)
	}
	return out
}
