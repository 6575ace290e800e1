package model

// OLMoE (Muennighoff et al. 2024): Llama with norms of the whole rows of q and k, and a mixture of experts whose weights do not sum
// to 1.
func init() {
	register(Arch{Name: "olmoe", HF: []string{"OlmoeForCausalLM"}, decoder: olmoe})
}

func olmoe(c *Config) *decoder {
	d := c.decoder()
	d.epsilon(1e-5)
	d.attention.QNorm, d.attention.KNorm, d.attention.NormRows = "q_norm", "k_norm", true
	d.attentionBias()
	d.attention.Rope = c.Rope(d.size, ropeDefault{})
	if d.attention.Clip = c.Optional("clip_qkv", "", 0); d.attention.Clip > 0 {
		c.noGGUF("no olmoe file has clamped queries, keys and values")
	}
	c.RefuseGGUF("attention.clamp_kqv", 0)
	d.headNorms()
	d.mixture(c.expertsKey("num_experts"), d.sharedMLP())
	d.normalized(false)
	return d
}
