package model

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"slices"
	"testing"

	"hone/internal/testdata"
	"hone/kernel"
	"hone/nn"
)

func load(t testing.TB, path, weights string, maxTokens int) (*Model, *nn.Exec) {
	t.Helper()
	m, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.File.Close() })
	w, err := ParseWeights(weights)
	if err != nil {
		t.Fatal(err)
	}
	pool := kernel.NewPool(2)
	t.Cleanup(pool.Close)
	x, err := m.Load(LoadOptions{Weights: w, MaxTokens: maxTokens, Pool: pool, KV: nn.KVConfig{Blocks: 16}})
	if err != nil {
		t.Fatal(err)
	}
	return m, x
}

func readJSONFile(t testing.TB, path string, v any) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatal(path, err)
	}
}

// logits runs ids as one sequence and returns all rows of logits.
func logits(t testing.TB, x *nn.Exec, ids []int32) []float32 {
	t.Helper()
	if err := x.Forward(&nn.Batch{Tokens: ids, Seqs: []nn.Seq{{Len: len(ids)}}}); err != nil {
		t.Fatal(err)
	}
	rows := make([]int32, len(ids))
	for i := range rows {
		rows[i] = int32(i)
	}
	out := make([]float32, len(ids)*x.Vocab())
	if err := x.Logits(out, rows); err != nil {
		t.Fatal(err)
	}
	return out
}

func logProbs(row []float32) []float64 {
	most := math.Inf(-1)
	for _, v := range row {
		most = max(most, float64(v))
	}
	var sum float64
	for _, v := range row {
		sum += math.Exp(float64(v) - most)
	}
	out := make([]float64, len(row))
	for i, v := range row {
		out[i] = float64(v) - most - math.Log(sum)
	}
	return out
}

func argmax(row []float32) int32 {
	best := 0
	for i, v := range row {
		if v > row[best] {
			best = i
		}
	}
	return int32(best)
}

type smolCase struct {
	Name   string
	IDs    []int32   `json:"ids"`
	NLL    []float64 `json:"nll"`
	TopIDs []int32   `json:"top_ids"`
	Top    []float64 `json:"top_logprobs"`
	Greedy []int32   `json:"greedy_ids"`
	Margin []float64 `json:"greedy_margin"`
}

// TestSmolLM2Golden: likelihoods, top log-probabilities and greedy texts of transformers in float64.
func TestSmolLM2Golden(t *testing.T) {
	var golden struct{ Cases []smolCase }
	readJSONFile(t, testdata.Data(t, "models/golden/smollm2_golden.json"), &golden)
	files := []string{"smollm2-135m-instruct.Q4_1.gguf", "smollm2-135m-offgrid.F32.gguf"}
	if testing.Short() {
		files = files[:1]
	}
	for _, file := range files {
		_, x := load(t, testdata.Models(t, file), "f32", 512)
		for _, c := range golden.Cases {
			checkSmolCase(t, x, c)
		}
	}
}

func checkSmolCase(t *testing.T, x *nn.Exec, c smolCase) {
	t.Helper()
	out := logits(t, x, c.IDs)
	for i, want := range c.NLL {
		if got := -logProbs(out[i*x.Vocab() : (i+1)*x.Vocab()])[c.IDs[i+1]]; math.Abs(got-want) > 2e-3 {
			t.Errorf("%q: NLL of token %d is %v, want %v", c.Name, i+1, got, want)
		}
	}
	last := logProbs(out[len(out)-x.Vocab():])
	for i, id := range c.TopIDs {
		if math.Abs(last[id]-c.Top[i]) > 2e-3 {
			t.Errorf("%q: log-probability of %d is %v, want %v", c.Name, id, last[id], c.Top[i])
		}
	}
	checkGreedy(t, x, c)
}

// checkGreedy follows the golden text through the paged cache and compares each choice whose margin is clear.
func checkGreedy(t *testing.T, x *nn.Exec, c smolCase) {
	t.Helper()
	blocks := make([]int32, 16)
	for i := range blocks {
		blocks[i] = int32(len(blocks) - 1 - i)
	}
	step, pos := c.IDs, 0
	row := make([]float32, x.Vocab())
	for i, want := range c.Greedy {
		if err := x.Forward(&nn.Batch{Tokens: step, Seqs: []nn.Seq{{Len: len(step), Pos: pos, Blocks: blocks}}}); err != nil {
			t.Fatal(err)
		}
		if err := x.Logits(row, []int32{int32(len(step) - 1)}); err != nil {
			t.Fatal(err)
		}
		if got := argmax(row); got != want && c.Margin[i] > 0.01 {
			t.Errorf("%q: greedy token %d is %d, want %d (margin %v)", c.Name, i, got, want, c.Margin[i])
			return
		}
		pos += len(step)
		step = []int32{want}
	}
}

// readNPY reads a little-endian f32 array of two dimensions.
func readNPY(t testing.TB, path string) []float32 {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b = b[10+int(binary.LittleEndian.Uint16(b[8:])):]
	out := make([]float32, len(b)/4)
	for i := range out {
		out[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return out
}

func TestSmallLlamaLogits(t *testing.T) {
	for _, name := range []string{"stories260K", "babyllama-tok361"} {
		var golden struct {
			IDs []int32 `json:"greedy_ids"`
		}
		hf := testdata.Data(t, "models/"+name+"-hf")
		readJSONFile(t, hf+"/golden.json", &golden)
		want := readNPY(t, hf+"/golden_logits_first32.npy")
		for _, path := range []string{hf, testdata.Data(t, "models/"+name+"-gguf/"+name+"-f32.gguf")} {
			_, x := load(t, path, "", 64)
			got := logits(t, x, golden.IDs[:32])
			for i := range want {
				if math.Abs(float64(got[i]-want[i])) > 1e-4 {
					t.Fatalf("%s: logit %d of row %d is %v, want %v", path, i%x.Vocab(), i/x.Vocab(), got[i], want[i])
				}
			}
		}
	}
}

func TestMiniLMEmbeddings(t *testing.T) {
	var golden struct {
		Cases []struct {
			Text      string
			IDs       []int32 `json:"ids"`
			Embedding []float64
		}
	}
	readJSONFile(t, testdata.Data(t, "models/golden/minilm_golden.json"), &golden)
	_, x := load(t, testdata.Models(t, "all-minilm-l6-v2"), "", 512)
	var b nn.Batch // all cases in one ragged batch
	for _, c := range golden.Cases {
		b.Seqs = append(b.Seqs, nn.Seq{Offset: len(b.Tokens), Len: len(c.IDs)})
		b.Tokens = append(b.Tokens, c.IDs...)
	}
	if err := x.Forward(&b); err != nil {
		t.Fatal(err)
	}
	out := make([]float32, len(b.Seqs)*x.PooledWidth())
	if err := x.Pooled(out); err != nil {
		t.Fatal(err)
	}
	for i, c := range golden.Cases {
		var dot, a, w float64
		for d, want := range c.Embedding {
			got := float64(out[i*x.PooledWidth()+d])
			dot, a, w = dot+got*want, a+got*got, w+want*want
		}
		if cos := dot / math.Sqrt(a*w); cos < 0.99999 {
			t.Errorf("%q: cosine %v", c.Text, cos)
		}
	}
}

// TestGPTNano: a trained GPT-2 without biases of q, k and v makes PyTorch's choices. The logits that lie beside it come from a
// run of low precision: transformers in float64 is as far from them.
func TestGPTNano(t *testing.T) {
	dir := testdata.Data(t, "models/gpt-nano-sort-hf")
	var golden struct {
		IDs [][]int32 `json:"input_ids"`
	}
	readJSONFile(t, dir+"/golden.json", &golden)
	want := readNPY(t, dir+"/golden_logits.npy")
	_, x := load(t, dir, "", 64)
	n := x.Vocab()
	for i, ids := range golden.IDs {
		got := logits(t, x, ids)
		for pos := range ids {
			row := want[(i*len(ids)+pos)*n:][:n]
			sorted := slices.Sorted(slices.Values(row))
			if margin := sorted[n-1] - sorted[n-2]; margin > 1 && argmax(got[pos*n:][:n]) != argmax(row) {
				t.Errorf("text %d, position %d: token %d, want %d", i, pos, argmax(got[pos*n:][:n]), argmax(row))
			}
		}
	}
}
