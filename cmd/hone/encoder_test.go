package main

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hone/checkpoint"
	"hone/kernel"
	"hone/model"
	"hone/nn"
)

// tinyClassifier writes a BERT of one block with random weights, whose words are letters.
func tinyClassifier(t *testing.T, labels ...string) string {
	t.Helper()
	names := map[string]any{}
	for i, l := range labels {
		names[fmt.Sprint(i)] = l
	}
	config := map[string]any{"architectures": []any{"BertForSequenceClassification"}, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1,
		"num_attention_heads": 2, "vocab_size": 29, "max_position_embeddings": 32, "type_vocab_size": 2, "id2label": names}
	d, err := model.FromConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	var tensors []checkpoint.Tensor
	for i, p := range d.Program.Params() {
		shape := []int{p.Rows, p.Cols}
		if p.Vector {
			shape = shape[1:]
		}
		tensors = append(tensors, checkpoint.Tensor{Name: p.Name, DType: "F32", Shape: shape, Write: func(w io.Writer) error {
			rng := rand.New(rand.NewPCG(uint64(i), 1))
			return binary.Write(w, binary.LittleEndian, func() []float32 {
				v := make([]float32, p.Rows*p.Cols)
				for k := range v {
					v[k] = float32(rng.NormFloat64())
				}
				return v
			}())
		}})
	}
	dir := t.TempDir()
	if err := checkpoint.WriteSafetensors(filepath.Join(dir, "model.safetensors"), tensors, nil); err != nil {
		t.Fatal(err)
	}
	vocab := map[string]int{"[UNK]": 0, "[CLS]": 1, "[SEP]": 2}
	for i := range 26 {
		vocab[string(rune('a'+i))] = 3 + i
	}
	writeJSONFile(t, filepath.Join(dir, "config.json"), config)
	writeJSONFile(t, filepath.Join(dir, "tokenizer.json"), map[string]any{"pre_tokenizer": map[string]any{"type": "BertPreTokenizer"},
		"model":          map[string]any{"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 9, "vocab": vocab},
		"post_processor": map[string]any{"type": "BertProcessing", "cls": []any{"[CLS]", 1}, "sep": []any{"[SEP]", 2}}})
	return dir
}

func writeJSONFile(t *testing.T, path string, v any) {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// scores runs one text through a classifier by itself.
func scores(t *testing.T, dir string, ids, types []int32) []float32 {
	t.Helper()
	m, err := model.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer m.File.Close()
	pool := kernel.NewPool(1)
	defer pool.Close()
	x, err := m.Load(model.LoadOptions{MaxTokens: 32, Pool: pool})
	if err != nil {
		t.Fatal(err)
	}
	if err := x.Forward(&nn.Batch{Tokens: ids, Types: types, Seqs: []nn.Seq{{Len: len(ids)}}}); err != nil {
		t.Fatal(err)
	}
	out := make([]float32, x.PooledWidth())
	if err := x.Pooled(out); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestServeClassifier: labels and probabilities of ragged texts are those of each text alone.
func TestServeClassifier(t *testing.T) {
	dir := tinyClassifier(t, "calm", "cross", "odd")
	s := begin(t, dir)
	var got struct {
		Data []struct {
			Label   string
			Probs   []float64
			Classes int `json:"num_classes"`
		}
	}
	if code := s.post(t, "/classify", "", map[string]any{"model": s.Model, "input": []string{"a b c d e", "z", "q r"}}, &got); code != http.StatusOK || len(got.Data) != 3 {
		t.Fatalf("status %d, %+v", code, got)
	}
	for i, ids := range [][]int32{{1, 3, 4, 5, 6, 7, 2}, {1, 28, 2}, {1, 19, 20, 2}} {
		logits := scores(t, dir, ids, nil)
		best, sum := 0, 0.0
		for k, x := range logits {
			sum += math.Exp(float64(x))
			if x > logits[best] {
				best = k
			}
		}
		for k, x := range logits {
			if want := math.Exp(float64(x)) / sum; math.Abs(got.Data[i].Probs[k]-want) > 1e-6 {
				t.Errorf("text %d, label %d: %v, want %v", i, k, got.Data[i].Probs[k], want)
			}
		}
		if want := []string{"calm", "cross", "odd"}[best]; got.Data[i].Label != want || got.Data[i].Classes != 3 {
			t.Errorf("text %d: %+v, want %s", i, got.Data[i], want)
		}
	}
	var refused struct{ Error struct{ Message string } }
	if code := s.post(t, "/embeddings", "", map[string]any{"model": s.Model, "input": "a"}, &refused); code != http.StatusBadRequest || !strings.Contains(refused.Error.Message, "is a classifier") {
		t.Errorf("status %d, %+v", code, refused)
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}

// TestServeCrossEncoder: query and document are read together, the document's tokens being of the second type.
func TestServeCrossEncoder(t *testing.T) {
	dir := tinyClassifier(t, "score")
	s := begin(t, dir)
	var got struct {
		Results []struct {
			Index int
			Score float64 `json:"relevance_score"`
		}
	}
	body := map[string]any{"model": s.Model, "query": "a b", "documents": []string{"c", "d e f"}}
	if code := s.post(t, "/rerank", "", body, &got); code != http.StatusOK || len(got.Results) != 2 || got.Results[0].Score < got.Results[1].Score {
		t.Fatalf("status %d, %+v", code, got)
	}
	for _, r := range got.Results {
		ids, types := []int32{1, 3, 4, 2, 5, 2}, []int32{0, 0, 0, 0, 1, 1}
		if r.Index == 1 {
			ids, types = []int32{1, 3, 4, 2, 6, 7, 8, 2}, []int32{0, 0, 0, 0, 1, 1, 1, 1}
		}
		if want := 1 / (1 + math.Exp(-float64(scores(t, dir, ids, types)[0]))); math.Abs(r.Score-want) > 1e-6 {
			t.Errorf("document %d: %v, want %v", r.Index, r.Score, want)
		}
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}

// TestEncoderHasNoCache: flags of a KV cache are refused for a model that has none, not passed over.
func TestEncoderHasNoCache(t *testing.T) {
	t.Setenv("HONE_HOME", t.TempDir())
	dir := tinyClassifier(t, "calm", "cross")
	for _, flag := range [][]string{{"--ctx", "8"}, {"--kv", "int8"}, {"--kv-memory", "1GB"}} {
		_, errs, code := call(t, append([]string{"serve", dir, "--listen", "127.0.0.1:0"}, flag...)...)
		if code != exitUsage || !strings.Contains(errs, flag[0]+" is for models that write text") {
			t.Errorf("%v: exit code %d, %s", flag, code, errs)
		}
	}
}
