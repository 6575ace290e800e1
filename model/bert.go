package model

import (
	"fmt"

	"hone/nn"
)

// BERT (Devlin et al. 2018) as a sentence encoder: post-norm blocks, learned positions, mean pooling (Reimers and
// Gurevych 2019).
func init() {
	register(Arch{Name: "bert", HF: []string{"BertModel", "BertForMaskedLM"}, Design: designBERT})
}

func designBERT(c *Config) (*Design, error) {
	if c.raw.GGUF != nil {
		return nil, unserved("BERT models in GGUF form are not served yet; use the Hugging Face directory")
	}
	width := c.Int("hidden_size", "")
	heads := c.Int("num_attention_heads", "")
	attention := nn.Attention{Q: "self.query", K: "self.key", V: "self.value", O: "output.dense", QKVBias: true, OBias: true,
		Heads: heads, KVHeads: heads, Size: c.HeadSize("", "", width, heads)}
	mlp := c.Int("intermediate_size", "")
	eps := float32(c.Float("layer_norm_eps", "", 1e-12))
	blocks := c.Blocks("num_hidden_layers", "")
	vocab, positions, types := c.Int("vocab_size", ""), c.Int("max_position_embeddings", ""), c.Int("type_vocab_size", "")
	c.Refuse("hidden_act", "gelu")
	c.Refuse("position_embedding_type", "absolute")
	c.Refuse("is_decoder", false)
	c.Refuse("add_cross_attention", false)
	c.CheckHeads(attention)
	normalize := c.pooling()
	if c.Err != nil {
		return nil, c.Err
	}

	b := nn.NewBuilder()
	x := b.Embed("embeddings.word_embeddings.weight", vocab, width)
	x = b.Add(x, b.EmbedType("embeddings.token_type_embeddings.weight", types, width))
	x = b.Add(x, b.EmbedPosition("embeddings.position_embeddings.weight", positions, width, 0))
	x = b.LayerNorm(x, "embeddings.LayerNorm", eps)
	for i := range blocks {
		b.Block(fmt.Sprintf("encoder.layer.%d.", i), func() {
			x = b.LayerNorm(b.Add(x, b.Attention(x, "attention", attention)), "attention.output.LayerNorm", eps)
			h := b.ColumnLinears(x, nn.Linear{Name: "intermediate.dense.weight", Bias: "intermediate.dense.bias", Out: mlp, Unit: 1})
			y := b.RowLinear(b.GELU(h[0]), "output.dense.weight", "output.dense.bias", width)
			x = b.LayerNorm(b.Add(x, y), "output.LayerNorm", eps)
		})
	}
	b.Pool(x, nn.Pool{Normalize: normalize})
	return &Design{Program: b.Program(), Context: positions, Prefixes: []string{"bert."}, Unused: []string{"position_ids", "pooler.dense.", "cls."}}, nil
}
