package nn

import (
	"fmt"
	"math"
	"slices"
	"sort"
	"testing"
)

// mixtures are the kinds of experts that models have.
func mixtures() map[string]Experts {
	spec := Experts{Router: "gate.weight", Prefix: "experts.", Gate: "gate_proj", Up: "up_proj", Down: "down_proj", Count: 7, Active: 3, Width: 20}
	out := map[string]Experts{"softmax over all": spec}
	spec.Normalize = true
	out["softmax over the chosen"] = spec
	spec.Active = 1
	out["one expert"] = spec
	spec.Active, spec.Count = 3, 3
	out["all experts"] = spec
	spec.Count, spec.RouterBias, spec.Bias = 7, "gate.bias", true
	out["biases"] = spec
	spec.Alpha, spec.Limit = 1.7, 0.8
	out["clamped"] = spec
	return out
}

// mixtureProgram has a mixture of experts in two layers, with attention between.
func mixtureProgram(spec Experts) *Program { return mixtureOf(spec, tinyWidth, 8) }

func mixtureOf(spec Experts, width, size int) *Program {
	a := Attention{Q: "q", K: "k", V: "v", O: "o", Heads: 4, KVHeads: 2, Size: size, Causal: true, Rope: &Rope{InvFreq: []float64{1, 0.3, 0.1, 0.02}}}
	b := NewBuilder()
	x := b.Embed("embed.weight", tinyVocab, width)
	for i := range 2 {
		b.Block(fmt.Sprintf("layer.%d.", i), func() {
			x = b.Add(x, b.Attention(b.RMSNorm(x, "norm", 1e-5), "attention", a))
			x = b.Add(x, b.Experts(b.RMSNorm(x, "norm2", 1e-5), spec))
		})
	}
	b.Head(b.RMSNorm(x, "norm", 1e-5), "head.weight", tinyVocab)
	return b.Program()
}

// experts is a mixture of experts of one row, written out.
func (in *interpreter) experts(op *MoE, x []float64) []float64 {
	s := op.spec
	p := in.linear(Linear{Name: s.Router, Bias: s.RouterBias, Out: s.Count}, x)
	order := make([]int, s.Count)
	for i := range p {
		p[i], order[i] = math.Exp(p[i]), i
	}
	sort.SliceStable(order, func(i, j int) bool { return p[order[i]] > p[order[j]] })
	var sum float64
	for k, e := range order {
		if k < s.Active || !s.Normalize {
			sum += p[e]
		}
	}
	y := make([]float64, len(x))
	for _, e := range order[:s.Active] {
		lin := func(name string, x []float64, out int) []float64 {
			l := Linear{Name: fmt.Sprintf("%s%d.%s.weight", s.Prefix, e, name), Out: out}
			if s.Bias {
				l.Bias = fmt.Sprintf("%s%d.%s.bias", s.Prefix, e, name)
			}
			return in.linear(l, x)
		}
		h, up := lin(s.Gate, x, s.Width), lin(s.Up, x, s.Width)
		for i, g := range h {
			u := up[i]
			if s.Limit == 0 {
				h[i] = g / (1 + math.Exp(-g)) * u
				continue
			}
			g, u = math.Min(g, s.Limit), math.Max(math.Min(u, s.Limit), -s.Limit)
			h[i] = g / (1 + math.Exp(-s.Alpha*g)) * (u + 1)
		}
		for i, v := range lin(s.Down, h, len(x)) {
			y[i] += p[e] / sum * v
		}
	}
	return y
}

// TestMixtures: texts alone and whole against the interpreter; together in chunks, decoded from a cache, block by block
// and on two ranks.
func TestMixtures(t *testing.T) {
	tokens, tables := texts()
	if raceDetector {
		tokens, tables = tokens[:2], tables[:2]
	}
	for name, spec := range mixtures() {
		t.Run(name, func(t *testing.T) {
			p := mixtureProgram(spec)
			src := newRandomSource(p, 31)
			x := newExec(t, p, src, Options{MaxTokens: 400, KV: KVConfig{Blocks: textBlocks}})
			var want [][]float32
			for _, text := range tokens {
				want = append(want, allLogits(t, x, whole(text)))
			}
			checkLogits(t, want[0], src, p, tokens[0])
			for _, sizes := range [][]int{{400}, {1}, {31, 1, 64}} {
				got := inPieces(t, x, tokens, tables, sizes...)
				for i := range tokens {
					sameBits(t, fmt.Sprint("pieces ", sizes, " text ", i), got[i], want[i])
				}
			}
			for r := range 140 { // a row's sum runs in the order of its experts
				pick := x.moe[0].pick[r*spec.Active : (r+1)*spec.Active]
				if !slices.IsSorted(pick) {
					t.Fatalf("row %d takes experts %v", r, pick)
				}
			}
			streamed := newExec(t, p, src, Options{MaxTokens: 400, Stream: true})
			sameBits(t, "streamed", allLogits(t, streamed, whole(tokens[0])), want[0])
			onRanks(t, 2, p, src, Options{}, func(rank int, x *Exec) error {
				if err := x.Forward(whole(tokens[0])); err != nil {
					return err
				}
				in := newInterpreter(p, src)
				for r, row := range in.hidden(whole(tokens[0])) {
					for i, v := range row {
						if got := x.value(p.Hidden)[r*tinyWidth+i]; math.Abs(float64(got)-v) > 5e-5 {
							return fmt.Errorf("rank %d: value %d of row %d is %v, want %v", rank, i, r, got, v)
						}
					}
				}
				return nil
			})
		})
	}
}

// TestMixtureFormats: equal bits in every format of weights and with every implementation of the kernels, and nothing
// allocated by a step.
func TestMixtureFormats(t *testing.T) {
	spec := mixtures()["clamped"]
	spec.Width = 32
	p := mixtureOf(spec, 64, 16)
	src := newRandomSource(p, 32)
	tokens, tables := textsOf(70, 33)
	eachImplementation(t, func(t *testing.T) {
		for _, format := range []string{"f32", "bf16", "int4-g32", "int8-row", "w8a8"} {
			if raceDetector && format != "int4-g32" {
				continue
			}
			x := newExec(t, p, src, Options{MaxTokens: 128, MaxContext: 256, Formats: inFormat(format), KV: KVConfig{Blocks: 64}})
			var want [][]float32
			for _, text := range tokens {
				want = append(want, allLogits(t, x, whole(text)))
			}
			for _, sizes := range [][]int{{70}, {1}, {31, 7}} {
				got := inPieces(t, x, tokens, tables, sizes...)
				for i := range tokens {
					sameBits(t, fmt.Sprint(format, " pieces ", sizes, " text ", i), got[i], want[i])
				}
			}
			for _, n := range []int{1, 8} {
				if got := decodeAllocations(t, x, n); got != 0 && !raceDetector {
					t.Errorf("%s, %d sequences: %v allocations a step", format, n, got)
				}
			}
		}
	})
}

// TestManyRows: more rows than are routed at once, forward and backward.
func TestManyRows(t *testing.T) {
	p := mixtureProgram(mixtures()["biases"])
	src := newRandomSource(p, 33)
	text := tinyTokens(moeRows + 90)
	one := newExec(t, p, src, Options{MaxTokens: 1, MaxContext: len(text), KV: KVConfig{Blocks: 19}})
	x := newExec(t, p, src, Options{MaxTokens: len(text), Keep: true})
	got := allLogits(t, x, whole(text))
	table := make([]int32, 19)
	for i := range table {
		table[i] = int32(i)
	}
	for pos := range text {
		if raceDetector && pos == 40 {
			break
		}
		row := allLogits(t, one, &Batch{Tokens: text[pos : pos+1], Seqs: []Seq{{Len: 1, Pos: pos, Blocks: table}}})
		sameBits(t, fmt.Sprint("row ", pos), got[pos*tinyVocab:(pos+1)*tinyVocab], row)
	}
	q := src["layer.1.experts.2.down_proj.bias"].Param
	g := x.WantGrad(q)
	gradient := func(rows int) []float32 {
		clear(g)
		dy := normals(len(text) * tinyWidth)
		clear(dy[:(len(text)-rows)*tinyWidth])
		if err := x.SetHiddenGrad(dy); err != nil {
			t.Fatal(err)
		}
		if err := x.Backward(); err != nil {
			t.Fatal(err)
		}
		return slices.Clone(g)
	}
	all, last := gradient(len(text)), gradient(90)
	if slices.Max(last) == 0 || slices.Equal(all, last) {
		t.Errorf("rows beyond the first %d give the gradient %v, all rows %v", moeRows, last, all)
	}
}

// TestMixtureTaps: an expert's linears are heard with the rows that come to it, the router with all.
func TestMixtureTaps(t *testing.T) {
	p := mixtureProgram(mixtures()["biases"])
	src := newRandomSource(p, 34)
	heard := map[string]int{}
	x := newExec(t, p, src, Options{Tap: func(name string, in []float32, rows, width int) {
		heard[name] += rows
		if len(in) < rows*width || src[name].Cols != width {
			t.Errorf("%s: %d floats for [%d,%d], the matrix takes %d", name, len(in), rows, width, src[name].Cols)
		}
	}})
	sameBits(t, "tapped", allLogits(t, x, whole(tinyTokens(50))), allLogits(t, newExec(t, p, src, Options{}), whole(tinyTokens(50))))
	for _, linear := range []string{"gate_proj", "up_proj", "down_proj"} {
		n := 0
		for e := range 7 {
			n += heard[fmt.Sprintf("layer.1.experts.%d.%s.weight", e, linear)]
		}
		if n != 3*50 {
			t.Errorf("the experts' %s heard %d rows, want %d", linear, n, 3*50)
		}
	}
	if n := heard["layer.0.gate.weight"]; n != 50 {
		t.Errorf("the router heard %d rows, want 50", n)
	}
}

// TestClampedMul holds the fast body to its definition.
func TestClampedMul(t *testing.T) {
	gate, up := make([]float32, 600), make([]float32, 600)
	for i := range gate {
		gate[i], up[i] = float32(i-300)/20, float32((i*37)%600-300)/20
	}
	got := slices.Clone(gate)
	clampedMul(got, up, 1.702, 7)
	for i := range gate {
		g, u := math.Min(float64(gate[i]), 7), math.Max(math.Min(float64(up[i]), 7), -7)
		want := g / (1 + math.Exp(-1.702*g)) * (u + 1)
		if math.Abs(float64(got[i])-want) > 1e-6*(1+math.Abs(want)) {
			t.Errorf("gate %v, up %v: %v, want %v", gate[i], up[i], got[i], want)
		}
	}
}
