package model

import (
	"fmt"
	"math"

	"hone/nn"
)

// GPT-2 (Radford et al. 2019): learned positions, LayerNorms before attention and MLP, biases everywhere. Its Hugging Face
// files hold matrices as [in, out], q, k and v in one.
func init() {
	register(Arch{Name: "gpt2", HF: []string{"GPT2LMHeadModel", "GPT2Model"}, Design: designGPT2})
}

func designGPT2(c *Config) (*Design, error) {
	d := c.learned("lm_head.weight", "n_embd", "n_layer", "n_head", "n_inner", "n_positions")
	eps := float32(c.Float("layer_norm_epsilon", "attention.layer_norm_epsilon", 1e-5))
	act := c.Activation("activation_function", "gelu_new")
	scale := d.scoreScales()
	c.Refuse("add_cross_attention", false)
	attention := d.attention
	attention.Q, attention.K, attention.V, attention.O = "q_proj", "k_proj", "v_proj", "c_proj"
	attention.QKVBias = c.file == nil || c.holds("transformer.h.0.attn.c_attn.bias") || c.holds("h.0.attn.c_attn.bias") || c.holds("blk.0.attn_qkv.bias")
	if err := d.check(); err != nil {
		return nil, err
	}
	width, mlp := d.width, d.mlp[0]

	b := nn.NewBuilder()
	x := b.Add(b.Embed("transformer.wte.weight", d.vocab, width), b.EmbedPosition("transformer.wpe.weight", d.context, width, 0))
	for i := range d.blocks {
		b.Block(fmt.Sprintf("transformer.h.%d.", i), func() {
			attention.Scale = scale(i)
			x = b.Add(x, b.Attention(b.LayerNorm(x, "ln_1", eps), "attn", attention))
			h := b.ColumnLinears(b.LayerNorm(x, "ln_2", eps), nn.Linear{Name: "mlp.c_fc.weight", Bias: "mlp.c_fc.bias", Out: mlp, Unit: 1})
			x = b.Add(x, b.RowLinear(act(b, h[0]), "mlp.c_proj.weight", "mlp.c_proj.bias", width))
		})
	}
	head := "lm_head.weight"
	if d.tied {
		head = "transformer.wte.weight"
	}
	b.Head(b.LayerNorm(x, "transformer.ln_f", eps), head, d.vocab)
	return &Design{
		Program: b.Program(), Context: d.context, Tied: d.tied, Attention: d.learnedWords(), Base: "transformer.", Unused: []string{".attn.bias", ".attn.masked_bias"},
		HF: Layout{
			"transformer.h.%d.attn.q_proj": rows("transformer.h.%d.attn.c_attn", 0, width).turned(),
			"transformer.h.%d.attn.k_proj": rows("transformer.h.%d.attn.c_attn", width, 2*width).turned(),
			"transformer.h.%d.attn.v_proj": rows("transformer.h.%d.attn.c_attn", 2*width, 3*width).turned(),
			"transformer.h.%d.attn.c_proj": at("transformer.h.%d.attn.c_proj").turned(),
			"transformer.h.%d.mlp.c_fc":    at("transformer.h.%d.mlp.c_fc").turned(),
			"transformer.h.%d.mlp.c_proj":  at("transformer.h.%d.mlp.c_proj").turned(),
		},
		GGUF: Layout{
			"transformer.wte":              at("token_embd"),
			"transformer.wpe":              at("position_embd"),
			"transformer.ln_f":             at("output_norm"),
			"lm_head":                      at("output"),
			"transformer.h.%d.ln_1":        at("blk.%d.attn_norm"),
			"transformer.h.%d.ln_2":        at("blk.%d.ffn_norm"),
			"transformer.h.%d.attn.q_proj": rows("blk.%d.attn_qkv", 0, width),
			"transformer.h.%d.attn.k_proj": rows("blk.%d.attn_qkv", width, 2*width),
			"transformer.h.%d.attn.v_proj": rows("blk.%d.attn_qkv", 2*width, 3*width),
			"transformer.h.%d.attn.c_proj": at("blk.%d.attn_output"),
			"transformer.h.%d.mlp.c_fc":    at("blk.%d.ffn_up"),
			"transformer.h.%d.mlp.c_proj":  at("blk.%d.ffn_down"),
		},
	}, nil
}

// scoreScales reads what the scores of block i are multiplied by. The order of operations that reorder_and_upcast_attn asks
// for is a matter of 16-bit floats.
func (d *decoder) scoreScales() func(i int) float64 {
	c, scale := d.c, 1/math.Sqrt(float64(d.attention.Size))
	if !c.FlagOr("scale_attn_weights", "", true) {
		c.noGGUF("its scores are not scaled by the size of a head")
		scale = 1
	}
	byBlock := c.Flag("scale_attn_by_inverse_layer_idx")
	if byBlock {
		c.noGGUF("its scores are scaled by the number of the block")
	}
	return func(i int) float64 {
		if byBlock {
			return scale / float64(i+1)
		}
		return scale
	}
}
