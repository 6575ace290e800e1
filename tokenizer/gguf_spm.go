package tokenizer

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// sentencePiece reads a SentencePiece vocabulary: BPE (model llama) or Unigram (model t5).
func (g *ggufReader) sentencePiece(s *source, modelType string) error {
	scores, err := g.scores()
	if err != nil {
		return err
	}
	v := &spm{pieces: g.tokens, scores: scores, unk: -1, cut: true}
	v.kinds = make([]pieceKind, len(g.tokens))
	for id := range v.kinds {
		v.kinds[id] = kindNormal
		if t := g.typeOf(id); t >= int(kindNormal) && t <= int(kindByte) {
			v.kinds[id] = pieceKind(t)
		}
		v.fallback = v.fallback || v.kinds[id] == kindByte
	}
	defaults := [3]int32{0, 1, 2} // unknown, BOS, EOS
	if modelType == "Unigram" {
		defaults = [3]int32{2, -1, 1}
	}
	v.unk = g.idOr("unknown_token_id", defaults[0])
	bos, eos := g.idOr("bos_token_id", defaults[1]), g.idOr("eos_token_id", defaults[2])
	s.bos, s.eos = v.spelling(bos), v.spelling(eos)
	if eos >= 0 {
		s.eosIDs = append(s.eosIDs, eos)
	}
	v.rules = spmRules{prefix: g.flag("add_space_prefix", true), escape: true}
	addBOS, addEOS := true, false
	if modelType == "Unigram" {
		addBOS, addEOS = false, true
		v.rules.squeeze = g.flag("remove_extra_whitespaces", false)
		if v.rules.chars, err = g.charsmap(); err != nil {
			return err
		}
	}
	s.modelType, s.spm, s.unk = modelType, v, v.spelling(v.unk)
	s.added = v.added(modelType)
	g.attributes(s.added)
	s.post = g.around(g.flag("add_bos_token", addBOS), g.flag("add_eos_token", addEOS), bos, eos)
	return nil
}

func (v *spm) spelling(id int32) string {
	if id < 0 || int(id) >= len(v.pieces) {
		return ""
	}
	return v.pieces[id]
}

// scores reads the scores of the pieces.
func (g *ggufReader) scores() ([]float32, error) {
	m, ok := g.meta.(interface {
		Floats(key string) ([]float32, bool)
	})
	if !ok {
		return nil, errors.New("tokenizer: the metadata gives no access to floating-point arrays")
	}
	scores, ok := m.Floats(ggufPrefix + "scores")
	if ok && len(scores) != len(g.tokens) {
		return nil, fmt.Errorf("tokenizer: %d scores for %d tokens", len(scores), len(g.tokens))
	}
	if !ok {
		return nil, errors.New("tokenizer: the GGUF metadata has no " + ggufPrefix + "scores")
	}
	return scores, nil
}

// idOr reads a token id; the usual one holds if the key is absent, -1 if it names no token.
func (g *ggufReader) idOr(key string, usual int32) int32 {
	if _, ok := g.meta.Int(ggufPrefix + key); !ok && int(usual) < len(g.tokens) {
		return usual
	}
	if id, ok := g.id(key); ok {
		return id
	}
	return -1
}

func (g *ggufReader) flag(key string, usual bool) bool {
	if v, ok := g.meta.Bool(ggufPrefix + key); ok {
		return v
	}
	return usual
}

// charsmap reads SentencePiece's table of characters, an array of bytes.
func (g *ggufReader) charsmap() (*charsmap, error) {
	ints, ok := g.meta.Ints(ggufPrefix + "precompiled_charsmap")
	if !ok {
		return nil, nil
	}
	b := make([]byte, len(ints))
	for i, v := range ints {
		b[i] = byte(v)
	}
	return parseCharsmap(b)
}

// attributes sets what GGUF files do not say about added tokens and the model's name tells: Phi-3's special tokens take
// the white space after them, the mask tokens of some encoders that before them.
func (g *ggufReader) attributes(added []addedToken) {
	name, _ := g.meta.String("general.name")
	arch, _ := g.meta.String("general.architecture")
	name = strings.ToLower(name)
	pre := g.preName()
	any := func(s string, parts ...string) bool {
		return slices.ContainsFunc(parts, func(part string) bool { return strings.Contains(s, part) })
	}
	phi3 := any(name, "phi-3", "phi3")
	mask := ""
	switch {
	case any(pre, "jina-v2-de", "jina-v2-es", "jina-v2-code") || any(arch, "nomic-bert-moe", "jina-bert-v3"):
		mask = "<mask>"
	case any(name, "modern-bert"):
		mask = "[MASK]"
	}
	for i, t := range added {
		added[i].RStrip = phi3 && t.Content != "<unk>" && t.Content != "<s>" && t.Content != "<|endoftext|>"
		added[i].LStrip = mask != "" && t.Content == mask
	}
}
