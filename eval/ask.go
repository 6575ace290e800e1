package eval

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"hone/nn"
)

// Asked is a task's items as one model reads them: tokenized, and ready to run.
type Asked struct {
	Task   *Task
	Items  []Item
	asked  []asked
	tokens int // of the longest sequence
	rows   int // of the largest batch that one item needs
}

// asked is one tokenized item: each choice's sequence, whose tokens from from on are the choice.
type asked struct {
	from    int
	choices [][]int32
}

// Ask tokenizes items. lead, where it is not negative, stands before every text (BOS). encode adds no special tokens.
//
// A choice's tokens are those that the whole text has after as many as the context alone has: the way of the usual
// harness, whose figures compare with these.
func Ask(t *Task, items []Item, encode func(text string) ([]int32, error), lead int32) (*Asked, error) {
	a := &Asked{Task: t, Items: items}
	for i, it := range items {
		q, err := askOne(t.Kind, it, encode, lead)
		if err != nil {
			return nil, fmt.Errorf("%s: item %d: %w", t.Name, i+1, err)
		}
		for _, c := range q.choices {
			a.tokens = max(a.tokens, len(c)+t.MaxTokens)
		}
		inputs, stem := q.cut(true)
		a.rows = max(a.rows, stem, lengths(inputs)-stem*len(inputs))
		a.asked = append(a.asked, q)
	}
	return a, nil
}

// Longest is the number of tokens of the longest sequence, what is to be written included: a model must take as many.
func (a *Asked) Longest() int { return a.tokens }

// Rows is the least size of a batch that every item fits into, for a model with a KV cache.
func (a *Asked) Rows() int { return a.rows }

func askOne(kind Kind, it Item, encode func(string) ([]int32, error), lead int32) (asked, error) {
	var q asked
	context := strings.TrimRightFunc(it.Context, unicode.IsSpace)
	behind := it.Context[len(context):] + " " // a space belongs to the token after it
	before, err := encode(context)
	if err != nil {
		return q, err
	}
	first := len(before)
	if lead >= 0 {
		before = append([]int32{lead}, before...)
	}
	q.from = len(before)
	if q.from == 0 {
		return q, fmt.Errorf("its context has no tokens, and the model's tokenizer names none to begin with")
	}
	if kind == Write {
		q.choices = [][]int32{before}
		return q, nil
	}
	for k, choice := range it.Choices {
		whole, err := encode(context + behind + choice)
		if err != nil {
			return q, err
		}
		if len(whole) <= first {
			return q, fmt.Errorf("choice %d adds no tokens to the context", k+1)
		}
		if lead >= 0 {
			whole = append([]int32{lead}, whole...)
		}
		q.choices = append(q.choices, whole)
	}
	return q, nil
}

// A filler packs items into two batches: stems, the prompts that all choices of an item share, and tails, the rest of
// each choice, which read the stems' keys and values. Without KV blocks every choice is a tail as a whole.
type filler struct {
	rows, blocks int // what a batch may have; 0 blocks: no cache
	stems, tails nn.Batch
	taken        int // blocks
	wants        []want
}

// A want is one target: the row of the tails whose logits predict it.
type want struct {
	item, choice, row int
	target            int32
}

func (f *filler) reset() { *f = filler{rows: f.rows, blocks: f.blocks} }

// add takes item i in, or tells that it does not fit any more.
func (f *filler) add(i int, q asked) bool {
	inputs, stem := q.cut(f.blocks > 0)
	rows, blocks := lengths(inputs)-stem*len(inputs), blocksOf(stem)
	for _, in := range inputs {
		blocks += blocksOf(len(in)) - blocksOf(stem)
	}
	if len(f.stems.Tokens)+stem > f.rows || len(f.tails.Tokens)+rows > f.rows || f.blocks > 0 && f.taken+blocks > f.blocks {
		return false
	}
	var table []int32
	if stem > 0 {
		table = f.take(blocksOf(stem))
		appendSeq(&f.stems, inputs[0][:stem], 0, table)
	}
	starts := make([]int, len(inputs))
	for k, in := range inputs {
		starts[k] = len(f.tails.Tokens) - stem
		own := table
		if f.blocks > 0 {
			own = append(slices.Clone(table), f.take(blocksOf(len(in))-len(table))...)
		}
		appendSeq(&f.tails, in[stem:], stem, own)
	}
	for k, c := range q.choices {
		start := starts[indexOf(inputs, c[:len(c)-1])]
		for at := q.from; at < len(c); at++ {
			f.wants = append(f.wants, want{i, k, start + at - 1, c[at]})
		}
	}
	return true
}

func (f *filler) take(n int) []int32 {
	blocks := make([]int32, n)
	for i := range blocks {
		blocks[i] = int32(f.taken + i)
	}
	f.taken += n
	return blocks
}

func appendSeq(b *nn.Batch, tokens []int32, pos int, blocks []int32) {
	b.Seqs = append(b.Seqs, nn.Seq{Offset: len(b.Tokens), Len: len(tokens), Pos: pos, Blocks: blocks})
	b.Tokens = append(b.Tokens, tokens...)
}

func blocksOf(tokens int) int { return (tokens + nn.BlockTokens - 1) / nn.BlockTokens }

// cut gives the sequences to run: those of the choices without their last tokens, which predict nothing, each once, since
// choices of one token share theirs. The first stem tokens, whole blocks, are the same in all, where a cache may keep them.
func (q asked) cut(cached bool) (inputs [][]int32, stem int) {
	for _, c := range q.choices {
		if in := c[:len(c)-1]; indexOf(inputs, in) < 0 {
			inputs = append(inputs, in)
		}
	}
	if cached && len(inputs) > 1 {
		stem = min(shared(inputs), q.from-1) / nn.BlockTokens * nn.BlockTokens
	}
	return inputs, stem
}

func indexOf(all [][]int32, one []int32) int {
	return slices.IndexFunc(all, func(s []int32) bool { return slices.Equal(s, one) })
}

func lengths(all [][]int32) (n int) {
	for _, s := range all {
		n += len(s)
	}
	return n
}

// shared is the length of the beginning that all sequences have in common.
func shared(all [][]int32) int {
	n := len(all[0])
	for _, s := range all[1:] {
		i := 0
		for i < min(n, len(s)) && s[i] == all[0][i] {
			i++
		}
		n = i
	}
	return n
}
