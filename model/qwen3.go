package model

// Qwen3 (Yang et al. 2025): Llama with a norm of each head of q and k.
func init() {
	register(Arch{Name: "qwen3", HF: []string{"Qwen3ForCausalLM"}, decoder: qwen3})
}

func qwen3(c *Config) *decoder {
	d := c.qwen3Blocks()
	d.activation("hidden_act", "silu")
	d.upperWindows()
	return d
}

// qwen3Blocks reads what Qwen3 and Qwen3-MoE share.
func (c *Config) qwen3Blocks() *decoder {
	d := c.decoder()
	d.attentionBias()
	d.attention.QNorm, d.attention.KNorm = "q_norm", "k_norm"
	d.attention.Rope = c.Rope(d.size, ropeDefault{})
	d.headNorms()
	return d
}

// headNorms adds GGUF's names of the norms of q and k.
func (d *decoder) headNorms() {
	d.gguf["model.layers.%d.self_attn.q_norm"] = at("blk.%d.attn_q_norm")
	d.gguf["model.layers.%d.self_attn.k_norm"] = at("blk.%d.attn_k_norm")
}
