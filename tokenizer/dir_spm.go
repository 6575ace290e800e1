package tokenizer

import (
	"bytes"
	"fmt"
	"slices"
)

// sentencePiece reads a SentencePiece model, or a rank file of tiktoken under the same name, as the class means it.
func (d *directory) sentencePiece() (source, error) {
	if looksLikeRanks(d.vocabulary) {
		return source{}, &UnsupportedError{"tokenizer file", d.name, "it is a rank file of tiktoken, whose pattern its name would tell: " + classHint}
	}
	s, err := readSentencePiece(d.vocabulary)
	if err != nil {
		return s, err
	}
	class := d.class()
	if class == "" {
		return s, nil
	}
	var before, after []string
	switch class {
	case "LlamaTokenizer", "CodeLlamaTokenizer", "GemmaTokenizer", "MistralTokenizer":
		s.spm.rules.prefix = flagOr(d.settings.AddPrefixSpace, s.spm.rules.prefix)
		s.spm.frontOnly = !flagOr(d.settings.Legacy, false)
		before, after = d.ends(s.bos, s.eos, true, false)
	case "T5Tokenizer":
		d.sentinels(&s)
		after = []string{"</s>"}
	case "XLMRobertaTokenizer":
		if err := fairseqOrder(&s); err != nil {
			return s, err
		}
		s.vocab = s.spm.vocab()
		d.mask(&s, "<mask>")
		before, after = []string{"<s>"}, []string{"</s>"}
	default:
		return s, &UnsupportedError{"tokenizer class", d.settings.Class, classHint}
	}
	s.vocab = s.spm.vocab()
	return s, s.frame(before, after)
}

// looksLikeRanks tells a rank file: base64, a space, a number.
func looksLikeRanks(b []byte) bool {
	line, _, _ := bytes.Cut(b, []byte("\n"))
	_, _, err := rankLine(line)
	return err == nil
}

// sentinels adds T5's extra tokens, which the model file lacks: <extra_id_0> is the last of all.
func (d *directory) sentinels(s *source) {
	count := 100
	if d.settings.ExtraIDs != nil {
		count = min(max(*d.settings.ExtraIDs, 0), 1<<16)
	}
	for _, t := range d.settings.Added {
		if t.Content == "<extra_id_0>" { // the file lists them itself
			return
		}
	}
	n := len(s.spm.pieces)
	for i := range count {
		s.added = append(s.added, addedToken{ID: int32(n + count - 1 - i), Content: fmt.Sprintf("<extra_id_%d>", i), Special: true})
	}
}

// fairseqOrder gives pieces the ids of fairseq's models: <s>, <pad>, </s>, <unk>, then the pieces from the fourth on, then
// <mask>.
func fairseqOrder(s *source) error {
	v := s.spm
	if len(v.pieces) < 3 || !slices.Equal(v.pieces[:3], []string{"<unk>", "<s>", "</s>"}) {
		return fmt.Errorf("tokenizer: the model begins with %q, want <unk>, <s>, </s>", v.pieces[:min(3, len(v.pieces))])
	}
	v.pieces = append(append([]string{"<s>", "<pad>", "</s>", "<unk>"}, v.pieces[3:]...), "<mask>")
	v.scores = append(append(make([]float32, 4), v.scores[3:]...), 0)
	v.kinds = append(append([]pieceKind{kindControl, kindControl, kindControl, kindUnknown}, v.kinds[3:]...), kindControl)
	v.unk, s.pad = 3, "<pad>"
	s.added = v.added(s.modelType)
	return nil
}
