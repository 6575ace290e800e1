package checkpoint

import (
	"encoding/json"
	"reflect"
	"slices"
	"testing"

	"hone/internal/testdata"
)

func TestMiniLM(t *testing.T) {
	f := mustOpen(t, testdata.Models(t, "all-minilm-l6-v2"))
	if f.Kind() != "hf" || len(f.Names()) != 104 {
		t.Errorf("kind %s with %d tensors, want hf with 104", f.Kind(), len(f.Names()))
	}
	if n, _ := f.Config().HF["hidden_size"].(json.Number); n != "384" {
		t.Errorf("hidden_size %v", n)
	}
	info, ok := f.Info("encoder.layer.0.intermediate.dense.weight")
	if want := (Info{"f32", []int{1536, 384}, 1536 * 384 * 4}); !ok || !reflect.DeepEqual(info, want) {
		t.Errorf("info %v %v, want %v", info, ok, want)
	}
	values := 0
	for _, name := range f.Names() {
		info, _ := f.Info(name)
		values += info.Elements()
	}
	if values != 22713728 { // 22,713,216 parameters and 512 position ids
		t.Errorf("%d values", values)
	}
}

func TestSmolLM2(t *testing.T) {
	f := mustOpen(t, testdata.Models(t, "smollm2-135m-instruct.Q4_1.gguf"))
	meta := f.Config().GGUF
	if arch, _ := meta.String("general.architecture"); arch != "llama" {
		t.Errorf("architecture %q", arch)
	}
	if n, ok := meta.Int("llama.block_count"); !ok || n != 30 {
		t.Errorf("block_count %d %v", n, ok)
	}
	tokens, _ := meta.Strings("tokenizer.ggml.tokens")
	kinds, _ := meta.Ints("tokenizer.ggml.token_type")
	if len(tokens) != 49152 || len(kinds) != 49152 || tokens[1] != "<|im_start|>" {
		t.Errorf("%d tokens, %d kinds", len(tokens), len(kinds))
	}
	formats := map[string]int{}
	for _, name := range f.Names() {
		info, _ := f.Info(name)
		formats[info.Format]++
	}
	if want := map[string]int{"q4_1": 210, "q8_0": 1, "f32": 61}; !reflect.DeepEqual(formats, want) {
		t.Errorf("formats %v, want %v", formats, want)
	}
	m, err := f.Matrix("blk.0.ffn_down.weight")
	if err != nil {
		t.Fatal(err)
	}
	if rows, cols := m.Dims(); rows != 576 || cols != 1536 || m.Format() != "q4_1" {
		t.Errorf("ffn_down is %s [%d %d]", m.Format(), rows, cols)
	}
}

// The same trained model as GGUF and as safetensors, written by different programs, must be equal to the last bit.
func TestStoriesTwoWays(t *testing.T) {
	g := mustOpen(t, testdata.Data(t, "models/stories260K-gguf/stories260K-f32.gguf"))
	h := mustOpen(t, testdata.Data(t, "models/stories260K-hf"))
	for gn, hn := range map[string]string{
		"token_embd.weight":        "model.embed_tokens.weight",
		"blk.2.attn_v.weight":      "model.layers.2.self_attn.v_proj.weight",
		"blk.4.ffn_down.weight":    "model.layers.4.mlp.down_proj.weight",
		"blk.3.attn_norm.weight":   "model.layers.3.input_layernorm.weight",
		"blk.0.attn_output.weight": "model.layers.0.self_attn.o_proj.weight",
	} {
		a, err := g.Vector(gn)
		if err != nil {
			t.Fatal(err)
		}
		b, err := h.Vector(hn)
		if err != nil {
			t.Fatal(err)
		}
		if len(a) == 0 || !slices.Equal(a, b) {
			t.Errorf("%s and %s differ", gn, hn)
		}
	}
}

// Every small file opens; a tensor in a type that is not served is refused by the type's name and nothing else.
func TestAllSmallGGUF(t *testing.T) {
	for _, dir := range []string{"models/stories260K-gguf", "models/babyllama-tok361-gguf", "tokenizers/llama.cpp-vocab"} {
		for _, path := range globFiles(t, testdata.Data(t, dir), "*.gguf") {
			f := mustOpen(t, path)
			for _, name := range f.Names() {
				info, _ := f.Info(name)
				if len(info.Shape) != 2 {
					continue
				}
				if _, err := f.Matrix(name); err != nil && !refusesFormat(err, info.Format) {
					t.Errorf("%v", err)
				}
			}
			f.Release()
		}
	}
}
