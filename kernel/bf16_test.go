package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// bf16Case is a tile, activations in both forms, and the product in float64 with the sum of magnitudes.
type bf16Case struct {
	tile       []uint16
	x          []float32
	half       []uint16
	want, size []float64
}

func newBF16Case(m, k, xs int) *bf16Case {
	rng := rand.New(rand.NewPCG(uint64(m), uint64(k)))
	even := (k + 1) &^ 1
	c := &bf16Case{tile: make([]uint16, even*BF16TileRows), x: make([]float32, m*xs), half: make([]uint16, m*xs)}
	for i := range c.tile {
		c.tile[i] = bf16Bits(float32(rng.NormFloat64()))
	}
	for i := range c.x {
		c.half[i] = bf16Bits(float32(rng.NormFloat64()))
		c.x[i] = bf16Value(c.half[i])
	}
	for t := range m {
		for r := range BF16TileRows {
			sum, size := 0.0, 0.0
			for j := range k {
				p := float64(c.x[t*xs+j]) * float64(bf16Value(c.tile[j&^1*BF16TileRows+2*r+j&1]))
				sum, size = sum+p, size+math.Abs(p)
			}
			c.want, c.size = append(c.want, sum), append(c.size, size)
		}
	}
	return c
}

// check holds y, with canaries round it, to the summation bound.
func (c *bf16Case) check(t *testing.T, m, k, ldy int, mul func(y []float32)) {
	t.Helper()
	y := make([]float32, m*ldy+64)
	for i := range y {
		y[i] = intCanary
	}
	mul(y[32 : 32+(m-1)*ldy+BF16TileRows])
	for i, v := range y {
		tok, r := (i-32)/ldy, (i-32)%ldy
		if i < 32 || tok >= m || r >= BF16TileRows {
			if v != intCanary {
				t.Fatalf("m %d, k %d: wrote beside the outputs, at %d", m, k, i-32)
			}
			continue
		}
		at := tok*BF16TileRows + r
		if limit := float64(k+1) * 0x1p-23 * c.size[at]; !(math.Abs(float64(v)-c.want[at]) <= limit) {
			t.Fatalf("m %d, k %d: token %d, row %d: %v, want %v ± %v", m, k, tok, r, v, c.want[at], limit)
		}
	}
}

func TestBF16Mul(t *testing.T) {
	eachInt(t, func(t *testing.T) {
		for _, k := range []int{1, 2, 3, 5, 8, 31, 64, 130} {
			for m := 1; m <= 26; m++ {
				xs, ldy := k+m%2, BF16TileRows+m%3
				c := newBF16Case(m, k, xs)
				c.check(t, m, k, ldy, func(y []float32) { BF16MulF32(m, k, c.x, xs, c.tile, y, ldy) })
				if k%2 == 0 {
					c.check(t, m, k, ldy, func(y []float32) { BF16Mul(m, k, c.half, xs, c.tile, y, ldy) })
				}
			}
		}
	})
}

// TestBF16MulOrder demands the same bits for a token alone and among others.
func TestBF16MulOrder(t *testing.T) {
	eachInt(t, func(t *testing.T) {
		const m, k = 25, 96
		c := newBF16Case(m, k, k)
		all, one := make([]float32, m*BF16TileRows), make([]float32, BF16TileRows)
		for name, mul := range map[string]func(m, at int, y []float32){
			"f32":  func(m, at int, y []float32) { BF16MulF32(m, k, c.x[at*k:], k, c.tile, y, BF16TileRows) },
			"bf16": func(m, at int, y []float32) { BF16Mul(m, k, c.half[at*k:], k, c.tile, y, BF16TileRows) },
		} {
			mul(m, 0, all)
			for tok := range m {
				mul(1, tok, one)
				for r, v := range one {
					if v != all[tok*BF16TileRows+r] {
						t.Fatalf("%s activations: token %d, row %d: %v alone, %v among others", name, tok, r, v, all[tok*BF16TileRows+r])
					}
				}
			}
		}
	})
}

func BenchmarkBF16Mul(b *testing.B) {
	for _, k := range []int{576, 1536} {
		for _, m := range []int{1, 4, 12, 120} {
			c := newBF16Case(m, k, k)
			y := make([]float32, m*BF16TileRows)
			run := func(name string, mul func()) {
				b.Run(fmt.Sprintf("%s/k=%d/m=%d", name, k, m), func(b *testing.B) {
					start := threadTime()
					for b.Loop() {
						mul()
					}
					seconds := (threadTime() - start) / float64(b.N)
					b.ReportMetric(2*float64(k*BF16TileRows*m)/seconds/1e9, "GFLOP/s")
					b.ReportMetric(float64(2*len(c.tile))/seconds/1e9, "GB/s")
					b.ReportMetric(0, "ns/op")
				})
			}
			run("f32", func() { BF16MulF32(m, k, c.x, k, c.tile, y, BF16TileRows) })
			run("bf16", func() { BF16Mul(m, k, c.half, k, c.tile, y, BF16TileRows) })
		}
	}
}
