package model

import (
	"encoding/json"
	"fmt"
	"strings"

	"hone/checkpoint"
)

// setting is one thing that was read of a config, under the names that the two kinds of file have for it ("": none).
type setting struct {
	hf, gguf string
	value    any // bool, int, float64, string, a slice or map of them, or nil: switched off
}

// note keeps what was read, or decided where nothing was said: the same config can then be written in either kind's words.
// A later value of the same name takes the place of an earlier one.
func (c *Config) note(hf, gguf string, value any) {
	if hf == "" && gguf == "" {
		return
	}
	for i, s := range c.settings {
		if s.hf == hf && s.gguf == gguf {
			c.settings[i].value = value
			return
		}
	}
	c.settings = append(c.settings, setting{hf, gguf, value})
}

// noted is what was kept under a Hugging Face name.
func (c *Config) noted(hf string) any {
	for _, s := range c.settings {
		if s.hf == hf {
			return s.value
		}
	}
	return nil
}

// use notes that a tensor of the file was read with the config.
func (c *Config) use(tensor string) { c.used = append(c.used, tensor) }

// extra is a tensor of a GGUF file that is no weight: a table of the config.
func (c *Config) extra(tensor string, values []float64) {
	v := make([]float32, len(values))
	for i, f := range values {
		v[i] = float32(f)
	}
	c.extras = append(c.extras, Stored{Name: tensor, Shape: []int{len(v)}, values: v})
}

// noGGUF tells why a model cannot be written as GGUF: the format has no word for something. The first reason is kept.
func (c *Config) noGGUF(why string) {
	if c.unwritable == "" {
		c.unwritable = why
	}
}

// unheardOf tells what llama.cpp passes over in a GGUF file of the model, whose results are then other ones there.
func (c *Config) unheardOf(format string, args ...any) {
	c.unheard = append(c.unheard, "llama.cpp computes this model otherwise: of its files it does not read "+fmt.Sprintf(format, args...))
}

// say tells a person what was taken for granted.
func (c *Config) say(format string, args ...any) {
	c.said = append(c.said, fmt.Sprintf(format, args...))
}

// GGUFNotes says where other programs give other results for a GGUF file of the model.
func (d *Design) GGUFNotes() []string { return d.config.unheard }

// HFConfig is a config.json of the model, whatever kind of file it came from.
func (d *Design) HFConfig() map[string]any {
	out := map[string]any{"architectures": []any{d.arch.HF[0]}, "model_type": d.arch.Name}
	for _, s := range d.config.settings {
		if s.hf != "" {
			out[s.hf] = spelled(s.value)
		}
	}
	return out
}

// spelled gives whole floats a decimal point, as Python writes them: transformers refuses 30 where it wants 30.0.
func spelled(v any) any {
	switch v := v.(type) {
	case float64:
		if b, err := json.Marshal(v); err == nil && !strings.ContainsAny(string(b), ".e") {
			return json.Number(string(b) + ".0")
		}
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, x := range v {
			out[key] = spelled(x)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, x := range v {
			out[i] = spelled(x)
		}
		return out
	}
	return v
}

// GGUFMeta is the metadata of a GGUF file of the model, without its tokenizer.
func (d *Design) GGUFMeta() []checkpoint.GGUFValue {
	name := d.arch.gguf()
	out := []checkpoint.GGUFValue{{Key: "general.architecture", Value: name}}
	for _, s := range d.config.settings {
		if s.gguf != "" && s.value != nil {
			out = append(out, checkpoint.GGUFValue{Key: name + "." + s.gguf, Value: ggufValue(s.value)})
		}
	}
	return out
}

// ggufValue gives a setting the width that GGUF files have for it.
func ggufValue(v any) any {
	switch v := v.(type) {
	case int:
		return uint32(v)
	case float64:
		return float32(v)
	case []int:
		out := make([]int32, len(v))
		for i, n := range v {
			out[i] = int32(n)
		}
		return out
	}
	return v
}
