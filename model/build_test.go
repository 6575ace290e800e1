package model

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hone/checkpoint"
	"hone/nn"
)

// llamaConfig is a small model's config as a JSON decoder gives it.
func llamaConfig() map[string]any {
	return map[string]any{
		"architectures": []any{"LlamaForCausalLM"}, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2,
		"num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 11, "max_position_embeddings": 64,
		"rms_norm_eps": 1e-5, "hidden_act": "silu", "tie_word_embeddings": true,
	}
}

func bertConfig() map[string]any {
	return map[string]any{
		"architectures": []any{"BertModel"}, "hidden_size": 12, "intermediate_size": 20, "num_hidden_layers": 2,
		"num_attention_heads": 4, "vocab_size": 11, "max_position_embeddings": 16, "type_vocab_size": 2,
	}
}

// with changes a copy of a config; a nil value removes the key.
func with(config map[string]any, change map[string]any) map[string]any {
	out := maps.Clone(config)
	for k, v := range change {
		if out[k] = v; v == nil {
			delete(out, k)
		}
	}
	return out
}

// shapes are the tensors of a file, by name.
type shapes map[string][]int

// shapesOf are the tensors that a config asks for, under prefix.
func shapesOf(t testing.TB, config map[string]any, prefix string) shapes {
	t.Helper()
	d, err := FromConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	s := shapes{}
	for _, p := range d.Program.Params() {
		s[prefix+p.Name] = shapeOf(p)
	}
	return s
}

func shapeOf(p nn.Param) []int {
	if p.Vector {
		return []int{p.Cols}
	}
	return []int{p.Rows, p.Cols}
}

func (s shapes) with(change shapes) shapes {
	out := maps.Clone(s)
	for k, v := range change {
		if out[k] = v; v == nil {
			delete(out, k)
		}
	}
	return out
}

func elements(shape []int) int {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return n
}

// writeHF writes a directory of zeros.
func writeHF(t testing.TB, config map[string]any, s shapes) string {
	t.Helper()
	return writeFilled(t, config, s, 0)
}

// writeFilled is writeHF with a byte that all values are made of.
func writeFilled(t testing.TB, config map[string]any, s shapes, fill byte) string {
	t.Helper()
	dir := t.TempDir()
	b, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "config.json"), b)
	var tensors []checkpoint.Tensor
	for name, shape := range s {
		tensors = append(tensors, checkpoint.Tensor{Name: name, DType: "F32", Shape: shape, Write: func(w io.Writer) error {
			_, err := w.Write(bytes.Repeat([]byte{fill}, 4*elements(shape)))
			return err
		}})
	}
	if err := checkpoint.WriteSafetensors(filepath.Join(dir, "model.safetensors"), tensors, nil); err != nil {
		t.Fatal(err)
	}
	return dir
}

func writeFile(t testing.TB, path string, b []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// ggufMeta is llamaConfig in GGUF's words, without the vocabulary's size.
func ggufMeta() map[string]any {
	return map[string]any{
		"general.architecture": "llama", "llama.embedding_length": uint32(16), "llama.feed_forward_length": uint32(24),
		"llama.block_count": uint32(2), "llama.attention.head_count": uint32(4), "llama.attention.head_count_kv": uint32(2),
		"llama.context_length": uint32(64), "llama.attention.layer_norm_rms_epsilon": float32(1e-5),
	}
}

// ggufShapes are llamaConfig's tensors under GGUF's names.
func ggufShapes(t testing.TB) shapes {
	t.Helper()
	d, err := FromConfig(llamaConfig())
	if err != nil {
		t.Fatal(err)
	}
	stored, err := d.GGUFTensors()
	if err != nil {
		t.Fatal(err)
	}
	s := shapes{}
	for _, p := range stored {
		s[p.Name] = p.Shape
	}
	return s
}

func writeGGUF(t testing.TB, meta map[string]any, s shapes) string {
	t.Helper()
	var values []checkpoint.GGUFValue
	for k, v := range meta {
		values = append(values, checkpoint.GGUFValue{Key: k, Value: v})
	}
	var tensors []checkpoint.GGUFTensor
	for name, shape := range s {
		tensors = append(tensors, checkpoint.GGUFTensor{Name: name, Format: "f32", Shape: shape, Read: func() ([]byte, error) {
			return make([]byte, 4*elements(shape)), nil
		}})
	}
	path := filepath.Join(t.TempDir(), "model.gguf")
	if err := checkpoint.WriteGGUF(path, values, tensors); err != nil {
		t.Fatal(err)
	}
	return path
}

// expect opens a model and compares its error; says "" wants none.
func expect(t *testing.T, name, path, says string) *Model {
	t.Helper()
	m, err := Open(path)
	if err == nil {
		t.Cleanup(func() { m.File.Close() })
	}
	checkError(t, name, err, says)
	if err != nil && !strings.Contains(err.Error(), path) {
		t.Errorf("%s: error %q does not name the file", name, err)
	}
	return m
}

func checkError(t *testing.T, name string, err error, says string) {
	t.Helper()
	if says == "" {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		return
	}
	if err == nil || !strings.Contains(err.Error(), says) {
		t.Errorf("%s: error %v, want one that says %q", name, err, says)
	}
	if err != nil && len(err.Error()) > 600 {
		t.Errorf("%s: an error of %d bytes", name, len(err.Error()))
	}
}
