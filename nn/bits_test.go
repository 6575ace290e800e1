package nn

import (
	"fmt"
	"math"
	"testing"

	"hone/kernel"
)

// gridLlama has rows that groups of 32 divide, and more tokens than one panel of the head holds.
func gridLlama() *Program {
	attention := Attention{Q: "q", K: "k", V: "v", O: "o", Heads: 4, KVHeads: 2, Size: 16, Causal: true, Rope: &Rope{}}
	for i := range 8 {
		attention.Rope.InvFreq = append(attention.Rope.InvFreq, math.Pow(1000, -float64(i)/8))
	}
	b := NewBuilder()
	x := b.Embed("embed.weight", tinyVocab, 64)
	for i := range 2 {
		b.Block(fmt.Sprintf("layer.%d.", i), func() {
			x = b.Add(x, b.Attention(b.RMSNorm(x, "norm", 1e-5), "attention", attention))
			gu := b.ColumnLinears(b.RMSNorm(x, "norm2", 1e-5), Linear{Name: "gate.weight", Out: 96, Unit: 1}, Linear{Name: "up.weight", Out: 96, Unit: 1})
			x = b.Add(x, b.RowLinear(b.SiLUMul(gu[0], gu[1]), "down.weight", "", 64))
		})
	}
	b.Head(b.RMSNorm(x, "norm", 1e-5), "head.weight", tinyVocab)
	return b.Program()
}

// inFormat gives every matrix but the embedding one format.
func inFormat(format string) func(Param) string {
	return func(p Param) string {
		if p.Embedding {
			return ""
		}
		return format
	}
}

// eachImplementation runs test with every kernel implementation of this machine.
func eachImplementation(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	was := kernel.Active()
	defer func() {
		if err := kernel.Use(was); err != nil {
			t.Error(err)
		}
	}()
	for _, name := range kernel.Implementations() {
		if err := kernel.Use(name); err != nil {
			t.Fatal(err)
		}
		t.Run(name, test)
	}
}

// texts are sequences whose lengths end before, on and after borders of blocks and tiles, each with its block table.
func texts() (tokens [][]int32, tables [][]int32) { return textsOf(140, 33, 64, 1, 129) }

func textsOf(lengths ...int) (tokens [][]int32, tables [][]int32) {
	next := int32(0)
	for i, n := range lengths {
		tokens = append(tokens, tinyTokens(n + i)[i:])
		table := make([]int32, (n+BlockTokens-1)/BlockTokens)
		for j := range table {
			table[len(table)-1-j] = next
			next++
		}
		tables = append(tables, table)
	}
	return tokens, tables
}

const textBlocks = 5 + 2 + 2 + 1 + 5

// inPieces feeds all texts together, each in pieces of its own size, and returns each text's logits.
func inPieces(t *testing.T, x *Exec, tokens, tables [][]int32, sizes ...int) [][]float32 {
	t.Helper()
	out, pos := make([][]float32, len(tokens)), make([]int, len(tokens))
	for {
		var b Batch
		var from []int
		for i, text := range tokens {
			n := min(sizes[i%len(sizes)], len(text)-pos[i])
			if n == 0 {
				continue
			}
			b.Seqs = append(b.Seqs, Seq{Offset: len(b.Tokens), Len: n, Pos: pos[i], Blocks: tables[i]})
			b.Tokens = append(b.Tokens, text[pos[i]:pos[i]+n]...)
			from = append(from, i)
			pos[i] += n
		}
		if len(b.Tokens) == 0 {
			return out
		}
		logits := allLogits(t, x, &b)
		for j, s := range b.Seqs {
			out[from[j]] = append(out[from[j]], logits[s.Offset*tinyVocab:(s.Offset+s.Len)*tinyVocab]...)
		}
	}
}

// TestEqualBitsInEveryFormat: a text alone and whole, texts together in chunks, and decoding several at once give the
// same bits, in every kind of weights, with every implementation.
func TestEqualBitsInEveryFormat(t *testing.T) {
	p := gridLlama()
	src := newRandomSource(p, 11)
	eachImplementation(t, func(t *testing.T) {
		for _, format := range []string{"f32", "bf16", "f16", "int4-g32", "int4-g32-asym-a8", "int8-g32", "int8-g32-a8", "int8-row-a8", "w8a8"} {
			tokens, tables := texts()
			if raceDetector || testing.Short() && kernel.Active() == "go" {
				tokens, tables = tokens[1:4], tables[1:4]
			}
			x := newExec(t, p, src, Options{MaxTokens: 400, Formats: inFormat(format), KV: KVConfig{Blocks: textBlocks}})
			var want [][]float32
			for _, text := range tokens {
				want = append(want, allLogits(t, x, whole(text)))
			}
			for _, sizes := range [][]int{{400}, {1}, {31, 1, 64}, {7, 50}} {
				got := inPieces(t, x, tokens, tables, sizes...)
				for i := range tokens {
					sameBits(t, fmt.Sprint(format, " pieces ", sizes, " text ", i), got[i], want[i])
				}
			}
		}
	})
}

// TestKVTypes: rounded keys and values give the same bits however a text is cut, and logits near those of f32.
func TestKVTypes(t *testing.T) {
	p := gridLlama()
	src := newRandomSource(p, 12)
	tokens, tables := texts()
	if raceDetector {
		tokens, tables = tokens[1:4], tables[1:4]
	}
	eachImplementation(t, func(t *testing.T) {
		exact := newExec(t, p, src, Options{MaxTokens: 400, KV: KVConfig{Blocks: textBlocks}})
		f32 := inPieces(t, exact, tokens, tables, 400)
		for kind, bound := range map[string]float64{"bf16": 0.01, "int8": 0.02} {
			x := newExec(t, p, src, Options{MaxTokens: 400, KV: KVConfig{Type: kind, Blocks: textBlocks}})
			want := inPieces(t, x, tokens, tables, 400)
			for _, sizes := range [][]int{{1}, {31, 1, 64}} {
				got := inPieces(t, x, tokens, tables, sizes...)
				for i := range tokens {
					sameBits(t, fmt.Sprint(kind, " pieces ", sizes, " text ", i), got[i], want[i])
				}
			}
			var off, size float64
			for i := range tokens {
				for j, v := range f32[i] {
					off += math.Pow(float64(want[i][j]-v), 2)
					size += math.Pow(float64(v), 2)
				}
			}
			if rms := math.Sqrt(off / size); rms < bound/10 || rms > bound {
				t.Errorf("%s: logits are off by %v of their size, want at most %v and not nothing", kind, rms, bound)
			}
		}
	})
}

// TestKVBytes: the reported memory is what the stores really hold.
func TestKVBytes(t *testing.T) {
	p := gridLlama()
	shape := newKVShape(p.heads, 3)
	for kind, want := range map[string]int{
		"f32":  4 * len(newKVStore("f32", shape).(*kvF32).data),
		"bf16": 2 * len(newKVStore("bf16", shape).(*kvBF16).data),
		"int8": len(newKVStore("int8", shape).(*kvInt8).data) + 4*len(newKVStore("int8", shape).(*kvInt8).scales),
	} {
		if got := 3 * p.KVBlockBytes(kind); got != int64(want) {
			t.Errorf("%s: 3 blocks are said to take %d bytes, they take %d", kind, got, want)
		}
	}
}

// TestDecodeAllocatesNothing: a step of 1 or 8 sequences and its logits, with a pool of two.
func TestDecodeAllocatesNothing(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector allocates")
	}
	p := gridLlama()
	src := newRandomSource(p, 13)
	for _, format := range []string{"f32", "int4-g32", "w8a8", "bf16"} {
		for _, kind := range []string{"f32", "bf16", "int8"} {
			for _, n := range []int{1, 8} {
				x := newExec(t, p, src, Options{MaxTokens: 64, MaxContext: 256, Formats: inFormat(format), KV: KVConfig{Type: kind, Blocks: 64}})
				if got := decodeAllocations(t, x, n); got != 0 {
					t.Errorf("%s weights, %s cache, %d sequences: %v allocations a step", format, kind, n, got)
				}
			}
		}
	}
	p = attentionProgram(attentions()["all"])
	x := newExec(t, p, newRandomSource(p, 13), Options{MaxTokens: 64, MaxContext: 256, KV: KVConfig{Blocks: 64}})
	if got := decodeAllocations(t, x, 8); got != 0 {
		t.Errorf("attention with everything: %v allocations a step", got)
	}
}

// decodeAllocations counts the allocations of a step of n sequences and its logits.
func decodeAllocations(t *testing.T, x *Exec, n int) float64 {
	b := &Batch{Tokens: make([]int32, n)}
	rows, logits := make([]int32, n), make([]float32, n*tinyVocab)
	for i := range n {
		table := make([]int32, 8)
		for j := range table {
			table[j] = int32(i*8 + j)
		}
		b.Seqs = append(b.Seqs, Seq{Offset: i, Len: 1, Blocks: table})
		b.Tokens[i], rows[i] = int32(i), int32(i)
	}
	step := func() {
		if err := x.Forward(b); err != nil {
			t.Fatal(err)
		}
		if err := x.Logits(logits, rows); err != nil {
			t.Fatal(err)
		}
		for i := range b.Seqs {
			b.Seqs[i].Pos++
		}
	}
	step()
	return testing.AllocsPerRun(100, step)
}

// TestStreamedFormats: a model that is loaded block by block gives the bits of one that is loaded whole, converted or
// not, from a cache as well.
func TestStreamedFormats(t *testing.T) {
	p := gridLlama()
	src := newRandomSource(p, 14)
	tokens, tables := texts()
	for _, format := range []string{"", "int4-g32", "w8a8"} {
		opt := Options{MaxTokens: 400, KV: KVConfig{Blocks: textBlocks}}
		if format != "" {
			opt.Formats = inFormat(format)
		}
		want := inPieces(t, newExec(t, p, src, opt), tokens, tables, 400)
		opt.Stream = true
		got := inPieces(t, newExec(t, p, src, opt), tokens, tables, 70)
		for i := range tokens {
			sameBits(t, fmt.Sprint(format, " text ", i), got[i], want[i])
		}
	}
}

// TestBackwardThroughRoundedWeights: gradients go through the weights as they run. They point where those of a model of
// exactly the rounded weights in f32 do; activations, which only one of the two rounds, leave a small angle.
func TestBackwardThroughRoundedWeights(t *testing.T) {
	p := gridLlama()
	src := newRandomSource(p, 15)
	gain := src["layer.0.norm.weight"].Param
	for _, format := range []string{"int4-g32", "int8-row", "w8a8", "bf16"} {
		got := gainGradient(t, newExec(t, p, src, Options{Keep: true, Formats: inFormat(format)}), gain)
		want := gainGradient(t, newExec(t, p, rounded(t, src, format), Options{Keep: true}), gain)
		if c := cosine(got, want); c < 0.99 {
			t.Errorf("%s: cosine %v to the gradient of the rounded weights in f32", format, c)
		}
		if c := cosine(got, gainGradient(t, newExec(t, p, newRandomSource(p, 16), Options{Keep: true}), gain)); c > 0.9 {
			t.Errorf("cosine %v to the gradient of other weights: this test cannot fail", c)
		}
	}
}

// rounded gives the values that matrices have in a format, in f32.
func rounded(t *testing.T, src randomSource, format string) randomSource {
	t.Helper()
	out := randomSource{}
	for name, q := range src {
		out[name] = &randomParam{q.Param, append([]float32(nil), q.data...)}
		if q.Vector {
			continue
		}
		m, err := Convert(src, q.Param, inFormat(format), nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := range q.Rows {
			m.ReadRow(out[name].data[i*q.Cols:(i+1)*q.Cols], i)
		}
	}
	return out
}

func gainGradient(t *testing.T, x *Exec, gain Param) []float32 {
	t.Helper()
	g := x.WantGrad(gain)
	if err := x.Forward(whole(tinyTokens(12))); err != nil {
		t.Fatal(err)
	}
	if err := x.SetHiddenGrad(normals(12 * 64)); err != nil {
		t.Fatal(err)
	}
	if err := x.Backward(); err != nil {
		t.Fatal(err)
	}
	return g
}

func cosine(a, b []float32) float64 {
	var ab, aa, bb float64
	for i, v := range a {
		w := float64(b[i])
		ab, aa, bb = ab+float64(v)*w, aa+float64(v)*float64(v), bb+w*w
	}
	return ab / math.Sqrt(aa*bb)
}
