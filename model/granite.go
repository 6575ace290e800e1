package model

// Granite 3 (Granite Team 2024): Llama with constant multipliers of embeddings, scores, residuals and logits.
func init() {
	register(Arch{Name: "granite", HF: []string{"GraniteForCausalLM"}, decoder: granite})
}

func granite(c *Config) *decoder {
	d := c.decoder()
	d.attentionBias()
	d.mlpBias = c.Has("mlp_bias", "blk.0.ffn_down.bias", false)
	d.attention.Rope = c.Rope(d.size, ropeDefault{})
	if c.raw.GGUF == nil || c.value("", "attention.scale") != nil {
		d.attention.Scale = c.Float("attention_multiplier", "attention.scale", 1)
	}
	d.embedding = c.Float("embedding_multiplier", "embedding_scale", 1)
	d.residual = c.Float("residual_multiplier", "residual_scale", 1)
	d.logits = 1 / c.Float("logits_scaling", "logit_scale", 1)
	d.activation("hidden_act", "silu")
	d.interleave()
	return d
}
