package tokenizer

import "unicode/utf8"

// wordPiece is BERT's greedy longest-match-first model: the longest token that begins the word, then the longest
// continuation token that begins the rest; a word with a rest that nothing matches is the unknown token as a whole.
type wordPiece struct {
	vocab    map[string]int32
	prefix   string // of continuation tokens, "##"
	unk      int32  // -1: the vocabulary lacks it
	maxChars int    // longer words are unknown
	maxBytes int    // of the longest token, without prefix
	cache    *wordCache
}

func newWordPiece(vocab map[string]int32, prefix string, unk int32, maxChars int) *wordPiece {
	m := &wordPiece{vocab: vocab, prefix: prefix, unk: unk, maxChars: maxChars, cache: newWordCache()}
	for token := range vocab {
		m.maxBytes = max(m.maxBytes, len(token))
	}
	return m
}

func (m *wordPiece) encode(dst []int32, piece string) []int32 {
	slot := m.cache.slot(piece)
	if slot != nil {
		if e := slot.Load(); e != nil && e.word == piece {
			return append(dst, e.ids...)
		}
	}
	start := len(dst)
	dst = m.encodeWord(dst, piece)
	if slot != nil {
		remember(slot, piece, dst[start:])
	}
	return dst
}

func (m *wordPiece) encodeWord(dst []int32, word string) []int32 {
	if utf8.RuneCountInString(word) > m.maxChars {
		return m.unknown(dst, word)
	}
	start := len(dst)
	buf := make([]byte, 0, 64)
	for from := 0; from < len(word); {
		buf = buf[:0]
		if from > 0 {
			buf = append(buf, m.prefix...)
		}
		prefix := len(buf)
		buf = append(buf, word[from:min(len(word), from+m.maxBytes)]...)
		id, n := m.longest(buf, prefix)
		if n == 0 {
			return m.unknown(dst[:start], word)
		}
		dst = append(dst, id)
		from += n
	}
	return dst
}

func (m *wordPiece) unknown(dst []int32, word string) []int32 {
	if m.unk < 0 {
		panic(&UnknownTextError{word})
	}
	return append(dst, m.unk)
}

// longest returns the longest token that begins candidate and how many bytes of the word it takes; 0: none.
func (m *wordPiece) longest(candidate []byte, prefix int) (id int32, n int) {
	for end := len(candidate); end > prefix; end-- {
		if end < len(candidate) && !utf8.RuneStart(candidate[end]) {
			continue
		}
		if id, ok := m.vocab[string(candidate[:end])]; ok {
			return id, end - prefix
		}
	}
	return 0, 0
}
