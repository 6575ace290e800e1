package nn

import (
	"math"
	"strings"
	"testing"

	"hone/kernel"
)

// TestRefusedBatches: a batch that does not fit is an error that names the fault, and the last batch's results stay.
func TestRefusedBatches(t *testing.T) {
	src := newRandomSource(tinyLlama(), 1)
	x := newTiny(t, src, func(o *Options) { o.MaxTokens, o.MaxContext, o.KV.Blocks = 40, 96, 4 })
	good := &Batch{Tokens: tinyTokens(9), Seqs: []Seq{{Len: 9, Blocks: []int32{2}}}}
	want := allLogits(t, x, good)
	seq := func(s ...Seq) []Seq { return s }
	for _, c := range []struct {
		name, says string
		tokens     []int32
		seqs       []Seq
	}{
		{"empty", "empty", nil, nil},
		{"empty with a sequence", "empty", nil, seq(Seq{Len: 1})},
		{"negative token", "token -1 at row 1 is outside the vocabulary of 61", []int32{5, -1}, seq(Seq{Len: 2})},
		{"token past the vocabulary", "token 61", []int32{61}, seq(Seq{Len: 1})},
		{"token that means none", "token -1", []int32{-1}, seq(Seq{Len: 1})},
		{"huge token", "token 2147483647", []int32{math.MaxInt32}, seq(Seq{Len: 1})},
		{"too many rows", "41 tokens, this executor takes at most 40", tinyTokens(41), seq(Seq{Len: 41})},
		{"no sequence", "hold 0 rows", tinyTokens(3), nil},
		{"rows without a sequence", "hold 2 rows", tinyTokens(3), seq(Seq{Len: 2})},
		{"sequence past the rows", "does not continue", tinyTokens(3), seq(Seq{Len: 60, Blocks: []int32{0, 1}})},
		{"second sequence past the rows", "does not continue", tinyTokens(3), seq(Seq{Len: 2}, Seq{Offset: 2, Len: 2})},
		{"sequence of no rows", "does not continue", tinyTokens(3), seq(Seq{Len: 3}, Seq{Offset: 3})},
		{"negative length", "does not continue", tinyTokens(3), seq(Seq{Len: -3})},
		{"huge length", "does not continue", tinyTokens(3), seq(Seq{Len: math.MaxInt})},
		{"gap", "does not continue", tinyTokens(3), seq(Seq{Len: 1}, Seq{Offset: 2, Len: 1})},
		{"overlap", "does not continue", tinyTokens(3), seq(Seq{Len: 2}, Seq{Offset: 1, Len: 2})},
		{"negative position", "does not continue", tinyTokens(3), seq(Seq{Len: 3, Pos: -1, Blocks: []int32{0}})},
		{"huge position", "the context is 96", tinyTokens(3), seq(Seq{Len: 3, Pos: math.MaxInt, Blocks: []int32{0}})},
		{"context overflow", "the context is 96", tinyTokens(3), seq(Seq{Len: 3, Pos: 94, Blocks: []int32{0, 1, 2, 3}})},
		{"position without blocks", "must start at 0", tinyTokens(3), seq(Seq{Len: 3, Pos: 1})},
		{"too few blocks", "1 KV blocks do not hold 33 positions", tinyTokens(3), seq(Seq{Len: 3, Pos: 30, Blocks: []int32{0}})},
		{"empty table", "0 KV blocks do not hold 3", tinyTokens(3), seq(Seq{Len: 3, Blocks: []int32{}})},
		{"block past the cache", "KV block 1 of a sequence is 4, the cache has 4 blocks", tinyTokens(3), seq(Seq{Len: 3, Pos: 30, Blocks: []int32{0, 4}})},
		{"negative block", "KV block 0 of a sequence is -1", tinyTokens(3), seq(Seq{Len: 3, Blocks: []int32{-1}})},
		{"mixed", "mixes sequences", tinyTokens(3), seq(Seq{Len: 1}, Seq{Offset: 1, Len: 2, Blocks: []int32{0}})},
		{"mixed the other way", "mixes sequences", tinyTokens(3), seq(Seq{Len: 1, Blocks: []int32{0}}, Seq{Offset: 1, Len: 2})},
	} {
		err := x.Forward(&Batch{Tokens: c.tokens, Seqs: c.seqs})
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: error %v, want one that says %q", c.name, err, c.says)
		}
		got := make([]float32, 9*tinyVocab)
		if err := x.Logits(got, []int32{0, 1, 2, 3, 4, 5, 6, 7, 8}); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		sameBits(t, "after "+c.name, got, want)
	}
	// A table may be longer than the sequence: what lies past its positions is not looked at.
	sameBits(t, "spare entries", allLogits(t, x, &Batch{Tokens: good.Tokens, Seqs: []Seq{{Len: 9, Blocks: []int32{3, -1, 77}}}}), want)
}

// TestBeforeTheFirstBatch: what reads results has none to read, and says so.
func TestBeforeTheFirstBatch(t *testing.T) {
	x := newTiny(t, newRandomSource(tinyLlama(), 1), func(o *Options) { o.Keep = true })
	if err := x.Logits(make([]float32, tinyVocab), []int32{0}); err == nil {
		t.Error("logits of no batch")
	}
	if _, err := x.CrossEntropy([]int32{1}); err == nil {
		t.Error("a loss of no batch")
	}
	bert := newExec(t, tinyBERT(), newRandomSource(tinyBERT(), 1), Options{})
	if err := bert.Pooled(nil); err != nil {
		t.Error(err)
	}
}

func TestWrongUse(t *testing.T) {
	src := newRandomSource(tinyLlama(), 1)
	plain := newTiny(t, src, func(o *Options) { o.KV.Blocks = 1 })
	keep := newTiny(t, src, func(o *Options) { o.Keep, o.KV.Blocks = true, 1 })
	bert := newExec(t, tinyBERT(), newRandomSource(tinyBERT(), 1), Options{MaxTokens: 200, KV: KVConfig{Blocks: 2}})
	paged := &Batch{Tokens: tinyTokens(2), Seqs: []Seq{{Len: 2, Blocks: []int32{0}}}}
	for _, x := range []*Exec{plain, keep} {
		if err := x.Forward(paged); err != nil {
			t.Fatal(err)
		}
	}
	plain.WantGrad(plain.p.Params()[0])
	for name, err := range map[string]error{
		"backward without Keep":           plain.Backward(),
		"hidden gradient without Keep":    plain.SetHiddenGrad(make([]float32, 2*tinyWidth)),
		"hidden gradient of another size": keep.SetHiddenGrad(make([]float32, tinyWidth)),
		"backward of paged sequences":     keep.Backward(),
		"a short slice for logits":        plain.Logits(make([]float32, tinyVocab), []int32{0, 1}),
		"logits of a negative row":        plain.Logits(make([]float32, tinyVocab), []int32{-1}),
		"logits of an absent row":         plain.Logits(make([]float32, tinyVocab), []int32{2}),
		"pooled language model":           plain.Pooled(make([]float32, tinyWidth)),
		"logits of an encoder":            bert.Logits(nil, nil),
		"a position past the table":       bert.Forward(whole(tinyTokens(tinyPositions + 1))),
		"an encoder in pieces":            bert.Forward(paged),
		"too few targets":                 lossError(keep, 1),
		"no scored target":                lossError(keep, -1, -1),
		"a target past the vocabulary":    lossError(keep, 1, tinyVocab),
		"a loss without Keep":             lossError(plain, 1, 2),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func lossError(x *Exec, targets ...int32) error {
	_, err := x.CrossEntropy(targets)
	return err
}

// TestRefusedExecutors: what cannot be made is refused by name.
func TestRefusedExecutors(t *testing.T) {
	pool := kernel.NewPool(1)
	defer pool.Close()
	p := tinyLlama()
	short, absent := newRandomSource(p, 1), newRandomSource(p, 1)
	short["model.norm.weight"].data = short["model.norm.weight"].data[:5]
	narrow := newRandomSource(p, 1)
	narrow["model.layers.1.mlp.down_proj.weight"].Cols--
	delete(absent, "model.layers.0.self_attn.k_proj.weight")
	good := newRandomSource(p, 1)
	for _, c := range []struct {
		says string
		src  Source
		opt  Options
	}{
		{"MaxTokens", good, Options{Pool: pool}},
		{"Pool", good, Options{MaxTokens: 1}},
		{"Stream drops", good, Options{MaxTokens: 1, Pool: pool, Stream: true, Keep: true}},
		{`type "fp4" is not known`, good, Options{MaxTokens: 1, Pool: pool, KV: KVConfig{Type: "fp4"}}},
		{"larger than any machine", good, Options{MaxTokens: 1, Pool: pool, KV: KVConfig{Blocks: math.MaxInt}}},
		{"model.norm.weight has 5 values", short, Options{MaxTokens: 1, Pool: pool}},
		{"down_proj.weight is [24,47]", narrow, Options{MaxTokens: 1, Pool: pool}},
		{"k_proj", absent, Options{MaxTokens: 1, Pool: pool}},
		{"int5", good, Options{MaxTokens: 1, Pool: pool, Formats: func(Param) string { return "int5" }}},
	} {
		if _, err := New(p, c.src, c.opt); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("error %v, want one that says %q", err, c.says)
		}
	}
}

// TestStreamingFault: a block that cannot be loaded is an error, and there are then no hidden states to read.
func TestStreamingFault(t *testing.T) {
	src := newRandomSource(tinyLlama(), 1)
	x := newTiny(t, src, func(o *Options) { o.Stream = true })
	want := allLogits(t, x, whole(tinyTokens(5)))
	held := x.Memory()
	lost := src["model.layers.1.mlp.up_proj.weight"]
	delete(src, lost.Name)
	if err := x.Forward(whole(tinyTokens(5))); err == nil || !strings.Contains(err.Error(), lost.Name) {
		t.Errorf("a lost weight: %v", err)
	}
	if err := x.Logits(make([]float32, tinyVocab), []int32{0}); err == nil {
		t.Error("logits of a batch that failed")
	}
	src[lost.Name] = lost
	sameBits(t, "after a fault", allLogits(t, x, whole(tinyTokens(5))), want)
	if x.Memory() != held {
		t.Errorf("memory grew from %+v to %+v", held, x.Memory())
	}
}

// TestMostPositions: no sequence goes where the frequencies of its rotary positions do not hold, whatever context is asked for.
func TestMostPositions(t *testing.T) {
	a := attentions()["plain"]
	a.Rope = &Rope{InvFreq: a.Rope.InvFreq, Most: 8}
	p := attentionProgram(a)
	x := newExec(t, p, newRandomSource(p, 1), Options{MaxTokens: 40, MaxContext: 96})
	if err := x.Forward(whole(tinyTokens(8))); err != nil {
		t.Error(err)
	}
	if err := x.Forward(whole(tinyTokens(9))); err == nil || !strings.Contains(err.Error(), "the context is 8") {
		t.Errorf("9 positions of 8: %v", err)
	}
}
