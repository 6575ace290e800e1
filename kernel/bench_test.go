package kernel

import (
	"fmt"
	"math/rand/v2"
	"testing"
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

func BenchmarkGemm(b *testing.B) {
	const n = 1024
	r := rand.New(rand.NewPCG(1, 2))
	x, y, z := random(r, n*n), random(r, n*n), random(r, n*n)
	for _, workers := range []int{1, 2} {
		p := NewPool(workers)
		defer p.Close()
		for _, l := range layouts {
			b.Run(fmt.Sprintf("%s/%d", l.name, workers), func(b *testing.B) {
				for b.Loop() {
					l.f(p, n, n, n, x, n, y, n, z, n, false)
				}
				gflops(b, 2*n*n*n)
			})
		}
	}
}
