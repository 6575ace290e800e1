package eval

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"hone/nn"
)

// recaller is a language model whose logits depend on every token before them, with a paged cache that holds tokens.
type recaller struct {
	vocab, rows int
	cache       [][nn.BlockTokens]int32
	seen        []uint64 // of each row of the last batch: a hash of its tokens and those before
	worked      int      // rows in all
	broken      bool     // a logit that is no number
}

func (m *recaller) Vocab() int     { return m.vocab }
func (m *recaller) MaxTokens() int { return m.rows }

func (m *recaller) Forward(b *nn.Batch) error {
	if len(b.Tokens) == 0 || len(b.Tokens) > m.rows {
		return fmt.Errorf("a batch of %d rows", len(b.Tokens))
	}
	m.seen = m.seen[:0]
	m.worked += len(b.Tokens)
	for _, s := range b.Seqs { // all keys are written before any is read
		for r := range s.Len {
			if s.Blocks != nil {
				p := s.Pos + r
				m.cache[s.Blocks[p/nn.BlockTokens]][p%nn.BlockTokens] = b.Tokens[s.Offset+r]
			}
		}
	}
	for _, s := range b.Seqs {
		var all []int32
		for p := range s.Pos + s.Len {
			if s.Blocks != nil {
				all = append(all, m.cache[s.Blocks[p/nn.BlockTokens]][p%nn.BlockTokens])
			} else {
				all = append(all, b.Tokens[s.Offset+p])
			}
		}
		for r := range s.Len {
			m.seen = append(m.seen, hashOf(all[:s.Pos+r+1]))
		}
	}
	return nil
}

func hashOf(tokens []int32) uint64 {
	h := fnv.New64a()
	fmt.Fprint(h, tokens)
	return h.Sum64()
}

func (m *recaller) Logits(dst []float32, rows []int32) error {
	for i, r := range rows {
		copy(dst[i*m.vocab:(i+1)*m.vocab], m.row(m.seen[r]))
	}
	return nil
}

func (m *recaller) row(seed uint64) []float32 {
	rng := rand.New(rand.NewPCG(seed, 3))
	row := make([]float32, m.vocab)
	for i := range row {
		row[i] = float32(2 * rng.NormFloat64())
	}
	if m.broken {
		row[0] = float32(math.NaN())
	}
	return row
}

// slowLL is the definition: the summed log-probability of a sequence's tokens from from on.
func (m *recaller) slowLL(tokens []int32, from int) (ll, lead float64) {
	lead = math.Inf(1)
	for at := from; at < len(tokens); at++ {
		row := m.row(hashOf(tokens[:at]))
		var sum float64
		others := math.Inf(-1)
		for i, v := range row {
			sum += math.Exp(float64(v))
			if int32(i) != tokens[at] {
				others = max(others, float64(v))
			}
		}
		ll += float64(row[tokens[at]]) - math.Log(sum)
		lead = min(lead, float64(row[tokens[at]])-others)
	}
	return ll, lead
}

// encodeBytes is a tokenizer of bytes, in which "th" is one token and a space belongs to the letter after it.
func encodeBytes(text string) ([]int32, error) {
	var ids []int32
	for i := 0; i < len(text); i++ {
		switch {
		case strings.HasPrefix(text[i:], "th"):
			ids = append(ids, 256)
			i++
		case text[i] == ' ' && i+1 < len(text):
			ids = append(ids, 257+int32(text[i+1]))
			i++
		default:
			ids = append(ids, int32(text[i]))
		}
	}
	return ids, nil
}

const byteVocab = 520

func someItems() []Item {
	var items []Item
	for i := range 23 {
		context := strings.Repeat("the path ", 1+i%9) + fmt.Sprint("no ", i, " is")
		choices := []string{"short", "a good deal longer", "c", "d"}
		if i%3 == 0 {
			choices = []string{"A", "B"}
		}
		if i%5 == 0 {
			context += " \n"
		}
		items = append(items, Item{Context: context, Choices: choices, Answer: i % 2})
	}
	return items
}

// TestScore: outcomes are those of the definition, with and without a cache, whatever the size of batch and cache; shared
// prompts are computed once.
func TestScore(t *testing.T) {
	for _, kind := range []Kind{Choose, Recall} {
		task := &Task{Name: "made up", Kind: kind}
		items := someItems()
		if kind == Recall {
			for i := range items {
				items[i].Choices = items[i].Choices[:1]
				items[i].Answer = 0
			}
		}
		a, err := Ask(task, items, encodeBytes, 519)
		if err != nil {
			t.Fatal(err)
		}
		var first []Outcome
		plain := 0
		for _, c := range []struct{ rows, blocks, held int }{{400, 0, 64}, {a.Rows(), 16, 64}, {400, 64, 3}, {4000, 2000, 1}} {
			m := &recaller{vocab: byteVocab, rows: c.rows, cache: make([][nn.BlockTokens]int32, c.blocks)}
			out, err := a.Score(context.Background(), m, c.blocks, Options{Rows: c.held})
			if err != nil {
				t.Fatal(err)
			}
			if first == nil {
				first, plain = out, m.worked
				checkOutcomes(t, a, m, out)
			}
			if !reflect.DeepEqual(out, first) {
				t.Errorf("%+v: other outcomes", c)
			}
			if c.blocks > 0 && kind == Choose && m.worked > plain*3/4 {
				t.Errorf("%+v: %d rows were computed, %d without a cache", c, m.worked, plain)
			}
		}
	}
}

func checkOutcomes(t *testing.T, a *Asked, m *recaller, out []Outcome) {
	t.Helper()
	right := 0
	for i, o := range out {
		best, norm := 0, 0
		for k, tokens := range a.asked[i].choices {
			ll, lead := m.slowLL(tokens, a.asked[i].from)
			near(t, "ll", o.LL[k], ll, 1e-4)
			if len(o.LL) == 1 {
				near(t, "lead", o.Lead, lead, 1e-6)
			}
			if o.LL[k] > o.LL[best] {
				best = k
			}
			if o.LL[k]/float64(len(a.Items[i].Choices[k])) > o.LL[norm]/float64(len(a.Items[i].Choices[norm])) {
				norm = k
			}
		}
		if len(o.LL) > 1 && (o.Choice != best || o.Norm != norm || o.Right != (best == a.Items[i].Answer) || o.RightNorm != (norm == a.Items[i].Answer)) {
			t.Errorf("item %d: %+v, want %d and %d", i, o, best, norm)
		}
		if len(o.LL) == 1 && o.Right != (o.Lead > 0) {
			t.Errorf("item %d: %+v", i, o)
		}
		if o.Right {
			right++
		}
	}
	if right == len(out) {
		t.Error("every outcome is right: the test proves nothing")
	}
}

// TestAsk: where a choice begins among the tokens.
func TestAsk(t *testing.T) {
	a, err := Ask(&Task{Kind: Choose}, []Item{{Context: "on \n", Choices: []string{"th", "x y"}}}, encodeBytes, -1)
	if err != nil {
		t.Fatal(err)
	}
	want := asked{from: 2, choices: [][]int32{{'o', 'n', 257 + '\n', 257 + 't', 'h'}, {'o', 'n', 257 + '\n', 257 + 'x', 257 + 'y'}}}
	if !reflect.DeepEqual(a.asked[0], want) || a.Longest() != 5 {
		t.Errorf("%+v, longest %d; want %+v", a.asked[0], a.Longest(), want)
	}
	for name, c := range map[string]struct {
		it     Item
		encode func(string) ([]int32, error)
		says   string
	}{
		"no context":    {Item{Context: " ", Choices: []string{"a", "b"}}, encodeBytes, "item 1: its context has no tokens"},
		"no choice":     {Item{Context: "a", Choices: []string{"a", "b"}}, func(string) ([]int32, error) { return []int32{1}, nil }, "choice 1 adds no tokens"},
		"no tokenizing": {Item{Context: "a", Choices: []string{"a", "b"}}, func(string) ([]int32, error) { return nil, errors.New("too slow") }, "item 1: too slow"},
	} {
		if _, err := Ask(&Task{Name: "x", Kind: Choose}, []Item{c.it}, c.encode, -1); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
}

func TestScoreFaults(t *testing.T) {
	a, err := Ask(&Task{Name: "x", Kind: Choose}, someItems(), encodeBytes, -1)
	if err != nil {
		t.Fatal(err)
	}
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	for name, c := range map[string]struct {
		ctx  context.Context
		m    *recaller
		says string
	}{
		"small":     {context.Background(), &recaller{vocab: byteVocab, rows: 20}, "does not fit one batch"},
		"NaN":       {context.Background(), &recaller{vocab: byteVocab, rows: 400, broken: true}, "the logits are not finite"},
		"cancelled": {cancelled, &recaller{vocab: byteVocab, rows: 400}, "context canceled"},
	} {
		if _, err := a.Score(c.ctx, c.m, 0, Options{}); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
	if _, err := a.Write(context.Background(), nil, Options{}); err == nil || !strings.Contains(err.Error(), "is scored, not written") {
		t.Error(err)
	}
	w, err := Ask(&Task{Name: "x", Kind: Write}, someItems(), encodeBytes, -1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Score(context.Background(), nil, 0, Options{}); err == nil || !strings.Contains(err.Error(), "is written, not scored") {
		t.Error(err)
	}
}

// answers writes what a prompt's last token says.
type answers struct{ fail bool }

func (w answers) Write(_ context.Context, prompt []int32, maxTokens int, stop []string) (string, error) {
	if w.fail || maxTokens != 9 || len(stop) != 1 {
		return "", errors.New("no ink")
	}
	return fmt.Sprint("it is ", prompt[len(prompt)-1], "0"), nil
}

func TestWrite(t *testing.T) {
	task := &Task{Name: "sums", Kind: Write, MaxTokens: 9, Stop: []string{"\n"}, Answer: lastNumber}
	var items []Item
	for i := range 70 {
		items = append(items, Item{Context: string(rune('a' + i%26)), Choices: []string{fmt.Sprint("#### ", 10*('a'+i%2))}})
	}
	a, err := Ask(task, items, encodeBytes, -1)
	if err != nil || a.Longest() != 10 {
		t.Fatal(err, a.Longest())
	}
	out, err := a.Write(context.Background(), answers{}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if r := a.Sum(out); r.Items != 70 || math.Abs(r.Accuracy.Value-6.0/70) > 1e-9 || out[1].Said != "980" || r.PPL != nil || r.Normalised != nil {
		t.Errorf("%+v, %+v", r, out[1])
	}
	if _, err := a.Write(context.Background(), answers{fail: true}, Options{}); err == nil || !strings.Contains(err.Error(), "sums: item ") {
		t.Error(err)
	}
}
