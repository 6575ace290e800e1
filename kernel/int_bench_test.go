package kernel

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// BenchmarkIntMul measures one worker on tiles that stay in its caches.
func BenchmarkIntMul(b *testing.B) {
	for _, k := range []struct {
		name string
		p    IntPanel
	}{
		{"4bit-g32", IntPanel{Bits: 4, Group: 32, Out: 1}},
		{"4bit-g64", IntPanel{Bits: 4, Group: 64, Out: 1}},
		{"4bit-g32-zero", IntPanel{Bits: 4, Group: 32, Zero: true, Out: 1}},
		{"4bit-g64-zero", IntPanel{Bits: 4, Group: 64, Zero: true, Out: 1}},
		{"4bit-g32-min", IntPanel{Bits: 4, Group: 32, Min: true, Out: 1}},
		{"5bit-g32", IntPanel{Bits: 5, Group: 32, Out: 1}},
		{"4bit-factored-min", IntPanel{Bits: 4, Group: 32, Factored: true, Min: true, Out: 1}},
		{"5bit-factored-min", IntPanel{Bits: 5, Group: 32, Factored: true, Min: true, Out: 1}},
		{"6bit-factored-half", IntPanel{Bits: 6, Group: 32, Factored: true, Half: true, Out: 1}},
		{"8bit-g32", IntPanel{Bits: 8, Group: 32, Out: 1}},
		{"8bit-g128", IntPanel{Bits: 8, Group: 128, Out: 1}},
		{"8bit-row", IntPanel{Bits: 8, Group: 64, PerRow: true}},
		{"8bit-token", IntPanel{Bits: 8, PerRow: true, PerToken: true}},
	} {
		for _, cols := range []int{512, 1536, 5632} {
			for _, m := range []int{1, 4, 8, 32, 120} {
				p := k.p
				p.Cols = cols
				if p.PerToken {
					p.Group = cols
				}
				b.Run(fmt.Sprintf("%s/k=%d/m=%d", k.name, cols, m), func(b *testing.B) { benchInt(b, &p, m) })
			}
		}
	}
}

func benchInt(b *testing.B, p *IntPanel, m int) {
	rng := rand.New(rand.NewPCG(1, 1))
	tiles := make([][]byte, max(1, 400<<10/p.TileBytes()))
	for i := range tiles {
		tiles[i] = randomTile(rng, p)
	}
	x, xs := randomActivations(rng, p, m)
	y, scratch := make([]float32, m*IntTileRows), aligned(p.ScratchBytes())
	start, i := threadTime(), 0
	for b.Loop() {
		IntMul(p, m, x, xs, tiles[i%len(tiles)], y, IntTileRows, scratch)
		i++
	}
	seconds := (threadTime() - start) / float64(b.N)
	b.ReportMetric(2*float64(p.Cols)*IntTileRows*float64(m)/seconds/1e9, "GOP/s")
	b.ReportMetric(float64(p.TileBytes())/seconds/1e9, "GB/s")
	b.ReportMetric(0, "ns/op")
}
