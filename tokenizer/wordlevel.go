package tokenizer

// wordLevel gives each piece the id of the token that is spelled like it, or the unknown token.
type wordLevel struct {
	vocab map[string]int32
	unk   int32 // -1: none
}

func (m wordLevel) encode(dst []int32, piece string) []int32 {
	id, ok := m.vocab[piece]
	if !ok {
		id = m.unk
	}
	if id < 0 {
		panic(&UnknownTextError{piece})
	}
	return append(dst, id)
}

// mappedModel is a model whose pieces are written in the byte-level alphabet first.
type mappedModel struct{ model }

func (m mappedModel) encode(dst []int32, piece string) []int32 {
	return m.model.encode(dst, string(appendByteLevel(nil, piece)))
}
