package tokenizer

import (
	"fmt"
	"strings"
)

// bpe is byte-level byte-pair encoding (Sennrich et al. 2016, arXiv 1508.07909; bytes as in GPT-2): a piece starts as its
// bytes; of all neighbouring pairs the one of lowest rank is merged first, the leftmost of equal ones.
type bpe struct {
	vocab        map[string]int32 // token as the file spells it → id
	bytes        [256]int32       // id of each byte, -1: not in the vocabulary
	merges       pairTable
	ignoreMerges bool // a piece that is itself a token is that token, whatever the merges say
	unk          int32
	fuseUnk      bool
	cache        *wordCache
}

// shortWord is the longest piece that is merged by repeated scans; longer ones use a heap, which is n·log n.
const shortWord = 24

// newBPE builds the tables. A merge whose parts or result are no tokens is an error: it could not be followed.
func newBPE(s *source) (*bpe, error) {
	vocab := s.vocab
	m := &bpe{vocab: vocab, unk: -1, cache: newWordCache()}
	for b := range 256 {
		m.bytes[b] = -1
		if id, ok := vocab[byteText[b]]; ok {
			m.bytes[b] = id
		}
	}
	m.merges = newPairTable(s.merges)
	var joined []byte
	for i := range s.merges {
		left, right, err := s.merge(i)
		if err != nil {
			return nil, err
		}
		if len(right) < len(s.prefix) {
			return nil, fmt.Errorf("tokenizer: merge %d: %s lacks the prefix %s", i, quote(right), quote(s.prefix))
		}
		joined = append(append(joined[:0], left...), right[len(s.prefix):]...)
		l, okL := vocab[left]
		r, okR := vocab[right]
		id, ok := vocab[string(joined)]
		if !okL || !okR || !ok {
			return nil, fmt.Errorf("tokenizer: merge %d (%s + %s) names a token that the vocabulary lacks", i, quote(left), quote(right))
		}
		rank := int32(i)
		if s.rankByResult {
			rank = id
		}
		m.merges.put(l, r, rank, id, s.keepFirstMerge)
	}
	return m, nil
}

// splitMerge splits a merge written as "left right".
func splitMerge(i int, s string) (left, right string, err error) {
	at := strings.IndexByte(s, ' ')
	if at <= 0 || at == len(s)-1 || strings.IndexByte(s[at+1:], ' ') >= 0 {
		return "", "", fmt.Errorf("tokenizer: merge %d is %s, want two tokens with one space between", i, quote(s))
	}
	return s[:at], s[at+1:], nil
}

func (m *bpe) encode(dst []int32, piece string) []int32 {
	if len(piece) == 1 && m.bytes[piece[0]] >= 0 && !m.ignoreMerges {
		return append(dst, m.bytes[piece[0]])
	}
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

func (m *bpe) encodeWord(dst []int32, piece string) []int32 {
	if m.ignoreMerges {
		if id, ok := m.whole(piece); ok {
			return append(dst, id)
		}
	}
	start := len(dst)
	dst = m.appendByteIDs(dst, piece)
	if word := dst[start:]; len(word) <= shortWord {
		return dst[:start+m.mergeShort(word)]
	}
	return append(dst[:start], m.mergeLong(dst[start:])...)
}

func (m *bpe) whole(piece string) (int32, bool) {
	var buf [128]byte
	id, ok := m.vocab[string(appendByteLevel(buf[:0], piece))]
	return id, ok
}

// appendByteIDs appends the ids of the piece's bytes. A byte that the vocabulary lacks becomes the unknown token, one for
// a run of them when fuseUnk is set, or nothing if there is no unknown token.
func (m *bpe) appendByteIDs(dst []int32, piece string) []int32 {
	inUnk := false
	for i := range len(piece) {
		id := m.bytes[piece[i]]
		if id < 0 {
			if m.knowsUnk(piece) && !(inUnk && m.fuseUnk) {
				dst = append(dst, m.unk)
			}
			inUnk = true
			continue
		}
		inUnk = false
		dst = append(dst, id)
	}
	return dst
}

// knowsUnk tells whether text without a token becomes the unknown token.
func (m *bpe) knowsUnk(piece string) bool {
	if m.unk == lostUnk {
		panic(&UnknownTextError{piece})
	}
	return m.unk >= 0
}

// mergeShort merges word in place and returns its new length.
func (m *bpe) mergeShort(word []int32) int {
	if len(word) < 2 {
		return len(word)
	}
	var buf [shortWord]merge
	pairs := buf[:len(word)-1] // pairs[i]: word[i] with word[i+1]
	for i := range pairs {
		pairs[i] = m.merges.get(word[i], word[i+1])
	}
	for {
		best := 0
		for i := 1; i < len(pairs); i++ {
			if pairs[i].rank < pairs[best].rank {
				best = i
			}
		}
		if len(pairs) == 0 || pairs[best].rank == noRank {
			return len(word)
		}
		word[best] = pairs[best].id
		word = append(word[:best+1], word[best+2:]...)
		pairs = append(pairs[:best], pairs[best+1:]...)
		if best < len(pairs) {
			pairs[best] = m.merges.get(word[best], word[best+1])
		}
		if best > 0 {
			pairs[best-1] = m.merges.get(word[best-1], word[best])
		}
	}
}

// symbol is a node of the doubly linked list that mergeLong works on; id noSymbol: merged away.
type symbol struct{ id, prev, next int32 }

// mergeLong merges a long word with a heap of candidates ordered by rank, then position.
func (m *bpe) mergeLong(word []int32) []int32 {
	list := make([]symbol, len(word))
	heap := make(candidates, 0, len(word))
	for i, id := range word {
		list[i] = symbol{id, int32(i) - 1, int32(i) + 1}
		if i > 0 {
			heap.add(m.merges.get(word[i-1], id), int32(i)-1)
		}
	}
	list[len(word)-1].next = -1
	heap.init()
	for len(heap) > 0 {
		at, rank := heap.pop()
		left := &list[at]
		if left.id == noSymbol || left.next < 0 {
			continue
		}
		right := list[left.next]
		found := m.merges.get(left.id, right.id)
		if found.rank != rank { // an older candidate of this position
			continue
		}
		list[left.next].id = noSymbol
		left.id, left.next = found.id, right.next
		if right.next >= 0 {
			list[right.next].prev = at
			heap.push(m.merges.get(found.id, list[right.next].id), at)
		}
		if left.prev >= 0 {
			heap.push(m.merges.get(list[left.prev].id, found.id), left.prev)
		}
	}
	out := word[:0]
	for at := int32(0); at >= 0; at = list[at].next {
		out = append(out, list[at].id)
	}
	return out
}
