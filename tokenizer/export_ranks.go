package tokenizer

import (
	"fmt"
)

// BPE of a tokenizer.json merges the pair of the lowest rank, SentencePiece's the pair that together has the highest score.
//
// One fact makes the two comparable: which merges happen inside a part of a text does not depend on what lies around it, as long
// as no merge crosses its ends. So a token comes to be, in whatever text, as it does where its own spelling is the whole text:
// always from the same two parts, and one rank counts, that of its last merge. Let scores follow these ranks. Then both ways
// order what both can merge alike, and the shortest text on which they part is two symbols which together are a token that no
// merge makes: SentencePiece joins whatever is a token. Trying the spellings of all such tokens therefore decides for all texts.

// rankScores are scores in the place of ranks.
type rankScores struct {
	scored *charBPE // merges by the scores
	tokens []string
	made   []bool // by token: merges make it
	scores []float32
}

// maxMerges bounds ranks: up to there a float32 holds them exactly.
const maxMerges = 1 << 24

// newRankScores gives each token the score that stands for its rank. Hidden tokens are those whose spelling no text can hold.
func newRankScores(m *charBPE, tokens []string, hidden func(id int) bool, merges int) (*rankScores, error) {
	if merges >= maxMerges {
		return nil, fmt.Errorf("tokenizer: %d merges are too many to be written as scores", merges)
	}
	r := &rankScores{tokens: tokens, made: make([]bool, len(tokens)), scores: make([]float32, len(tokens))}
	kinds := make([]pieceKind, len(tokens))
	var work pieceWork
	for id, token := range tokens {
		if err := work.add(id, len(token), 8); err != nil {
			return nil, err
		}
		kinds[id], r.scores[id] = kindNormal, -float32(merges)
		if hidden(id) {
			kinds[id] = kindControl
		}
		if parts := lastParts(m, token, int32(id)); parts != nil {
			r.made[id], r.scores[id] = true, -float32(m.merges.get(parts[0], parts[1]).rank)
		}
	}
	v := &spm{pieces: tokens, scores: r.scores, kinds: kinds, unk: -1}
	var err error
	r.scored, err = v.bpe(v.vocab())
	return r, err
}

// lastParts are the two symbols whose merge makes a token where its spelling is the whole text, nil if it is not made.
func lastParts(m *charBPE, token string, id int32) []int32 {
	word := make([]int32, 0, len(token))
	for _, c := range token {
		word = append(word, m.char(c))
	}
	word = m.mergeExcept(word, id)
	if len(word) != 2 || m.merges.get(word[0], word[1]).id != id {
		return nil
	}
	return word
}

// extra returns the two symbols that a token is made of by scores though no merge makes it by rank, nil where that is not so.
func (r *rankScores) extra(id int) []int32 {
	if r.made[id] {
		return nil
	}
	return lastParts(r.scored, r.tokens[id], int32(id))
}

// spell writes the two parts of a token.
func (r *rankScores) spell(parts []int32) string {
	text := func(symbol int32) string {
		if symbol < 0 {
			return quote(string(-2 - symbol))
		}
		return quote(r.tokens[symbol])
	}
	return text(parts[0]) + " and " + text(parts[1])
}
