package model

import (
	"math"
	"path/filepath"
	"strings"
	"testing"

	"hone/checkpoint"
)

// writeTiny writes a llama of one block, with more or other metadata and more tensors.
func writeTiny(t *testing.T, change map[string]any, more ...string) string {
	t.Helper()
	meta := map[string]any{
		"general.architecture": "llama", "llama.embedding_length": uint32(4), "llama.attention.head_count": uint32(2),
		"llama.feed_forward_length": uint32(4), "llama.block_count": uint32(1), "llama.context_length": uint32(8),
	}
	var values []checkpoint.GGUFValue
	for k, v := range change {
		meta[k] = v
	}
	for k, v := range meta {
		values = append(values, checkpoint.GGUFValue{Key: k, Value: v})
	}
	var tensors []checkpoint.GGUFTensor
	add := func(name string, shape ...int) {
		n := 4
		for _, d := range shape {
			n *= d
		}
		tensors = append(tensors, checkpoint.GGUFTensor{Name: name, Format: "f32", Shape: shape,
			Read: func() ([]byte, error) { return make([]byte, n), nil }})
	}
	add("token_embd.weight", 3, 4)
	add("output_norm.weight", 4)
	for _, norm := range []string{"attn_norm", "ffn_norm"} {
		add("blk.0."+norm+".weight", 4)
	}
	for _, linear := range []string{"attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"} {
		add("blk.0."+linear+".weight", 4, 4)
	}
	for _, name := range more {
		add(name, 4)
	}
	path := filepath.Join(t.TempDir(), "tiny.gguf")
	if err := checkpoint.WriteGGUF(path, values, tensors); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestRefused: a file that asks for what would not be computed is refused by name, never run without it.
func TestRefused(t *testing.T) {
	cases := []struct {
		name   string
		change map[string]any
		more   []string
		want   string // "": served
	}{
		{"as it is", nil, nil, ""},
		{"whole rotation", map[string]any{"llama.rope.dimension_count": uint32(2)}, nil, ""},
		{"a block more", nil, []string{"blk.1.attn_norm.weight"}, "blk.1.attn_norm.weight"},
		{"a bias", nil, []string{"blk.0.attn_q.bias"}, "blk.0.attn_q.bias"},
		{"scaled rotation", nil, []string{"rope_freqs.weight"}, "rope_freqs.weight"},
		{"part of the rotation", map[string]any{"llama.rope.dimension_count": uint32(1)}, nil, "rope.dimension_count"},
		{"eps", map[string]any{"llama.attention.layer_norm_rms_epsilon": float32(math.NaN())}, nil, "layer_norm_rms_epsilon is NaN"},
		{"negative eps", map[string]any{"llama.attention.layer_norm_rms_epsilon": float32(-1)}, nil, "layer_norm_rms_epsilon is -1"},
		{"theta", map[string]any{"llama.rope.freq_base": float32(0)}, nil, "freq_base is 0"},
		{"infinite theta", map[string]any{"llama.rope.freq_base": float32(math.Inf(1))}, nil, "freq_base is +Inf"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			path := writeTiny(t, c.change, c.more...)
			m, err := Open(path)
			switch {
			case err == nil:
				m.File.Close()
				if c.want != "" {
					t.Errorf("opened, want an error with %q", c.want)
				}
			case c.want == "" || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path):
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// TestRopeParameters: newer configs keep the base of the rotation in rope_parameters.
func TestRopeParameters(t *testing.T) {
	config := func(rope map[string]any) map[string]any {
		return map[string]any{"architectures": []any{"LlamaForCausalLM"}, "hidden_size": 4, "num_attention_heads": 2, "intermediate_size": 4,
			"num_hidden_layers": 1, "vocab_size": 3, "max_position_embeddings": 8, "rope_parameters": rope}
	}
	d, err := FromConfig(config(map[string]any{"rope_theta": 500000.0, "rope_type": "default"}))
	if err != nil || d.HF["rope_theta"] != 500000.0 {
		t.Errorf("%v, %v", d, err)
	}
	if _, err := FromConfig(config(map[string]any{"rope_theta": 500000.0, "rope_type": "llama3", "factor": 8.0})); err == nil || !strings.Contains(err.Error(), "llama3") {
		t.Errorf("llama3 scaling: %v", err)
	}
}
