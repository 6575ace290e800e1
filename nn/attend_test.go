package nn

import (
	"fmt"
	"math"
	"testing"
)

// attentions are the kinds of attention that models have, each feature alone and all together.
func attentions() map[string]Attention {
	kinds := map[string]func(*Attention){
		"plain":          func(*Attention) {},
		"no positions":   func(a *Attention) { a.Rope = nil },
		"biases of qkv":  func(a *Attention) { a.QKVBias = true },
		"bias of output": func(a *Attention) { a.OBias = true },
		"window":         func(a *Attention) { a.Window = 5 },
		"wide window":    func(a *Attention) { a.Window = 280 },
		"scale":          func(a *Attention) { a.Scale = 0.6 },
		"softcap":        func(a *Attention) { a.Softcap = 1.5 },
		"sinks":          func(a *Attention) { a.Sinks = "sinks" },
		"norm of heads":  func(a *Attention) { a.QNorm, a.KNorm, a.NormEps = "q_norm", "k_norm", 1e-5 },
		"norm of rows":   func(a *Attention) { a.QNorm, a.KNorm, a.NormEps, a.NormRows = "q_norm", "k_norm", 1e-5, true },
		"norm plus one":  func(a *Attention) { a.QNorm, a.KNorm, a.NormEps, a.NormPlusOne = "q_norm", "k_norm", 1e-5, true },
		"clip":           func(a *Attention) { a.Clip = tinyClip },
		"part of heads":  func(a *Attention) { a.Rope = &Rope{InvFreq: []float64{1, 0.1}} },
		"rope factor":    func(a *Attention) { a.Rope = &Rope{InvFreq: a.Rope.InvFreq, Factor: 1.3} },
		"longrope": func(a *Attention) {
			a.Rope = &Rope{InvFreq: a.Rope.InvFreq, Factor: 2, Long: []float64{0.5, 0.2, 0.03}, LongFactor: 1.2, Original: 16}
		},
	}
	all := map[string]Attention{"all": {}}
	for name, change := range kinds {
		a := Attention{Q: "q", K: "k", V: "v", O: "o", Heads: 4, KVHeads: 2, Size: 8, Causal: true,
			Rope: &Rope{InvFreq: []float64{1, 0.3, 0.1, 0.02}}}
		change(&a)
		all[name] = a
	}
	a := all["norm of heads"]
	a.QKVBias, a.OBias, a.Window, a.Scale, a.Softcap, a.Sinks, a.NormPlusOne = true, true, 290, 0.6, 2, "sinks", true
	a.Rope, a.Clip = all["longrope"].Rope, tinyClip
	all["all"] = a
	return all
}

// attentionProgram has one kind of attention in two layers.
func attentionProgram(a Attention) *Program {
	b := NewBuilder()
	x := b.Embed("embed.weight", tinyVocab, tinyWidth)
	for i := range 2 {
		b.Block(fmt.Sprintf("layer.%d.", i), func() {
			x = b.Add(x, b.Attention(b.RMSNorm(x, "norm", 1e-5), "attention", a))
		})
	}
	b.Head(b.RMSNorm(x, "norm", 1e-5), "embed.weight", tinyVocab)
	return b.Program()
}

const tinyScale, tinyClip = 1.7, 0.9

// everyOp has the ops that the other programs lack, one after the other.
func everyOp() *Program {
	b := NewBuilder()
	x := b.Scale(b.Embed("embed.weight", tinyVocab, tinyWidth), tinyScale)
	x = b.Add(x, b.EmbedPosition("position.weight", tinyPositions, tinyWidth, 2))
	two := func(prefix string) []Value {
		return b.ColumnLinears(x, Linear{Name: prefix + "gate.weight", Out: 20, Unit: 1}, Linear{Name: prefix + "up.weight", Out: 20, Unit: 1})
	}
	down := func(y Value, prefix string) Value { return b.RowLinear(y, prefix+"down.weight", "", tinyWidth) }
	gu := two("a.")
	x = b.RMSNormPlusOne(b.Add(x, down(b.GELUMul(gu[0], gu[1]), "a.")), "a.norm", 1e-5)
	gu = two("b.")
	x = b.LayerNormNoBias(b.Add(x, down(b.GELUTanhMul(gu[0], gu[1]), "b.")), "b.norm", 1e-5)
	gu = two("c.")
	x = b.Add(x, b.Add(down(b.GELUTanh(gu[0]), "c."), down(b.ReLU(gu[1]), "d.")))
	gu = two("e.")
	x = b.Add(x, down(b.ReLUMul(gu[0], gu[1]), "e."))
	x = b.Add(x, b.Clamp(b.Linear(b.LayerNormBare(x, 1e-5), "whole.weight", "whole.bias", tinyWidth), tinyClip))
	b.Head(x, "embed.weight", tinyVocab)
	return b.Program()
}

// cappedHead scales and caps its logits.
func cappedHead() *Program {
	p := biasedLlama()
	p.Head.Scale, p.Head.Softcap = 0.7, 1.5
	return p
}

// TestAttentionKinds holds each kind over several tiles of keys to the interpreter, and its chunks, its decoding from a
// cache beside other sequences, its block by block loading and its tiles without tasks of their own to the bits of the
// whole.
func TestAttentionKinds(t *testing.T) {
	tokens, tables := textsOf(530, 33, 257)
	pieces := [][]int{{1}, {31, 1, 64}, {7, 250}}
	if raceDetector {
		tokens, tables = textsOf(270, 9)
		pieces = pieces[1:2]
	}
	for name, a := range attentions() {
		t.Run(name, func(t *testing.T) {
			p := attentionProgram(a)
			src := newRandomSource(p, 21)
			x := newExec(t, p, src, Options{MaxTokens: 820, KV: KVConfig{Blocks: 17 + 2 + 9}})
			var want [][]float32
			for _, text := range tokens {
				want = append(want, allLogits(t, x, whole(text)))
			}
			checkLogits(t, want[0], src, p, tokens[0])
			for _, sizes := range pieces {
				got := inPieces(t, x, tokens, tables, sizes...)
				for i := range tokens {
					sameBits(t, fmt.Sprint("pieces ", sizes, " text ", i), got[i], want[i])
				}
			}
			streamed := newExec(t, p, src, Options{MaxTokens: 820, Stream: true})
			sameBits(t, "streamed", allLogits(t, streamed, whole(tokens[0])), want[0])
			sameBits(t, "again", allLogits(t, x, whole(tokens[0])), want[0])
			cut := len(x.attendTasks)
			x.partials = nil
			sameBits(t, "uncut", allLogits(t, x, whole(tokens[0])), want[0])
			if uncut := len(x.attendTasks); uncut != len(x.chunks) || uncut >= cut && a.Window != 5 {
				t.Errorf("%d tasks where each tile is one, %d where none is, %d chunks", cut, uncut, len(x.chunks))
			}
		})
	}
}

// checkLogits compares logits with those of the interpreter's hidden rows.
func checkLogits(t *testing.T, got []float32, src randomSource, p *Program, tokens []int32) {
	t.Helper()
	in := newInterpreter(p, src)
	head := Linear{Name: p.Head.Name, Out: p.Head.Vocab}
	for r, row := range in.hidden(whole(tokens)) {
		for i, want := range in.linear(head, row) {
			want = headCurve(p.Head, want)
			if got := got[r*p.Head.Vocab+i]; math.Abs(float64(got)-want) > 2e-5*(1+math.Abs(want)) {
				t.Fatalf("logit %d of row %d is %v, the interpreter says %v", i, r, got, want)
			}
		}
	}
}

func headCurve(h *Head, logit float64) float64 {
	if h.Scale != 0 {
		logit *= h.Scale
	}
	if h.Softcap != 0 {
		logit = h.Softcap * math.Tanh(logit/h.Softcap)
	}
	return logit
}

// TestCappedHead holds scaled and capped logits, and the gradient of their cross-entropy, to the interpreter.
func TestCappedHead(t *testing.T) {
	p := cappedHead()
	src := newRandomSource(p, 22)
	tokens, targets := tinyTokens(9), tinyTokens(30)[21:]
	x := newExec(t, p, src, Options{Keep: true})
	checkLogits(t, allLogits(t, x, whole(tokens)), src, p, tokens)
	grads := map[string][]float32{}
	for _, q := range p.Params() {
		grads[q.Name] = x.WantGrad(q)
	}
	if _, err := x.CrossEntropy(targets); err != nil {
		t.Fatal(err)
	}
	if err := x.Backward(); err != nil {
		t.Fatal(err)
	}
	in := newInterpreter(p, src)
	for _, name := range []string{"head.weight", "norm.weight", "block.attention.q.weight"} {
		values := in.params[name]
		for i := 0; i < len(values); i += len(values)/5 + 1 {
			const step = 1e-5
			old := values[i]
			values[i] = old + step
			up := in.loss(whole(tokens), targets)
			values[i] = old - step
			want := (up - in.loss(whole(tokens), targets)) / (2 * step)
			values[i] = old
			if got := float64(grads[name][i]); math.Abs(got-want) > 1e-5+1e-3*math.Abs(want) {
				t.Errorf("gradient of %s[%d] is %v, central difference %v", name, i, got, want)
			}
		}
	}
}

// loss is the mean negative log-likelihood of the targets.
func (in *interpreter) loss(b *Batch, targets []int32) float64 {
	var sum float64
	for r, row := range in.hidden(b) {
		var z float64
		logits := in.linear(Linear{Name: in.p.Head.Name, Out: in.p.Head.Vocab}, row)
		for i, l := range logits {
			logits[i] = headCurve(in.p.Head, l)
			z += math.Exp(logits[i])
		}
		sum += math.Log(z) - logits[targets[r]]
	}
	return sum / float64(len(b.Tokens))
}

// TestAttentionOnRanks: gains of whole rows, sinks and biases are cut with their heads.
func TestAttentionOnRanks(t *testing.T) {
	for name, a := range attentions() {
		t.Run(name, func(t *testing.T) {
			p := attentionProgram(a)
			src := newRandomSource(p, 23)
			b := ragged(20, 7)
			ranksGive(t, 2, p, src, b, newInterpreter(p, src).hidden(b))
		})
	}
}
