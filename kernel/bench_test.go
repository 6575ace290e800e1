package kernel

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// eachBench runs a benchmark once with every implementation of this machine.
func eachBench(b *testing.B, f func(b *testing.B)) {
	before := Active()
	defer func() { _ = Use(before) }()
	for _, name := range Implementations() {
		_ = Use(name)
		b.Run(name, f)
	}
}

func gflops(b *testing.B, flops float64) {
	b.ReportMetric(flops*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
}

func BenchmarkPanel(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	x, y, z := random(r, 96*256), random(r, 256*32), random(r, 96*32)
	eachBench(b, func(b *testing.B) {
		for _, m := range []int{1, 2, 3, 4, 6, 8, 12, 16, 32, 96} {
			b.Run(fmt.Sprint(m), func(b *testing.B) {
				for b.Loop() {
					Panel(m, 256, x, 256, y, 32, z, 32, true)
				}
				gflops(b, float64(2*m*256*32))
			})
		}
	})
}

// BenchmarkGemm gives the rate of products and their share of the machine's own limit: the median of the shares of single
// products, each of the limit measured just before it, since a core's clock changes by a quarter within seconds.
func BenchmarkGemm(b *testing.B) {
	const n = 1024
	r := rand.New(rand.NewPCG(1, 2))
	x, y, z := random(r, n*n), random(r, n*n), random(r, n*n)
	for _, workers := range []int{1, 2} {
		p := NewPool(workers)
		defer p.Close()
		for _, l := range layouts {
			b.Run(fmt.Sprintf("%s/%d", l.name, workers), func(b *testing.B) {
				var shares []float64
				var took time.Duration
				for b.Loop() {
					limit := PeakF32(p, 0)
					start := time.Now()
					l.f(p, n, n, n, x, n, y, n, z, n, false)
					d := time.Since(start)
					took += d
					shares = append(shares, 2*n*n*n/d.Seconds()/1e9/limit)
				}
				slices.Sort(shares)
				b.ReportMetric(2*n*n*n*float64(b.N)/took.Seconds()/1e9, "GFLOP/s")
				b.ReportMetric(shares[len(shares)/2], "share-of-limit")
			})
		}
	}
}

// BenchmarkRows is the price of row operations on 1536 elements, in bytes of float32 a second of the first operand.
func BenchmarkRows(b *testing.B) {
	const n = 1536
	r := rand.New(rand.NewPCG(1, 2))
	x, y, z := random(r, n), random(r, n), make([]float32, n)
	h, q := make([]uint16, n), make([]int8, n)
	one, nought := make([]float32, n/2), make([]float32, n/2)
	for i := range one {
		one[i] = 1
	}
	for _, op := range []struct {
		name string
		f    func()
	}{
		{"Add", func() { Add(z, x, y) }},
		{"Axpy", func() { Axpy(z, 1e-30, x) }},
		{"Dot", func() { Dot(x, y) }},
		{"Max", func() { Max(x) }},
		{"ArgMax", func() { ArgMax(x) }},
		{"RMSNorm", func() { RMSNorm(z, x, y, 1e-5) }},
		{"LayerNorm", func() { LayerNorm(z, x, y, y, 1e-5) }},
		{"Exp", func() { Exp(z, x) }},
		{"ExpSum", func() { ExpSum(z, x, 2) }},
		{"SiLUMul", func() { SiLUMul(z, x, y) }},
		{"GELU", func() { GELU(z, x) }},
		{"GELUTanh", func() { GELUTanh(z, x) }},
		{"Rope", func() { Rope(z, one, nought) }},
		{"BF16ToF32", func() { BF16ToF32(z, h) }},
		{"F32ToBF16", func() { F32ToBF16(h, x) }},
		{"F16ToF32", func() { F16ToF32(z, h) }},
		{"F32ToF16", func() { F32ToF16(h, x) }},
		{"Int8ToF32", func() { Int8ToF32(z, q, 1) }},
	} {
		b.Run(op.name, func(b *testing.B) {
			eachBench(b, func(b *testing.B) {
				b.SetBytes(4 * n)
				for b.Loop() {
					op.f()
				}
			})
		})
	}
}
