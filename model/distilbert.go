package model

import "hone/nn"

// DistilBERT (Sanh et al. 2019): BERT with half of its blocks, without token types.
func init() {
	register(Arch{Name: "distilbert", GGUF: "bert", Claims: withoutTypes, Design: designDistilBERT,
		HF: []string{"DistilBertModel", "DistilBertForMaskedLM", "DistilBertForSequenceClassification"}})
}

// withoutTypes is the claim of DistilBERT on GGUF files of BERT's name.
func withoutTypes(c *Config) bool {
	eps, ok := c.float("", "attention.layer_norm_epsilon")
	return ok && eps == distilBERTEps && !c.holds("token_types.weight") && !c.holds("cls.output.weight")
}

const distilBERTEps = 1e-12

func designDistilBERT(c *Config) (*Design, error) {
	width, heads := c.Int("dim", "embedding_length"), c.Int("n_heads", "attention.head_count")
	const eps = distilBERTEps
	e := &encoder{
		names: encoderNames{"transformer.layer.%d.", "attention", "sa_layer_norm", "ffn.lin1", "ffn.lin2", "output_layer_norm"},
		width: width, mlp: c.Int("hidden_dim", "feed_forward_length"), blocks: c.Blocks("n_layers", "block_count"), eps: eps, act: c.encoderAct("activation"),
		attention: nn.Attention{Q: "q_lin", K: "k_lin", V: "v_lin", O: "out_lin", QKVBias: true, OBias: true,
			Heads: heads, KVHeads: heads, Size: c.HeadSize("", "", width, heads)},
	}
	vocab, positions := c.Vocab(), c.Int("max_position_embeddings", "context_length")
	c.CheckHeads(e.attention)
	c.note("", "attention.causal", false)
	c.note("", "attention.layer_norm_epsilon", eps)
	base, pool, classes := "", nn.Pool{}, (*Classes)(nil)
	if c.classifies() {
		base, classes = "distilbert.", c.classes()
		c.noGGUF("GGUF files have no word for the activation of DistilBERT's classification head")
		pool = classHead(nn.Dense{Name: "pre_classifier", Out: width, Act: "relu"}, "classifier", classes)
	} else {
		pool = c.pooling()
	}
	if c.Err != nil {
		return nil, c.Err
	}

	b := nn.NewBuilder()
	e.names.block = base + e.names.block
	x := b.Embed(base+"embeddings.word_embeddings.weight", vocab, width)
	x = b.Add(x, b.EmbedPosition(base+"embeddings.position_embeddings.weight", positions, width, 0))
	b.Pool(e.run(b, b.LayerNorm(x, base+"embeddings.LayerNorm", eps)), pool)
	return &Design{Program: b.Program(), Context: positions, Classes: classes, GGUF: distilBERTGGUF.under(base),
		Prefixes: []string{"distilbert."}, Unused: []string{"position_ids", "vocab_transform.", "vocab_layer_norm.", "vocab_projector."}}, nil
}

// distilBERTGGUF has no row for the head, see noGGUF above.
var distilBERTGGUF = Layout{
	"embeddings.word_embeddings":             at("token_embd"),
	"embeddings.position_embeddings":         at("position_embd"),
	"embeddings.LayerNorm":                   at("token_embd_norm"),
	"transformer.layer.%d.attention.q_lin":   at("blk.%d.attn_q"),
	"transformer.layer.%d.attention.k_lin":   at("blk.%d.attn_k"),
	"transformer.layer.%d.attention.v_lin":   at("blk.%d.attn_v"),
	"transformer.layer.%d.attention.out_lin": at("blk.%d.attn_output"),
	"transformer.layer.%d.sa_layer_norm":     at("blk.%d.attn_output_norm"),
	"transformer.layer.%d.ffn.lin1":          at("blk.%d.ffn_up"),
	"transformer.layer.%d.ffn.lin2":          at("blk.%d.ffn_down"),
	"transformer.layer.%d.output_layer_norm": at("blk.%d.layer_output_norm"),
}
