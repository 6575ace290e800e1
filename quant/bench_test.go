package quant

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"

	"hone/kernel"
)

// benchWeight makes a packed weight of random numbers.
func benchWeight(b *testing.B, pool *kernel.Pool, name string, rows, cols int) Packed {
	b.Helper()
	f, _, err := Resolve(name, cols)
	if err != nil {
		b.Fatal(err)
	}
	var m Matrix
	if blocks, ok := f.(*blockFormat); ok {
		m = randomBlocks(b, blocks, rows, cols)
	} else {
		rng := rand.New(rand.NewPCG(1, 2))
		row := make([]float32, cols)
		for i := range row {
			row[i] = float32(rng.NormFloat64())
		}
		if m, err = f.Encode(rows, cols, func(dst []float32, i int) { copy(dst, row) }); err != nil {
			b.Fatal(err)
		}
	}
	w, err := Pack(m, pool)
	if err != nil {
		b.Fatal(err)
	}
	return w
}

// BenchmarkMul measures products of several matrices in turn, so that the weights of small ones come from where a model's would:
// GOP/s counts a multiply-add as two, GB/s the packed bytes read once. "1" is one thread by its CPU time, "2" both by the clock.
func BenchmarkMul(b *testing.B) {
	pool := kernel.NewPool(runtime.GOMAXPROCS(0))
	defer pool.Close()
	for _, format := range []string{"q4_0", "q4_1", "q4_k", "q5_0", "q5_k", "q6_k", "q3_k", "q2_k", "iq4_xs", "int4-g32", "int4-g64", "int4-g64-asym", "int4-row", "q8_0", "int8-g128", "int8-row", "w8a8", "bf16", "f32"} {
		for _, s := range []struct{ rows, cols, copies int }{{576, 576, 64}, {1536, 576, 32}, {576, 1536, 32}, {2048, 5632, 4}, {49152, 576, 2}, {1024, 1024, 4}} {
			var ws []Packed
			for _, tokens := range []int{1, 4, 32, 512, 1024} {
				if tokens >= 512 && s.rows > 40000 || tokens == 1024 && s.rows != tokens {
					continue
				}
				for _, threads := range []int{1, 2} {
					b.Run(fmt.Sprintf("%s/%dx%d/t=%d/%d", format, s.rows, s.cols, tokens, threads), func(b *testing.B) {
						for len(ws) < s.copies {
							ws = append(ws, benchWeight(b, pool, format, s.rows, s.cols))
						}
						if threads == 1 {
							benchMul(b, nil, ws, tokens)
						} else {
							benchMul(b, pool, ws, tokens)
						}
					})
				}
			}
		}
	}
}

func benchMul(b *testing.B, pool *kernel.Pool, ws []Packed, tokens int) {
	rows, cols := ws[0].Dims()
	in, x := NewInput(tokens, cols), benchRows(tokens, cols)
	y, mul := make([]float32, tokens*rows), NewMultiplier(pool)
	in.Set(x, cols, tokens)
	i, start := 0, threadTime()
	for b.Loop() {
		in.Set(x, cols, tokens)
		mul.Mul(in, Product{ws[i%len(ws)], y, rows})
		i++
	}
	seconds := b.Elapsed().Seconds() / float64(b.N)
	if pool == nil {
		seconds = (threadTime() - start) / float64(b.N)
	}
	b.ReportMetric(2*float64(rows)*float64(cols)*float64(tokens)/seconds/1e9, "GOP/s")
	b.ReportMetric(float64(ws[0].Bytes())/seconds/1e9, "GB/s")
	b.ReportMetric(0, "ns/op")
}

// benchRows are activations without denormals, which the float units of some CPUs take a hundred times as long for.
func benchRows(tokens, cols int) []float32 {
	rng := rand.New(rand.NewPCG(1, 3))
	x := make([]float32, tokens*cols)
	for i := range x {
		x[i] = float32(rng.NormFloat64())
	}
	return x
}

func BenchmarkPrepare(b *testing.B) {
	for _, e := range []Encoding{BF16, Int8Group32, Int8Group64, Int8Group128, Int8Token, Int16Group32} {
		b.Run(e.String(), func(b *testing.B) {
			const tokens, cols = 64, 1536
			in, x := NewInput(tokens, cols), benchRows(tokens, cols)
			b.SetBytes(4 * tokens * cols)
			start := threadTime()
			for b.Loop() {
				in.Set(x, cols, tokens)
				in.Prepare(nil, e)
			}
			b.ReportMetric((threadTime()-start)/float64(b.N*tokens*cols)*1e9, "ns/value")
		})
	}
}

func BenchmarkPack(b *testing.B) {
	pool := kernel.NewPool(runtime.GOMAXPROCS(0))
	defer pool.Close()
	for _, format := range []string{"q4_0", "q4_1", "q5_0", "q4_k", "q6_k", "q8_0", "int4-g32", "int4-g64-asym", "int8-row", "bf16", "f32"} {
		b.Run(format, func(b *testing.B) {
			f, _ := Lookup(format)
			const rows, cols = 1536, 768
			m := sample(b, f, rows, cols, randomRows(rows, cols, 3))
			for b.Loop() {
				if _, err := Pack(m, pool); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(rows*cols)*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mweights/s")
		})
	}
}

func BenchmarkEncode(b *testing.B) {
	const rows, cols = 1536, 768
	data := benchRows(rows, cols)
	for _, format := range []string{"q4_0", "q4_1", "q8_0", "q2_k", "q3_k", "q4_k", "q5_k", "q6_k", "iq4_nl", "int8-row", "int4-g32", "int4-g32-asym", "int4-g32-mse", "int4-g32-asym-mse"} {
		b.Run(format, func(b *testing.B) {
			f, _ := Lookup(format)
			for b.Loop() {
				if _, err := f.Encode(rows, cols, func(dst []float32, i int) { copy(dst, data[i*cols:]) }); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(rows*cols)*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mweights/s")
		})
	}
}
