package model

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"hone/checkpoint"
)

// sizes are the settings that the shapes of weights follow from: another value contradicts the file.
var sizes = []string{"hidden_size", "intermediate_size", "num_hidden_layers", "vocab_size", "n_embd", "n_layer", "n_inner", "n_positions", "ffn_dim",
	"embedding_length", "feed_forward_length", "block_count", "key_length"}

// TestLies: whatever number of a config is another one, in either kind of file, the model is refused with an error or is one of the
// same shapes; nothing panics.
func TestLies(t *testing.T) {
	for _, c := range oracleCases(t) {
		right := expect(t, c.Name, c.write(t), "")
		for key, v := range c.Config {
			if _, ok := number(v); ok {
				lie(t, c.Name, key, v, right, func(v any) checkpoint.Config {
					config := maps.Clone(c.Config)
					config[key] = v
					return checkpoint.Config{HF: config}
				})
			}
		}
		if noGGUF[c.Name] != "" {
			continue
		}
		path, err := asGGUF(t, right)
		if err != nil {
			t.Fatal(err)
		}
		g := expect(t, c.Name, path, "")
		meta := g.File.Config().GGUF
		for key, v := range meta {
			if _, text := v.(string); text {
				continue
			}
			lie(t, c.Name, key, v, g, func(v any) checkpoint.Config {
				other := maps.Clone(meta)
				if f, ok := v.(float64); ok {
					v = float32(f)
				}
				other[key] = v
				return checkpoint.Config{GGUF: other}
			})
		}
	}
}

// lie opens a model with other values of one setting.
func lie(t *testing.T, name, key string, v any, m *Model, config func(v any) checkpoint.Config) {
	t.Helper()
	n, _ := number(v)
	for _, other := range []any{nil, 0.0, -1.0, 0.5, n + 1, 2 * n, 1e9, 1e300, "x", []any{1.0, 2.0}, true, map[string]any{"a": 1.0}} {
		c := &Config{raw: config(other), file: m.File}
		arch, err := archOf(c)
		if err != nil {
			continue
		}
		design, err := arch.Design(c)
		if err == nil {
			design.arch, design.config = arch, c
			err = (&Model{Path: name, Arch: arch.Name, Design: design, File: m.File, config: c}).checkNames()
		}
		if err != nil && len(err.Error()) > 500 {
			t.Errorf("%s with %s of %v: an error of %d bytes", name, key, other, len(err.Error()))
		}
		if strings.HasPrefix(m.Arch, "qwen3_moe") && (key == "intermediate_size" || strings.HasSuffix(key, "feed_forward_length")) {
			continue // of blocks without experts, of which the case has none
		}
		if f, ok := other.(float64); err == nil && ok && f != n && slices.ContainsFunc(sizes, func(s string) bool { return strings.HasSuffix(key, s) }) {
			t.Errorf("%s with %s of %s is taken", name, key, fmt.Sprint(other))
		}
	}
}
