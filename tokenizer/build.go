package tokenizer

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"unicode/utf8"
)

// scoredToken is a token of a Unigram vocabulary.
type scoredToken struct {
	token string
	score float64
}

// source is a tokenizer as tokenizer.json describes it; GGUF metadata is put into this form first, so that both ways
// build the same pipeline and ToJSON has only to write it down.
type source struct {
	normalizer, pre, post, decoder json.RawMessage
	added                          []addedToken
	modelType                      string // "BPE", "WordPiece", "WordLevel", "Unigram", "SPM" (SentencePiece's BPE)
	spm                            *spm   // of SentencePiece, nil: the model is tokenizer.json's
	vocab                          map[string]int32
	merges                         int
	merge                          func(i int) (left, right string, err error)
	keepFirstMerge                 bool
	rankByResult                   bool // merges are ranked by the id of what they make
	ignoreMerges, fuseUnk          bool
	byteFallback                   bool
	scores                         []scoredToken // of Unigram, by id
	unk                            string
	namedUnk                       string // the unknown token that tokenizer_config.json names
	unkID                          int32  // of Unigram, -1: none
	prefix, suffix                 string // of tokens that continue a word, of tokens that end one
	maxChars                       int
	bos, eos, pad                  string
	eosIDs                         []int32
	chat                           string
	files                          [2][]byte // the bytes it came from, if it came from files
}

// build puts the pipeline together.
func build(s source) (p *pipeline, err error) {
	defer caughtPattern(&p, &err) // added tokens are normalised
	if s.spm != nil {
		if err := s.spm.check(); err != nil {
			return nil, err
		}
		s.vocab = s.spm.vocab()
	}
	p = &pipeline{vocab: s.vocab, special: map[int32]bool{}, hidden: map[int32]bool{}, bos: -1, chat: s.chat}
	if p.norm, err = s.newNormalizer(); err != nil {
		return nil, err
	}
	if err = p.addTokens(&s); err != nil {
		return nil, err
	}
	chain, err := parsePre(s.pre)
	if err != nil {
		return nil, err
	}
	p.scan, p.steps = chain.finish()
	if p.model, err = buildModel(&s, chain.byteLevel); err != nil {
		return nil, err
	}
	if p.template, err = parsePost(s.post); err != nil {
		return nil, err
	}
	p.pair = parsePair(s.post)
	if s.spm != nil {
		p.decoder, p.lead = s.spm.decoder()
	} else if p.decoder, p.lead, err = parseDecoder(s.decoder); err != nil {
		return nil, err
	}
	if err := p.checkTemplate(); err != nil {
		return nil, err
	}
	if s.spm != nil && s.spm.frontOnly {
		rest := s.spm.rules
		rest.prefix = false
		p.normRest = &rest
	}
	p.findEnds(&s)
	p.source = s
	return p, nil
}

// addTokens fills the table of tokens and the two sets of added ones.
func (p *pipeline) addTokens(s *source) error {
	for i := range s.added {
		if id, ok := s.vocab[s.added[i].Content]; ok {
			s.added[i].ID = id
		}
	}
	if err := p.fillTokens(s); err != nil {
		return err
	}
	var raw, normalized []addedToken
	for _, t := range s.added {
		p.tokens[t.ID] = t.Content
		if t.Normalized && p.norm != nil && s.spm == nil { // the reference decodes it so
			p.tokens[t.ID] = p.norm.normalize(t.Content)
		}
		if t.Special {
			p.special[t.ID] = true
		}
		if t.Normalized {
			normalized = append(normalized, t)
		} else {
			raw = append(raw, t)
		}
	}
	p.hideSpecials(s.added)
	plain := func(text string) string { return text }
	var err error
	if p.raw, err = newAddedSet(raw, plain); err != nil {
		return err
	}
	if p.norm != nil && s.spm == nil {
		plain = p.norm.normalize
	}
	p.normalized, err = newAddedSet(normalized, plain)
	return err
}

// hideSpecials lists what decoding without special tokens leaves out. As in the reference, it is the spelling that counts: a
// special token that is normalised to another one stays.
func (p *pipeline) hideSpecials(added []addedToken) {
	names := map[string]bool{}
	for _, t := range added {
		names[t.Content] = names[t.Content] || t.Special
	}
	for _, t := range added {
		p.hidden[t.ID] = names[p.tokens[t.ID]]
	}
}

// maxID bounds the highest id of a vocabulary that is a part of a larger one: the table of tokens takes 16 bytes each.
const maxID = 1 << 21

// fillTokens sizes the table by the highest id. Ids far above the number of tokens are a damaged file.
func (p *pipeline) fillTokens(s *source) error {
	count := len(s.vocab) + len(s.added)
	limit := int32(max(2*count, maxID))
	top := int32(-1)
	check := func(token string, id int32) error {
		if id < 0 || id >= limit {
			return fmt.Errorf("tokenizer: token %s has id %d, but there are only %d tokens", quote(token), id, count)
		}
		top = max(top, id)
		return nil
	}
	for token, id := range s.vocab {
		if err := check(token, id); err != nil {
			return err
		}
	}
	for _, t := range s.added {
		if err := check(t.Content, t.ID); err != nil {
			return err
		}
	}
	p.tokens = make([]string, top+1)
	for token, id := range s.vocab {
		p.tokens[id] = token
	}
	if s.spm != nil {
		copy(p.tokens, s.spm.pieces)
	}
	return nil
}

func (s *source) newNormalizer() (normalizer, error) {
	if s.spm != nil {
		return &s.spm.rules, nil
	}
	return parseNormalizer(s.normalizer)
}

func buildModel(s *source, byteLevel bool) (model, error) {
	switch {
	case s.modelType == "SPM":
		return s.spm.bpe(s.vocab)
	case s.modelType == "BPE" && byteLevel && s.plainBytes():
		return s.byteBPE()
	case s.modelType == "Unigram" && s.spm != nil:
		return s.spm.unigram(s.vocab)
	}
	m, err := s.textModel()
	if byteLevel && err == nil {
		m = mappedModel{m}
	}
	return m, err
}

// plainBytes tells whether the symbols of BPE are bytes, whatever their place, that need no other tokens.
func (s *source) plainBytes() bool {
	for _, text := range byteText {
		if _, ok := s.vocab[text]; !ok && s.byteFallback {
			return false
		}
	}
	return s.prefix+s.suffix == ""
}

// textModel builds a model of tokenizer.json whose pieces are text.
func (s *source) textModel() (model, error) {
	if s.modelType == "Unigram" {
		return s.unigram()
	}
	switch s.modelType {
	case "BPE":
		return s.charBPE()
	case "WordPiece":
		return newWordPiece(s.vocab, s.prefix, s.unknown(), s.maxChars), nil
	case "WordLevel":
		return wordLevel{s.vocab, s.unknown()}, nil
	}
	return nil, &UnsupportedError{"model", s.modelType, modelHint}
}

const modelHint = "BPE, Unigram, WordPiece and WordLevel are supported"

// lostUnk stands for an unknown token that is named but not in the vocabulary: an error for text that needs it, as in the
// reference, and for that alone.
const lostUnk = -2

// unknown returns the id of the unknown token, -1 if none is named.
func (s *source) unknown() int32 {
	if s.unk == "" {
		return -1
	}
	if id, ok := s.vocab[s.unk]; ok {
		return id
	}
	return lostUnk
}

func (s *source) byteBPE() (*bpe, error) {
	m, err := newBPE(s)
	if err != nil {
		return nil, err
	}
	m.ignoreMerges, m.fuseUnk, m.unk = s.ignoreMerges, s.fuseUnk, s.unknown()
	return m, nil
}

// charBPE builds a BPE model over characters.
func (s *source) charBPE() (*charBPE, error) {
	b, err := newBPE(s)
	if err != nil {
		return nil, err
	}
	m := newCharBPE(s.vocab, b.merges)
	m.ignoreMerges, m.fuseUnk, m.unk = s.ignoreMerges, s.fuseUnk, s.unknown()
	m.prefix, m.suffix = s.prefix, s.suffix
	for token, id := range s.vocab {
		if r, n := utf8.DecodeRuneInString(token); n > 0 && n == len(token) {
			m.setChar(r, id)
		}
	}
	if s.byteFallback {
		m.fallback = byteTokens(s.vocab)
	}
	m.cuts = newWordCuts(maps.Keys(s.vocab))
	m.cuts.on = m.char('▁') >= 0 && s.prefix+s.suffix == "" && !m.drops() // affixes say where a word begins and ends
	return m, nil
}

// unigram builds the Unigram model of tokenizer.json: all tokens can be found in the text, special ones too.
func (s *source) unigram() (*unigram, error) {
	m := &unigram{vocab: s.vocab, scores: make([]float64, len(s.scores)), unk: s.unkID}
	low := math.Inf(1)
	keys := make([]trieKey, len(s.scores))
	for id, t := range s.scores {
		if math.IsNaN(t.score) || math.IsInf(t.score, 0) {
			return nil, fmt.Errorf("tokenizer: token %d (%s) has score %v", id, quote(t.token), t.score)
		}
		if len(t.token) > maxPiece {
			return nil, fmt.Errorf("tokenizer: token %d has %d bytes, at most %d are allowed", id, len(t.token), maxPiece)
		}
		m.scores[id], keys[id] = t.score, trieKey{t.token, int32(id)}
		low = min(low, t.score)
	}
	if m.unk >= 0 && int(m.unk) >= len(keys) {
		return nil, fmt.Errorf("tokenizer: unk_id is %d, but there are only %d tokens", m.unk, len(keys))
	}
	m.trie, m.unkScore = newTrie(keys), low-unkPenalty
	if s.byteFallback {
		m.fallback = byteTokens(s.vocab)
	}
	m.cuts = newWordCuts(maps.Keys(s.vocab))
	_, m.cuts.on = s.vocab[phantomSpace]
	return m, nil
}

func (p *pipeline) checkTemplate() error {
	for _, id := range p.template {
		if id != templateText && !p.has(id) {
			return fmt.Errorf("tokenizer: the post-processor adds id %d, but the highest id is %d", id, len(p.tokens)-1)
		}
	}
	return nil
}

// endTokens are the texts of tokens that end a turn or a document in the models that are known; a special token so
// spelled ends a generation even if the file does not list it.
var endTokens = []string{
	"<|endoftext|>", "<|end_of_text|>", "<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<|end|>", "<|return|>", "<|call|>",
	"<end_of_turn>", "<EOT>", "<|EOT|>", "<｜end▁of▁sentence｜>", "<|end▁of▁sentence|>",
}

func (p *pipeline) findEnds(s *source) {
	if id, ok := p.ID(s.bos); ok && s.bos != "" {
		p.bos = id
	}
	add := func(id int32) {
		if p.has(id) && !slices.Contains(p.eos, id) {
			p.eos = append(p.eos, id)
		}
	}
	for _, id := range s.eosIDs {
		add(id)
	}
	for _, token := range append([]string{s.eos}, endTokens...) {
		if id, ok := p.ID(token); ok && token != "" && (token == s.eos || p.special[id]) {
			add(id)
		}
	}
	slices.Sort(p.eos)
}
