package nn

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

// pooledEncoder is an encoder with token types that ends in p.
func pooledEncoder(p Pool) *Program {
	b := NewBuilder()
	x := b.Add(b.Embed("word.weight", tinyVocab, tinyWidth), b.EmbedType("type.weight", 3, tinyWidth))
	x = b.LayerNorm(x, "norm", 1e-5)
	b.Block("layer.", func() {
		x = b.Add(x, b.Attention(x, "attention", Attention{Q: "q", K: "k", V: "v", O: "o", QKVBias: true, OBias: true, Heads: 2, KVHeads: 2, Size: 7}))
	})
	b.Pool(x, p)
	return b.Program()
}

// typed gives the rows of a batch token types.
func typed(b *Batch) *Batch {
	for i := range b.Tokens {
		b.Types = append(b.Types, int32(i*i%3))
	}
	return b
}

// definition pools rows, runs the head and normalises, plainly in float64.
func definition(p *Pool, rows [][]float64, params map[string][]float64) []float64 {
	v := make([]float64, p.width)
	for i := range v {
		switch p.Kind {
		case PoolMean:
			for _, r := range rows {
				v[i] += r[i] / float64(len(rows))
			}
		case PoolFirst:
			v[i] = rows[0][i]
		case PoolLast:
			v[i] = rows[len(rows)-1][i]
		case PoolMax:
			v[i] = math.Inf(-1)
			for _, r := range rows {
				v[i] = max(v[i], r[i])
			}
		}
	}
	for _, d := range p.Head {
		y := make([]float64, d.Out)
		for o := range y {
			for i, a := range v {
				y[o] += a * params[d.Name][o*len(v)+i]
			}
			if d.Bias != "" {
				y[o] += params[d.Bias][o]
			}
			switch d.Act {
			case "tanh":
				y[o] = math.Tanh(y[o])
			case "relu":
				y[o] = max(y[o], 0)
			}
		}
		v = y
	}
	if p.Normalize {
		var sq float64
		for _, x := range v {
			sq += x * x
		}
		for i := range v {
			v[i] /= math.Sqrt(sq)
		}
	}
	return v
}

// TestPooling: every pooling and head against the definition, forward; and by every parameter, backward.
func TestPooling(t *testing.T) {
	for name, p := range map[string]Pool{
		"mean": {}, "mean, normalised": {Normalize: true}, "first": {Kind: PoolFirst}, "last": {Kind: PoolLast, Normalize: true}, "max": {Kind: PoolMax},
		"tanh":                 {Kind: PoolFirst, Head: []Dense{{"pooler.weight", "pooler.bias", 11, "tanh"}, {"classifier.weight", "classifier.bias", 3, ""}}},
		"relu":                 {Kind: PoolFirst, Head: []Dense{{"pre.weight", "pre.bias", tinyWidth, "relu"}, {"classifier.weight", "", 1, ""}}},
		"max, one, normalised": {Kind: PoolMax, Head: []Dense{{"classifier.weight", "classifier.bias", 5, ""}}, Normalize: true},
	} {
		t.Run(name, func(t *testing.T) {
			program := pooledEncoder(p)
			src := newRandomSource(program, 21)
			in := newInterpreter(program, src)
			x := newExec(t, program, src, Options{Keep: true})
			grads := map[string][]float32{}
			for _, q := range program.Params() {
				grads[q.Name] = x.WantGrad(q)
			}
			b := typed(ragged(9, 1, 14))
			got := pooled(t, x, b)
			width := x.PooledWidth()
			vectors := func() []float64 {
				var all []float64
				hidden := in.hidden(b)
				for _, s := range b.Seqs {
					all = append(all, definition(program.Pool, hidden[s.Offset:s.Offset+s.Len], in.params)...)
				}
				return all
			}
			for i, want := range vectors() {
				if math.Abs(float64(got[i])-want) > 2e-5*(1+math.Abs(want)) {
					t.Fatalf("value %d of vector %d is %v, the definition says %v", i%width, i/width, got[i], want)
				}
			}
			g := normals(len(got))
			if err := x.SetPooledGrad(g); err != nil {
				t.Fatal(err)
			}
			if err := x.Backward(); err != nil {
				t.Fatal(err)
			}
			loss := func() (sum float64) {
				for i, v := range vectors() {
					sum += v * float64(g[i])
				}
				return sum
			}
			checkPoolGrads(t, in, loss, grads)
		})
	}
}

func checkPoolGrads(t *testing.T, in *interpreter, loss func() float64, grads map[string][]float32) {
	t.Helper()
	rng := rand.New(rand.NewPCG(9, 10))
	for name, values := range in.params {
		for range 3 {
			const step = 1e-6
			i := rng.IntN(len(values))
			old := values[i]
			values[i] = old + step
			up := loss()
			values[i] = old - step
			want := (up - loss()) / (2 * step)
			values[i] = old
			if got := float64(grads[name][i]); math.Abs(got-want) > 2e-4*(1+math.Abs(want)) {
				t.Errorf("gradient of %s[%d] is %v, central difference %v", name, i, got, want)
			}
		}
	}
}

// TestClassifierBits: a text's scores are the same bits alone and in any batch.
func TestClassifierBits(t *testing.T) {
	p := pooledEncoder(Pool{Kind: PoolFirst, Head: []Dense{{"pooler.weight", "pooler.bias", tinyWidth, "tanh"}, {"classifier.weight", "classifier.bias", 3, ""}}})
	src := newRandomSource(p, 22)
	b := typed(ragged(5, 70, 1, 33))
	for _, format := range []string{"f32", "bf16", "int8-row"} {
		x := newExec(t, p, src, Options{Formats: inFormat(format)})
		together := pooled(t, x, b)
		for i, s := range b.Seqs {
			one := whole(b.Tokens[s.Offset : s.Offset+s.Len])
			one.Types = b.Types[s.Offset : s.Offset+s.Len]
			sameBits(t, fmt.Sprint(format, " text ", i), together[i*3:(i+1)*3], pooled(t, x, one))
		}
	}
}

func TestTokenTypeFaults(t *testing.T) {
	with := newExec(t, pooledEncoder(Pool{}), newRandomSource(pooledEncoder(Pool{}), 1), Options{})
	without := newExec(t, tinyLlama(), newRandomSource(tinyLlama(), 1), Options{})
	for _, c := range []struct {
		x     *Exec
		types []int32
		says  string
	}{
		{with, []int32{0, 2}, ""}, {with, []int32{0, 3}, "token type 3 at row 1, this model has 3"}, {with, []int32{-1, 0}, "token type -1"},
		{with, []int32{0}, "1 token types for 2 tokens"}, {without, []int32{0, 0}, ""}, {without, []int32{0, 1}, "this model has 1"},
	} {
		err := c.x.Forward(&Batch{Tokens: []int32{1, 2}, Seqs: []Seq{{Len: 2}}, Types: c.types})
		if c.says == "" && err != nil || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%v: %v, want %q", c.types, err, c.says)
		}
	}
	if err := with.SetPooledGrad(nil); err == nil || !strings.Contains(err.Error(), "Keep") {
		t.Error(err)
	}
	kept := newExec(t, pooledEncoder(Pool{}), newRandomSource(pooledEncoder(Pool{}), 1), Options{Keep: true})
	pooled(t, kept, ragged(3))
	if err := kept.SetPooledGrad(make([]float32, 1)); err == nil || !strings.Contains(err.Error(), "has 1 values, the last batch has 24") {
		t.Error(err)
	}
}
