package nn

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"hone/kernel"
	"hone/parallel"
	"hone/quant"
)

// The proof of the bet that one definition of a model serves every use: the same tiny Llama is run seven ways.

const (
	tinyVocab, tinyWidth, tinyHeads, tinyKV, tinySize, tinyBlocks = 61, 24, 4, 2, 8, 2
)

// tinyMLP makes blocks unequal, as pruning does.
func tinyMLP(block int) int { return 40 + 8*block }

func tinyLlama() *Program {
	attention := Attention{Q: "q_proj", K: "k_proj", V: "v_proj", O: "o_proj", Heads: tinyHeads, KVHeads: tinyKV, Size: tinySize, Causal: true, Rope: &Rope{}}
	for i := range tinySize / 2 {
		attention.Rope.InvFreq = append(attention.Rope.InvFreq, math.Pow(100, -2*float64(i)/tinySize))
	}
	b := NewBuilder()
	x := b.Embed("model.embed_tokens.weight", tinyVocab, tinyWidth)
	for i := range tinyBlocks {
		b.Block(fmt.Sprintf("model.layers.%d.", i), func() {
			x = b.Add(x, b.Attention(b.RMSNorm(x, "input_layernorm", 1e-5), "self_attn", attention))
			h := b.RMSNorm(x, "post_attention_layernorm", 1e-5)
			gu := b.ColumnLinears(h, Linear{Name: "mlp.gate_proj.weight", Out: tinyMLP(i), Unit: 1}, Linear{Name: "mlp.up_proj.weight", Out: tinyMLP(i), Unit: 1})
			x = b.Add(x, b.RowLinear(b.SiLUMul(gu[0], gu[1]), "mlp.down_proj.weight", "", tinyWidth))
		})
	}
	b.Head(b.RMSNorm(x, "model.norm", 1e-5), "model.embed_tokens.weight", tinyVocab)
	return b.Program()
}

// randomSource draws every parameter of a program once and remembers it; tests may nudge the values.
type randomSource map[string]*randomParam

type randomParam struct {
	Param
	data []float32
}

func newRandomSource(p *Program, seed uint64) randomSource {
	rng := rand.New(rand.NewPCG(seed, 1))
	s := randomSource{}
	for _, q := range p.Params() {
		data := make([]float32, q.Rows*q.Cols)
		for i := range data {
			data[i] = float32(rng.NormFloat64()) / sqrt32(float32(q.Cols)) * 1.5
			if q.Vector {
				data[i] = 1 + float32(rng.NormFloat64())*0.2
			}
		}
		s[q.Name] = &randomParam{q, data}
	}
	return s
}

func (s randomSource) Matrix(name string) (quant.Matrix, error) {
	p, ok := s[name]
	if !ok {
		return nil, fmt.Errorf("no %s", name)
	}
	return quant.NewDense(p.Rows, p.Cols, p.data), nil
}

func (s randomSource) Vector(name string) ([]float32, error) {
	p, ok := s[name]
	if !ok {
		return nil, fmt.Errorf("no %s", name)
	}
	return p.data, nil
}

func tinyTokens(n int) []int32 {
	rng := rand.New(rand.NewPCG(7, 7))
	tokens := make([]int32, n)
	for i := range tokens {
		tokens[i] = int32(rng.IntN(tinyVocab))
	}
	return tokens
}

func newTiny(t testing.TB, src Source, change func(*Options)) *Exec {
	t.Helper()
	pool := kernel.NewPool(2)
	t.Cleanup(pool.Close)
	opt := Options{MaxTokens: 320, Pool: pool}
	if change != nil {
		change(&opt)
	}
	x, err := New(tinyLlama(), src, opt)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// allLogits runs one batch and returns the logits of all its rows.
func allLogits(t testing.TB, x *Exec, b *Batch) []float32 {
	t.Helper()
	if err := x.Forward(b); err != nil {
		t.Fatal(err)
	}
	rows := make([]int32, len(b.Tokens))
	for i := range rows {
		rows[i] = int32(i)
	}
	dst := make([]float32, len(rows)*x.Vocab())
	if err := x.Logits(dst, rows); err != nil {
		t.Fatal(err)
	}
	return dst
}

func whole(tokens []int32) *Batch {
	return &Batch{Tokens: tokens, Seqs: []Seq{{Len: len(tokens)}}}
}

func sameBits(t *testing.T, what string, got, want []float32) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d values, want %d", what, len(got), len(want))
	}
	for i := range got {
		if math.Float32bits(got[i]) != math.Float32bits(want[i]) {
			t.Fatalf("%s: value %d is %v, want %v to the bit", what, i, got[i], want[i])
		}
	}
}

const tinyLen = 300 // passes the border of a key tile twice

func TestWayOneWholePrefill(t *testing.T) {
	src := newRandomSource(tinyLlama(), 1)
	tokens := tinyTokens(40)
	got := allLogits(t, newTiny(t, src, nil), whole(tokens))
	want := referenceLogits(src, tokens)
	for i := range want {
		if math.Abs(float64(got[i])-want[i]) > 2e-5*(1+math.Abs(want[i])) {
			t.Fatalf("logit %d of row %d is %v, the float64 reference says %v", i%tinyVocab, i/tinyVocab, got[i], want[i])
		}
	}
}

func TestWayTwoChunksAndPagedDecode(t *testing.T) {
	src := newRandomSource(tinyLlama(), 1)
	tokens := tinyTokens(tinyLen)
	want := allLogits(t, newTiny(t, src, nil), whole(tokens))
	blocks := []int32{7, 2, 9, 0, 4, 1, 8, 3, 6, 5}
	for _, cuts := range [][]int{{300}, {1, 31, 33, 96, 7, 132}, {128, 128}, {297}} {
		x := newTiny(t, src, func(o *Options) { o.KV.Blocks = len(blocks) + 1 })
		var got []float32
		pos := 0
		for _, n := range cuts {
			got = append(got, allLogits(t, x, &Batch{Tokens: tokens[pos : pos+n], Seqs: []Seq{{Len: n, Pos: pos, Blocks: blocks}}})...)
			pos += n
		}
		for ; pos < tinyLen; pos++ { // decode, beside another sequence that must not matter
			tokens := append(tinyTokens(3), tokens[pos])
			logits := allLogits(t, x, &Batch{Tokens: tokens, Seqs: []Seq{{Len: 3, Blocks: []int32{10}}, {Offset: 3, Len: 1, Pos: pos, Blocks: blocks}}})
			got = append(got, logits[3*tinyVocab:]...)
		}
		sameBits(t, fmt.Sprint("chunks ", cuts), got, want)
	}
}

func TestWayThreeForwardWithSavedSet(t *testing.T) {
	src := newRandomSource(tinyLlama(), 1)
	tokens := tinyTokens(tinyLen)
	want := allLogits(t, newTiny(t, src, nil), whole(tokens))
	sameBits(t, "saved set", allLogits(t, newTiny(t, src, func(o *Options) { o.Keep = true }), whole(tokens)), want)
}

// TestWayFourBackward checks the gradient of the loss by every parameter against central differences of a float64 model.
func TestWayFourBackward(t *testing.T) {
	src := newRandomSource(tinyLlama(), 1)
	tokens, targets := tinyTokens(37), append(tinyTokens(38)[1:37], -1)
	x := newTiny(t, src, func(o *Options) { o.Keep = true })
	grads := map[string][]float32{}
	for _, p := range x.p.Params() {
		grads[p.Name] = x.WantGrad(p)
	}
	b := &Batch{Tokens: tokens, Seqs: []Seq{{Len: 20}, {Offset: 20, Len: 17}}}
	if err := x.Forward(b); err != nil {
		t.Fatal(err)
	}
	loss, err := x.CrossEntropy(targets)
	if err != nil {
		t.Fatal(err)
	}
	if want := referenceLoss(src, b, targets); math.Abs(loss-want) > 1e-5 {
		t.Fatalf("loss %v, reference %v", loss, want)
	}
	if err := x.Backward(); err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(3, 3))
	for name, p := range src {
		checkGradient(t, src, p, grads[name], rng, func() float64 { return referenceLoss(src, b, targets) })
	}
}

func checkGradient(t *testing.T, src randomSource, p *randomParam, grad []float32, rng *rand.Rand, loss func() float64) {
	t.Helper()
	for range 6 {
		i := rng.IntN(len(p.data))
		old := p.data[i]
		const step = 1.0 / 512
		p.data[i] = old + step
		up, high := loss(), p.data[i]
		p.data[i] = old - step
		down, low := loss(), p.data[i]
		p.data[i] = old
		want := (up - down) / (float64(high) - float64(low))
		if math.Abs(float64(grad[i])-want) > 2e-5+2e-3*math.Abs(want) {
			t.Errorf("gradient of %s[%d] is %v, central difference %v", p.Name, i, grad[i], want)
		}
	}
}

func TestWayFiveTaps(t *testing.T) {
	src := newRandomSource(tinyLlama(), 1)
	tokens := tinyTokens(50)
	heard := map[string]int{}
	x := newTiny(t, src, func(o *Options) {
		o.Tap = func(name string, in []float32, rows, width int) {
			if len(in) < rows*width {
				t.Errorf("%s: %d floats for [%d,%d]", name, len(in), rows, width)
			}
			heard[name] += rows
			if p := src[name]; p.Cols != width {
				t.Errorf("tap of %s is %d wide, the matrix takes %d", name, width, p.Cols)
			}
		}
	})
	got := allLogits(t, x, whole(tokens))
	sameBits(t, "tapped", got, allLogits(t, newTiny(t, src, nil), whole(tokens)))
	for name, p := range src {
		if want := 50; !p.Vector && heard[name] != want {
			t.Errorf("tap of %s heard %d rows, want %d", name, heard[name], want)
		}
	}
}

// countingSource counts how often each weight is fetched.
type countingSource struct {
	Source
	fetched map[string]int
}

func (c countingSource) Matrix(name string) (quant.Matrix, error) {
	c.fetched[name]++
	return c.Source.Matrix(name)
}

func TestWaySixBlockByBlock(t *testing.T) {
	src := newRandomSource(tinyLlama(), 1)
	tokens := tinyTokens(tinyLen)
	counting := countingSource{src, map[string]int{}}
	x := newTiny(t, counting, func(o *Options) { o.Stream = true })
	if n := counting.fetched["model.layers.0.mlp.up_proj.weight"]; n != 0 {
		t.Fatalf("opening fetched a block's weight %d times", n)
	}
	want := allLogits(t, newTiny(t, src, nil), whole(tokens))
	for range 2 {
		sameBits(t, "streamed", allLogits(t, x, whole(tokens)), want)
	}
	if n := counting.fetched["model.layers.0.mlp.up_proj.weight"]; n != 2 {
		t.Fatalf("two passes fetched a block's weight %d times", n)
	}
}

func TestWaySevenTwoShards(t *testing.T) {
	src := newRandomSource(tinyLlama(), 1)
	tokens := tinyTokens(tinyLen)
	want := allLogits(t, newTiny(t, src, nil), whole(tokens))
	got := make([][]float32, 2)
	execs := make([]*Exec, 2)
	for rank, group := range parallel.NewMemory(2) {
		execs[rank] = newTiny(t, src, func(o *Options) { o.Group = group })
	}
	done := make(chan error)
	for rank, x := range execs {
		go func() {
			b := whole(tokens)
			err := x.Forward(b)
			rows := []int32{0, 17, tinyLen - 1}
			got[rank] = make([]float32, len(rows)*tinyVocab)
			if err == nil {
				err = x.Logits(got[rank], rows)
			}
			done <- err
		}()
	}
	for range execs {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	sameBits(t, "ranks", got[0], got[1])
	for i, r := range []int{0, 17, tinyLen - 1} {
		for v := range tinyVocab {
			if a, b := got[0][i*tinyVocab+v], want[r*tinyVocab+v]; math.Abs(float64(a-b)) > 1e-4 {
				t.Fatalf("row %d logit %d: two shards say %v, one says %v", r, v, a, b)
			}
		}
	}
}
