package model

import "hone/checkpoint"

// setting is one thing that was read of a config, under the names that the two kinds of file have for it ("": none).
type setting struct {
	hf, gguf string
	value    any // bool, int, float64, string, or a slice of them
}

// note keeps what was read, or decided where nothing was said: the same config can then be written in either kind's words.
// A later value of the same name takes the place of an earlier one.
func (c *Config) note(hf, gguf string, value any) {
	for i, s := range c.settings {
		if s.hf == hf && s.gguf == gguf {
			c.settings[i].value = value
			return
		}
	}
	c.settings = append(c.settings, setting{hf, gguf, value})
}

// HFConfig is a config.json of the model, whatever kind of file it came from.
func (d *Design) HFConfig() map[string]any {
	kind := d.arch.Type
	if kind == "" {
		kind = d.arch.Name
	}
	out := map[string]any{"architectures": []any{d.arch.HF[0]}, "model_type": kind}
	for _, s := range d.settings {
		if s.hf != "" {
			out[s.hf] = s.value
		}
	}
	return out
}

// GGUFMeta is the metadata of a GGUF file of the model, without its tokenizer.
func (d *Design) GGUFMeta() []checkpoint.GGUFValue {
	out := []checkpoint.GGUFValue{{Key: "general.architecture", Value: d.arch.Name}}
	for _, s := range d.settings {
		if s.gguf != "" {
			out = append(out, checkpoint.GGUFValue{Key: d.arch.Name + "." + s.gguf, Value: ggufValue(s.value)})
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
