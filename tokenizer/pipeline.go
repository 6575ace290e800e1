package tokenizer

import (
	"slices"
	"strings"
)

// model turns one piece of text into ids.
type model interface {
	encode(dst []int32, piece string) []int32
}

// templateText stands for the text itself among the ids of a pipeline's template.
const templateText = -1

// pipeline is the one Tokenizer of this package, put together from parts.
type pipeline struct {
	raw        *addedSet    // added tokens found in the text as it is
	norm       normalizer   // nil: none
	normalized *addedSet    // added tokens found in normalised text
	scan       scanner      // hand-written form of steps, nil: none
	steps      []splitter   // pre-tokenizer
	model      model        //
	template   []int32      // ids around the text, templateText for the text
	pair       pairRule     // likewise around two texts
	decoder    tokenDecoder //
	lead       leadStrip    // taken away from the front of a decoded text

	vocab   map[string]int32
	tokens  []string // by id; "" may be a hole
	special map[int32]bool
	bos     int32 // -1: none
	eos     []int32
	chat    string
	source  source
}

// tokenDecoder appends what a token adds to a text; first: the text begins with it.
type tokenDecoder interface {
	appendToken(dst []byte, token string, first bool) []byte
}

func (p *pipeline) Encode(text string, opt EncodeOptions) (ids []int32, err error) {
	defer caughtPattern(&ids, &err)
	text = validUTF8(text)
	ids = make([]int32, 0, len(text)/3+8)
	if !opt.AddSpecial {
		return p.appendText(ids, text, opt.ParseSpecial), nil
	}
	for _, id := range p.template {
		if id == templateText {
			ids = p.appendText(ids, text, opt.ParseSpecial)
		} else {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

func (p *pipeline) appendText(ids []int32, text string, parseSpecial bool) []int32 {
	p.raw.cut(text, parseSpecial, func(id int32, piece string) {
		if id >= 0 {
			ids = append(ids, id)
			return
		}
		if p.norm != nil {
			piece = p.norm.normalize(piece)
		}
		p.normalized.cut(piece, parseSpecial, func(id int32, piece string) {
			if id >= 0 {
				ids = append(ids, id)
			} else {
				ids = p.appendPlain(ids, piece)
			}
		})
	})
	return ids
}

// appendPlain encodes text without added tokens.
func (p *pipeline) appendPlain(ids []int32, text string) []int32 {
	if p.scan != nil {
		for i := 0; i < len(text); {
			end := p.scan(text, i)
			ids = p.model.encode(ids, text[i:end])
			i = end
		}
		return ids
	}
	if len(p.steps) == 1 && p.steps[0] == (bertSplit{}) {
		bertSplit{}.each(text, func(piece string) { ids = p.model.encode(ids, piece) })
		return ids
	}
	for _, piece := range splitAll(p.steps, text) {
		ids = p.model.encode(ids, piece)
	}
	return ids
}

func (p *pipeline) Decode(ids []int32, skipSpecial bool) string {
	var buf []byte
	at := p.front()
	for _, id := range ids {
		if !skipSpecial || !p.IsSpecial(id) {
			buf = p.appendToken(buf, id, &at)
		}
	}
	return validUTF8(string(buf))
}

func (p *pipeline) NewDecoder(skipSpecial bool) *StreamDecoder {
	return &StreamDecoder{p: p, skip: skipSpecial, at: p.front()}
}

// textFront is how far a text is from its front while it is decoded.
type textFront struct {
	first bool // no token yet
	strip int  // how often p.lead may still be taken away
}

func (p *pipeline) front() textFront { return textFront{true, p.lead.count} }

func (p *pipeline) appendToken(dst []byte, id int32, at *textFront) []byte {
	if !p.has(id) {
		return dst
	}
	start := len(dst)
	dst = p.decoder.appendToken(dst, p.tokens[id], at.first)
	at.first = false
	for at.strip > 0 && len(dst) > start {
		if !strings.HasPrefix(string(dst[start:]), p.lead.text) {
			at.strip = 0
			break
		}
		dst = append(dst[:start], dst[start+len(p.lead.text):]...)
		at.strip--
	}
	return dst
}

func (p *pipeline) has(id int32) bool { return id >= 0 && int(id) < len(p.tokens) }

func (p *pipeline) TokenBytes(id int32) []byte {
	if !p.has(id) {
		return nil
	}
	return p.decoder.appendToken([]byte{}, p.tokens[id], false)
}

func (p *pipeline) VocabSize() int { return len(p.tokens) }

func (p *pipeline) EOS() []int32 { return slices.Clone(p.eos) }

func (p *pipeline) BOS() (int32, bool) { return p.bos, p.bos >= 0 }

func (p *pipeline) IsSpecial(id int32) bool { return p.special[id] }

func (p *pipeline) TemplateSource() string { return p.chat }

func (p *pipeline) ID(token string) (int32, bool) {
	if id, ok := p.vocab[token]; ok {
		return id, true
	}
	if id, ok := p.raw.ids[token]; ok {
		return id, true
	}
	id, ok := p.normalized.ids[token]
	return id, ok
}

// leadStrip is a text that is taken away from the front of a decoded text, at most count times.
type leadStrip struct {
	text  string
	count int
}

// spmDecoder writes U+2581 as a space and byte pieces as their bytes.
type spmDecoder struct{ bytes bool }

func (d spmDecoder) appendToken(dst []byte, token string, _ bool) []byte {
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

func (byteDecoder) appendToken(dst []byte, token string, _ bool) []byte {
	return appendBytes(dst, token)
}

// wordPieceDecoder puts a space before each token that begins a word and, with cleanup, takes it away again before
// punctuation and English contractions.
type wordPieceDecoder struct {
	prefix  string
	cleanup bool
}

func (d wordPieceDecoder) appendToken(dst []byte, token string, first bool) []byte {
	if !first {
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
