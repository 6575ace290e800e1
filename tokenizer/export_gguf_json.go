package tokenizer

import (
	"encoding/base64"
	"encoding/json"
	"math"
)

// Vocabularies of SentencePiece that came by way of tokenizer.json: BPE over characters and Unigram. GGUF has the words of
// SentencePiece itself, so the components are read back as its rules.

// jsonRules reads a normalizer and a pre-tokenizer as SentencePiece's rules.
func (s *source) jsonRules() (spmRules, error) {
	var r spmRules
	if err := r.readNormalizer(s.normalizer, 0); err != nil {
		return r, err
	}
	return r, r.readPre(s.pre, 0)
}

func (r *spmRules) readNormalizer(raw json.RawMessage, depth int) error {
	p, err := parsePart(raw, depth)
	if p == nil {
		return err
	}
	literal, regex := "", ""
	if p.Pattern != nil && p.Pattern.String != nil {
		literal = *p.Pattern.String
	} else if p.Pattern != nil && p.Pattern.Regex != nil {
		regex = *p.Pattern.Regex
	}
	switch {
	case p.Type == "Sequence":
		for _, one := range p.Normalizers {
			if err := r.readNormalizer(one, depth+1); err != nil {
				return err
			}
		}
	case p.Type == "Prepend" && p.Prepend == phantomSpace:
		r.prefix = true
	case p.Type == "Replace" && literal == " " && p.Content == phantomSpace:
		r.escape = true
	case p.Type == "Replace" && regex == " {2,}" && (p.Content == " " || p.Content == phantomSpace):
		r.squeeze, r.escape = true, r.escape || p.Content == phantomSpace
	case p.Type == "Strip": // of ends that hold spaces, which go anyway where those inside are squeezed
		r.squeeze = r.squeeze || p.StripLeft && p.StripRight
	case p.Type == "Precompiled":
		b, err := base64.StdEncoding.DecodeString(p.Charsmap)
		if err == nil {
			r.chars, err = parseCharsmap(b)
		}
		return err
	default:
		return &UnsupportedError{"GGUF form of normalizer", string(raw), "SentencePiece has no rule for it"}
	}
	return nil
}

func (r *spmRules) readPre(raw json.RawMessage, depth int) error {
	p, err := parsePart(raw, depth)
	if p == nil {
		return err
	}
	switch {
	case p.Type == "Sequence":
		for _, one := range p.Pretokenizers {
			if err := r.readPre(one, depth+1); err != nil {
				return err
			}
		}
	case p.Type == "Metaspace" && r.squeeze && p.PrependScheme != nil && *p.PrependScheme == "first":
		return &UnsupportedError{"GGUF form of pre-tokenizer", string(raw), "SentencePiece writes a space before every word, not before the first alone"}
	case p.Type == "Metaspace" && (p.Replacement == phantomSpace || p.Replacement == ""):
		scheme := p.PrependScheme == nil || *p.PrependScheme != "never"
		r.escape, r.prefix = true, scheme && (p.AddPrefixSpace == nil || *p.AddPrefixSpace)
	case p.Type == "WhitespaceSplit":
		r.squeeze = true
	case p.Type == "Split" && r.escape && p.Pattern != nil && p.Pattern.String != nil && *p.Pattern.String == " ":
		// no space is left to split at
	default:
		return &UnsupportedError{"GGUF form of pre-tokenizer", string(raw), "SentencePiece has no rule for it"}
	}
	return nil
}

// characterPairs writes BPE over characters as the vocabulary of SentencePiece that it came from: a piece's score falls
// with the rank of the first merge that makes it.
func (w *ggufWriter) characterPairs() error {
	rules, err := w.s.jsonRules()
	switch {
	case err != nil:
		return err
	case !w.s.byteFallback || !rules.escape || rules.squeeze || rules.chars != nil || w.s.ignoreMerges:
		return &UnsupportedError{"GGUF form of model", "BPE over characters", "SentencePiece's is: with byte_fallback and spaces as U+2581, without other rules"}
	}
	if n, _ := parsePart(w.s.pre, 0); n != nil && n.Type == "Metaspace" && rules.prefix {
		w.note("a text that begins with a space gets one more by readers of GGUF files")
	}
	tokens, types := w.pieces()
	scores := make([]float32, w.rows)
	const never = -1e9
	for id := range scores {
		scores[id] = never
	}
	for i := range w.s.merges {
		left, right, err := w.s.merge(i)
		if err != nil {
			return err
		}
		if id, ok := w.s.vocab[left+right]; ok && scores[id] == never {
			scores[id] = -float32(i)
		}
	}
	w.sentencePieces("llama", tokens, types, scores, rules)
	w.putID("unknown_token_id", w.s.unk)
	return nil
}

// jsonUnigram writes the Unigram model of a tokenizer.json.
func (w *ggufWriter) jsonUnigram() error {
	rules, err := w.s.jsonRules()
	switch {
	case err != nil:
		return err
	case !rules.escape:
		return &UnsupportedError{"GGUF form of model", "Unigram", "SentencePiece's is: spaces are written as U+2581"}
	}
	w.note("readers of GGUF files cut spaces at the ends of a text and normalise combining marks one by one: such texts may get other ids")
	tokens, types := w.pieces()
	scores := make([]float32, w.rows)
	for id, t := range w.s.scores {
		if scores[id] = float32(t.score); math.IsInf(float64(scores[id]), 0) {
			scores[id] = 0
		}
	}
	w.sentencePieces("t5", tokens, types, scores, rules)
	if w.s.unkID >= 0 {
		w.put("unknown_token_id", uint32(w.s.unkID))
	}
	return nil
}

// pieces are the tokens with SentencePiece's types.
func (w *ggufWriter) pieces() ([]string, []int32) {
	tokens, types := w.tokens()
	for id, token := range tokens {
		switch _, isByte := byteToken(token); {
		case w.s.byteFallback && isByte:
			types[id] = int32(kindByte)
		case w.s.unk != "" && token == w.s.unk, w.s.unk == "" && int32(id) == w.s.unkID:
			types[id] = int32(kindUnknown)
		}
	}
	return tokens, types
}

// sentencePieces writes a vocabulary under GGUF's name of its kind.
func (w *ggufWriter) sentencePieces(name string, tokens []string, types []int32, scores []float32, rules spmRules) {
	w.put("model", name)
	w.put("pre", "default")
	w.put("tokens", tokens)
	w.put("scores", scores)
	w.put("token_type", types)
	w.put("add_space_prefix", rules.prefix)
	if name != "t5" {
		return
	}
	w.put("remove_extra_whitespaces", rules.squeeze)
	if rules.chars != nil {
		w.put("precompiled_charsmap", rules.chars.bytes())
	}
}
