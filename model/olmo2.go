package model

import (
	"maps"

	"hone/nn"
)

// OLMo 2 (OLMo Team 2025): norms after attention and MLP instead of before, and norms of the whole rows of q and k.
func init() {
	register(Arch{Name: "olmo2", HF: []string{"Olmo2ForCausalLM"}, decoder: olmo2})
}

func olmo2(c *Config) *decoder {
	d := c.decoder()
	d.epsilon(1e-5)
	d.attention.QNorm, d.attention.KNorm, d.attention.NormRows = "q_norm", "k_norm", true
	d.attentionBias()
	d.block = d.after
	d.attention.Rope = c.Rope(d.size, ropeDefault{})
	d.activation("hidden_act", "silu")
	c.RefuseGGUF("attention.sliding_window", 0) // OLMo 3
	d.headNorms()
	d.repeatHead = "output.weight"
	maps.Copy(d.gguf, Layout{
		"model.layers.%d.post_attention_layernorm":   at("blk.%d.post_attention_norm"),
		"model.layers.%d.post_feedforward_layernorm": at("blk.%d.post_ffw_norm"),
	})
	return d
}

// after is a block whose norms stand after the attention and the MLP.
func (d *decoder) after(b *nn.Builder, x nn.Value, i int) nn.Value {
	x = b.Add(x, d.norm(b, d.attend(b, x, i), "post_attention_layernorm"))
	return b.Add(x, d.norm(b, d.gated(b, x, i), "post_feedforward_layernorm"))
}
