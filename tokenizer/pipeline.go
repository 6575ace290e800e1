package tokenizer

import (
	"slices"
	"strings"
	"unicode/utf8"
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
	normRest   normalizer   // of text that is not at the front of the whole, nil: norm
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
	hidden  map[int32]bool // left out where special tokens are
	bos     int32          // -1: none
	eos     []int32
	chat    string
	source  source
}

func (p *pipeline) Encode(text string, opt EncodeOptions) (ids []int32, err error) {
	defer caughtPattern(&ids, &err)
	text = validUTF8(text)
	ids = make([]int32, 0, len(text)/3+8)
	if !opt.AddSpecial {
		return p.appendText(ids, text, opt), nil
	}
	for _, id := range p.template {
		if id == templateText {
			ids = p.appendText(ids, text, opt)
		} else {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

func (p *pipeline) appendText(ids []int32, text string, opt EncodeOptions) []int32 {
	var plain map[int]bool
	if opt.Marked {
		text, plain = unmark(text)
	}
	p.raw.cut(text, opt.ParseSpecial, plain, func(id int32, from, to int) {
		if id >= 0 {
			ids = append(ids, id)
			return
		}
		p.normalized.eachPlain(text[from:to], from, plain, func(part string) {
			ids = p.appendPart(ids, part, from == 0, opt.ParseSpecial)
			from += len(part)
		})
	})
	return ids
}

// appendPart encodes text without raw added tokens.
func (p *pipeline) appendPart(ids []int32, text string, atFront, parseSpecial bool) []int32 {
	front, norm := 0, p.norm
	if atFront {
		front = p.front(text)
	} else if p.normRest != nil {
		norm = p.normRest
	}
	if norm != nil {
		text = norm.normalize(text)
	}
	p.normalized.cut(text, parseSpecial, nil, func(id int32, from, to int) {
		if id >= 0 {
			ids = append(ids, id)
		} else {
			ids = p.appendPlain(ids, piece{text[from:to], max(0, front-from)})
		}
	})
	return ids
}

// front returns how many bytes the first character of text has when it is normalised; a piece that begins in them is
// what the reference takes for the front of the text.
func (p *pipeline) front(text string) int {
	if p.steps == nil {
		return 0 // nobody asks
	}
	_, n := utf8.DecodeRuneInString(text)
	first := text[:n]
	list, _ := p.norm.(normalizers)
	for _, one := range list {
		if s, ok := one.(strip); ok {
			one = strip{left: s.left} // the right end is elsewhere
		}
		if first = one.normalize(first); first != "" {
			continue
		}
		if _, ok := one.(*charsmap); ok {
			return 1 // it hands the place on to the next character, all others do not
		}
		return 0
	}
	return len(first)
}

// appendPlain encodes text without added tokens.
func (p *pipeline) appendPlain(ids []int32, whole piece) []int32 {
	text := whole.text
	if p.scan != nil {
		for i := 0; i < len(text); {
			end := p.scan(text, i)
			ids = p.model.encode(ids, text[i:end])
			i = end
		}
		return ids
	}
	if len(p.steps) == 1 && p.steps[0] == (bertSplit{}) {
		bertSplit{}.each(text, func(from, to int) { ids = p.model.encode(ids, text[from:to]) })
		return ids
	}
	splitEach(p.steps, whole, make([][]piece, len(p.steps)), func(part piece) { ids = p.model.encode(ids, part.text) })
	return ids
}

func (p *pipeline) Decode(ids []int32, skipSpecial bool) string {
	var buf []byte
	at := p.textFront()
	for _, id := range ids {
		if !skipSpecial || !p.hidden[id] {
			buf = p.appendToken(buf, id, &at)
		}
	}
	return validUTF8(string(buf))
}

func (p *pipeline) NewDecoder(skipSpecial bool) *StreamDecoder {
	return &StreamDecoder{p: p, skip: skipSpecial, at: p.textFront()}
}

func (p *pipeline) textFront() textFront { return textFront{first: true, strip: p.lead.count} }

func (p *pipeline) appendToken(dst []byte, id int32, at *textFront) []byte {
	if !p.has(id) {
		return dst
	}
	start := len(dst)
	dst = p.decoder.appendToken(dst, p.tokens[id], at)
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
	return p.decoder.appendToken([]byte{}, p.tokens[id], &textFront{})
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
