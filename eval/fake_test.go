package eval

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"

	"hone/nn"
)

// bigram is a language model whose logits depend on the current token alone: row = table[token].
type bigram struct {
	table     [][]float32
	max       int
	tokens    []int32 // last batch
	forwards  int
	mostRows  int
	failAfter int // Forward fails from this call on; 0: never
}

// newBigram makes a model over vocab tokens with logits of standard deviation 2.
func newBigram(vocab int, seed uint64) *bigram {
	r := rand.New(rand.NewPCG(seed, 1))
	m := &bigram{max: 1 << 20, table: make([][]float32, vocab)}
	for i := range m.table {
		m.table[i] = make([]float32, vocab)
		for j := range m.table[i] {
			m.table[i][j] = float32(2 * r.NormFloat64())
		}
	}
	return m
}

// noisy is a copy with noise of standard deviation sd added to every logit.
func (m *bigram) noisy(sd float64, seed uint64) *bigram {
	c := newBigram(len(m.table), seed)
	for i := range c.table {
		for j := range c.table[i] {
			c.table[i][j] = m.table[i][j] + float32(sd/2)*c.table[i][j]
		}
	}
	return c
}

func (m *bigram) Vocab() int     { return len(m.table) }
func (m *bigram) MaxTokens() int { return m.max }

func (m *bigram) Forward(b *nn.Batch) error {
	m.forwards++
	if m.failAfter > 0 && m.forwards >= m.failAfter {
		return errors.New("out of order")
	}
	if len(b.Seqs) != 1 || b.Seqs[0].Len != len(b.Tokens) || b.Seqs[0].Blocks != nil || b.Seqs[0].Pos != 0 {
		return fmt.Errorf("a window must be one sequence of its own rows, got %+v", b.Seqs)
	}
	m.tokens = append(m.tokens[:0], b.Tokens...)
	return nil
}

// draw takes the next token after one, by inversion of u in [0, 1).
func (m *bigram) draw(after int32, u float64) int32 {
	row := m.table[after]
	for id := range row {
		if u -= math.Exp(-nll(row, int32(id))); u < 0 {
			return int32(id)
		}
	}
	return int32(len(row) - 1)
}

func (m *bigram) Logits(dst []float32, rows []int32) error {
	m.mostRows = max(m.mostRows, len(rows))
	if len(dst) != len(rows)*m.Vocab() {
		return fmt.Errorf("%d logits asked for, %d rows", len(dst), len(rows))
	}
	for i, r := range rows {
		copy(dst[i*m.Vocab():], m.table[m.tokens[r]])
	}
	return nil
}

// randomTokens are n ids below vocab.
func randomTokens(n, vocab int, seed uint64) []int32 {
	r := rand.New(rand.NewPCG(seed, 2))
	ids := make([]int32, n)
	for i := range ids {
		ids[i] = int32(r.IntN(vocab))
	}
	return ids
}
