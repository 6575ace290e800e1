package model

import (
	"fmt"
	"maps"

	"hone/nn"
)

// maxExperts bounds the experts of all blocks, and with them the size of a program that a config alone can ask for.
const maxExperts = 1 << 16

// mixture reads the mixture of experts that stands in the place of every block's MLP: count is the config's key of the
// number of experts, sizes the features of one.
func (d *decoder) mixture(count string, width int) {
	c := d.c
	d.experts = nn.Experts{Router: "mlp.gate.weight", Prefix: "mlp.experts.", Gate: "gate_proj", Up: "up_proj", Down: "down_proj", Width: width,
		Count: c.Int(count, "expert_count"), Active: c.Int("num_experts_per_tok", "expert_used_count")}
	switch n := d.experts.Count; {
	case d.experts.Active > n:
		c.fail("each token goes to %d experts, a block has %d", d.experts.Active, n)
	case n > maxExperts/max(d.blocks, 1):
		c.fail("%d experts in each of %d blocks are too many; Hone takes at most %d in all", n, d.blocks, maxExperts)
	}
	c.Refuse("hidden_act", "silu", "swish")
	c.RefuseGGUF("expert_gating_func", 1) // softmax
	c.RefuseGGUF("expert_shared_count", 0)
	c.RefuseGGUF("expert_weights_scale", 1)
	c.RefuseGGUF("expert_group_count", 1)
	maps.Copy(d.gguf, Layout{
		"model.layers.%d.mlp.gate":                 at("blk.%d.ffn_gate_inp"),
		"model.layers.%d.mlp.experts.%d.gate_proj": bank("blk.%d.ffn_gate_exps", d.experts.Count),
		"model.layers.%d.mlp.experts.%d.up_proj":   bank("blk.%d.ffn_up_exps", d.experts.Count),
		"model.layers.%d.mlp.experts.%d.down_proj": bank("blk.%d.ffn_down_exps", d.experts.Count),
	})
	d.block = d.mixed
}

// expertsKey is the config's key of the number of experts: transformers has two words for it.
func (c *Config) expertsKey(key string) string {
	for _, k := range []string{"num_experts", "num_local_experts"} {
		if c.raw.HF[k] != nil {
			return k
		}
	}
	return key
}

// mixed is the plain block with experts, save in dense blocks.
func (d *decoder) mixed(b *nn.Builder, x nn.Value, i int) nn.Value {
	x = d.add(b, x, d.attend(b, d.norm(b, x, "input_layernorm"), i))
	h := d.norm(b, x, "post_attention_layernorm")
	if d.dense != nil && d.dense[i] {
		return d.add(b, x, d.gated(b, h, i))
	}
	return d.add(b, x, b.Experts(h, d.experts))
}

// normalized reads whether the weights of a token's experts sum to 1; llama.cpp holds that this architecture's files are so,
// or are not.
func (d *decoder) normalized(gguf bool) {
	c := d.c
	d.experts.Normalize = c.FlagOr("norm_topk_prob", "", c.raw.GGUF != nil && gguf)
	c.RefuseGGUF("expert_weights_norm", gguf)
	if d.experts.Normalize != gguf {
		c.noGGUF(fmt.Sprintf("norm_topk_prob is %v", d.experts.Normalize))
	}
}

func hasExperts(c *Config) bool {
	n, ok := c.float("", "expert_count")
	return ok && n > 0
}
