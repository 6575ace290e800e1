package model

// Qwen2 and Qwen2.5 (Yang et al. 2024): Llama with biases of q, k and v.
func init() {
	register(Arch{Name: "qwen2", HF: []string{"Qwen2ForCausalLM"}, decoder: qwen2})
}

func qwen2(c *Config) *decoder {
	d := c.decoder()
	d.attention.QKVBias = true
	d.attention.Rope = c.Rope(d.size, ropeDefault{})
	d.upperWindows()
	d.activation("hidden_act", "silu")
	return d
}

// upperWindows: the blocks from max_window_layers on have a sliding window, where the config uses it at all.
func (d *decoder) upperWindows() {
	c := d.c
	if c.raw.GGUF == nil && !c.Flag("use_sliding_window") {
		c.note("sliding_window", "", nil)
		return
	}
	if c.raw.GGUF != nil && !hasWindow(c) {
		return
	}
	c.note("use_sliding_window", "", true)
	first := c.IntOr("max_window_layers", "", 28)
	d.windows = c.Windows(d.blocks, c.Window(4096), func(i int) bool { return i >= first })
}
