package model

import (
	"fmt"

	"hone/nn"
)

// OPT (Zhang et al. 2022): learned positions that begin at row 2, LayerNorms before attention and MLP, ReLU. GGUF has no
// name for it.
func init() {
	register(Arch{Name: "opt", HF: []string{"OPTForCausalLM"}, Design: designOPT})
}

func designOPT(c *Config) (*Design, error) {
	const offset, eps = 2, 1e-5
	if c.raw.GGUF != nil {
		return nil, unserved("OPT models have no GGUF form; use the Hugging Face directory")
	}
	d := c.learned("lm_head.weight", "hidden_size", "num_hidden_layers", "num_attention_heads", "ffn_dim", "max_position_embeddings")
	act := c.Activation("activation_function", "relu")
	bias := c.FlagOr("enable_bias", "", true)
	c.Refuse("do_layer_norm_before", true)
	c.Refuse("layer_norm_elementwise_affine", true)
	c.Refuse("word_embed_proj_dim", d.width)
	last := !c.Flag("_remove_final_layer_norm")
	attention := d.attention
	attention.Q, attention.K, attention.V, attention.O, attention.QKVBias, attention.OBias = "q_proj", "k_proj", "v_proj", "out_proj", bias, bias
	if err := d.check(); err != nil {
		return nil, err
	}
	name := func(n string) string {
		if bias {
			return n
		}
		return ""
	}

	b := nn.NewBuilder()
	x := b.Embed("model.decoder.embed_tokens.weight", d.vocab, d.width)
	x = b.Add(x, b.EmbedPosition("model.decoder.embed_positions.weight", d.context+offset, d.width, offset))
	for i := range d.blocks {
		b.Block(fmt.Sprintf("model.decoder.layers.%d.", i), func() {
			x = b.Add(x, b.Attention(b.LayerNorm(x, "self_attn_layer_norm", eps), "self_attn", attention))
			h := b.ColumnLinears(b.LayerNorm(x, "final_layer_norm", eps), nn.Linear{Name: "fc1.weight", Bias: name("fc1.bias"), Out: d.mlp[0], Unit: 1})
			x = b.Add(x, b.RowLinear(act(b, h[0]), "fc2.weight", name("fc2.bias"), d.width))
		})
	}
	if last {
		x = b.LayerNorm(x, "model.decoder.final_layer_norm", eps)
	}
	head := "lm_head.weight"
	if d.tied {
		head = "model.decoder.embed_tokens.weight"
	}
	b.Head(x, head, d.vocab)
	return &Design{Program: b.Program(), Context: d.context, Tied: d.tied, Attention: d.learnedWords(), Base: "model."}, nil
}
