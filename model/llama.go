package model

// Llama (Touvron et al. 2023): pre-norm blocks of grouped-query attention with rotary positions and a gated MLP.
func init() {
	register(Arch{Name: "llama", HF: []string{"LlamaForCausalLM"}, decoder: llama})
}

func llama(c *Config) *decoder {
	d := c.decoder()
	d.attentionBias()
	d.mlpBias = c.Has("mlp_bias", "blk.0.ffn_down.bias", false)
	d.attention.Rope = c.Rope(d.size, ropeDefault{})
	d.activation("hidden_act", "silu")
	d.interleave()
	return d
}
