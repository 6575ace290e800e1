package tokenizer

import (
	"bytes"
	"encoding/json"
	"slices"
)

// templateJSON writes a TemplateProcessing that puts ids before and after the text. In its pair form the second text
// follows, with further ids between the two and the same ids after it.
func templateJSON(spelling func(id int32) string, before, after, between []int32) json.RawMessage {
	special := map[string]any{}
	item := func(id int32, typeID int) any {
		token := spelling(id)
		special[token] = map[string]any{"id": token, "ids": []int32{id}, "tokens": []string{token}}
		return map[string]any{"SpecialToken": map[string]any{"id": token, "type_id": typeID}}
	}
	text := func(name string, typeID int) any {
		return map[string]any{"Sequence": map[string]any{"id": name, "type_id": typeID}}
	}
	var single []any
	for _, id := range before {
		single = append(single, item(id, 0))
	}
	single = append(single, text("A", 0))
	for _, id := range after {
		single = append(single, item(id, 0))
	}
	pair := slices.Clone(single)
	for _, id := range between {
		pair = append(pair, item(id, 0))
	}
	pair = append(pair, text("B", 1))
	for _, id := range after {
		pair = append(pair, item(id, 1))
	}
	return mustJSON(map[string]any{"type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": special})
}

func (p *pipeline) ToJSON() (tokenizerJSON, tokenizerConfigJSON []byte) {
	if p.source.files[0] != nil {
		return p.source.files[0], p.source.files[1]
	}
	s := &p.source
	file := map[string]any{
		"version": "1.0", "truncation": nil, "padding": nil, "added_tokens": s.added,
		"normalizer": s.normalizer, "pre_tokenizer": s.pre, "post_processor": s.post, "decoder": s.decoder,
	}
	if s.spm != nil {
		file["model"], file["normalizer"], file["pre_tokenizer"], file["decoder"] = s.spm.json(s.modelType, s.vocab)
	} else {
		file["model"] = s.modelJSON()
	}
	return encodeJSON(file), encodeJSON(p.configJSON())
}

func (s *source) modelJSON() map[string]any {
	if s.modelType == "WordPiece" {
		return map[string]any{"type": "WordPiece", "unk_token": s.unk, "continuing_subword_prefix": s.prefix,
			"max_input_chars_per_word": s.maxChars, "vocab": s.vocab}
	}
	merges := make([][2]string, 0, s.merges)
	seen := make(map[[2]string]bool, s.merges)
	for i := range s.merges {
		left, right, _ := s.merge(i) // was checked when the tokenizer was built
		if m := [2]string{left, right}; !seen[m] {
			seen[m] = true
			merges = append(merges, m)
		}
	}
	model := map[string]any{"type": "BPE", "dropout": nil, "unk_token": nil, "continuing_subword_prefix": nil, "end_of_word_suffix": nil,
		"fuse_unk": s.fuseUnk, "byte_fallback": s.byteFallback, "ignore_merges": s.ignoreMerges, "vocab": s.vocab, "merges": merges}
	if s.unk != "" {
		model["unk_token"] = s.unk
	}
	return model
}

func (p *pipeline) configJSON() map[string]any {
	s := &p.source
	c := map[string]any{"clean_up_tokenization_spaces": false, "tokenizer_class": "PreTrainedTokenizerFast"}
	set := func(key, token string) {
		if token != "" {
			c[key] = token
		}
	}
	if s.modelType == "WordPiece" {
		c["tokenizer_class"], c["clean_up_tokenization_spaces"] = "BertTokenizer", true
		set("cls_token", s.bos)
		set("sep_token", s.eos)
		set("unk_token", s.unk)
	} else {
		set("bos_token", s.bos)
		set("eos_token", s.eos)
	}
	set("pad_token", s.pad)
	set("chat_template", s.chat)
	return c
}

// encodeJSON writes readable JSON without HTML escapes.
func encodeJSON(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	if err := e.Encode(v); err != nil {
		panic("tokenizer: " + err.Error()) // maps, slices and strings alone
	}
	return b.Bytes()
}
