package tokenizer

import (
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"slices"
)

// SentencePiece has its own rules, which tokenizer.json has no form for. What is written here is the usual translation:
// the same ids for every text but those where scores tie or special tokens are spelled in plain text.

// json writes the model, its normalizer, pre-tokenizer and decoder as tokenizer.json does.
func (v *spm) json(modelType string, vocab map[string]int32) (model map[string]any, normalizer, pre, decoder json.RawMessage) {
	if modelType == "SPM" {
		model = v.bpeJSON(vocab)
	} else {
		model = v.unigramJSON()
	}
	return model, v.rules.json(modelType == "SPM"), v.rules.metaspaceJSON(modelType == "SPM"), v.decoderJSON()
}

func (v *spm) bpeJSON(vocab map[string]int32) map[string]any {
	model := map[string]any{"type": "BPE", "dropout": nil, "unk_token": nil, "continuing_subword_prefix": nil, "end_of_word_suffix": nil,
		"fuse_unk": true, "byte_fallback": v.fallback, "ignore_merges": false, "vocab": vocab, "merges": v.merges(vocab)}
	if v.unk >= 0 {
		model["unk_token"] = v.spelling(v.unk)
	}
	return model
}

// merges lists the merges of a BPE vocabulary by the scores of what they make; of equal scores those come first whose
// parts have lower ids.
func (v *spm) merges(vocab map[string]int32) [][2]string {
	type item struct{ id, left, right int32 }
	var items []item
	symbol := func(s string) (int32, bool) {
		id, ok := vocab[s]
		return id, ok && v.inText(int(id))
	}
	_ = v.eachSplit(symbol, func(id, left, right int32) { items = append(items, item{id, left, right}) })
	ranks := v.ranks()
	slices.SortStableFunc(items, func(a, b item) int {
		return cmp.Or(cmp.Compare(ranks[a.id], ranks[b.id]), cmp.Compare(a.left, b.left), cmp.Compare(a.right, b.right))
	})
	merges := make([][2]string, len(items))
	for i, m := range items {
		merges[i] = [2]string{v.pieces[m.left], v.pieces[m.right]}
	}
	return merges
}

func (v *spm) unigramJSON() map[string]any {
	list := make([][2]any, len(v.pieces))
	for id, piece := range v.pieces {
		list[id] = [2]any{piece, v.scores[id]}
	}
	model := map[string]any{"type": "Unigram", "unk_id": nil, "vocab": list, "byte_fallback": v.fallback}
	if v.unk >= 0 {
		model["unk_id"] = v.unk
	}
	return model
}

// json writes the normalizer. For BPE the space before the text and U+2581 belong to it, for Unigram to Metaspace.
func (n *spmRules) json(bpe bool) json.RawMessage {
	var list []any
	replace := func(kind, old, new string) {
		list = append(list, map[string]any{"type": "Replace", "pattern": map[string]string{kind: old}, "content": new})
	}
	if n.chars != nil {
		list = append(list, map[string]any{"type": "Precompiled", "precompiled_charsmap": base64.StdEncoding.EncodeToString(n.chars.bytes())})
	}
	if n.squeeze {
		list = append(list, map[string]any{"type": "Strip", "strip_left": true, "strip_right": true})
		replace("Regex", " {2,}", " ")
	}
	if bpe && n.prefix {
		list = append(list, map[string]any{"type": "Prepend", "prepend": phantomSpace})
	}
	if bpe && n.escape {
		replace("String", " ", phantomSpace)
	}
	if list == nil {
		return nil
	}
	return mustJSON(map[string]any{"type": "Sequence", "normalizers": list})
}

func (n *spmRules) metaspaceJSON(bpe bool) json.RawMessage {
	if bpe || !n.escape {
		return nil
	}
	return mustJSON(map[string]any{"type": "Metaspace", "replacement": phantomSpace, "prepend_scheme": n.scheme(), "split": false})
}

func (n *spmRules) scheme() string {
	if n.prefix {
		return "always"
	}
	return "never"
}

func (v *spm) decoderJSON() json.RawMessage {
	list := []any{map[string]any{"type": "Replace", "pattern": map[string]string{"String": phantomSpace}, "content": " "}}
	if v.fallback {
		list = append(list, map[string]any{"type": "ByteFallback"})
	}
	list = append(list, map[string]any{"type": "Fuse"})
	if _, lead := v.decoder(); lead.count > 0 {
		list = append(list, map[string]any{"type": "Strip", "content": " ", "start": lead.count, "stop": 0})
	}
	return mustJSON(map[string]any{"type": "Sequence", "decoders": list})
}

// bytes is the table as parseCharsmap reads it.
func (c *charsmap) bytes() []byte {
	b := binary.LittleEndian.AppendUint32(nil, uint32(4*len(c.units)))
	for _, u := range c.units {
		b = binary.LittleEndian.AppendUint32(b, u)
	}
	return append(b, c.texts...)
}
