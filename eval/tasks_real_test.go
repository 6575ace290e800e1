package eval

import (
	"context"
	"encoding/json"
	"flag"
	"math"
	"os"
	"runtime"
	"testing"

	"hone/internal/testdata"
	"hone/kernel"
	"hone/model"
	"hone/nn"
	"hone/tokenizer"
)

// taskItems: 200 is what the goldens hold; fewer keep the usual run short.
var taskItems = flag.Int("items", 30, "items of each task that are compared with the reference, at most 200")

// taskGolden is what internal/oracle/tasks.py wrote for one task.
type taskGolden struct {
	LL         [][]float64
	Choice     []int
	Margin     []float64
	Norm       []int
	NormMargin []float64 `json:"norm_margin"`
}

// TestTaskGoldens: SmolLM2 answers the first items of four benchmarks as it does in transformers.
func TestTaskGoldens(t *testing.T) {
	var golden map[string]taskGolden
	b, err := os.ReadFile("testdata/tasks/smollm2.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &golden); err != nil {
		t.Fatal(err)
	}
	const rows, blocks = 512, 64
	m, err := model.Open(testdata.Models(t, "smollm2-135m-offgrid.F32.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.File.Close() })
	pool := kernel.NewPool(runtime.GOMAXPROCS(0))
	t.Cleanup(pool.Close)
	lm, err := m.Load(model.LoadOptions{MaxTokens: rows, Pool: pool, KV: nn.KVConfig{Blocks: blocks}})
	if err != nil {
		t.Fatal(err)
	}
	tok, err := m.Tokenizer()
	if err != nil {
		t.Fatal(err)
	}
	for name, file := range map[string]string{
		"lambada": "lambada/lambada_test.jsonl", "sst2": "glue/SST-2/dev.tsv", "arc-easy": "llm-adapters/ARC-Easy/test.json", "hellaswag": "hellaswag/hellaswag_val_full.txt",
	} {
		n := min(*taskItems, len(golden[name].Choice))
		if testing.Short() {
			n = min(n, 8)
		}
		task, err := LookupTask(name)
		if err != nil || n == 0 {
			t.Fatal(name, err, n)
		}
		items, err := task.Load([]byte(text(t, "eval/"+file)), 0, n)
		if err != nil {
			t.Fatal(err)
		}
		a, err := Ask(task, items, func(s string) ([]int32, error) { return tok.Encode(s, tokenizer.EncodeOptions{}) }, -1)
		if err != nil {
			t.Fatal(err)
		}
		out, err := a.Score(context.Background(), lm, blocks, Options{})
		if err != nil {
			t.Fatal(err)
		}
		compareOutcomes(t, name, out, golden[name])
		r := a.Sum(out)
		t.Logf("%s: %d items, accuracy %.4f, by length %+v", name, r.Items, r.Accuracy.Value, r.Normalised)
	}
}

// compareOutcomes: log-probabilities within 0.01, choices equal wherever the reference's margin exceeds 0.01 (of the
// length-normalised ones, the same divided by a hundred characters).
func compareOutcomes(t *testing.T, name string, out []Outcome, g taskGolden) {
	t.Helper()
	for i, o := range out {
		for k, want := range g.LL[i] {
			if math.Abs(o.LL[k]-want) > 0.01 {
				t.Errorf("%s: item %d, choice %d: log-probability %v, transformers has %v", name, i, k, o.LL[k], want)
			}
		}
		choice := o.Choice
		if g.Norm == nil {
			choice = map[bool]int{true: 1}[o.Right]
		} else if o.Norm != g.Norm[i] && g.NormMargin[i] > 1e-4 {
			t.Errorf("%s: item %d: by length choice %d, transformers takes %d (margin %v)", name, i, o.Norm, g.Norm[i], g.NormMargin[i])
		}
		if choice != g.Choice[i] && g.Margin[i] > 0.01 {
			t.Errorf("%s: item %d: choice %d, transformers takes %d (margin %v)", name, i, choice, g.Choice[i], g.Margin[i])
		}
	}
}
