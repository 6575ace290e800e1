package tokenizer

import (
	"encoding/json"
	"strings"
	"time"
)

// tokenDecoder appends what a token adds to a text.
type tokenDecoder interface {
	appendToken(dst []byte, token string, at *textFront) []byte
}

// textFront is what a decoder keeps from one token to the next.
type textFront struct {
	first bool // no token yet
	strip int  // how often the lead may still be taken away
	space bool // a space goes before the next token
}

// leadStrip is a text that is taken away from the front of a decoded text, at most count times.
type leadStrip struct {
	text  string
	count int
}

// spmDecoder writes U+2581 as a space and byte pieces as their bytes.
type spmDecoder struct{ bytes bool }

func (d spmDecoder) appendToken(dst []byte, token string, _ *textFront) []byte {
	if b, ok := byteToken(token); ok && d.bytes {
		return append(dst, b)
	}
	return append(dst, strings.ReplaceAll(token, phantomSpace, " ")...)
}

// decoder returns how pieces are decoded; the space that was put before the text goes away again.
func (v *spm) decoder() (tokenDecoder, leadStrip) {
	lead := leadStrip{text: " "}
	if !v.rules.suffix && (v.rules.prefix || v.rules.squeeze) {
		lead.count = 1
	}
	return spmDecoder{v.fallback}, lead
}

// byteDecoder joins the bytes of byte-level tokens.
type byteDecoder struct{}

func (byteDecoder) appendToken(dst []byte, token string, _ *textFront) []byte {
	return appendBytes(dst, token)
}

// wordPieceDecoder puts a space before each token that begins a word and, with cleanup, takes it away again before
// punctuation and English contractions.
type wordPieceDecoder struct {
	prefix  string
	cleanup bool
}

func (d wordPieceDecoder) appendToken(dst []byte, token string, at *textFront) []byte {
	if !at.first {
		if rest, ok := strings.CutPrefix(token, d.prefix); ok {
			token = rest
		} else {
			token = " " + token
		}
	}
	if d.cleanup {
		token = cleanUp(token)
	}
	return append(dst, token...)
}

// cleanUp applies the replacements of the reference's cleanup one after the other, in its order.
func cleanUp(s string) string {
	if !strings.Contains(s, " ") {
		return s
	}
	for _, r := range [...][2]string{
		{" .", "."}, {" ?", "?"}, {" !", "!"}, {" ,", ","}, {" ' ", "'"}, {" n't", "n't"}, {" 'm", "'m"},
		{" do not", " don't"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"},
	} {
		s = strings.ReplaceAll(s, r[0], r[1])
	}
	return s
}

// joinDecoder puts a space between tokens: what the reference does without a decoder.
type joinDecoder struct{}

func (joinDecoder) appendToken(dst []byte, token string, at *textFront) []byte {
	if !at.first {
		dst = append(dst, ' ')
	}
	return append(dst, token...)
}

// chainDecoder is a sequence of steps, each of which sees one token at a time.
type chainDecoder []func(token string, at *textFront) string

func (c chainDecoder) appendToken(dst []byte, token string, at *textFront) []byte {
	for _, step := range c {
		token = step(token, at)
	}
	return append(dst, token...)
}

// parseDecoder returns the decoder and what it takes away from the front of a text.
func parseDecoder(raw json.RawMessage) (tokenDecoder, leadStrip, error) {
	d := decoderParser{}
	if err := d.add(raw, 0); err != nil {
		return nil, leadStrip{}, err
	}
	switch {
	case d.kinds == nil:
		return joinDecoder{}, d.lead, nil
	case len(d.kinds) == 1 && d.kinds[0] == "ByteLevel": // the usual one
		return byteDecoder{}, d.lead, nil
	}
	return d.steps, d.lead, nil
}

type decoderParser struct {
	steps chainDecoder
	kinds []string
	fused bool // what follows sees the whole text
	lead  leadStrip
}

func (d *decoderParser) add(raw json.RawMessage, depth int) error {
	p, err := parsePart(raw, depth)
	if p == nil {
		return err
	}
	if p.Type == "Sequence" {
		for _, one := range p.Decoders {
			if err := d.add(one, depth+1); err != nil {
				return err
			}
		}
		return nil
	}
	d.kinds = append(d.kinds, p.Type)
	if d.fused {
		return d.addFused(p)
	}
	if err := d.order(p.Type); err != nil {
		return err
	}
	switch p.Type {
	case "Fuse":
		d.fused = true
		return nil
	case "ByteLevel":
		d.fused = true // it joins all bytes
	}
	step, err := newDecodeStep(p)
	d.steps = append(d.steps, step)
	return err
}

// order refuses steps that would need more than one token at a time after another: BPEDecoder shows its space with the next
// token, and ByteFallback does not join bytes to characters.
func (d *decoderParser) order(kind string) error {
	for _, before := range d.kinds[:len(d.kinds)-1] {
		switch {
		case before == "BPEDecoder" && kind != "Fuse":
			return &UnsupportedError{"decoder", kind, "after BPEDecoder: Fuse"}
		case before == "ByteFallback" && (kind == "WordPiece" || kind == "BPEDecoder" || kind == "ByteLevel"):
			return &UnsupportedError{"decoder", kind, "after ByteFallback: ByteFallback, Fuse, Metaspace, Replace, Strip"}
		}
	}
	return nil
}

// addFused adds a step on the whole text: of those only what begins at its front can be done token by token.
func (d *decoderParser) addFused(p *part) error {
	switch {
	case p.Type == "Fuse" || p.Type == "ByteFallback": // nothing is left for them to do
		return nil
	case p.Type == "Strip" && p.Stop == 0 && d.lead.count == 0 && p.Content != "":
		d.lead = leadStrip{p.Content, p.Start}
		return nil
	}
	return &UnsupportedError{"decoder", p.Type, "after Fuse: Strip at the front"}
}

func newDecodeStep(p *part) (func(string, *textFront) string, error) {
	each := func(d tokenDecoder) func(string, *textFront) string {
		return func(token string, at *textFront) string { return string(d.appendToken(nil, token, at)) }
	}
	switch p.Type {
	case "ByteLevel":
		return each(byteDecoder{}), nil
	case "WordPiece":
		d := wordPieceDecoder{"##", true}
		if p.Prefix != nil {
			d.prefix = *p.Prefix
		}
		if p.Cleanup != nil {
			d.cleanup = *p.Cleanup
		}
		return each(d), nil
	case "ByteFallback":
		return func(token string, _ *textFront) string {
			if b, ok := byteToken(token); ok {
				return string([]byte{b})
			}
			return token
		}, nil
	case "Metaspace":
		return metaspaceDecode(p)
	case "BPEDecoder":
		return suffixDecode(p), nil
	case "Strip":
		return stripDecode(p), nil
	case "Replace":
		return replaceDecode(p)
	}
	return nil, &UnsupportedError{Kind: "decoder", Name: p.Type}
}

// decodeTimeout is what a pattern may take on one token.
const decodeTimeout = time.Second

// replaceDecode replaces in each token. Decoding has no error: a token on which the file's pattern takes too long, or that it
// would blow up, stays as it is.
func replaceDecode(p *part) (func(string, *textFront) string, error) {
	n, err := newNormalizer(p)
	if err != nil {
		return nil, err
	}
	if r, ok := n.(replaceRegex); ok {
		if m, ok := r.m.(*regexMatcher); ok {
			m.limit(decodeTimeout, decodeTimeout)
		}
	}
	replace := func(token string) (text string, err error) {
		defer caughtPattern(&text, &err)
		return n.normalize(token), nil
	}
	return func(token string, _ *textFront) string {
		if text, err := replace(token); err == nil {
			return text
		}
		return token
	}, nil
}

// metaspaceDecode writes the replacement as a space; in the first token it is dropped if it was put there.
func metaspaceDecode(p *part) (func(string, *textFront) string, error) {
	m, err := newMetaspace(p)
	if err != nil {
		return nil, err
	}
	return func(token string, at *textFront) string {
		if at.first && m.scheme != "never" {
			return strings.ReplaceAll(token, m.replacement, "")
		}
		return strings.ReplaceAll(token, m.replacement, " ")
	}, nil
}

// suffixDecode ends a word, and puts a space before the next one, where a token ends with the suffix.
func suffixDecode(p *part) func(string, *textFront) string {
	suffix := "</w>"
	if p.Suffix != nil {
		suffix = *p.Suffix
	}
	return func(token string, at *textFront) string {
		lead := ""
		if at.space {
			lead = " "
		}
		rest, ends := strings.CutSuffix(token, suffix)
		at.space = ends && suffix != ""
		return lead + strings.ReplaceAll(rest, suffix, " ")
	}
}

// stripDecode takes a character away at the ends of each token, at most so often.
func stripDecode(p *part) func(string, *textFront) string {
	return func(token string, _ *textFront) string {
		if p.Content == "" {
			return token
		}
		for range p.Start {
			rest, ok := strings.CutPrefix(token, p.Content)
			if !ok {
				break
			}
			token = rest
		}
		for range p.Stop {
			rest, ok := strings.CutSuffix(token, p.Content)
			if !ok {
				break
			}
			token = rest
		}
		return token
	}
}
