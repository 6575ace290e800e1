package model

import (
	"maps"

	"hone/nn"
)

// Gemma 3 (Gemma Team 2025): Gemma 2 with a norm of each head of q and k instead of a soft cap of scores, and other rotary
// positions in the blocks with a sliding window.
func init() {
	register(Arch{Name: "gemma3_text", GGUF: "gemma3", HF: []string{"Gemma3ForCausalLM", "Gemma3ForConditionalGeneration"}, decoder: gemma3})
}

func gemma3(c *Config) *decoder {
	c.textConfig()
	d := c.gemma(62)
	d.prefixes = []string{"language_model.", "model.language_model."} // of a model that could see, too
	d.attention.QNorm, d.attention.KNorm, d.attention.NormPlusOne = "q_norm", "k_norm", true
	maps.Copy(d.gguf, Layout{
		"model.layers.%d.self_attn.q_norm": at("blk.%d.attn_q_norm").more(1),
		"model.layers.%d.self_attn.k_norm": at("blk.%d.attn_k_norm").more(1),
	})
	c.Refuse("attn_logit_softcapping", nil)
	d.softcap = c.Optional("final_logit_softcapping", "final_logit_softcapping", 0)
	if c.raw.GGUF == nil || hasWindow(c) {
		every := c.IntOr("sliding_window_pattern", "", 6)
		d.windows = c.Windows(d.blocks, c.Window(4096), func(i int) bool { return (i+1)%every != 0 })
	}
	global := c.Rope(d.size, ropeDefault{theta: 1e6, layer: "full_attention"})
	local := c.Rope(d.size, ropeDefault{theta: 1e4, thetaKey: "rope_local_base_freq", layer: "sliding_attention"})
	d.ropes = func(i int) *nn.Rope {
		if d.windows[i] > 0 {
			return local
		}
		return global
	}
	return d
}

// textConfig makes the description of the text model the whole config of a model that could see, too. Its file is served
// where it holds no vision tensors.
func (c *Config) textConfig() {
	text, ok := c.raw.HF["text_config"].(map[string]any)
	if !ok {
		return
	}
	whole := maps.Clone(text)
	for key, otherwise := range map[string]any{"vocab_size": 262208, "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256,
		"max_position_embeddings": 131072} {
		if whole[key] == nil {
			whole[key] = otherwise
		}
	}
	whole["architectures"], whole["model_type"] = []any{"Gemma3ForCausalLM"}, "gemma3_text"
	c.raw.HF = whole
}
