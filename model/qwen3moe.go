package model

// Qwen3-MoE (Yang et al. 2025): Qwen3 whose MLP is a mixture of small experts.
func init() {
	register(Arch{Name: "qwen3_moe", GGUF: "qwen3moe", HF: []string{"Qwen3MoeForCausalLM"}, decoder: qwen3moe})
}

func qwen3moe(c *Config) *decoder {
	d := qwen3(c)
	c.Refuse("decoder_sparse_step", 1)
	c.Refuse("mlp_only_layers", []any{})
	d.mixture(c.expertsKey("num_experts"), c.Int("moe_intermediate_size", "expert_feed_forward_length"))
	d.normalized(true)
	return d
}
