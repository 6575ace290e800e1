package nn

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"hone/kernel"
	"hone/parallel"
)

const tinyPositions = 150

// tinyBERT has what Llama lacks: learned positions, a table of which row 0 is read, LayerNorm after the residual, biases
// everywhere, attention to both sides with heads of an odd size, GELU and mean pooling.
func tinyBERT() *Program {
	const heads, size = 3, 7
	attention := Attention{Q: "query", K: "key", V: "value", O: "output", QKVBias: true, OBias: true, Heads: heads, KVHeads: heads, Size: size}
	b := NewBuilder()
	x := b.Embed("word.weight", tinyVocab, tinyWidth)
	x = b.Add(x, b.EmbedType("type.weight", 2, tinyWidth))
	x = b.Add(x, b.EmbedPosition("position.weight", tinyPositions, tinyWidth, 0))
	x = b.LayerNorm(x, "norm", 1e-5)
	for i := range 2 {
		b.Block(fmt.Sprintf("layer.%d.", i), func() {
			x = b.LayerNorm(b.Add(x, b.Attention(x, "attention", attention)), "attention.norm", 1e-5)
			h := b.ColumnLinears(x, Linear{Name: "up.weight", Bias: "up.bias", Out: 37, Unit: 1})
			x = b.LayerNorm(b.Add(x, b.RowLinear(b.GELU(h[0]), "down.weight", "down.bias", tinyWidth)), "output.norm", 1e-5)
		})
	}
	b.Pool(x, Pool{Normalize: true})
	return b.Program()
}

// biasedLlama has biases before the rotation, and a head of its own.
func biasedLlama() *Program {
	attention := Attention{Q: "q", K: "k", V: "v", O: "o", QKVBias: true, OBias: true, Heads: 4, KVHeads: 2, Size: 6, Causal: true, Rope: &Rope{InvFreq: []float64{1, 0.3, 0.05}}}
	b := NewBuilder()
	x := b.Embed("embed.weight", tinyVocab, tinyWidth)
	b.Block("block.", func() {
		x = b.Add(x, b.Attention(b.RMSNorm(x, "norm", 1e-5), "attention", attention))
		gu := b.ColumnLinears(x, Linear{Name: "gate.weight", Bias: "gate.bias", Out: 20, Unit: 1}, Linear{Name: "up.weight", Bias: "up.bias", Out: 20, Unit: 1})
		x = b.Add(x, b.RowLinear(b.SiLUMul(gu[0], gu[1]), "down.weight", "down.bias", tinyWidth))
	})
	b.Head(b.RMSNorm(x, "norm", 1e-5), "head.weight", tinyVocab)
	return b.Program()
}

func newExec(t testing.TB, p *Program, src Source, opt Options) *Exec {
	t.Helper()
	pool := kernel.NewPool(2)
	t.Cleanup(pool.Close)
	opt.Pool = pool
	if opt.MaxTokens == 0 {
		opt.MaxTokens = 320
	}
	x, err := New(p, src, opt)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// ragged makes one batch of texts of the given lengths.
func ragged(lengths ...int) *Batch {
	b := &Batch{}
	for _, n := range lengths {
		b.Seqs = append(b.Seqs, Seq{Offset: len(b.Tokens), Len: n})
		b.Tokens = append(b.Tokens, tinyTokens(n + len(b.Tokens))[len(b.Tokens):]...)
	}
	return b
}

func normals(n int) []float32 {
	rng := rand.New(rand.NewPCG(5, 5))
	g := make([]float32, n)
	for i := range g {
		g[i] = float32(rng.NormFloat64())
	}
	return g
}

// TestOpsAgainstFloat64 holds the hidden value, and the gradient of a random sum of it by every parameter, to a float64
// interpreter of the same program.
func TestOpsAgainstFloat64(t *testing.T) {
	programs := map[string]func() *Program{"bert": tinyBERT, "llama": tinyLlama, "biased llama": biasedLlama, "every op": everyOp}
	for name, a := range attentions() {
		programs["attention: "+name] = func() *Program { return attentionProgram(a) }
	}
	for name, spec := range mixtures() {
		programs["experts: "+name] = func() *Program { return mixtureProgram(spec) }
	}
	for name, program := range programs {
		t.Run(name, func(t *testing.T) {
			p := program()
			src := newRandomSource(p, 3)
			in := newInterpreter(p, src)
			x := newExec(t, p, src, Options{Keep: true})
			grads := map[string][]float32{}
			for _, q := range p.Params() {
				grads[q.Name] = x.WantGrad(q)
			}
			b := ragged(9, 1, 14)
			g := normals(len(b.Tokens) * tinyWidth)
			if err := x.Forward(b); err != nil {
				t.Fatal(err)
			}
			for r, row := range in.hidden(b) {
				for i, want := range row {
					if got := x.value(p.Hidden)[r*tinyWidth+i]; math.Abs(float64(got)-want) > 2e-5*(1+math.Abs(want)) {
						t.Fatalf("hidden value %d of row %d is %v, the interpreter says %v", i, r, got, want)
					}
				}
			}
			if err := x.SetHiddenGrad(g); err != nil {
				t.Fatal(err)
			}
			if err := x.Backward(); err != nil {
				t.Fatal(err)
			}
			checkAgainst(t, in, b, g, grads)
		})
	}
}

func checkAgainst(t *testing.T, in *interpreter, b *Batch, g []float32, grads map[string][]float32) {
	t.Helper()
	loss := func() (sum float64) {
		for r, row := range in.hidden(b) {
			for i, v := range row {
				sum += v * float64(g[r*tinyWidth+i])
			}
		}
		return sum
	}
	rng := rand.New(rand.NewPCG(9, 9))
	for name, values := range in.params {
		for range 5 {
			const step = 1e-5
			i := rng.IntN(len(values))
			if strings.HasPrefix(name, "type.") {
				i %= tinyWidth // the other row is never read
			}
			old := values[i]
			values[i] = old + step
			up := loss()
			values[i] = old - step
			want := (up - loss()) / (2 * step)
			values[i] = old
			if got := float64(grads[name][i]); math.Abs(got-want) > 1e-4*(1+math.Abs(want)) {
				t.Errorf("gradient of %s[%d] is %v, central difference %v", name, i, got, want)
			}
		}
	}
}

// pooled gives one vector for each text of a batch.
func pooled(t *testing.T, x *Exec, b *Batch) []float32 {
	t.Helper()
	out := make([]float32, len(b.Seqs)*x.PooledWidth())
	if err := x.Forward(b); err != nil {
		t.Fatal(err)
	}
	if err := x.Pooled(out); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestRaggedEncoder: a text's vector is the same bits alone and in any batch, in any format of weights, and in f32 what
// the interpreter says.
func TestRaggedEncoder(t *testing.T) {
	p := tinyBERT()
	src := newRandomSource(p, 4)
	b := ragged(5, 140, 1, 33, 64, 2)
	in := newInterpreter(p, src)
	for _, format := range []string{"bf16", "int8-row", "w8a8", "f32"} {
		x := newExec(t, p, src, Options{Formats: inFormat(format)})
		together := pooled(t, x, b)
		for i, s := range b.Seqs {
			one := whole(b.Tokens[s.Offset : s.Offset+s.Len])
			alone := pooled(t, x, one)
			sameBits(t, fmt.Sprint(format, " text ", i), together[i*tinyWidth:(i+1)*tinyWidth], alone)
			if format == "f32" {
				checkVector(t, alone, in.hidden(one))
			}
		}
	}
}

// checkVector compares a vector with the normalised mean of hidden rows.
func checkVector(t *testing.T, got []float32, rows [][]float64) {
	t.Helper()
	mean, norm := make([]float64, tinyWidth), 0.0
	for _, row := range rows {
		for d, v := range row {
			mean[d] += v
		}
	}
	for _, v := range mean {
		norm += v * v
	}
	for d, v := range mean {
		if want := v / math.Sqrt(norm); math.Abs(float64(got[d])-want) > 1e-5 {
			t.Fatalf("feature %d of a text of %d tokens is %v, the interpreter says %v", d, len(rows), got[d], want)
		}
	}
}

// onRanks runs use with one executor of p on each of n ranks.
func onRanks(t *testing.T, n int, p *Program, src Source, opt Options, use func(rank int, x *Exec) error) {
	t.Helper()
	execs := make([]*Exec, n)
	for rank, group := range parallel.NewMemory(n) {
		opt.Group = group
		execs[rank] = newExec(t, p, src, opt)
	}
	done := make(chan error)
	for rank, x := range execs {
		go func() { done <- use(rank, x) }()
	}
	for range execs {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
}

// TestThreeUnevenShards: 37 features, 61 tokens and 40 or 48 features do not divide by three; biases of both kinds are
// added once.
func TestThreeUnevenShards(t *testing.T) {
	p := tinyBERT()
	src := newRandomSource(p, 6)
	b := ragged(20, 7)
	ranksGive(t, 3, p, src, b, newInterpreter(p, src).hidden(b))
}

// ranksGive holds the hidden rows of every rank of so many to those wanted.
func ranksGive(t *testing.T, ranks int, p *Program, src Source, b *Batch, want [][]float64) {
	t.Helper()
	onRanks(t, ranks, p, src, Options{}, func(rank int, x *Exec) error {
		if err := x.Forward(b); err != nil {
			return err
		}
		for r, row := range want {
			for i, v := range row {
				if got := x.value(p.Hidden)[r*tinyWidth+i]; math.Abs(float64(got)-v) > 5e-5 {
					return fmt.Errorf("rank %d: value %d of row %d is %v, want %v", rank, i, r, got, v)
				}
			}
		}
		return nil
	})
}

// TestShardedGradients: every rank's share of every gradient is the matching part of the unsharded one.
func TestShardedGradients(t *testing.T) {
	programs := map[string]func() *Program{"tied": tinyLlama, "biased": biasedLlama, "capped head": cappedHead, "every op": everyOp}
	for name, a := range attentions() {
		programs["attention: "+name] = func() *Program { return attentionProgram(a) }
	}
	for name, spec := range mixtures() {
		programs["experts: "+name] = func() *Program { return mixtureProgram(spec) }
	}
	for name, program := range programs {
		t.Run(name, func(t *testing.T) {
			p := program()
			src := newRandomSource(p, 8)
			b := ragged(17, 6)
			targets := tinyTokens(23)
			run := func(x *Exec) (map[string][]float32, error) {
				grads := map[string][]float32{}
				for _, q := range p.Params() {
					grads[q.Name] = x.WantGrad(q)
				}
				if err := x.Forward(b); err != nil {
					return nil, err
				}
				if _, err := x.CrossEntropy(targets); err != nil {
					return nil, err
				}
				return grads, x.Backward()
			}
			want, err := run(newExec(t, p, src, Options{Keep: true}))
			if err != nil {
				t.Fatal(err)
			}
			onRanks(t, 2, p, src, Options{Keep: true}, func(rank int, x *Exec) error {
				got, err := run(x)
				if err != nil {
					return err
				}
				for _, q := range p.Params() {
					if err := closeTo(got[q.Name], shareOf(q, want[q.Name], rank, 2)); err != nil {
						return fmt.Errorf("rank %d: gradient of %s: %w", rank, q.Name, err)
					}
				}
				return nil
			})
		})
	}
}

// shareOf cuts a whole gradient as the parameter is cut.
func shareOf(q Param, g []float32, rank, ranks int) []float32 {
	switch {
	case q.Head || q.Shard == Whole:
		return g
	case q.Shard == Column && q.Vector:
		from, to := split(q.Cols, q.Unit, rank, ranks)
		return g[from:to]
	case q.Shard == Column:
		from, to := split(q.Rows, q.Unit, rank, ranks)
		return g[from*q.Cols : to*q.Cols]
	}
	from, to := split(q.Cols, q.Unit, rank, ranks)
	var out []float32
	for r := range q.Rows {
		out = append(out, g[r*q.Cols+from:r*q.Cols+to]...)
	}
	return out
}

func closeTo(got, want []float32) error {
	if len(got) != len(want) {
		return fmt.Errorf("%d values, want %d", len(got), len(want))
	}
	for i, v := range want {
		if math.Abs(float64(got[i]-v)) > 1e-5+1e-4*math.Abs(float64(v)) {
			return fmt.Errorf("value %d is %v, want %v", i, got[i], v)
		}
	}
	return nil
}

func TestTooManyRanks(t *testing.T) {
	src := newRandomSource(tinyLlama(), 1)
	pool := kernel.NewPool(1)
	defer pool.Close()
	_, err := New(tinyLlama(), src, Options{MaxTokens: 8, Pool: pool, Group: parallel.NewMemory(3)[0]})
	if err == nil || !strings.Contains(err.Error(), "no more than 2 ranks, not 3") {
		t.Errorf("three ranks for two key/value heads: %v", err)
	}
	grid := gridLlama()
	_, err = New(grid, newRandomSource(grid, 1), Options{MaxTokens: 8, Pool: pool, Group: parallel.NewMemory(2)[0], Formats: inFormat("int4-g32")})
	if err == nil || !strings.Contains(err.Error(), "layer.0.down.weight for 2 ranks") {
		t.Errorf("a cut through a group: %v", err)
	}
}
