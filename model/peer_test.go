package model

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"hone/checkpoint"
	"hone/kernel"
	"hone/nn"
)

// otherPeer are the cases whose GGUF files llama.cpp does not load, or reads as other models.
var otherPeer = map[string]string{
	"llama-unequal":    "takes one size for all blocks",
	"llama-yarn-betas": "does not read them",
	"mistral":          "has no window in llama models",
	"qwen2-window":     "has no window in qwen2 models",
	"phi3":             "has no window in phi3 models",
	"qwen3-bias":       "has no output bias in qwen3 models",
	"gemma2-scale":     "does not read the scale of scores, nor a list of windows",
	"gemma3-cap":       "does not read the scale of scores",
	"mixtral-window":   "has no window in llama models",
	"gptoss":           "cuts YaRN's ramp at whole frequencies, which the model's config rules out",
	"gptoss-usual":     "cuts YaRN's ramp at whole frequencies, which the family rules out",
	"gpt2-inner":       "has one activation in gpt2 models",
	"qwen3moe-window":  "has no window in qwen3moe models",
}

// TestPeerFiles writes the GGUF file of each of the oracle's models into $HONE_PEER, with a vocabulary of made-up tokens, and
// beside it a prompt and the ids that Hone continues it with. internal/oracle/llama_server.py lets llama.cpp do the same.
func TestPeerFiles(t *testing.T) {
	dir := os.Getenv("HONE_PEER")
	if dir == "" {
		t.Skip("left out: HONE_PEER names no folder for files to compare with llama.cpp")
	}
	pool := kernel.NewPool(2)
	defer pool.Close()
	for _, c := range oracleCases(t) {
		if noGGUF[c.Name] != "" {
			continue
		}
		m := expect(t, c.Name, c.write(t), "")
		prompt := c.tokens(1)
		ids, margins := greedy(t, c.exec(t, m, pool), prompt, 48)
		end := int32(3)
		for slices.Contains(ids, end) {
			end++
		}
		path, err := asGGUF(t, m, madeUpVocabulary(61, end)...)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path, filepath.Join(dir, c.Name+".gguf")); err != nil {
			t.Fatal(err)
		}
		b, err := json.Marshal(map[string]any{"prompt": prompt, "ids": ids, "margins": margins, "other": otherPeer[c.Name]})
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(dir, c.Name+".json"), b)
	}
}

// madeUpVocabulary has n tokens, of which the first three are special; one ends a text.
func madeUpVocabulary(n int, end int32) []checkpoint.GGUFValue {
	tokens, kinds := make([]string, n), make([]int32, n)
	for i := range tokens {
		tokens[i], kinds[i] = fmt.Sprintf("t%d", i), 1
	}
	copy(kinds, []int32{2, 3, 3})
	return []checkpoint.GGUFValue{
		{Key: "tokenizer.ggml.model", Value: "llama"}, {Key: "tokenizer.ggml.tokens", Value: tokens},
		{Key: "tokenizer.ggml.scores", Value: make([]float32, n)}, {Key: "tokenizer.ggml.token_type", Value: kinds},
		{Key: "tokenizer.ggml.eos_token_id", Value: uint32(end)},
	}
}

// greedy continues a prompt by n of the likeliest tokens; a margin is how far the first logit is above the second.
func greedy(t testing.TB, x *nn.Exec, prompt []int32, n int) (ids []int32, margins []float64) {
	t.Helper()
	step, pos := prompt, 0
	row := make([]float32, x.Vocab())
	for range n {
		if err := x.Forward(&nn.Batch{Tokens: step, Seqs: []nn.Seq{{Len: len(step), Pos: pos, Blocks: []int32{0, 1, 2, 3, 4, 5}}}}); err != nil {
			t.Fatal(err)
		}
		if err := x.Logits(row, []int32{int32(len(step) - 1)}); err != nil {
			t.Fatal(err)
		}
		pos += len(step)
		best := argmax(row)
		sorted := slices.Sorted(slices.Values(row))
		ids, margins = append(ids, best), append(margins, float64(sorted[len(row)-1]-sorted[len(row)-2]))
		step = []int32{best}
	}
	return ids, margins
}

// lossy are the cases of which llama.cpp's converter leaves something out.
var lossy = map[string]string{
	"llama-yarn-mscale": "mscale", "llama-yarn-ramp": "truncate", "mistral": "the window", "mixtral-window": "the window",
	"qwen2-window": "the window", "qwen3-bias": "the window", "gemma2-scale": "the scale of scores", "gemma3-cap": "the scale of scores",
	"gemma3": "which blocks have a window", "gpt2-inner": "the MLP's size and activation", "qwen3moe-all": "that weights of experts are not normalised",
	"qwen3moe-dense": "blocks without experts", "qwen3moe-window": "the window", "olmoe-clip": "the clip", "gpt2-scaled": "the scale of scores",
	"llama-relu": "the MLP's activation", "llama-gelu": "the MLP's activation", "olmoe-sum": "that weights of experts are normalised", "gptoss-clamped": "the clamp's limit",
}

// TestConverterFiles reads files that llama.cpp's own converter wrote (internal/oracle/llama_convert.py).
func TestConverterFiles(t *testing.T) {
	dir := os.Getenv("HONE_CONVERTER")
	if dir == "" {
		t.Skip("left out: HONE_CONVERTER names no folder of files that llama.cpp's converter wrote")
	}
	pool := kernel.NewPool(2)
	defer pool.Close()
	for _, c := range oracleCases(t) {
		path := filepath.Join(dir, c.Name+".gguf")
		switch _, err := os.Stat(path); {
		case err != nil:
			t.Logf("%s: left out; the converter did not write it", c.Name)
			continue
		case lossy[c.Name] != "":
			t.Logf("%s: left out; the converter has no word for %s", c.Name, lossy[c.Name])
			continue
		}
		if m := expect(t, c.Name, path, ""); m != nil {
			c.check(t, c.Name, m, pool)
		}
	}
}
