package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
)

// Types of tokens in GGUF metadata (tokenizer.ggml.token_type).
const (
	ggufUnknown     = 2
	ggufControl     = 3
	ggufUserDefined = 4
)

const ggufPrefix = "tokenizer.ggml."

// FromGGUF builds the tokenizer that GGUF metadata describes: model gpt2 (byte-level BPE, its pre-tokenizer by name),
// llama (SentencePiece BPE), t5 (Unigram) or bert (WordPiece). Other models are an UnsupportedError.
func FromGGUF(meta MetadataReader) (Tokenizer, error) {
	g := ggufReader{meta: meta}
	s, err := g.source()
	if err != nil {
		return nil, err
	}
	return build(s)
}

type ggufReader struct {
	meta   MetadataReader
	tokens []string
	types  []int
}

func (g *ggufReader) source() (source, error) {
	name, ok := g.meta.String(ggufPrefix + "model")
	if !ok {
		return source{}, errors.New("tokenizer: the GGUF metadata has no " + ggufPrefix + "model")
	}
	if g.tokens, ok = g.meta.Strings(ggufPrefix + "tokens"); !ok || len(g.tokens) == 0 {
		return source{}, errors.New("tokenizer: the GGUF metadata has no " + ggufPrefix + "tokens")
	}
	if len(g.tokens) > math.MaxInt32/4 {
		return source{}, fmt.Errorf("tokenizer: %d tokens are too many", len(g.tokens))
	}
	g.types, ok = g.meta.Ints(ggufPrefix + "token_type")
	if ok && len(g.types) != len(g.tokens) {
		return source{}, fmt.Errorf("tokenizer: %d token types for %d tokens", len(g.types), len(g.tokens))
	}
	s := source{eos: g.token("eos_token_id"), bos: g.token("bos_token_id"), pad: g.token("padding_token_id")}
	s.chat, _ = g.meta.String("tokenizer.chat_template")
	for _, key := range []string{"eos_token_id", "eot_token_id", "eom_token_id"} {
		if id, ok := g.id(key); ok {
			s.eosIDs = append(s.eosIDs, id)
		}
	}
	switch name {
	case "gpt2", "whitespace":
		return s, g.bpe(&s, g.preName())
	case "gemma4":
		return s, g.bpe(&s, name)
	case "bert":
		return s, g.wordPiece(&s)
	case "llama":
		return s, g.sentencePiece(&s, "SPM")
	case "t5":
		return s, g.sentencePiece(&s, "Unigram")
	}
	return s, &UnsupportedError{"GGUF tokenizer model", name, "gpt2 (byte-level BPE), llama (SentencePiece BPE), t5 (Unigram) and bert (WordPiece) are supported"}
}

// id reads a token id; ids out of range (0xFFFFFFFF means none) count as absent.
func (g *ggufReader) id(key string) (int32, bool) {
	id, ok := g.meta.Int(ggufPrefix + key)
	if !ok || id < 0 || id >= len(g.tokens) {
		return 0, false
	}
	return int32(id), true
}

func (g *ggufReader) token(key string) string {
	if id, ok := g.id(key); ok {
		return g.tokens[id]
	}
	return ""
}

func (g *ggufReader) typeOf(id int) int {
	if g.types == nil {
		return 1
	}
	return g.types[id]
}

// added lists the tokens that are cut out of the text before anything else: control, unknown and user-defined ones.
func (g *ggufReader) added() []addedToken {
	var out []addedToken
	for id, token := range g.tokens {
		switch g.typeOf(id) {
		case ggufControl, ggufUnknown:
			out = append(out, addedToken{ID: int32(id), Content: token, Special: true})
		case ggufUserDefined:
			out = append(out, addedToken{ID: int32(id), Content: token})
		}
	}
	return out
}

func (g *ggufReader) bpe(s *source, pre string) error {
	rule, ok := ggufPre[pre]
	if !ok {
		return &UnsupportedError{"GGUF pre-tokenizer", pre, "known ones: " + strings.Join(sortedNames(ggufPre), ", ")}
	}
	merges, ok := g.meta.Strings(ggufPrefix + "merges")
	if !ok {
		return errors.New("tokenizer: the GGUF metadata has no " + ggufPrefix + "merges")
	}
	s.modelType, s.pre, s.ignoreMerges = "BPE", rule.json(), rule.ignoreMerges
	s.added = g.added()
	s.decoder = json.RawMessage(`{"type":"ByteLevel","add_prefix_space":true,"trim_offsets":true,"use_regex":true}`)
	if rule.raw {
		s.byteFallback, s.normalizer, s.decoder = true, g.rawNormalizer(rule), rawDecoder
	}
	s.vocab = make(map[string]int32, len(g.tokens))
	for id, token := range g.tokens {
		s.vocab[token] = int32(id)
	}
	s.merges, s.keepFirstMerge = len(merges), true
	s.merge = func(i int) (string, string, error) { return splitMerge(i, merges[i]) }
	s.post = g.post(rule.addBOS, false, "bos_token_id", "eos_token_id")
	g.attributes(s.added)
	return nil
}

// preName is the name of the pre-tokenizer, "default" if the file has none.
func (g *ggufReader) preName() string {
	if pre, ok := g.meta.String(ggufPrefix + "pre"); ok {
		return pre
	}
	return "default"
}

var rawDecoder = json.RawMessage(`{"type":"Sequence","decoders":[{"type":"Replace","pattern":{"String":"▁"},"content":" "},{"type":"ByteFallback"},{"type":"Fuse"}]}`)

// rawNormalizer is that of BPE over characters.
func (g *ggufReader) rawNormalizer(rule preRule) json.RawMessage {
	switch {
	case rule.escape:
		return json.RawMessage(`{"type":"Replace","pattern":{"String":" "},"content":"▁"}`)
	case g.flag("normalizer.lowercase", false):
		return json.RawMessage(`{"type":"Lowercase"}`)
	}
	return nil
}

// post writes the post-processor that adds BOS and EOS as the flags say; the defaults hold if a flag is absent.
func (g *ggufReader) post(addBOS, addEOS bool, bosKey, eosKey string) json.RawMessage {
	return g.around(g.flag("add_bos_token", addBOS), g.flag("add_eos_token", addEOS), g.idOr(bosKey, -1), g.idOr(eosKey, -1))
}

// around writes the post-processor that puts BOS and EOS around the text, where they are wanted and there.
func (g *ggufReader) around(addBOS, addEOS bool, bos, eos int32) json.RawMessage {
	var before, after []int32
	if addBOS && bos >= 0 {
		before = append(before, bos)
	}
	if addEOS && eos >= 0 {
		after = append(after, eos)
	}
	if before == nil && after == nil {
		return nil
	}
	var between []int32
	if pre, _ := g.meta.String(ggufPrefix + "pre"); after != nil && g.flag("add_sep_token", pre == "roberta-bpe") {
		between = append(between, g.idOr("seperator_token_id", eos)) // sic; RoBERTa's pairs have two separators
	}
	return templateJSON(func(id int32) string { return g.tokens[id] }, before, after, between)
}

// wordPiece reads a BERT vocabulary in llama.cpp's form: a token that begins a word carries U+2581 and a continuation
// nothing, where BERT's own form writes nothing and "##".
func (g *ggufReader) wordPiece(s *source) error {
	s.modelType, s.prefix, s.maxChars = "WordPiece", "##", 100
	g.tokens = slices.Clone(g.tokens)
	s.vocab = make(map[string]int32, len(g.tokens))
	for id := range g.tokens {
		g.tokens[id] = g.bertSpelling(id)
	}
	for id := len(g.tokens) - 1; id >= 0; id-- { // of equal spellings the lowest id counts
		s.vocab[g.tokens[id]] = int32(id)
	}
	s.unk = "[UNK]"
	if token := g.token("unknown_token_id"); token != "" {
		s.unk = token
	}
	s.pad = g.token("padding_token_id")
	s.eos, s.eosIDs = g.token("seperator_token_id"), nil
	s.bos = g.token("cls_token_id")
	s.added = g.bertAdded(s.unk)
	lower := g.flag("normalizer.lowercase", true)
	s.normalizer = mustJSON(map[string]any{"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
		"strip_accents": g.flag("normalizer.strip_accents", lower), "lowercase": lower})
	s.pre = json.RawMessage(`{"type":"BertPreTokenizer"}`)
	s.decoder = json.RawMessage(`{"type":"WordPiece","prefix":"##","cleanup":true}`)
	bos, eos := g.bertEnd(s, "[CLS]", "cls_token_id", "bos_token_id"), g.bertEnd(s, "[SEP]", "seperator_token_id", "eos_token_id")
	s.post = g.around(g.flag("add_bos_token", true), g.flag("add_eos_token", true), bos, eos)
	return nil
}

// bertEnd is the token at one end of a text: the first that the metadata names or else, since those of old vocabularies do not, the
// one that is always spelt so; -1: none.
func (g *ggufReader) bertEnd(s *source, text string, keys ...string) int32 {
	for _, key := range keys {
		if id, ok := g.id(key); ok {
			return id
		}
	}
	if id, ok := s.vocab[text]; ok {
		return id
	}
	return -1
}

// bertAdded lists the special tokens: those of type control, and those that the metadata names, since converters often
// leave the type of a BERT vocabulary at normal.
func (g *ggufReader) bertAdded(unk string) []addedToken {
	out := g.added()
	for _, key := range []string{"padding_token_id", "cls_token_id", "seperator_token_id", "mask_token_id", "unknown_token_id"} {
		id, ok := g.id(key)
		known := slices.ContainsFunc(out, func(t addedToken) bool { return t.ID == id })
		if ok && !known {
			out = append(out, addedToken{ID: id, Content: g.tokens[id], Special: true})
		}
	}
	return out
}

func (g *ggufReader) bertSpelling(id int) string {
	token := g.tokens[id]
	if rest, ok := strings.CutPrefix(token, phantomSpace); ok && rest != "" {
		return rest
	}
	if g.typeOf(id) != 1 || strings.HasPrefix(token, "[") && strings.HasSuffix(token, "]") && len(token) > 2 {
		return token
	}
	return "##" + token
}
