package model

import "slices"

// Qwen3-MoE (Yang et al. 2025): Qwen3 whose MLP is a mixture of small experts, in all blocks or in some.
func init() {
	register(Arch{Name: "qwen3_moe", GGUF: "qwen3moe", HF: []string{"Qwen3MoeForCausalLM"}, decoder: qwen3moe})
}

func qwen3moe(c *Config) *decoder {
	d := c.qwen3Blocks()
	d.sharedWindow()
	d.mixture(c.expertsKey("num_experts"), c.Int("moe_intermediate_size", "expert_feed_forward_length"))
	d.normalized(true)
	d.denseBlocks()
	return d
}

// sharedWindow: where the config uses its sliding window, all blocks have it, whatever max_window_layers says.
func (d *decoder) sharedWindow() {
	c := d.c
	switch {
	case c.raw.GGUF != nil:
		d.sameWindow(c.Window(0))
		c.note("use_sliding_window", "", d.blocks > 0 && d.windows[0] > 0)
	case c.Flag("use_sliding_window"):
		d.sameWindow(c.Window(4096))
	default:
		c.note("sliding_window", "", nil)
	}
}

// denseBlocks reads which blocks have a gated MLP: those that mlp_only_layers lists, counted from 0, and all but every
// decoder_sparse_step-th, counted from 1.
func (d *decoder) denseBlocks() {
	c, step := d.c, d.c.IntOr("decoder_sparse_step", "", 1)
	only := []int{}
	if v := c.value("mlp_only_layers", ""); v != nil && c.raw.GGUF == nil {
		said, _ := v.([]any)
		list, ok := wholes(said)
		if only = list; said == nil || !ok {
			c.fail("mlp_only_layers is %s; it must be a list of whole numbers", brief(v))
		}
	}
	c.note("mlp_only_layers", "", list(only))
	d.dense = make([]bool, d.blocks)
	for i := range d.dense {
		d.dense[i] = slices.Contains(only, i) || (i+1)%step != 0
	}
	if slices.Contains(d.dense, true) {
		c.noGGUF("every block of a qwen3moe file has experts, of this model some have none")
	}
}
