package tokenizer

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode"
)

// part is any component of tokenizer.json; fields are read as the type needs them.
type part struct {
	Type           string            `json:"type"`
	Normalizers    []json.RawMessage `json:"normalizers"`
	Pretokenizers  []json.RawMessage `json:"pretokenizers"`
	Processors     []json.RawMessage `json:"processors"`
	Decoders       []json.RawMessage `json:"decoders"`
	Pattern        *pattern          `json:"pattern"`
	Behavior       string            `json:"behavior"`
	Invert         bool              `json:"invert"`
	Content        string            `json:"content"`
	Prepend        string            `json:"prepend"`
	StripLeft      bool              `json:"strip_left"`
	StripRight     bool              `json:"strip_right"`
	CleanText      bool              `json:"clean_text"`
	HandleChinese  bool              `json:"handle_chinese_chars"`
	StripAccents   *bool             `json:"strip_accents"`
	Lowercase      bool              `json:"lowercase"`
	AddPrefixSpace *bool             `json:"add_prefix_space"`
	UseRegex       *bool             `json:"use_regex"`
	Individual     bool              `json:"individual_digits"`
	Single         []templateItem    `json:"single"`
	SpecialTokens  map[string]struct {
		IDs []int32 `json:"ids"`
	} `json:"special_tokens"`
	Sep           *tokenAndID `json:"sep"`
	Cls           *tokenAndID `json:"cls"`
	Prefix        *string     `json:"prefix"`
	Suffix        *string     `json:"suffix"`
	Cleanup       *bool       `json:"cleanup"`
	Start         int         `json:"start"`
	Stop          int         `json:"stop"`
	Replacement   string      `json:"replacement"`
	PrependScheme *string     `json:"prepend_scheme"`
	Split         *bool       `json:"split"`
	Delimiter     string      `json:"delimiter"`
	Length        *int        `json:"length"`
	Charsmap      string      `json:"precompiled_charsmap"`
}

type templateItem struct {
	SpecialToken *struct {
		ID string `json:"id"`
	} `json:"SpecialToken"`
	Sequence *struct {
		ID string `json:"id"`
	} `json:"Sequence"`
}

// tokenAndID is written as ["[SEP]", 102].
type tokenAndID struct {
	token string
	id    int32
}

func (t *tokenAndID) UnmarshalJSON(b []byte) error { return json.Unmarshal(b, &[]any{&t.token, &t.id}) }

// pattern is written as {"String": …} or {"Regex": …}.
type pattern struct {
	String *string `json:"String"`
	Regex  *string `json:"Regex"`
}

// matcher compiles the pattern; a known one is scanned by hand.
func (p *pattern) matcher() (matcher, error) {
	switch {
	case p == nil:
		return nil, fmt.Errorf("tokenizer: a component lacks its pattern")
	case p.String != nil:
		return literalMatcher(*p.String), nil
	case p.Regex != nil:
		if s := scanners[*p.Regex]; s != nil {
			return scanMatcher(s), nil
		}
		if m := runs[*p.Regex]; m != nil {
			return m, nil
		}
		if *p.Regex == patternTrailing {
			return trailingSpace{}, nil
		}
		m, err := newRegexMatcher(*p.Regex)
		if err != nil {
			return nil, fmt.Errorf("tokenizer: pattern %s: %w", quote(*p.Regex), err)
		}
		return m, nil
	}
	return nil, &UnsupportedError{"pattern", "", "String and Regex are supported"}
}

// maxParts bounds the nesting of sequences in a file.
const maxParts = 16

func parsePart(raw json.RawMessage, depth int) (*part, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return nil, nil
	}
	if depth > maxParts {
		return nil, fmt.Errorf("tokenizer: sequences are nested more than %d deep", maxParts)
	}
	var p part
	if err := json.Unmarshal(raw, &p); err != nil {
		return nil, fmt.Errorf("tokenizer: component %s: %w", quote(string(raw)), err)
	}
	return &p, nil
}

func parseNormalizer(raw json.RawMessage) (normalizer, error) {
	list, err := appendNormalizers(nil, raw, 0)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	return list, nil
}

func appendNormalizers(list normalizers, raw json.RawMessage, depth int) (normalizers, error) {
	p, err := parsePart(raw, depth)
	if p == nil {
		return list, err
	}
	if p.Type == "Sequence" {
		for _, one := range p.Normalizers {
			if list, err = appendNormalizers(list, one, depth+1); err != nil {
				return nil, err
			}
		}
		return list, nil
	}
	n, err := newNormalizer(p)
	return append(list, n), err
}

func newNormalizer(p *part) (normalizer, error) {
	switch p.Type {
	case "NFC":
		return normalizeFunc(nfc), nil
	case "NFD":
		return normalizeFunc(nfd), nil
	case "NFKC":
		return normalizeFunc(nfkc), nil
	case "NFKD":
		return normalizeFunc(nfkd), nil
	case "Lowercase":
		return normalizeFunc(lower), nil
	case "StripAccents":
		return normalizeFunc(stripAccents), nil
	case "Nmt":
		return normalizeFunc(nmt), nil
	case "ByteLevel":
		return normalizeFunc(byteLevelText), nil
	case "Precompiled":
		return newPrecompiled(p.Charsmap)
	case "Strip":
		return strip{p.StripLeft, p.StripRight}, nil
	case "Prepend":
		return prepend(p.Prepend), nil
	case "Replace":
		m, err := p.Pattern.matcher()
		if err != nil {
			return nil, err
		}
		if lit, ok := m.(literalMatcher); ok {
			return replaceLiteral{string(lit), p.Content}, nil
		}
		return replaceRegex{m, p.Content}, nil
	case "BertNormalizer":
		n := bertNormalizer{p.CleanText, p.HandleChinese, p.Lowercase, p.Lowercase}
		if p.StripAccents != nil {
			n.accents = *p.StripAccents
		}
		return n, nil
	}
	return nil, &UnsupportedError{Kind: "normalizer", Name: p.Type}
}

// newPrecompiled reads a table that is written in base64.
func newPrecompiled(text string) (normalizer, error) {
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("tokenizer: the precompiled charsmap: %w", err)
	}
	c, err := parseCharsmap(b)
	if err == nil && c == nil {
		err = errors.New("tokenizer: the normalizer Precompiled has no charsmap")
	}
	return c, err
}

// preChain is a parsed pre-tokenizer.
type preChain struct {
	steps     []splitter
	names     []string // what the steps are, for finding a hand-written form of the whole
	byteLevel bool
}

// finish returns the hand-written scanner for the whole chain, or nil and its steps.
func (c *preChain) finish() (scanner, []splitter) {
	switch strings.Join(c.names, " ") {
	case "gpt2":
		return scanGPT2, nil
	case "digits gpt2":
		return scanGPT2Digits, nil
	}
	if len(c.steps) == 1 {
		if s, ok := c.steps[0].(patternSplit); ok && s.mode == isolated {
			if m, ok := s.m.(scanMatcher); ok {
				return scanner(m), nil
			}
		}
	}
	return nil, c.steps
}

func (c *preChain) add(name string, s splitter) {
	if c.byteLevel {
		s = overBytes{s}
	}
	c.names, c.steps = append(c.names, name), append(c.steps, s)
}

func parsePre(raw json.RawMessage) (*preChain, error) {
	c := &preChain{}
	return c, c.parse(raw, 0)
}

func (c *preChain) parse(raw json.RawMessage, depth int) error {
	p, err := parsePart(raw, depth)
	if p == nil {
		return err
	}
	switch p.Type {
	case "Sequence":
		for _, one := range p.Pretokenizers {
			if err := c.parse(one, depth+1); err != nil {
				return err
			}
		}
	case "ByteLevel":
		return c.addByteLevel(p)
	case "Digits":
		if p.Individual {
			c.add("digits", patternSplit{runeMatcher(isNumeric), isolated, false})
		} else {
			c.add("numbers", patternSplit{runeMatcher(isNumeric), contiguous, false})
		}
	case "Split", "Punctuation":
		return c.addSplit(p)
	case "BertPreTokenizer":
		c.add("bert", bertSplit{})
	case "Metaspace":
		m, err := newMetaspace(p)
		if c.byteLevel {
			return &UnsupportedError{"pre-tokenizer", "Metaspace", "before ByteLevel"}
		}
		c.add("metaspace", m)
		return err
	case "CharDelimiterSplit":
		c.add("delimiter", patternSplit{literalMatcher(p.Delimiter), removed, false})
	case "UnicodeScripts":
		c.add("scripts", scriptSplit{})
	case "FixedLength":
		n := 5
		if p.Length != nil {
			n = *p.Length
		}
		if n < 1 {
			return fmt.Errorf("tokenizer: FixedLength of %d characters", n)
		}
		c.add("length", lengthSplit(n))
	case "WhitespaceSplit":
		c.add("whitespace", patternSplit{runeMatcher(isSpace), removed, false})
	case "Whitespace":
		c.add("words", patternSplit{wordMatcher{}, removed, true})
	default:
		return &UnsupportedError{Kind: "pre-tokenizer", Name: p.Type}
	}
	return nil
}

func (c *preChain) addByteLevel(p *part) error {
	if c.byteLevel {
		return &UnsupportedError{Kind: "pre-tokenizer", Name: "ByteLevel twice"}
	}
	var next splitter
	name := "bytes"
	if p.UseRegex == nil || *p.UseRegex {
		name, next = "gpt2", patternSplit{scanMatcher(scanGPT2), isolated, false}
	}
	if p.AddPrefixSpace == nil || *p.AddPrefixSpace {
		name, next = "prefixed", prefixSpace{next}
	}
	if next != nil {
		c.add(name, next)
	}
	c.byteLevel = true
	return nil
}

func (c *preChain) addSplit(p *part) error {
	mode, ok := behaviors[p.Behavior]
	if !ok && p.Behavior == "" && p.Type == "Punctuation" {
		mode, ok = isolated, true
	}
	if !ok {
		return &UnsupportedError{Kind: "split behavior", Name: p.Behavior}
	}
	if p.Type == "Punctuation" {
		c.add("punctuation", patternSplit{runeMatcher(isPunct), mode, false})
		return nil
	}
	m, err := p.Pattern.matcher()
	if err != nil {
		return err
	}
	c.add("split", patternSplit{m, mode, p.Invert})
	return nil
}

// wordMatcher matches \w+|[^\w\s]+.
type wordMatcher struct{}

func (wordMatcher) spans(piece string) []span {
	kind := func(r rune) int {
		switch {
		case isWord(r):
			return 1
		case unicode.Is(unicode.White_Space, r):
			return 2
		}
		return 0
	}
	var out []span
	from, last := 0, -1
	for i, r := range piece {
		k := kind(r)
		if k != last && i > from {
			out = append(out, span{from, i, last != 2})
			from = i
		}
		last = k
	}
	if from < len(piece) {
		out = append(out, span{from, len(piece), last != 2})
	}
	return out
}

// parsePost returns the ids to put around a text, templateText for the text.
func parsePost(raw json.RawMessage) ([]int32, error) {
	template := []int32{templateText}
	err := applyPost(&template, raw, 0)
	return template, err
}

func applyPost(template *[]int32, raw json.RawMessage, depth int) error {
	p, err := parsePart(raw, depth)
	if p == nil {
		return err
	}
	var around []int32
	switch p.Type {
	case "Sequence":
		for _, one := range p.Processors {
			if err := applyPost(template, one, depth+1); err != nil {
				return err
			}
		}
		return nil
	case "ByteLevel": // concerns offsets alone
		return nil
	case "BertProcessing", "RobertaProcessing":
		if p.Cls == nil || p.Sep == nil {
			return fmt.Errorf("tokenizer: post-processor %s lacks cls or sep", p.Type)
		}
		around = []int32{p.Cls.id, templateText, p.Sep.id}
	case "TemplateProcessing":
		if around, err = parseTemplate(p); err != nil {
			return err
		}
	default:
		return &UnsupportedError{Kind: "post-processor", Name: p.Type}
	}
	*template, err = nest(around, *template)
	return err
}

func parseTemplate(p *part) ([]int32, error) {
	var out []int32
	for _, item := range p.Single {
		switch {
		case item.Sequence != nil && item.Sequence.ID == "A":
			out = append(out, templateText)
		case item.SpecialToken != nil:
			t, ok := p.SpecialTokens[item.SpecialToken.ID]
			if !ok {
				return nil, fmt.Errorf("tokenizer: the template's token %s is not among its special tokens", quote(item.SpecialToken.ID))
			}
			out = append(out, t.IDs...)
		default:
			return nil, &UnsupportedError{Kind: "template item", Name: fmt.Sprint(item)}
		}
	}
	return out, nil
}

// nest puts inner in the place of the text in outer.
func nest(outer, inner []int32) ([]int32, error) {
	var out []int32
	for _, id := range outer {
		if id == templateText {
			out = append(out, inner...)
		} else {
			out = append(out, id)
		}
	}
	if len(out) > 1<<16 {
		return nil, fmt.Errorf("tokenizer: the post-processor adds %d ids", len(out))
	}
	return out, nil
}
