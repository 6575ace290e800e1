package model

import (
	"fmt"

	"hone/nn"
)

// OPT (Zhang et al. 2022), and Galactica (Taylor et al. 2022): learned positions that begin at row 2, LayerNorms before
// attention and MLP, ReLU. The model of 350M has its norms after them, and embeddings narrower than its blocks. GGUF has
// no name for OPT.
func init() {
	register(Arch{Name: "opt", HF: []string{"OPTForCausalLM"}, Design: designOPT})
}

// opt is what the blocks of one OPT model are.
type opt struct {
	*decoder
	embedded     int  // features of an embedding, and of what the output matrix reads
	before, last bool // norms stand before attention and MLP; there is one after the last block
	bias, affine bool // of linears; of norms
	act          func(*nn.Builder, nn.Value) nn.Value
}

func designOPT(c *Config) (*Design, error) {
	const offset = 2
	if c.raw.GGUF != nil {
		return nil, unserved("OPT models have no GGUF form; use the Hugging Face directory")
	}
	o := c.opt()
	if err := o.check(); err != nil {
		return nil, err
	}
	b := nn.NewBuilder()
	x := b.Embed("model.decoder.embed_tokens.weight", o.vocab, o.embedded)
	if o.embedded != o.width {
		x = b.Linear(x, "model.decoder.project_in.weight", "", o.width)
	}
	x = b.Add(x, b.EmbedPosition("model.decoder.embed_positions.weight", o.context+offset, o.width, offset))
	for i := range o.blocks {
		b.Block(fmt.Sprintf("model.decoder.layers.%d.", i), func() { x = o.run(b, x) })
	}
	if o.last {
		x = o.norm(b, x, "model.decoder.final_layer_norm")
	}
	if o.embedded != o.width {
		x = b.Linear(x, "model.decoder.project_out.weight", "", o.embedded)
	}
	head := "lm_head.weight"
	if o.tied {
		head = "model.decoder.embed_tokens.weight"
	}
	b.Head(x, head, o.vocab)
	return &Design{Program: b.Program(), Context: o.context, Tied: o.tied, Attention: o.learnedWords(), Base: "model."}, nil
}

func (c *Config) opt() *opt {
	o := &opt{decoder: c.learned("lm_head.weight", "hidden_size", "num_hidden_layers", "num_attention_heads", "ffn_dim", "max_position_embeddings")}
	o.act = c.Activation("activation_function", "relu")
	o.bias = c.FlagOr("enable_bias", "", true)
	o.affine = c.FlagOr("layer_norm_elementwise_affine", "", true)
	o.before = c.FlagOr("do_layer_norm_before", "", true)
	o.last = !c.Flag("_remove_final_layer_norm") && o.before
	o.embedded = c.IntOr("word_embed_proj_dim", "", o.width)
	a := &o.attention
	a.Q, a.K, a.V, a.O, a.QKVBias, a.OBias = "q_proj", "k_proj", "v_proj", "out_proj", o.bias, o.bias
	return o
}

// run emits a block.
func (o *opt) run(b *nn.Builder, x nn.Value) nn.Value {
	bias := func(name string) string {
		if o.bias {
			return name
		}
		return ""
	}
	x = o.around(b, x, "self_attn_layer_norm", func(h nn.Value) nn.Value { return b.Attention(h, "self_attn", o.attention) })
	return o.around(b, x, "final_layer_norm", func(h nn.Value) nn.Value {
		up := b.ColumnLinears(h, nn.Linear{Name: "fc1.weight", Bias: bias("fc1.bias"), Out: o.mlp[0], Unit: 1})
		return b.RowLinear(o.act(b, up[0]), "fc2.weight", bias("fc2.bias"), o.width)
	})
}

// around adds part's output to its input, with the norm before the one or after the sum.
func (o *opt) around(b *nn.Builder, x nn.Value, norm string, part func(nn.Value) nn.Value) nn.Value {
	if o.before {
		return b.Add(x, part(o.norm(b, x, norm)))
	}
	return o.norm(b, b.Add(x, part(x)), norm)
}

func (o *opt) norm(b *nn.Builder, x nn.Value, name string) nn.Value {
	const eps = 1e-5
	if !o.affine {
		return b.LayerNormBare(x, eps)
	}
	return b.LayerNorm(x, name, eps)
}
