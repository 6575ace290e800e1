package model

import (
	"fmt"

	"hone/nn"
)

// GPT-NeoX and Pythia (Black et al. 2022): attention and MLP side by side, rotary positions of a part of the head; q, k and
// v of each head stand together in one matrix.
func init() {
	register(Arch{Name: "gpt_neox", GGUF: "gptneox", HF: []string{"GPTNeoXForCausalLM"}, Design: designGPTNeoX})
}

func designGPTNeoX(c *Config) (*Design, error) {
	d := c.learned("embed_out.weight", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "max_position_embeddings")
	eps := float32(c.Float("layer_norm_eps", "attention.layer_norm_epsilon", 1e-5))
	act := c.Activation("hidden_act", "gelu")
	parallel := c.FlagOr("use_parallel_residual", "use_parallel_residual", true)
	bias := c.Has("attention_bias", "blk.0.attn_output.bias", true)
	attention := d.attention
	attention.Rope = c.Rope(attention.Size, ropeDefault{part: 0.25, thetaKey: "rotary_emb_base", partKey: "rotary_pct"})
	attention.Q, attention.K, attention.V, attention.O, attention.QKVBias, attention.OBias = "q_proj", "k_proj", "v_proj", "dense", bias, bias
	if err := d.check(); err != nil {
		return nil, err
	}
	width, size := d.width, attention.Size

	b := nn.NewBuilder()
	x := b.Embed("gpt_neox.embed_in.weight", d.vocab, width)
	for i := range d.blocks {
		b.Block(fmt.Sprintf("gpt_neox.layers.%d.", i), func() {
			y := b.Add(x, b.Attention(b.LayerNorm(x, "input_layernorm", eps), "attention", attention))
			if !parallel {
				x = y
			}
			h := b.ColumnLinears(b.LayerNorm(x, "post_attention_layernorm", eps),
				nn.Linear{Name: "mlp.dense_h_to_4h.weight", Bias: "mlp.dense_h_to_4h.bias", Out: d.mlp[0], Unit: 1})
			x = b.Add(y, b.RowLinear(act(b, h[0]), "mlp.dense_4h_to_h.weight", "mlp.dense_4h_to_h.bias", width))
		})
	}
	head := "embed_out.weight"
	if d.tied {
		head = "gpt_neox.embed_in.weight"
	}
	b.Head(b.LayerNorm(x, "gpt_neox.final_layer_norm", eps), head, d.vocab)
	qkv := "gpt_neox.layers.%d.attention.query_key_value"
	return &Design{
		Program: b.Program(), Context: d.context, Tied: d.tied, Attention: d.learnedWords(), Base: "gpt_neox.", RepeatHead: "output.weight",
		Unused: []string{".attention.bias", ".attention.masked_bias", "rotary_emb.inv_freq"},
		HF: Layout{
			"gpt_neox.layers.%d.attention.q_proj": at(qkv).alternate(0, 3, size),
			"gpt_neox.layers.%d.attention.k_proj": at(qkv).alternate(1, 3, size),
			"gpt_neox.layers.%d.attention.v_proj": at(qkv).alternate(2, 3, size),
		},
		GGUF: Layout{
			"gpt_neox.embed_in":                           at("token_embd"),
			"gpt_neox.final_layer_norm":                   at("output_norm"),
			"embed_out":                                   at("output"),
			"gpt_neox.layers.%d.input_layernorm":          at("blk.%d.attn_norm"),
			"gpt_neox.layers.%d.post_attention_layernorm": at("blk.%d.ffn_norm"),
			"gpt_neox.layers.%d.attention.q_proj":         rows("blk.%d.attn_qkv", 0, width),
			"gpt_neox.layers.%d.attention.k_proj":         rows("blk.%d.attn_qkv", width, 2*width),
			"gpt_neox.layers.%d.attention.v_proj":         rows("blk.%d.attn_qkv", 2*width, 3*width),
			"gpt_neox.layers.%d.attention.dense":          at("blk.%d.attn_output"),
			"gpt_neox.layers.%d.mlp.dense_h_to_4h":        at("blk.%d.ffn_up"),
			"gpt_neox.layers.%d.mlp.dense_4h_to_h":        at("blk.%d.ffn_down"),
		},
	}, nil
}
