// Package tokenizer turns text into ids and back, exactly as the reference implementations do, and renders chat templates.
//
// A tokenizer is a pipeline: added tokens are cut out, what is left is normalised, split into pieces, each piece becomes
// ids by BPE (over bytes or characters), Unigram, WordPiece or WordLevel, and special tokens are put around the whole. The
// parts come from GGUF metadata (FromGGUF), from a Hugging Face directory (FromHF) or from one file of a tokenizer
// (FromFile, FromJSON, FromSentencePiece, FromTiktoken). A part that is not known is refused by name.
// Truncation and padding that a tokenizer.json may ask for are never applied: a prompt is not cut silently.
//
// Everything here is safe for concurrent use, except a StreamDecoder, which belongs to one stream.
package tokenizer

// EncodeOptions says what Encode does with special tokens.
type EncodeOptions struct {
	AddSpecial   bool // put BOS, EOS, CLS, SEP around the text as the file says
	ParseSpecial bool // text that spells a special token becomes its id; otherwise it is ordinary text
	Marked       bool // the text is a ChatTemplate's Prompt: what is marked there is ordinary text in any case
}

// Tokenizer turns text into ids and back.
type Tokenizer interface {
	// Encode returns the ids of text. Bytes that are not valid UTF-8 are read as U+FFFD, one for each maximal invalid part.
	// Errors are a *PatternError, a pattern from the file takes too long on this text, a *GrowthError, and an *UnknownTextError.
	Encode(text string, opt EncodeOptions) ([]int32, error)
	// EncodePair returns the ids of two texts as one sequence, and the type of each: 0 or 1 for models that tell the texts
	// apart. An error is that of Encode, or tells that the file has no rule for pairs.
	EncodePair(a, b string, opt EncodeOptions) (ids, types []int32, err error)
	// Decode returns the text of ids; skipSpecial leaves special tokens out. Ids outside the vocabulary are left out.
	// Bytes that form no character become U+FFFD.
	Decode(ids []int32, skipSpecial bool) string
	// NewDecoder returns a decoder for a stream of ids: what it returns, joined, equals Decode of all ids.
	NewDecoder(skipSpecial bool) *StreamDecoder
	// TokenBytes returns what id adds to a text: its bytes for byte-level BPE, its text otherwise; nil if there is no such id.
	TokenBytes(id int32) []byte
	// VocabSize is the highest id plus one.
	VocabSize() int
	// EOS returns all ids that end a generation, ascending.
	EOS() []int32
	// BOS returns the id that begins a text; false if the file names none.
	BOS() (int32, bool)
	// ID returns the id of a token as the file spells it ("Ġthe", "##ing", "<|im_end|>").
	ID(token string) (int32, bool)
	// IsSpecial tells whether id is a special (control) token.
	IsSpecial(id int32) bool
	// TemplateSource returns the chat template that came with the tokenizer, or "".
	TemplateSource() string
	// ToJSON returns the tokenizer as the two files of a Hugging Face directory, tokenizer.json and
	// tokenizer_config.json. A tokenizer that came from such files returns their bytes.
	ToJSON() (tokenizerJSON, tokenizerConfigJSON []byte)
}

// MetadataReader gives typed access to GGUF metadata; the second result is false if the key is absent or of another type.
type MetadataReader interface {
	String(key string) (string, bool)
	Int(key string) (int, bool)
	Bool(key string) (bool, bool)
	Strings(key string) ([]string, bool)
	Ints(key string) ([]int, bool)
}

// UnsupportedError reports a part of a tokenizer that this package does not know.
type UnsupportedError struct {
	Kind string // "model", "pre-tokenizer", "normalizer", …
	Name string // as the file spells it
	Hint string // what is supported
}

func (e *UnsupportedError) Error() string {
	s := "tokenizer: " + e.Kind + " " + quote(e.Name) + " is not supported"
	if e.Hint != "" {
		s += " (" + e.Hint + ")"
	}
	return s
}
