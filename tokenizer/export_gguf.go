package tokenizer

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// GGUFValue is one entry of GGUF metadata: a string, bool, uint32, or a slice of string, int32, float32 or uint8.
type GGUFValue struct {
	Key   string
	Value any
}

const (
	ggufNormal = 1
	ggufUnused = 5
)

// ToGGUF describes a tokenizer in GGUF's words, for a model with so many token embeddings: where the tokenizer has fewer
// tokens, unused ones fill up. What GGUF has no word for is an error where it would change the ids of ordinary text, and
// a note where it changes those of rare text.
func ToGGUF(t Tokenizer, rows int) (meta []GGUFValue, notes []string, err error) {
	p, ok := t.(*pipeline)
	if !ok {
		return nil, nil, &UnsupportedError{"tokenizer", fmt.Sprintf("%T", t), "only those of this package can be written"}
	}
	if len(p.tokens) > rows {
		return nil, nil, fmt.Errorf("tokenizer: the highest id is %d, but the model has %d token embeddings", len(p.tokens)-1, rows)
	}
	w := &ggufWriter{p: p, s: &p.source, rows: rows}
	if err := w.write(); err != nil {
		return nil, nil, err
	}
	return w.meta, w.notes, nil
}

// ggufWriter collects the metadata of one tokenizer.
type ggufWriter struct {
	p     *pipeline
	s     *source
	rows  int
	meta  []GGUFValue
	notes []string
}

func (w *ggufWriter) put(key string, value any) {
	w.meta = append(w.meta, GGUFValue{ggufPrefix + key, value})
}

func (w *ggufWriter) has(key string) bool {
	return slices.ContainsFunc(w.meta, func(v GGUFValue) bool { return v.Key == ggufPrefix+key })
}

func (w *ggufWriter) note(format string, args ...any) {
	w.notes = append(w.notes, "tokenizer: "+fmt.Sprintf(format, args...))
}

func (w *ggufWriter) write() error {
	var err error
	switch {
	case w.s.spm != nil:
		err = w.sentencePiece()
	case w.s.modelType == "BPE":
		err = w.bytePairs()
	case w.s.modelType == "Unigram":
		err = w.jsonUnigram()
	case w.s.modelType == "WordPiece":
		err = w.wordPiece()
	default:
		err = &UnsupportedError{Kind: "GGUF form of model", Name: w.s.modelType}
	}
	if err != nil {
		return err
	}
	w.added()
	if w.p.chat != "" {
		w.meta = append(w.meta, GGUFValue{"tokenizer.chat_template", w.p.chat})
	}
	return w.specials()
}

// tokens lists all tokens by id, each with its type.
func (w *ggufWriter) tokens() ([]string, []int32) {
	tokens, types := make([]string, w.rows), make([]int32, w.rows)
	for token, id := range w.s.vocab {
		tokens[id], types[id] = token, ggufNormal
	}
	for _, t := range w.s.added {
		tokens[t.ID], types[t.ID] = t.Content, ggufUserDefined
		if t.Special {
			types[t.ID] = ggufControl
		}
	}
	for id := range tokens {
		if types[id] == 0 {
			tokens[id], types[id] = fmt.Sprintf("[PAD%d]", id), ggufUnused
		}
	}
	return tokens, types
}

func (w *ggufWriter) putTokens(tokens []string, types []int32) {
	w.put("tokens", tokens)
	w.put("token_type", types)
}

// bytePairs writes byte-level BPE, whose pre-tokenizer GGUF knows by name.
func (w *ggufWriter) bytePairs() error {
	if affix := w.s.prefix + w.s.suffix; affix != "" {
		return &UnsupportedError{"GGUF form of continuing_subword_prefix or end_of_word_suffix", affix, "GGUF has no word for affixes of BPE"}
	}
	if _, ok := w.p.model.(*bpe); !ok {
		return w.characterPairs()
	}
	pre, err := ggufPreName(w.s.pre, w.s.ignoreMerges)
	if err != nil {
		return err
	}
	if n, _ := parsePart(w.s.normalizer, 0); n != nil {
		w.note("GGUF has no place for its normalizer (%s): text that it would change gets other ids", n.Type)
	}
	merges := make([]string, w.s.merges)
	for i := range merges {
		left, right, err := w.s.merge(i)
		if err != nil {
			return err
		}
		if strings.Contains(left, " ") || strings.Contains(right, " ") {
			return fmt.Errorf("tokenizer: merge %d of %s and %s: GGUF cannot hold a space in a merge", i, quote(left), quote(right))
		}
		merges[i] = left + " " + right
	}
	w.put("model", "gpt2")
	w.put("pre", pre)
	w.putTokens(w.tokens())
	w.put("merges", merges)
	return nil
}

// commonPre are the names to prefer of those that stand for equal pre-tokenizers.
var commonPre = []string{"gpt-2", "llama-bpe", "qwen2", "smollm", "gpt-4o", "tekken", "falcon", "deepseek-llm", "deepseek-coder", "deepseek-v3"}

// ggufPreName finds the name of a pre-tokenizer.
func ggufPreName(pre json.RawMessage, ignoreMerges bool) (string, error) {
	want, err := preSteps(nil, pre, 0)
	if err != nil {
		return "", err
	}
	for _, name := range append(slices.Clone(commonPre), sortedNames(ggufPre)...) {
		rule, ok := ggufPre[name]
		if !ok || rule.raw || rule.ignoreMerges != ignoreMerges {
			continue
		}
		if got, err := preSteps(nil, rule.json(), 0); err == nil && slices.Equal(got, want) {
			return name, nil
		}
	}
	return "", &UnsupportedError{"GGUF form of pre-tokenizer", string(pre), "no tokenizer.ggml.pre stands for it"}
}

// preSteps writes the steps of a pre-tokenizer so that equal ones are equal texts, whatever is left out or nested.
func preSteps(steps []string, raw json.RawMessage, depth int) ([]string, error) {
	p, err := parsePart(raw, depth)
	if p == nil {
		return steps, err
	}
	text := ""
	switch p.Type {
	case "Sequence":
		for _, one := range p.Pretokenizers {
			if steps, err = preSteps(steps, one, depth+1); err != nil {
				return nil, err
			}
		}
		return steps, nil
	case "Digits":
		text = fmt.Sprint("digits ", p.Individual)
	case "ByteLevel":
		text = fmt.Sprint("bytes ", p.UseRegex == nil || *p.UseRegex, " ", p.AddPrefixSpace == nil || *p.AddPrefixSpace)
	case "Split":
		if p.Pattern != nil && p.Pattern.Regex != nil {
			text = fmt.Sprint("split ", strings.ToLower(p.Behavior), " ", p.Invert, " ", *p.Pattern.Regex)
		}
	}
	if text == "" {
		text = string(raw)
	}
	return append(steps, text), nil
}

// wordPiece writes a BERT vocabulary in llama.cpp's form: words begin with U+2581, continuations with nothing.
func (w *ggufWriter) wordPiece() error {
	n, err := parsePart(w.s.normalizer, 0)
	if err != nil {
		return err
	}
	if n == nil || n.Type != "BertNormalizer" || !n.Lowercase {
		return &UnsupportedError{"GGUF form of normalizer", string(w.s.normalizer), "WordPiece of GGUF files puts all text into lower case"}
	}
	if w.s.prefix != "##" {
		return &UnsupportedError{"GGUF form of continuing_subword_prefix", w.s.prefix, "## is supported"}
	}
	tokens, types := w.tokens()
	for id, token := range tokens {
		rest, inside := strings.CutPrefix(token, "##")
		switch {
		case types[id] != ggufNormal || strings.HasPrefix(token, "[") && strings.HasSuffix(token, "]") && len(token) > 2:
		case inside && rest != "":
			tokens[id] = rest
		default:
			tokens[id] = phantomSpace + token
		}
	}
	w.put("model", "bert")
	w.putTokens(tokens, types)
	w.put("token_type_count", uint32(2))
	w.putID("cls_token_id", w.s.bos)
	w.putID("mask_token_id", "[MASK]")
	return nil
}

// sentencePiece writes a SentencePiece vocabulary as it is.
func (w *ggufWriter) sentencePiece() error {
	v := w.s.spm
	tokens, types := w.tokens()
	scores := make([]float32, w.rows)
	for id := range v.pieces {
		tokens[id], scores[id] = v.pieces[id], v.scores[id]
		types[id] = int32(v.kind(id))
	}
	name := "llama"
	if w.s.modelType == "Unigram" {
		name = "t5"
	}
	w.sentencePieces(name, tokens, types, scores, v.rules)
	if v.unk >= 0 {
		w.put("unknown_token_id", uint32(v.unk))
	}
	return nil
}

// added notes what GGUF does not keep of added tokens.
func (w *ggufWriter) added() {
	for _, t := range w.s.added {
		if t.SingleWord || t.LStrip || t.RStrip {
			w.note("GGUF does not keep how added tokens such as %s treat the text beside them", quote(t.Content))
			return
		}
	}
}

func (w *ggufWriter) putID(key, token string) {
	if id, ok := w.p.ID(token); ok && token != "" {
		w.put(key, uint32(id))
	}
}

// specials writes the special tokens, and whether BOS and EOS are put around a text.
func (w *ggufWriter) specials() error {
	at := slices.Index(w.p.template, templateText)
	if at < 0 {
		return fmt.Errorf("tokenizer: its post-processor leaves the text out")
	}
	before, after := w.p.template[:at], w.p.template[at+1:]
	if len(before) > 1 || len(after) > 1 || slices.Contains(after, templateText) {
		return fmt.Errorf("tokenizer: GGUF has no word for a post-processor that puts %d tokens before a text and %d after it", len(before), len(after))
	}
	ends := []string{"bos_token_id", "eos_token_id"}
	ids := [2]int32{w.p.bos, w.endOf()}
	for i, around := range [][]int32{before, after} {
		if len(around) == 1 {
			ids[i] = around[0]
		}
		if ids[i] >= 0 {
			w.put(ends[i], uint32(ids[i]))
		}
	}
	if w.s.modelType == "WordPiece" && ids[1] >= 0 {
		w.put("seperator_token_id", uint32(ids[1])) // sic
	}
	w.otherEnds(ids[1])
	w.putID("padding_token_id", w.s.pad)
	if w.s.spm == nil && !w.has("unknown_token_id") {
		w.putID("unknown_token_id", w.s.unk)
	}
	w.put("add_bos_token", len(before) == 1)
	w.put("add_eos_token", len(after) == 1)
	if sep := w.p.pair.separator(len(after)); sep >= 0 {
		w.put("add_sep_token", true)
		if w.s.modelType != "WordPiece" {
			w.put("seperator_token_id", uint32(sep)) // sic
		}
	}
	return nil
}

// otherEnds writes the tokens that end a generation besides EOS; GGUF has two more words for them.
func (w *ggufWriter) otherEnds(eos int32) {
	keys := []string{"eot_token_id", "eom_token_id"}
	for _, id := range w.p.eos {
		if id != eos && len(keys) > 0 {
			w.put(keys[0], uint32(id))
			keys = keys[1:]
		}
	}
}

// endOf is the token that ends a text: the one that the file names, else the first that ends a generation; -1: none.
func (w *ggufWriter) endOf() int32 {
	if id, ok := w.p.ID(w.s.eos); ok && w.s.eos != "" {
		return id
	}
	if len(w.p.eos) > 0 {
		return w.p.eos[0]
	}
	return -1
}
