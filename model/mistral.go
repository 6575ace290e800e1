package model

// Mistral (Jiang et al. 2023) is Llama with a sliding window. Its GGUF files call themselves llama.
func init() {
	register(Arch{Name: "mistral", GGUF: "llama", HF: []string{"MistralForCausalLM"}, decoder: mistral, Claims: hasWindow})
}

func hasWindow(c *Config) bool {
	n, ok := c.float("", "attention.sliding_window")
	return ok && n > 0
}

func mistral(c *Config) *decoder {
	d := c.decoder()
	d.sameWindow(c.Window(4096))
	d.attention.Rope = c.Rope(d.size, ropeDefault{})
	d.activation("hidden_act", "silu")
	d.interleave()
	return d
}

// sameWindow gives all blocks one sliding window.
func (d *decoder) sameWindow(window int) {
	if window > 0 && window < d.context {
		d.c.unheardOf("the sliding window of %d tokens", window)
	}
	for i := range d.windows {
		d.windows[i] = window
	}
}
