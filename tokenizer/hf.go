package tokenizer

import (
	"encoding/json"
	"fmt"
)

// FromJSON builds a tokenizer from the bytes of tokenizer.json and tokenizer_config.json, which may be nil.
func FromJSON(tokenizerJSON, tokenizerConfigJSON []byte) (Tokenizer, error) {
	t, err := fromJSON(tokenizerJSON, tokenizerConfigJSON, nil, "")
	if err != nil {
		return nil, err
	}
	return t, nil
}

// hfFile is tokenizer.json; truncation and padding are left unread on purpose.
type hfFile struct {
	AddedTokens   []addedToken    `json:"added_tokens"`
	Normalizer    json.RawMessage `json:"normalizer"`
	PreTokenizer  json.RawMessage `json:"pre_tokenizer"`
	PostProcessor json.RawMessage `json:"post_processor"`
	Decoder       json.RawMessage `json:"decoder"`
	Model         hfModel         `json:"model"`
}

type hfModel struct {
	Type         string          `json:"type"`
	Vocab        json.RawMessage `json:"vocab"`
	Merges       json.RawMessage `json:"merges"`
	Dropout      *float64        `json:"dropout"`
	UnkToken     *string         `json:"unk_token"`
	UnkID        *int32          `json:"unk_id"`
	Prefix       *string         `json:"continuing_subword_prefix"`
	Suffix       *string         `json:"end_of_word_suffix"`
	FuseUnk      bool            `json:"fuse_unk"`
	ByteFallback bool            `json:"byte_fallback"`
	IgnoreMerges bool            `json:"ignore_merges"`
	MaxChars     *int            `json:"max_input_chars_per_word"`
}

func fromJSON(file, config []byte, generation [][]byte, template string) (*pipeline, error) {
	var f hfFile
	if err := json.Unmarshal(file, &f); err != nil {
		return nil, fmt.Errorf("tokenizer: tokenizer.json: %w", err)
	}
	s := source{normalizer: f.Normalizer, pre: f.PreTokenizer, post: f.PostProcessor, decoder: f.Decoder, added: f.AddedTokens}
	s.files = [2][]byte{file, config}
	if err := readModel(&s, &f.Model); err != nil {
		return nil, err
	}
	if err := readConfig(&s, config); err != nil {
		return nil, err
	}
	if template != "" {
		s.chat = template
	}
	readGeneration(&s, generation)
	return build(s)
}

func readModel(s *source, m *hfModel) (err error) {
	s.modelType = m.Type
	if s.modelType == "" { // older files leave it out
		s.modelType = m.inferType()
	}
	if m.UnkToken != nil {
		s.unk = *m.UnkToken
	}
	s.byteFallback, s.unkID = m.ByteFallback, -1
	if s.modelType == "Unigram" {
		return readUnigram(s, m)
	}
	if s.vocab, err = parseVocab(m.Vocab); err != nil {
		return err
	}
	switch s.modelType {
	case "BPE":
		return readBPE(s, m)
	case "WordPiece":
		readWordPiece(s, m)
		return nil
	case "WordLevel":
		return nil
	}
	return &UnsupportedError{"model", s.modelType, modelHint}
}

// inferType tells the model from the fields that are there, in the reference's order.
func (m *hfModel) inferType() string {
	switch {
	case len(m.Vocab) > 0 && m.Vocab[0] == '[':
		return "Unigram"
	case len(m.Merges) > 0:
		return "BPE"
	case m.UnkToken != nil && m.Prefix != nil && m.MaxChars != nil:
		return "WordPiece"
	case m.UnkToken != nil:
		return "WordLevel"
	}
	return ""
}

func readWordPiece(s *source, m *hfModel) {
	s.prefix, s.maxChars = "##", 100
	if m.Prefix != nil {
		s.prefix = *m.Prefix
	}
	if m.MaxChars != nil {
		s.maxChars = *m.MaxChars
	}
	if s.unk == "" {
		s.unk = "[UNK]"
	}
}

func readUnigram(s *source, m *hfModel) (err error) {
	if s.scores, err = parseScores(m.Vocab); err != nil {
		return err
	}
	if m.UnkID != nil {
		s.unkID = *m.UnkID
	}
	s.vocab = make(map[string]int32, len(s.scores))
	for id, t := range s.scores {
		s.vocab[t.token] = int32(id)
	}
	return nil
}

func readBPE(s *source, m *hfModel) error {
	if m.Dropout != nil && *m.Dropout != 0 {
		return &UnsupportedError{"setting of the BPE model", "dropout", "ids would be a matter of chance; 0 and null are read"}
	}
	if m.Prefix != nil {
		s.prefix = *m.Prefix
	}
	if m.Suffix != nil {
		s.suffix = *m.Suffix
	}
	s.ignoreMerges, s.fuseUnk = m.IgnoreMerges, m.FuseUnk
	merges, err := parseMerges(m.Merges)
	s.merges = len(merges)
	s.merge = func(i int) (string, string, error) { return merges[i][0], merges[i][1], nil }
	return err
}

// configToken is a token in tokenizer_config.json: a string, or an object with its content.
type configToken string

func (t *configToken) UnmarshalJSON(b []byte) error {
	var text string
	if json.Unmarshal(b, &text) == nil {
		*t = configToken(text)
		return nil
	}
	var object struct {
		Content string `json:"content"`
	}
	err := json.Unmarshal(b, &object)
	*t = configToken(object.Content)
	return err
}

type hfConfig struct {
	Class        string          `json:"tokenizer_class"`
	BOS          configToken     `json:"bos_token"`
	EOS          configToken     `json:"eos_token"`
	CLS          configToken     `json:"cls_token"`
	SEP          configToken     `json:"sep_token"`
	Pad          configToken     `json:"pad_token"`
	Unk          configToken     `json:"unk_token"`
	ChatTemplate json.RawMessage `json:"chat_template"`

	// What follows is read only without a tokenizer.json.
	Mask           json.RawMessage      `json:"mask_token"`
	Added          map[int32]addedToken `json:"added_tokens_decoder"`
	AddBOS         *bool                `json:"add_bos_token"`
	AddEOS         *bool                `json:"add_eos_token"`
	AddPrefixSpace *bool                `json:"add_prefix_space"`
	Legacy         *bool                `json:"legacy"`
	LowerCase      *bool                `json:"do_lower_case"`
	StripAccents   *bool                `json:"strip_accents"`
	Chinese        *bool                `json:"tokenize_chinese_chars"`
	ExtraIDs       *int                 `json:"extra_ids"`
}

func readConfig(s *source, config []byte) error {
	if len(config) == 0 {
		return nil
	}
	var c hfConfig
	if err := json.Unmarshal(config, &c); err != nil {
		return fmt.Errorf("tokenizer: tokenizer_config.json: %w", err)
	}
	s.bos, s.eos, s.pad, s.namedUnk = string(c.BOS), string(c.EOS), string(c.Pad), string(c.Unk)
	if s.bos == "" {
		s.bos = string(c.CLS)
	}
	if s.eos == "" {
		s.eos = string(c.SEP)
	}
	return readTemplate(s, c.ChatTemplate)
}

// readTemplate takes a template, or a list of named ones of which "default" is meant.
func readTemplate(s *source, raw json.RawMessage) error {
	if len(raw) == 0 || string(raw) == "null" || json.Unmarshal(raw, &s.chat) == nil {
		return nil
	}
	var named []struct{ Name, Template string }
	if err := json.Unmarshal(raw, &named); err != nil {
		return fmt.Errorf("tokenizer: chat_template: %w", err)
	}
	for _, t := range named {
		if t.Name == "default" || s.chat == "" {
			s.chat = t.Template
		}
	}
	return nil
}

// readGeneration takes the ids that end a generation, one or a list, from generation_config.json or, where that does not tell
// them, config.json. A file that says nothing usable is left alone: its other settings are not the tokenizer's.
func readGeneration(s *source, files [][]byte) {
	for _, file := range files {
		var g struct {
			EOS json.RawMessage `json:"eos_token_id"`
		}
		if json.Unmarshal(file, &g) != nil || len(g.EOS) == 0 || string(g.EOS) == "null" || len(s.eosIDs) > 0 {
			continue
		}
		var one int32
		if json.Unmarshal(g.EOS, &one) == nil {
			s.eosIDs = []int32{one}
		} else if json.Unmarshal(g.EOS, &s.eosIDs) != nil {
			s.eosIDs = nil
		}
	}
}
