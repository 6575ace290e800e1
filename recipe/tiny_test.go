package recipe

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"hone/checkpoint"
)

// tinyGGUF writes a Llama of two blocks with random weights, whose tokens are the 256 bytes, <s> and </s>.
func tinyGGUF(t *testing.T) string {
	t.Helper()
	tokens, kinds := byteTokens(), make([]int32, 258)
	for i := range kinds {
		kinds[i] = 1
	}
	kinds[256], kinds[257] = 3, 3 // control
	meta := []checkpoint.GGUFValue{
		{Key: "general.architecture", Value: "llama"}, {Key: "llama.embedding_length", Value: uint32(64)},
		{Key: "llama.feed_forward_length", Value: uint32(128)}, {Key: "llama.block_count", Value: uint32(2)},
		{Key: "llama.attention.head_count", Value: uint32(4)}, {Key: "llama.attention.head_count_kv", Value: uint32(2)},
		{Key: "llama.context_length", Value: uint32(256)}, {Key: "llama.attention.layer_norm_rms_epsilon", Value: float32(1e-5)},
		{Key: "tokenizer.ggml.model", Value: "gpt2"}, {Key: "tokenizer.ggml.pre", Value: "gpt-2"},
		{Key: "tokenizer.ggml.tokens", Value: tokens}, {Key: "tokenizer.ggml.token_type", Value: kinds},
		{Key: "tokenizer.ggml.merges", Value: []string{"a b"}},
		{Key: "tokenizer.ggml.bos_token_id", Value: uint32(256)}, {Key: "tokenizer.ggml.eos_token_id", Value: uint32(257)},
		{Key: "tokenizer.ggml.padding_token_id", Value: uint32(257)},
	}
	tensors := []checkpoint.GGUFTensor{random("token_embd.weight", 258, 64), random("output_norm.weight", 64)}
	for b := range 2 {
		for name, shape := range map[string][]int{"attn_norm": {64}, "ffn_norm": {64}, "attn_q": {64, 64}, "attn_k": {32, 64}, "attn_v": {32, 64},
			"attn_output": {64, 64}, "ffn_gate": {128, 64}, "ffn_up": {128, 64}, "ffn_down": {64, 128}} {
			tensors = append(tensors, random(fmt.Sprintf("blk.%d.%s.weight", b, name), shape...))
		}
	}
	path := filepath.Join(t.TempDir(), "tiny.gguf")
	if err := checkpoint.WriteGGUF(path, meta, tensors); err != nil {
		t.Fatal(err)
	}
	return path
}

// byteTokens are the characters that byte-level BPE writes for the 256 bytes, and two control tokens. The last byte makes
// room for the one merge, "ab".
func byteTokens() []string {
	tokens := make([]string, 256, 258)
	spare := rune(256)
	for b := range tokens {
		r := rune(b)
		if printable := b > 32 && b < 127 || b > 160 && b != 173; !printable {
			r = spare
			spare++
		}
		tokens[b] = string(r)
	}
	tokens[255] = "ab"
	return append(tokens, "<s>", "</s>")
}

// random is a tensor of seeded normal values; gains lie about 1.
func random(name string, shape ...int) checkpoint.GGUFTensor {
	return checkpoint.GGUFTensor{Name: name, Format: "f32", Shape: shape, Read: func() ([]byte, error) {
		n := shape[0]
		if len(shape) > 1 {
			n *= shape[1]
		}
		rng := rand.New(rand.NewPCG(uint64(len(name)), uint64(name[4])))
		var out []byte
		for range n {
			v := rng.NormFloat64() / 8
			if len(shape) == 1 {
				v += 1
			}
			out = binary.LittleEndian.AppendUint32(out, math.Float32bits(float32(v)))
		}
		return out, nil
	}}
}
