package tokenizer

import (
	"fmt"
	"math"
	"slices"
	"sync"
	"unicode/utf8"
)

// unigram chooses the pieces with the best sum of scores (Kudo 2018, arXiv 1804.10959), by Viterbi's algorithm from the
// front of the text.
type unigram struct {
	vocab    map[string]int32
	trie     *trie
	scores   []float64 // by id
	unk      int32
	unkScore float64     // of a character without a piece
	fallback *[256]int32 // ids of the tokens that stand for bytes; nil: none
	// single: sums are rounded to float32 at each step, as SentencePiece does; tokenizer.json means float64.
	single bool
	cuts   wordCuts
	pool   sync.Pool // of *[]pathNode
}

// unkPenalty is how much worse than the worst piece an unknown character is.
const unkPenalty = 10

// pathNode is the best way to one place of the text: its sum and its last piece.
type pathNode struct {
	score float64
	start int32 // of the last piece, -1: no way found yet
	id    int32
}

// unigramChunk is the least size of the parts in which a text is done: all ways pass through the cuts between them, so
// that the result is that of the whole and memory stays small.
const unigramChunk = 4096

// encode appends the ids of piece, which is normalised text.
func (m *unigram) encode(dst []int32, piece string) []int32 {
	buf, _ := m.pool.Get().(*[]pathNode)
	if buf == nil {
		buf = new([]pathNode)
	}
	score := 0.0
	for piece != "" {
		end := len(piece)
		if end > unigramChunk {
			end = m.cuts.next(piece, unigramChunk)
		}
		dst, score = m.chunk(dst, piece[:end], score, buf)
		piece = piece[end:]
	}
	if len(*buf) <= 1<<16 {
		m.pool.Put(buf)
	}
	return dst
}

// chunk appends the ids of text, whose way begins with a score, and returns the score at its end.
func (m *unigram) chunk(dst []int32, text string, score float64, buf *[]pathNode) ([]int32, float64) {
	if cap(*buf) <= len(text) {
		*buf = make([]pathNode, len(text)+1)
	}
	nodes := (*buf)[:len(text)+1]
	*buf = nodes
	for i := range nodes {
		nodes[i].start = -1
	}
	nodes[0].score = score
	for at := 0; at < len(text); {
		_, size := utf8.DecodeRuneInString(text[at:])
		m.extend(nodes, text, at, size)
		at += size
	}
	return m.collect(dst, text, nodes), nodes[len(text)].score
}

// extend takes the pieces that begin at a character of the given size.
func (m *unigram) extend(nodes []pathNode, text string, at, size int) {
	here := nodes[at].score
	whole := false // the character alone is a piece
	for i, node := at, int32(0); i < len(text); {
		if node = m.trie.child(node, text[i]); node < 0 {
			break
		}
		i++
		id := m.trie.nodes[node].value
		if id < 0 {
			continue
		}
		m.offer(&nodes[i], here+m.scores[id], at, id)
		whole = whole || i-at == size
	}
	if !whole {
		score := here + m.unkScore
		if m.single { // the reference rounds this sum before it compares, the others after
			score = float64(float32(score))
		}
		m.offer(&nodes[at+size], score, at, m.unk)
	}
}

func (m *unigram) offer(n *pathNode, score float64, start int, id int32) {
	if n.start < 0 || score > n.score {
		if m.single {
			score = float64(float32(score))
		}
		*n = pathNode{score, int32(start), id}
	}
}

// collect follows the best way back and appends its ids; a run of unknown characters is one.
func (m *unigram) collect(dst []int32, text string, nodes []pathNode) []int32 {
	first := len(dst)
	for end := len(text); end > 0; {
		n := nodes[end]
		if n.id != m.unk {
			dst = append(dst, n.id)
			end = int(n.start)
			continue
		}
		start := int(n.start)
		for start > 0 && nodes[start].id == m.unk {
			start = int(nodes[start].start)
		}
		dst = m.appendUnknown(dst, text[start:end])
		end = start
	}
	for i, j := first, len(dst)-1; i < j; i, j = i+1, j-1 {
		dst[i], dst[j] = dst[j], dst[i]
	}
	return dst
}

// appendUnknown appends the ids of unknown text, the last first.
func (m *unigram) appendUnknown(dst []int32, text string) []int32 {
	if id, ok := m.vocab[text]; ok && !m.single {
		return append(dst, id)
	}
	if m.fallback == nil || slices.ContainsFunc([]byte(text), func(b byte) bool { return m.fallback[b] < 0 }) {
		if m.unk < 0 {
			panic(&UnknownTextError{text})
		}
		return append(dst, m.unk)
	}
	for i := len(text) - 1; i >= 0; i-- {
		dst = append(dst, m.fallback[text[i]])
	}
	return dst
}

// unigram builds SentencePiece's Unigram model.
func (v *spm) unigram(vocab map[string]int32) (*unigram, error) {
	m := &unigram{vocab: vocab, scores: make([]float64, len(v.pieces)), unk: v.unk, single: true}
	low, high := float32(math.MaxFloat32), float32(-math.MaxFloat32)
	for id, s := range v.scores {
		if v.kind(id) == kindNormal {
			low, high = min(low, s), max(high, s)
		}
	}
	var keys []trieKey
	for id, piece := range v.pieces {
		if len(piece) > maxPiece {
			return nil, fmt.Errorf("tokenizer: piece %d has %d bytes, at most %d are allowed", id, len(piece), maxPiece)
		}
		switch v.kind(id) {
		case kindNormal:
			m.scores[id] = float64(v.scores[id])
		case kindUserDefined: // always better than pieces of the same length
			m.scores[id] = float64(float32(len(piece))*high) - 0.1
		default:
			continue
		}
		keys = append(keys, trieKey{piece, int32(id)})
	}
	m.trie = newTrie(keys)
	m.unkScore = float64(low - unkPenalty)
	var err error
	if m.fallback, err = v.bytes(); err != nil {
		return nil, err
	}
	m.cuts = newWordCuts(v.texts)
	_, m.cuts.on = vocab[phantomSpace]
	return m, nil
}
