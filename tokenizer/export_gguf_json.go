package tokenizer

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
)

// Vocabularies of SentencePiece that came by way of tokenizer.json: BPE over characters and Unigram. GGUF has the words of
// SentencePiece itself, so the components are read back as its rules.

// jsonRules are SentencePiece's rules as a normalizer and a pre-tokenizer say them, and what these say beyond.
type jsonRules struct {
	spmRules
	unlessSpace bool // the space before a text is put only where it has none
	first       bool // … and not after a special token
	words       bool // words are cut from each other before they are tokens
}

// jsonRules reads a normalizer and a pre-tokenizer.
func (s *source) jsonRules() (jsonRules, error) {
	var r jsonRules
	if err := r.readNormalizer(s.normalizer, 0); err != nil {
		return r, err
	}
	return r, r.readPre(s.pre, 0)
}

func (r *jsonRules) readNormalizer(raw json.RawMessage, depth int) error {
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

func (r *jsonRules) readPre(raw json.RawMessage, depth int) error {
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
		return r.readMetaspace(p)
	case p.Type == "WhitespaceSplit":
		r.squeeze = true
	case p.Type == "Split" && r.escape && !p.Invert && p.Pattern != nil && p.Pattern.String != nil && *p.Pattern.String == " ":
		// no space is left to split at
	default:
		return &UnsupportedError{"GGUF form of pre-tokenizer", string(raw), "SentencePiece has no rule for it"}
	}
	return nil
}

func (r *jsonRules) readMetaspace(p *part) error {
	m, err := newMetaspace(p)
	r.escape, r.words = true, r.words || m.cut
	if m.scheme != "never" && !r.prefix { // a normalizer's is there already
		r.prefix, r.unlessSpace, r.first = true, true, m.scheme == "first"
	}
	return err
}

// characterPairs writes BPE over characters: as the vocabulary of SentencePiece that it came from where scores can stand for
// ranks, else by GGUF's own words for such merges.
func (w *ggufWriter) characterPairs() error {
	rules, err := w.s.jsonRules()
	if err != nil {
		return err
	}
	m, ok := w.p.model.(*charBPE)
	switch {
	case !ok || !w.s.byteFallback || !rules.escape || rules.squeeze || rules.chars != nil || w.s.ignoreMerges:
		return &UnsupportedError{"GGUF form of model", "BPE over characters", "SentencePiece's is: with byte_fallback and spaces as U+2581, without other rules"}
	case m.fallback == nil || slices.Contains(m.fallback[:], -1):
		return &UnsupportedError{"GGUF form of model", "BPE over characters", "a token for each of the 256 bytes is needed"}
	}
	if err := w.plainMerges(); err != nil {
		return err
	}
	tokens, types := w.pieces()
	scores, err := w.rankScores(m, tokens, types, rules)
	switch {
	case err == nil:
		w.noteMetaspace(rules)
		w.sentencePieces("llama", tokens, types, scores, rules.spmRules)
	case !w.linesOfPairs(m, rules):
		return err
	default:
		w.put("model", "gemma4")
		w.putTokens(tokens, types)
		w.put("merges", w.s.lastMerges())
	}
	w.putID("unknown_token_id", w.s.unknownToken())
	w.noteNormalized()
	return nil
}

// linesOfPairs tells whether a vocabulary gives the same ids under GGUF's name gemma4: BPE over characters by rank, with a BOS, no
// space before the text, and newlines apart from all else, which are one token wherever there is one of so many.
func (w *ggufWriter) linesOfPairs(m *charBPE, rules jsonRules) bool {
	if bos, _ := w.p.ID(w.s.bos); rules.prefix || rules.words || !slices.Equal(w.p.template, []int32{bos, templateText}) {
		return false
	}
	for token, id := range w.s.vocab {
		lines := strings.Count(token, "\n")
		switch {
		case strings.Contains(token, " "): // it would end a merge's first part
			return false
		case lines == 0:
		case lines < len(token) && lastParts(m, token, id) != nil:
			return false
		case lines == len(token) && !slices.Equal(m.encodeWord(nil, token), []int32{id}):
			return false
		}
	}
	return true
}

// lastMerges are the merges as GGUF writes them; of equal ones the last counts.
func (s *source) lastMerges() []string {
	var merges []string
	seen := map[string]bool{}
	for i := s.merges - 1; i >= 0; i-- {
		left, right, _ := s.merge(i) // was checked when the tokenizer was built
		if m := left + " " + right; !seen[m] {
			seen[m] = true
			merges = append(merges, m)
		}
	}
	slices.Reverse(merges)
	return merges
}

// unknownToken is the model's, or that of the settings if it is a token of its own.
func (s *source) unknownToken() string {
	if s.unk == "" && s.unkID < 0 && s.namedUnk != s.bos && s.namedUnk != s.eos && s.namedUnk != s.pad {
		return s.namedUnk
	}
	return s.unk
}

// plainMerges refuses merges of the bytes of characters that are no tokens.
func (w *ggufWriter) plainMerges() error {
	for i := range w.s.merges {
		left, right, err := w.s.merge(i)
		if err != nil {
			return err
		}
		for _, part := range []string{left, right} {
			if _, isByte := byteToken(part); isByte {
				return &UnsupportedError{"GGUF form of model", "BPE over characters", fmt.Sprintf("SentencePiece does not merge bytes, and merge %d is of %s", i, quote(part))}
			}
		}
	}
	return nil
}

// rankScores are the scores that stand for the ranks of m, an error where there are none.
func (w *ggufWriter) rankScores(m *charBPE, tokens []string, types []int32, rules jsonRules) ([]float32, error) {
	hidden := func(id int) bool { // an added token is cut out of every text, but U+2581 may have been a space
		return types[id] == ggufUserDefined && !strings.Contains(tokens[id], phantomSpace)
	}
	r, err := newRankScores(m, tokens, hidden, w.s.merges)
	if err != nil {
		return nil, err
	}
	spelled := ""
	for id := range tokens {
		parts := r.extra(id)
		switch {
		case parts == nil:
		case types[id] == ggufNormal || types[id] == ggufUserDefined || types[id] == ggufUnused:
			return nil, &UnsupportedError{"GGUF form of model", "BPE over characters", fmt.Sprintf("SentencePiece's merges all that is a token, and so %s to %s, which no merge here makes", r.spell(parts), quote(tokens[id]))}
		default:
			spelled = tokens[id]
		}
		if err := w.acrossWords(rules, tokens[id]); err != nil && r.made[id] {
			return nil, err
		}
	}
	if spelled != "" {
		w.note("text that spells %s is read as that token by llama.cpp even where special tokens are not", quote(spelled))
	}
	return r.scores, nil
}

// acrossWords refuses a token that reaches into another word where words are cut from each other.
func (w *ggufWriter) acrossWords(rules jsonRules, token string) error {
	if rules.words && strings.LastIndex(token, phantomSpace) > 0 {
		return &UnsupportedError{"GGUF form of pre-tokenizer", string(w.s.pre), "SentencePiece does not cut words from each other, which token " + quote(token) + " would show"}
	}
	return nil
}

// noteNormalized notes added tokens that are looked for in the normalised text, where they are spelled otherwise.
func (w *ggufWriter) noteNormalized() {
	for _, t := range w.s.added {
		if t.Normalized && w.p.norm != nil && w.p.norm.normalize(t.Content) != t.Content {
			w.note("added tokens such as %s are found in normalised text, by readers of GGUF files in the text as it is", quote(t.Content))
			return
		}
	}
}

// noteMetaspace notes where SentencePiece puts another space before a text than Metaspace does.
func (w *ggufWriter) noteMetaspace(rules jsonRules) {
	switch {
	case rules.prefix && rules.first:
		w.note("a text that begins with a space gets one more by readers of GGUF files, and text after a special token gets one")
	case rules.prefix && rules.unlessSpace:
		w.note("a text that begins with a space gets one more by readers of GGUF files")
	}
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
		if err := w.acrossWords(rules, t.token); err != nil {
			return err
		}
		if scores[id] = float32(t.score); math.IsInf(float64(scores[id]), 0) {
			scores[id] = 0
		}
	}
	w.sentencePieces("t5", tokens, types, scores, rules.spmRules)
	if w.s.unkID >= 0 {
		w.put("unknown_token_id", uint32(w.s.unkID))
	}
	return nil
}

// pieces are the tokens with SentencePiece's types.
func (w *ggufWriter) pieces() ([]string, []int32) {
	tokens, types := w.tokens()
	unk := w.s.unknownToken()
	for id, token := range tokens {
		switch _, isByte := byteToken(token); {
		case w.s.byteFallback && isByte:
			types[id] = int32(kindByte)
		case unk != "" && token == unk, unk == "" && int32(id) == w.s.unkID:
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
