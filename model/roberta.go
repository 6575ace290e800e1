package model

import "hone/nn"

// RoBERTa (Liu et al. 2019): BERT whose positions begin behind that of padding, with a byte-level vocabulary.
func init() {
	register(Arch{Name: "roberta", GGUF: "bert", Claims: inHF, Design: designRoBERTa,
		HF: []string{"RobertaModel", "RobertaForMaskedLM", "RobertaForSequenceClassification", "CamembertModel", "CamembertForSequenceClassification"}})
}

func designRoBERTa(c *Config) (*Design, error) {
	e := bertEncoder(c)
	vocab, rows, types := c.Vocab(), c.Int("max_position_embeddings", ""), c.tokenTypes(e.width, 1)
	first := c.padID() + 1
	if rows <= first {
		c.fail("max_position_embeddings is %d, but positions begin at %d, behind that of padding", rows, first)
	}
	c.note("", "context_length", rows-first)
	base, pool, classes := "", nn.Pool{}, (*Classes)(nil)
	if c.classifies() {
		base, classes = "roberta.", c.classes()
		pool = classHead(nn.Dense{Name: "classifier.dense", Out: e.width, Act: "tanh"}, "classifier.out_proj", classes)
		c.note("", "pooling_type", ggufRank)
	} else {
		pool = c.pooling()
	}
	if c.Err != nil {
		return nil, c.Err
	}

	b := nn.NewBuilder()
	e.names.block = base + e.names.block
	x := b.Embed(base+"embeddings.word_embeddings.weight", vocab, e.width)
	x = b.Add(x, b.EmbedType(base+"embeddings.token_type_embeddings.weight", types, e.width))
	x = b.Add(x, b.EmbedPosition(base+"embeddings.position_embeddings.weight", rows, e.width, first))
	b.Pool(e.run(b, b.LayerNorm(x, base+"embeddings.LayerNorm", e.eps)), pool)
	gguf := bertGGUF(base)
	gguf[base+"embeddings.position_embeddings"] = at("position_embd").beyond(first)
	gguf["classifier.dense"], gguf["classifier.out_proj"] = at("cls"), at("cls.output")
	return &Design{Program: b.Program(), Context: rows - first, Classes: classes, GGUF: gguf,
		Prefixes: []string{"roberta."}, Unused: []string{"position_ids", "embeddings.token_type_ids", "pooler.dense.", "lm_head."}}, nil
}

// padID is the id of padding, which is also the number of the position before the first.
func (c *Config) padID() int {
	n, ok := c.float("pad_token_id", "")
	if !ok {
		n = 1
	}
	if !(n >= 0 && n <= maxSize) || n != float64(int(n)) {
		c.fail("pad_token_id is %v; it must be a token's id", n)
		return 0
	}
	c.note("pad_token_id", "", int(n))
	return int(n)
}
