package eval

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"hone/nn"
)

// The numbers of this test are SciPy's.
func TestRows(t *testing.T) {
	p, q := []float32{1.5, -0.25, 3, 0.5}, []float32{1.25, 0.25, 2, 1}
	for i, want := range []float64{1.795642330316721, 3.545642330316721, 0.29564233031672105, 2.795642330316721} {
		near(t, "nll", nll(p, int32(i)), want, 1e-6)
	}
	got := pair(p, q, 1)
	near(t, "parent", got.parent, 3.545642330316721, 1e-6)
	near(t, "child", got.child, 2.450132693633123, 1e-6)
	near(t, "kld", got.kld, 0.14508620547274484, 1e-6)
	if !got.same || pair(p, []float32{4, 0, 3, 0}, 0).same {
		t.Error("same top-1")
	}
	if !pair([]float32{1, 1}, []float32{2, 2}, 0).same {
		t.Error("a tie must go to the lowest index on both sides")
	}
	near(t, "far apart", pair([]float32{200, 0, -200}, []float32{-200, 0, 200}, 0).kld, 400, 1e-4)
	near(t, "large offset", nll([]float32{1e4, 1e4}, 0), math.Ln2, 1e-6)
}

// TestRowLaws: divergence is never negative, zero on itself, and neither row's offset matters.
func TestRowLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 300).Draw(t, "n")
		row := rapid.SliceOfN(rapid.Float32Range(-30, 30), n, n)
		p, q := row.Draw(t, "p"), row.Draw(t, "q")
		target := int32(rapid.IntRange(0, n-1).Draw(t, "target"))
		got := pair(p, q, target)
		if got.kld < 0 || got.parent < -1e-6 || got.child < -1e-6 {
			t.Fatalf("%+v", got)
		}
		if self := pair(p, p, target); self.kld != 0 || !self.same || self.parent != self.child {
			t.Fatalf("on itself: %+v", self)
		}
		moved := make([]float32, n)
		for i := range q {
			moved[i] = q[i] + 16
		}
		if m := pair(p, moved, target); math.Abs(m.kld-got.kld) > 1e-4*(1+got.kld) {
			t.Fatalf("an offset changed the divergence: %v, %v", m.kld, got.kld)
		}
		if want := slowDivergence(p, q); math.Abs(got.kld-want) > 1e-5*(1+want) {
			t.Fatalf("kld %v, want %v", got.kld, want)
		}
	})
}

// slowDivergence is the definition, in float64.
func slowDivergence(p, q []float32) float64 {
	logSoftmax := func(x []float32) []float64 {
		var sum float64
		out := make([]float64, len(x))
		for _, v := range x {
			sum += math.Exp(float64(v))
		}
		for i, v := range x {
			out[i] = float64(v) - math.Log(sum)
		}
		return out
	}
	lp, lq := logSoftmax(p), logSoftmax(q)
	var kld float64
	for i := range lp {
		kld += math.Exp(lp[i]) * (lp[i] - lq[i])
	}
	return kld
}

// slowNLL is −Σ ln p of targets [from, len) under a bigram model, in float64.
func slowNLL(m *bigram, ids []int32, from int) float64 {
	var s float64
	for i := from; i < len(ids); i++ {
		row := m.table[ids[i-1]]
		var sum float64
		for _, v := range row {
			sum += math.Exp(float64(v))
		}
		s += math.Log(sum) - float64(row[ids[i]])
	}
	return s
}

func TestPerplexity(t *testing.T) {
	m := newBigram(97, 1)
	ids := randomTokens(1000, 97, 1)
	for _, plan := range []Plan{{Ctx: 100}, {Ctx: 333, Windows: 2}, {Ctx: 64, Protocol: ProtocolLlamaCpp, BOS: 3}} {
		ws, _, err := Cut(ids, plan)
		if err != nil {
			t.Fatal(err)
		}
		var seen []Progress
		got, err := Perplexity(context.Background(), m, ws, Options{Progress: func(p Progress) { seen = append(seen, p) }})
		if err != nil {
			t.Fatal(err)
		}
		var sum float64
		tokens := 0
		for i, w := range ws {
			want := slowNLL(m, w.Tokens, w.From)
			near(t, "window", got[i].NLL, want, 1e-6*float64(w.Scored()))
			sum, tokens = sum+want, tokens+w.Scored()
		}
		r := PerplexityOf(got)
		near(t, "ppl", r.PPL, math.Exp(sum/float64(tokens)), 1e-5*r.PPL)
		near(t, "nll", r.NLL, sum/float64(tokens), 1e-6)
		if r.Tokens != tokens || r.Windows != len(ws) || !(r.SE > 0) {
			t.Errorf("%+v", r)
		}
		if len(seen) != len(ws) || seen[len(seen)-1] != (Progress{len(ws), len(ws), tokens}) {
			t.Errorf("progress %+v", seen)
		}
	}
	if m.mostRows != 64 {
		t.Errorf("%d rows of logits were held at once, want 64", m.mostRows)
	}
}

// TestSameWhateverTheCut: rows held and workers change no bit.
func TestSameWhateverTheCut(t *testing.T) {
	p := newBigram(50, 3)
	q := p.noisy(0.3, 4)
	ws, _, _ := Cut(randomTokens(400, 50, 3), Plan{Ctx: 100})
	var first []Pairs
	for _, o := range []Options{{}, {Rows: 1}, {Rows: 7, Workers: 3}, {Rows: 1000, Workers: 8}} {
		got, err := Compare(context.Background(), p, []LM{q}, ws, nil, o)
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = got
		}
		if !reflect.DeepEqual(got, first) {
			t.Errorf("%+v gives other numbers", o)
		}
		scores, err := Perplexity(context.Background(), q, ws, o)
		if err != nil {
			t.Fatal(err)
		}
		if a, b := PerplexityOf(scores), got[0].Summary().Result; a != b {
			t.Errorf("perplexity alone %+v, in a comparison %+v", a, b)
		}
	}
}

func TestCompare(t *testing.T) {
	p := newBigram(60, 5)
	same, near, far := p.noisy(0, 6), p.noisy(0.1, 7), p.noisy(1, 8)
	ws, _, _ := Cut(randomTokens(2000, 60, 5), Plan{Ctx: 200})
	got, err := Compare(context.Background(), p, []LM{same, near, far}, ws, nil, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if p.forwards != len(ws) {
		t.Errorf("the parent ran %d times for %d windows", p.forwards, len(ws))
	}
	a, b, c := got[0].Summary(), got[1].Summary(), got[2].Summary()
	if a.KLD.Max != 0 || a.SameTop1 != 1 || a.PPLRatio.Value != 1 || a.PPLRatio.SE != 0 || a.PPLRatio.Upper95 != 1 || a.PPL != a.ParentPPL {
		t.Errorf("a model beside itself: %+v", a)
	}
	if !(0 < b.KLD.Mean && b.KLD.Mean < c.KLD.Mean && b.KLD.P99 <= b.KLD.Max && c.SameTop1 < b.SameTop1 && b.SameTop1 < 1) {
		t.Errorf("little noise %+v, much %+v", b, c)
	}
	for i, w := range ws {
		want := slowNLL(far, w.Tokens, 1) - slowNLL(p, w.Tokens, 1)
		if d := got[2][i].Child - got[2][i].Parent; math.Abs(d-want) > 1e-6*200 {
			t.Errorf("window %d: %v, want %v", i, d, want)
		}
	}
	half, err := Compare(context.Background(), p, []LM{far}, ws[5:], nil, Options{})
	if err != nil || !reflect.DeepEqual(half[0].Summary(), got[2][5:].Summary()) {
		t.Error("half of the windows must be what running that half gives")
	}
}

// TestSampled: on text drawn from the parent the log of the ratio and the mean divergence estimate the same number.
func TestSampled(t *testing.T) {
	p := newBigram(30, 12)
	q := p.noisy(0.4, 13)
	r := rand.New(rand.NewPCG(14, 14))
	var texts [][]int32
	for range 40 {
		ids := []int32{int32(r.IntN(30))}
		for len(ids) < 500 {
			ids = append(ids, p.draw(ids[len(ids)-1], r.Float64()))
		}
		texts = append(texts, ids)
	}
	got, err := Compare(context.Background(), p, []LM{q}, Sampled(texts, 1), nil, Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := got[0].Summary()
	log, se := math.Log(s.PPLRatio.Value), float64(s.PPLRatio.SE)/s.PPLRatio.Value
	if s.Tokens != 40*499 || math.Abs(log-s.KLD.Mean) > 3*se || se > s.KLD.Mean/4 {
		t.Errorf("log ratio %.4f ± %.4f, mean divergence %.4f", log, se, s.KLD.Mean)
	}
	choose, report := got[0].Halves()
	if len(choose) != 20 || len(report) != 20 || choose[1].Child != got[0][2].Child || report[1].Child != got[0][3].Child {
		t.Error("halves must take windows in turn")
	}
}

func TestCompareStops(t *testing.T) {
	p := newBigram(20, 9)
	bad, good := p.noisy(2, 10), p.noisy(0.01, 11)
	ws, _, _ := Cut(randomTokens(200, 20, 9), Plan{Ctx: 20})
	stop := func(child int, soFar Pairs) bool {
		return len(soFar) >= 3 && soFar.Summary().PPLRatio.Value > 1.2
	}
	got, err := Compare(context.Background(), p, []LM{bad, good}, ws, stop, Options{})
	if err != nil || len(got[0]) != 3 || len(got[1]) != 10 || bad.forwards != 3 {
		t.Fatalf("%d and %d windows, %v", len(got[0]), len(got[1]), err)
	}
	p.forwards = 0
	got, err = Compare(context.Background(), p, []LM{bad}, ws, stop, Options{})
	if err != nil || len(got[0]) != 3 || p.forwards != 3 {
		t.Fatalf("the parent ran %d times after its only child had ended, %v", p.forwards, err)
	}
}

func TestErrors(t *testing.T) {
	ctx := context.Background()
	ok := func() *bigram { return newBigram(10, 1) }
	w := func(ids ...int32) []Window { return []Window{{Tokens: ids, From: 1}} }
	short, nan, broken := ok(), ok(), ok()
	short.max = 2
	nan.table[2][0] = float32(math.NaN())
	broken.failAfter = 1
	inf := ok()
	inf.table[2][3] = float32(math.Inf(-1))
	run := func(lm LM, ws []Window) error { _, err := Perplexity(ctx, lm, ws, Options{}); return err }
	compare := func(p, c LM, ws []Window) error {
		_, err := Compare(ctx, p, []LM{c}, ws, nil, Options{})
		return err
	}
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	_, stopped := Perplexity(cancelled, ok(), w(1, 2, 3), Options{})
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"too long":         {run(short, w(1, 2, 3)), "window 0 has 3 tokens, but the model takes at most 2"},
		"too long a child": {compare(ok(), short, w(1, 2, 3)), "has 3 tokens, but the model takes at most 2"},
		"unknown token":    {run(ok(), w(1, 10)), "holds token 10 at 1, but the model's vocabulary has 10"},
		"negative token":   {run(ok(), w(-1, 1)), "holds token -1 at 0"},
		"no target":        {run(ok(), w(1)), "window 0 has 1 tokens and scores from 1"},
		"no first token":   {run(ok(), []Window{{Tokens: []int32{1, 2}}}), "scores from 0"},
		"not a number":     {run(nan, w(1, 2, 3)), "window 0, position 2, token 3"},
		"impossible token": {run(inf, w(1, 2, 3)), "not finite"},
		"broken model":     {run(broken, w(1, 2, 3)), "window 0: out of order"},
		"vocabularies":     {compare(ok(), newBigram(11, 1), w(1, 2)), "child 0 has 11 logits a row, its parent 10"},
		"child's logits":   {compare(ok(), nan, w(1, 2, 3)), "child 0"},
		"cancelled":        {stopped, "canceled"},
	} {
		if c.err == nil || !strings.Contains(c.err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, c.err, c.want)
		}
	}
	if !errors.Is(stopped, context.Canceled) {
		t.Error("a cancelled run must say so")
	}
}

// vectors is an encoder that gives one row of a table for the first token of each text.
type vectors struct {
	table [][]float32
	id    int32
}

func (v *vectors) MaxTokens() int             { return 4 }
func (v *vectors) Forward(b *nn.Batch) error  { v.id = b.Tokens[0]; return nil }
func (v *vectors) Pooled(dst []float32) error { copy(dst, v.table[v.id]); return nil }

func TestCompareEncoders(t *testing.T) {
	a := &vectors{table: [][]float32{{1, 0}, {3, 4}, {0, 1}}}
	b := &vectors{table: [][]float32{{2, 0}, {4, 3}, {0, 0}}}
	got, err := CompareEncoders(context.Background(), a, b, 2, [][]int32{{0}, {1, 1}}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	near(t, "mean", got.Mean, (1+0.96)/2, 1e-15)
	near(t, "worst", got.Worst, 0.96, 1e-15)
	if got.Texts != 2 {
		t.Errorf("%d texts", got.Texts)
	}
	for want, texts := range map[string][][]int32{
		"no text": nil, "text 1 has 5 tokens": {{0}, {0, 0, 0, 0, 0}}, "text 0 has 0 tokens": {{}}, "zero or not finite": {{2}},
	} {
		if _, err := CompareEncoders(context.Background(), a, b, 2, texts, Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

// BenchmarkRows is the cost of reducing one row of a 49,152-token vocabulary.
func BenchmarkRows(b *testing.B) {
	m := newBigram(2, 1)
	p, q := make([]float32, 49152), make([]float32, 49152)
	for i := range p {
		p[i] = m.table[i%2][0] + float32(i%977)/100
		q[i] = p[i] + float32(i%13)/50
	}
	for _, c := range []struct {
		name string
		run  func()
	}{{"nll", func() { nll(p, 1) }}, {"pair", func() { pair(p, q, 1) }}} {
		b.Run(fmt.Sprint(c.name), func(b *testing.B) {
			for b.Loop() {
				c.run()
			}
		})
	}
}
