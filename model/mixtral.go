package model

// Mixtral (Jiang et al. 2024): Mistral whose MLP is a mixture of experts. Its GGUF files call themselves llama.
func init() {
	register(Arch{Name: "mixtral", GGUF: "llama", HF: []string{"MixtralForCausalLM"}, decoder: mixtral, Claims: hasExperts})
}

func mixtral(c *Config) *decoder {
	d := c.decoder()
	d.epsilon(1e-5)
	d.sameWindow(c.Window(0))
	d.attention.Rope = c.Rope(d.size, ropeDefault{theta: 1e6})
	d.interleave()
	d.mixture(c.expertsKey("num_local_experts"), d.sharedMLP())
	d.experts.Normalize = true
	d.hf = Layout{
		"model.layers.%d.mlp.gate":                 at("model.layers.%d.block_sparse_moe.gate"),
		"model.layers.%d.mlp.experts.%d.gate_proj": at("model.layers.%d.block_sparse_moe.experts.%d.w1"),
		"model.layers.%d.mlp.experts.%d.down_proj": at("model.layers.%d.block_sparse_moe.experts.%d.w2"),
		"model.layers.%d.mlp.experts.%d.up_proj":   at("model.layers.%d.block_sparse_moe.experts.%d.w3"),
	}
	return d
}
