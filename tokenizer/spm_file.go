package tokenizer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// FromSentencePiece builds a tokenizer from a SentencePiece model file (BPE or Unigram). The file does not say what goes
// around a text: nothing does.
func FromSentencePiece(file []byte) (Tokenizer, error) {
	s, err := readSentencePiece(file)
	if err != nil {
		return nil, err
	}
	p, err := build(s)
	if err != nil {
		return nil, err
	}
	return p, nil
}

// protoField is one field of a protocol-buffers message: a number or a part of the file.
type protoField struct {
	number int
	value  uint64
	bytes  []byte // nil unless the field has a length
}

// eachField reads a message. Every length is checked against what is left of the file; nothing is copied.
func eachField(b []byte, yield func(f protoField) error) error {
	for len(b) > 0 {
		key, n := binary.Uvarint(b)
		if n <= 0 || key>>3 == 0 || key>>3 > math.MaxInt32 {
			return errors.New("a field's number is damaged")
		}
		b = b[n:]
		f := protoField{number: int(key >> 3)}
		switch key & 7 {
		case 0:
			f.value, n = binary.Uvarint(b)
		case 1:
			if n = 8; len(b) >= 8 {
				f.value = binary.LittleEndian.Uint64(b)
			}
		case 2:
			size, m := binary.Uvarint(b)
			if m <= 0 || size > uint64(len(b)-m) {
				return fmt.Errorf("field %d is longer than what is left of the file", f.number)
			}
			f.bytes, n = b[m:m+int(size):m+int(size)], m+int(size)
		case 5:
			if n = 4; len(b) >= 4 {
				f.value = uint64(binary.LittleEndian.Uint32(b))
			}
		default:
			return fmt.Errorf("field %d has wire type %d", f.number, key&7)
		}
		if n <= 0 || n > len(b) {
			return fmt.Errorf("field %d is cut short", f.number)
		}
		if err := yield(f); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// spmFile is what a model file holds.
type spmFile struct {
	spm
	modelType     uint64
	charsmap      []byte
	denormalizes  bool
	bos, eos, pad string
	bosID, eosID  int32 // as the file says, -1: none
	padID         int32
	seen          map[string]int
}

func readSentencePiece(file []byte) (source, error) {
	m := spmFile{modelType: 1, bos: "<s>", eos: "</s>", pad: "<pad>", bosID: 1, eosID: 2, padID: -1, seen: map[string]int{}}
	m.unk = -1
	m.rules = spmRules{prefix: true, squeeze: true, escape: true}
	if err := eachField(file, m.field); err != nil {
		return source{}, fmt.Errorf("tokenizer: SentencePiece model: %w", err)
	}
	return m.source()
}

func (m *spmFile) field(f protoField) error {
	switch f.number {
	case 1:
		return m.piece(f.bytes)
	case 2:
		return eachField(f.bytes, m.trainer)
	case 3:
		return eachField(f.bytes, m.normalizer)
	case 5:
		return eachField(f.bytes, func(f protoField) error {
			m.denormalizes = m.denormalizes || f.number == 2 && len(f.bytes) > 0
			return nil
		})
	}
	return nil
}

func (m *spmFile) piece(b []byte) error {
	text, score, kind := "", float32(0), kindNormal
	err := eachField(b, func(f protoField) error {
		switch f.number {
		case 1:
			text = string(f.bytes)
		case 2:
			score = math.Float32frombits(uint32(f.value))
		case 3:
			if f.value < uint64(kindNormal) || f.value > uint64(kindByte) {
				return fmt.Errorf("piece %d has type %d", len(m.pieces), f.value)
			}
			kind = pieceKind(f.value)
		}
		return nil
	})
	if err != nil {
		return err
	}
	id := len(m.pieces)
	if text == "" || text != validUTF8(text) {
		return fmt.Errorf("piece %d is %s, want a text", id, quote(text))
	}
	if first, ok := m.seen[text]; ok {
		return fmt.Errorf("pieces %d and %d are both %s", first, id, quote(text))
	}
	m.seen[text] = id
	if kind == kindUnknown {
		if m.unk >= 0 {
			return fmt.Errorf("pieces %d and %d are both of type unknown", m.unk, id)
		}
		m.unk = int32(id)
	}
	m.pieces, m.scores, m.kinds = append(m.pieces, text), append(m.scores, score), append(m.kinds, kind)
	return nil
}

func (m *spmFile) trainer(f protoField) error {
	switch f.number {
	case 3:
		m.modelType = f.value
	case 24:
		m.rules.suffix = f.value != 0
	case 35:
		m.fallback = f.value != 0
	case 41:
		m.bosID = int32(f.value)
	case 42:
		m.eosID = int32(f.value)
	case 43:
		m.padID = int32(f.value)
	case 46:
		m.bos = string(f.bytes)
	case 47:
		m.eos = string(f.bytes)
	case 48:
		m.pad = string(f.bytes)
	}
	return nil
}

func (m *spmFile) normalizer(f protoField) error {
	switch f.number {
	case 2:
		m.charsmap = f.bytes
	case 3:
		m.rules.prefix = f.value != 0
	case 4:
		m.rules.squeeze = f.value != 0
	case 5:
		m.rules.escape = f.value != 0
	}
	return nil
}

// source checks what was read and brings it into the form of all tokenizers.
func (m *spmFile) source() (source, error) {
	var s source
	switch m.modelType {
	case 1:
		s.modelType = "Unigram"
	case 2:
		s.modelType = "SPM"
	default:
		name := fmt.Sprint(m.modelType)
		if m.modelType == 3 || m.modelType == 4 {
			name = [...]string{"WORD", "CHAR"}[m.modelType-3]
		}
		return s, &UnsupportedError{"SentencePiece model type", name, "UNIGRAM and BPE are supported"}
	}
	if m.denormalizes {
		return s, &UnsupportedError{Kind: "part of a SentencePiece model", Name: "denormalizer_spec"}
	}
	if len(m.pieces) == 0 || m.unk < 0 {
		return s, fmt.Errorf("tokenizer: SentencePiece model: %d pieces, none of type unknown", len(m.pieces))
	}
	var err error
	if m.rules.chars, err = parseCharsmap(m.charsmap); err != nil {
		return s, err
	}
	s.added = m.added(s.modelType)
	if m.rules.userDefined, err = m.userDefined(); err != nil {
		return s, err
	}
	own := func(id int32, piece string) string {
		if id < 0 || m.seen[piece] != int(id) {
			return ""
		}
		return piece
	}
	v := m.spm
	s.spm, s.unk = &v, v.spelling(v.unk)
	s.bos, s.eos, s.pad = own(m.bosID, m.bos), own(m.eosID, m.eos), own(m.padID, m.pad)
	return s, nil
}

// userDefined finds the user-defined pieces in text that is not normalised yet; nil: there are none.
func (v *spm) userDefined() (*addedSet, error) {
	var list []addedToken
	for id, piece := range v.pieces {
		if v.kind(id) == kindUserDefined {
			list = append(list, addedToken{ID: int32(id), Content: piece})
		}
	}
	if list == nil {
		return nil, nil
	}
	return newAddedSet(list, func(s string) string { return s })
}
