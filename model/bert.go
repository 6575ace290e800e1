package model

import "hone/nn"

// BERT (Devlin et al. 2018): post-norm blocks, learned positions, token types; as a sentence encoder (Reimers and Gurevych
// 2019), a classifier or a cross-encoder. A GGUF file of this architecture may hold a RoBERTa or DistilBERT model: their
// weights stand there under the same names, positions counted from 0, and without token types of DistilBERT.
func init() {
	register(Arch{Name: "bert", HF: []string{"BertModel", "BertForMaskedLM", "BertForSequenceClassification"}, Design: designBERT})
}

func designBERT(c *Config) (*Design, error) {
	e := bertEncoder(c)
	vocab, positions := c.Vocab(), c.Int("max_position_embeddings", "context_length")
	types := c.tokenTypes(e.width, 2)
	base, pool, classes := "", nn.Pool{}, (*Classes)(nil)
	switch {
	case c.raw.GGUF != nil && c.holds("cls.output.weight"):
		base, classes = "bert.", c.classes()
		pool = ggufHead(c, e.width, classes, types)
		c.note("architectures", "", []any{"BertForSequenceClassification"})
	case c.classifies():
		base, classes = "bert.", c.classes()
		pool = classHead(nn.Dense{Name: "bert.pooler.dense", Out: e.width, Act: "tanh"}, "classifier", classes)
		c.note("", "pooling_type", ggufRank)
	default:
		pool = c.pooling()
	}
	if c.Err != nil {
		return nil, c.Err
	}

	b := nn.NewBuilder()
	e.names.block = base + e.names.block
	x := b.Embed(base+"embeddings.word_embeddings.weight", vocab, e.width)
	if types > 0 {
		x = b.Add(x, b.EmbedType(base+"embeddings.token_type_embeddings.weight", types, e.width))
	}
	x = b.Add(x, b.EmbedPosition(base+"embeddings.position_embeddings.weight", positions, e.width, 0))
	b.Pool(e.run(b, b.LayerNorm(x, base+"embeddings.LayerNorm", e.eps)), pool)
	d := &Design{Program: b.Program(), Context: positions, Classes: classes, GGUF: bertGGUF(base), HF: oldNorms(c, base),
		Prefixes: []string{"bert."}, Unused: []string{"position_ids", "embeddings.token_type_ids", "cls."}}
	if classes == nil {
		d.Unused = append(d.Unused, "pooler.dense.")
	}
	return d, nil
}

// tokenTypes reads how many token types there are. A GGUF file has their number among the tokenizer's settings; its tensor tells
// it, too, or there are none.
func (c *Config) tokenTypes(width, otherwise int) int {
	if c.raw.GGUF == nil {
		return c.IntOr("type_vocab_size", "", otherwise)
	}
	types := 0
	if info, ok := c.file.Info("token_types.weight"); ok && width > 0 {
		types = info.Elements() / width
	}
	c.note("type_vocab_size", "", max(types, 1))
	return types
}

// inHF is the claim of encoders that GGUF files hold under BERT's name: BERT's own program reads those.
func inHF(*Config) bool { return false }

// bertEncoder reads the sizes of BERT's blocks.
func bertEncoder(c *Config) *encoder {
	width, heads := c.Int("hidden_size", "embedding_length"), c.Int("num_attention_heads", "attention.head_count")
	e := &encoder{
		names: encoderNames{"encoder.layer.%d.", "attention", "attention.output.LayerNorm", "intermediate.dense", "output.dense", "output.LayerNorm"},
		width: width, mlp: c.Int("intermediate_size", "feed_forward_length"), blocks: c.Blocks("num_hidden_layers", "block_count"),
		eps: float32(c.Float("layer_norm_eps", "attention.layer_norm_epsilon", 1e-12)), act: c.encoderAct("hidden_act"),
		attention: nn.Attention{Q: "self.query", K: "self.key", V: "self.value", O: "output.dense", QKVBias: true, OBias: true,
			Heads: heads, KVHeads: heads, Size: c.HeadSize("", "", width, heads)},
	}
	c.Refuse("position_embedding_type", "absolute")
	c.Refuse("is_decoder", false)
	c.Refuse("add_cross_attention", false)
	c.RefuseGGUF("attention.causal", false)
	c.note("", "attention.causal", false)
	c.CheckHeads(e.attention)
	return e
}

// classHead reads the first row through one layer and makes a logit for each label; names are without .weight.
func classHead(first nn.Dense, last string, k *Classes) nn.Pool {
	first.Name, first.Bias = first.Name+".weight", first.Name+".bias"
	return nn.Pool{Kind: nn.PoolFirst, Head: []nn.Dense{first, {Name: last + ".weight", Bias: last + ".bias", Out: len(k.Labels)}}}
}

// ggufRank is the pooling_type of GGUF files that end in a classification head.
const ggufRank = 4

// ggufHead is the head of a GGUF file, as llama.cpp computes it. Two models are not what they were: of BERT's head its converter
// leaves out the first layer, and DistilBERT's, which has no token types, had another activation.
func ggufHead(c *Config, width int, k *Classes, types int) nn.Pool {
	c.RefuseGGUF("pooling_type", ggufRank)
	p := classHead(nn.Dense{Name: "bert.pooler.dense", Out: width, Act: "tanh"}, "classifier", k)
	const other = "scores are those of llama.cpp, not the model's: take its Hugging Face directory"
	switch {
	case !c.holds("cls.weight"):
		p.Head = p.Head[1:]
		c.say("the file lacks the first layer of a BERT's head (cls.weight), which its converter left out: %s, or a file that hone convert wrote", other)
	case types == 0:
		c.say("GGUF has no word for the activation of DistilBERT's head, tanh is taken: %s", other)
	}
	for i := range p.Head {
		if last := i == len(p.Head)-1; last && !c.holds("cls.output.bias") || !last && !c.holds("cls.bias") {
			p.Head[i].Bias = ""
		}
	}
	return p
}

// bertGGUF is the layout of models with BERT's names under base.
func bertGGUF(base string) Layout {
	l := Layout{
		"embeddings.word_embeddings":                  at("token_embd"),
		"embeddings.token_type_embeddings":            at("token_types"),
		"embeddings.position_embeddings":              at("position_embd"),
		"embeddings.LayerNorm":                        at("token_embd_norm"),
		"encoder.layer.%d.attention.self.query":       at("blk.%d.attn_q"),
		"encoder.layer.%d.attention.self.key":         at("blk.%d.attn_k"),
		"encoder.layer.%d.attention.self.value":       at("blk.%d.attn_v"),
		"encoder.layer.%d.attention.output.dense":     at("blk.%d.attn_output"),
		"encoder.layer.%d.attention.output.LayerNorm": at("blk.%d.attn_output_norm"),
		"encoder.layer.%d.intermediate.dense":         at("blk.%d.ffn_up"),
		"encoder.layer.%d.output.dense":               at("blk.%d.ffn_down"),
		"encoder.layer.%d.output.LayerNorm":           at("blk.%d.layer_output_norm"),
		"pooler.dense":                                at("cls"),
	}.under(base)
	l["classifier"] = at("cls.output")
	return l
}

// oldNorms are the names that the first checkpoints have for gains and biases.
func oldNorms(c *Config, base string) Layout {
	if !c.holds("embeddings.LayerNorm.gamma") && !c.holds("bert.embeddings.LayerNorm.gamma") {
		return nil
	}
	l := Layout{}
	for _, name := range []string{"embeddings.LayerNorm", "encoder.layer.%d.attention.output.LayerNorm", "encoder.layer.%d.output.LayerNorm"} {
		l[name+".weight"], l[name+".bias"] = at(base+name+".gamma"), at(base+name+".beta")
	}
	return l.under(base)
}
