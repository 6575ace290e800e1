package model

import (
	"maps"
	"math"

	"hone/nn"
)

// Gemma 2 (Gemma Team 2024): norms around attention and MLP whose gains are 1 + the weight, every other block with a
// sliding window, soft caps of scores and logits.
func init() {
	register(Arch{Name: "gemma2", HF: []string{"Gemma2ForCausalLM"}, decoder: gemma2})
}

func gemma2(c *Config) *decoder {
	d := c.gemma(46)
	d.attention.Rope = c.Rope(d.size, ropeDefault{})
	d.attention.Softcap = c.Optional("attn_logit_softcapping", "attn_logit_softcapping", 50)
	d.softcap = c.Optional("final_logit_softcapping", "final_logit_softcapping", 30)
	if d.softcap == 0 || d.attention.Softcap == 0 {
		c.noGGUF("it has no soft caps, which every gemma2 file has")
	}
	d.windows = c.Windows(d.blocks, c.Window(4096), func(i int) bool { return i%2 == 0 })
	return d
}

// gemma reads what Gemma 2 and 3 share.
func (c *Config) gemma(largest int) *decoder {
	d := c.decoder()
	d.activation("hidden_activation", "gelu_pytorch_tanh")
	if c.raw.HF["hidden_activation"] == nil { // beside it hidden_act is a remnant
		c.Refuse("hidden_act", "gelu_pytorch_tanh")
	}
	c.Refuse("use_bidirectional_attention", false)
	d.attentionBias()
	d.plusOne, d.embedding, d.block = true, math.Sqrt(float64(d.width)), d.sandwich
	if c.Err == nil {
		d.attention.Scale = d.scoreScale(largest)
	}
	maps.Copy(d.gguf, Layout{
		"model.norm":                                 at("output_norm").more(1),
		"model.layers.%d.input_layernorm":            at("blk.%d.attn_norm").more(1),
		"model.layers.%d.post_attention_layernorm":   at("blk.%d.post_attention_norm").more(1),
		"model.layers.%d.pre_feedforward_layernorm":  at("blk.%d.ffn_norm").more(1),
		"model.layers.%d.post_feedforward_layernorm": at("blk.%d.post_ffw_norm").more(1),
	})
	return d
}

// scoreScale is that of query_pre_attn_scalar. GGUF tells it only where it is not the usual one: the head's size, save in
// the family's largest model, known by its number of blocks, where it is an even share of the width.
func (d *decoder) scoreScale(largest int) float64 {
	c, usual := d.c, float64(d.size)
	if d.blocks == largest {
		usual = float64(d.width / d.heads[0])
	}
	scalar := usual
	if c.raw.GGUF == nil {
		scalar = c.Float("query_pre_attn_scalar", "", 256)
	} else if f, ok := c.float("", "attention.scale"); ok {
		f = c.positive(c.ggufKey("attention.scale"), f)
		scalar = shortest(float64(float32(1 / (f * f))))
	}
	c.note("query_pre_attn_scalar", "", scalar)
	if scalar == math.Trunc(scalar) { // transformers wants a whole number
		c.note("query_pre_attn_scalar", "", int(scalar))
	}
	scale := 1 / math.Sqrt(scalar)
	if scalar != usual {
		c.note("", "attention.scale", scale)
		c.unheardOf("the scale of attention, query_pre_attn_scalar %v", scalar)
	}
	return scale
}

// sandwich is the block of Gemma 2 and 3: norms before and after the attention and the MLP.
func (d *decoder) sandwich(b *nn.Builder, x nn.Value, i int) nn.Value {
	h := d.attend(b, d.norm(b, x, "input_layernorm"), i)
	x = b.Add(x, d.norm(b, h, "post_attention_layernorm"))
	h = d.gated(b, d.norm(b, x, "pre_feedforward_layernorm"), i)
	return b.Add(x, d.norm(b, h, "post_feedforward_layernorm"))
}
