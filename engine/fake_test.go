package engine

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"time"

	"hone/nn"
)

// fakeModel's logits are a hash of the exact token history of a row, which it reads through the block table, as a real
// model does. A wrong table, a wrong position, a block that was given away or never written: each changes the logits.
type fakeModel struct {
	vocab int
	rows  int
	kv    [][nn.BlockTokens]fakeEntry

	hashes []uint64 // of the rows of the last batch
	steps  int
	before func(b *nn.Batch) error // if set, called first
}

type fakeEntry struct {
	token   int32
	pos     int32
	written bool
}

func newFakeModel(blocks int) *fakeModel {
	return &fakeModel{vocab: 50, rows: 512, kv: make([][nn.BlockTokens]fakeEntry, blocks)}
}

func (m *fakeModel) Vocab() int     { return m.vocab }
func (m *fakeModel) MaxTokens() int { return m.rows }

func (m *fakeModel) Forward(b *nn.Batch) error {
	m.steps++
	if m.before != nil {
		if err := m.before(b); err != nil {
			return err
		}
	}
	if len(b.Tokens) > m.rows {
		return fmt.Errorf("%d rows", len(b.Tokens))
	}
	m.hashes = m.hashes[:0]
	for range b.Tokens {
		m.hashes = append(m.hashes, 0)
	}
	for _, s := range b.Seqs {
		for i := range s.Len {
			p := s.Pos + i
			m.kv[s.Blocks[p/nn.BlockTokens]][p%nn.BlockTokens] = fakeEntry{b.Tokens[s.Offset+i], int32(p), true}
		}
		h := fakeSeed
		for p := range s.Pos + s.Len {
			e := m.kv[s.Blocks[p/nn.BlockTokens]][p%nn.BlockTokens]
			if !e.written || e.pos != int32(p) {
				return errors.New("fake model: a position that was never written")
			}
			h = fakeStep(h, e.token)
			if p >= s.Pos {
				m.hashes[s.Offset+p-s.Pos] = h
			}
		}
	}
	return nil
}

func (m *fakeModel) Logits(dst []float32, rows []int32) error {
	for i, r := range rows {
		fakeLogits(dst[i*m.vocab:(i+1)*m.vocab], m.hashes[r])
	}
	return nil
}

const fakeSeed = uint64(0x1234567)

func fakeStep(h uint64, token int32) uint64 { return mix(h ^ uint64(token)) }

func fakeHash(tokens []int32) uint64 {
	h := fakeSeed
	for _, t := range tokens {
		h = fakeStep(h, t)
	}
	return h
}

// fakeLogits spreads a hash over logits between -4 and 4, in steps, so that ties happen.
func fakeLogits(dst []float32, h uint64) {
	for i := range dst {
		h += 0x9e3779b97f4a7c15
		z := (h ^ h>>29) * 0xbf58476d1ce4e5b9
		dst[i] = float32(int(z>>56)-128) / 32
	}
}

// fakeGreedy continues a prompt without an engine.
func fakeGreedy(prompt []int32, n, vocab int) []int32 {
	tokens := append([]int32(nil), prompt...)
	row := make([]float32, vocab)
	for range n {
		fakeLogits(row, fakeHash(tokens))
		best, x := 0, float32(math.Inf(-1))
		for i, v := range row {
			if v > x {
				best, x = i, v
			}
		}
		tokens = append(tokens, int32(best))
	}
	return tokens[len(prompt):]
}

// fakeTokenizer writes token t as the letter at t, and the last ids as bytes of a two-byte character.
type fakeTokenizer struct{}

const fakeAlphabet = "abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ"

// fakeWhole is "é" and each letter.
var fakeWhole = func() string {
	var b strings.Builder
	for _, c := range fakeAlphabet {
		b.WriteString("é" + string(c))
	}
	return b.String()
}()

type fakeDecoder struct{ half bool }

func (fakeTokenizer) NewDecoder(bool) *fakeDecoder { return &fakeDecoder{} }

func (d *fakeDecoder) Add(id int32) string {
	switch {
	case d.half:
		d.half = false
		return fakeWhole[3*id : 3*id+3]
	case id == 49: // the first half of a character
		d.half = true
		return ""
	}
	return fakeAlphabet[id : id+1]
}

func (d *fakeDecoder) Flush() string {
	if d.half {
		d.half = false
		return "\uFFFD"
	}
	return ""
}

func fakeText(tokens []int32) string {
	d, s := &fakeDecoder{}, ""
	for _, t := range tokens {
		s += d.Add(t)
	}
	return s + d.Flush()
}

// fakePrompt is a pseudo-random prompt.
func fakePrompt(seed, n int) []int32 {
	p := make([]int32, n)
	for i := range p {
		p[i] = int32(mix(uint64(seed)<<32|uint64(i)) % 50)
	}
	return p
}

// gate lets a test hold the model's steps.
type gate struct {
	mu   sync.Mutex
	cond *sync.Cond
	open int // steps that may run; negative: all
}

func newGate() *gate {
	g := &gate{}
	g.cond = sync.NewCond(&g.mu)
	return g
}

func (g *gate) pass() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.open == 0 {
		g.cond.Wait()
	}
	if g.open > 0 {
		g.open--
	}
}

func (g *gate) let(n int) {
	g.mu.Lock()
	g.open = n
	g.mu.Unlock()
	g.cond.Broadcast()
}

func sleep() { time.Sleep(time.Millisecond) }
