package model

import "maps"

// gpt-oss (OpenAI 2025): biases everywhere, attention sinks, a sliding window in every other block, YaRN, and a mixture of
// experts with a clamped gate.
func init() {
	register(Arch{Name: "gpt_oss", GGUF: "gpt-oss", HF: []string{"GptOssForCausalLM"}, decoder: gptOSS})
}

func gptOSS(c *Config) *decoder {
	d := c.decoder()
	d.epsilon(1e-5)
	bias := c.Has("attention_bias", "blk.0.attn_output.bias", true)
	d.attention.QKVBias, d.attention.OBias, d.attention.Sinks = bias, bias, "sinks"
	d.windows = c.Windows(d.blocks, c.Window(128), func(i int) bool { return i%2 == 0 })
	d.attention.Rope = c.Rope(d.size, ropeDefault{theta: 150000, uncut: true,
		usual: map[string]any{"rope_type": "yarn", "factor": 32.0, "original_max_position_embeddings": 4096, "truncate": false}})
	d.mixture(c.expertsKey("num_local_experts"), d.sharedMLP())
	c.note("", "expert_feed_forward_length", d.experts.Width)
	c.RefuseGGUF("expert_feed_forward_length", d.experts.Width)
	d.experts.Normalize, d.experts.RouterBias, d.experts.Bias = true, "mlp.gate.bias", true
	d.experts.Alpha, d.experts.Limit = c.Float("swiglu_alpha", "", 1.702), c.Float("swiglu_limit", "", 7)
	if d.experts.Alpha != 1.702 || d.experts.Limit != 7 {
		c.noGGUF("its gates are clamped elsewhere")
	}
	d.hf = gptOSSExperts(d.experts.Count)
	maps.Copy(d.gguf, Layout{
		"model.layers.%d.self_attn.sinks":          at("blk.%d.attn_sinks.weight"),
		"model.layers.%d.post_attention_layernorm": at("blk.%d.post_attention_norm"),
	})
	return d
}

// gptOSSExperts: the directory holds all experts of a block in one tensor [experts, in, out], rows of gate and up in turns;
// [experts, out, in] in the 4-bit floats that the model was published in.
func gptOSSExperts(n int) Layout {
	both, down := "model.layers.%d.mlp.experts.gate_up_proj", "model.layers.%d.mlp.experts.down_proj"
	return Layout{
		"model.layers.%d.mlp.gate":                        at("model.layers.%d.mlp.router"),
		"model.layers.%d.mlp.experts.%d.gate_proj.weight": bank(both, n).turned().unless("mxfp4").alternate(0, 2, 1),
		"model.layers.%d.mlp.experts.%d.up_proj.weight":   bank(both, n).turned().unless("mxfp4").alternate(1, 2, 1),
		"model.layers.%d.mlp.experts.%d.down_proj.weight": bank(down, n).turned().unless("mxfp4"),
		"model.layers.%d.mlp.experts.%d.gate_proj.bias":   bank(both+"_bias", n).alternate(0, 2, 1),
		"model.layers.%d.mlp.experts.%d.up_proj.bias":     bank(both+"_bias", n).alternate(1, 2, 1),
		"model.layers.%d.mlp.experts.%d.down_proj.bias":   bank(down+"_bias", n),
	}
}
