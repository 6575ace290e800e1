package kernel

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"
)

// intPanels are all kinds of integer panels, at widths of several groups.
func intPanels() []IntPanel {
	var out []IntPanel
	for _, group := range []int{32, 64, 128} {
		for _, groups := range []int{1, 2, 5} {
			p := IntPanel{Cols: group * groups, Group: group, Out: 0.5}
			for _, bits := range []int{4, 8} {
				for _, kind := range []struct{ row, zero, min bool }{{}, {row: true}, {row: true, zero: true}, {min: true}, {zero: bits == 4}} {
					p.Bits, p.PerRow, p.Zero, p.Min = bits, kind.row, kind.zero, kind.min
					out = append(out, p)
				}
			}
		}
	}
	for _, blocks := range []int{1, 2} {
		p := IntPanel{Cols: IntBlock * blocks, Group: 32, Out: 0.5}
		for _, kind := range []struct {
			bits                int
			factored, half, min bool
		}{
			{5, false, false, false}, {5, false, false, true}, {4, true, false, true}, {5, true, false, true}, {8, true, false, false},
			{4, true, true, false}, {6, true, true, false}, {4, true, true, true},
		} {
			p.Bits, p.Factored, p.Half, p.Min = kind.bits, kind.factored, kind.half, kind.min
			out = append(out, p)
		}
		p = IntPanel{Bits: 4, Cols: IntBlock * blocks, Group: 32, Grid: &IntGrid{0, 11, 33, 47, 60, 77, 100, 127, 128, 129, 141, 160, 180, 199, 230, 255}, Out: 0.5}
		out = append(out, p)
		p.Factored = true
		out = append(out, p)
	}
	for _, cols := range []int{32, 96, 640} {
		out = append(out, IntPanel{Bits: 8, Cols: cols, Group: cols, PerRow: true, PerToken: true})
	}
	return out
}

func panelName(p IntPanel) string {
	return fmt.Sprintf("%dbits/row=%v,zero=%v,min=%v,factored=%v,half=%v,grid=%v,token=%v/%dx%d", p.Bits, p.PerRow, p.Zero, p.Min, p.Factored, p.Half, p.Grid != nil, p.PerToken, p.Cols, p.Group)
}

// randomTile fills a tile: any codes, sane scales.
func randomTile(rng *rand.Rand, p *IntPanel) []byte {
	tile := aligned(p.TileBytes())
	for i := range tile {
		tile[i] = byte(rng.Uint32())
	}
	float := func(at int) {
		binary.LittleEndian.PutUint32(tile[at:], math.Float32bits(float32(rng.NormFloat64())))
	}
	half := func(at int) { binary.LittleEndian.PutUint16(tile[at:], f16Bits(float32(rng.NormFloat64()))) }
	for r := range IntTileRows {
		if p.PerRow {
			float(4 * r)
		}
		if p.PerRow && p.Zero && p.Bits == 8 {
			binary.LittleEndian.PutUint32(tile[4*(IntTileRows+r):], math.Float32bits(-float32(rng.IntN(256))))
		}
	}
	if p.Zero && p.Bits == 4 {
		z := p.zeros(tile)
		for i := range z {
			z[i] &= 15
		}
	}
	for g := range p.Groups() {
		at := p.RecordAt(g)
		for r := range IntTileRows {
			switch {
			case p.Factored && g%8 == 0:
				half(at - p.BlockBytes() + 2*r)
				if p.Min {
					half(at - p.BlockBytes()/2 + 2*r)
				}
			case !p.PerRow && !p.Factored:
				half(at + 2*r)
			}
			switch {
			case p.Factored:
			case p.Min && p.Bits == 8:
				float(at + 2*IntTileRows + 4*r)
			case p.Min:
				half(at + 2*IntTileRows + 2*r)
			}
		}
	}
	return tile
}

func aligned(n int) []byte {
	b := make([]byte, n+64)
	at := int(-uintptr(unsafe.Pointer(&b[0])) & 63)
	return b[at : at+n : at+n]
}

func randomActivations(rng *rand.Rand, p *IntPanel, m int) ([]byte, int) {
	xs := IntRowBytes(p.Cols, p.Group)
	x := aligned(m * xs)
	row := make([]float32, p.Cols)
	for t := range m {
		for i := range row {
			row[i] = float32(rng.NormFloat64())
		}
		IntQuantize(x[t*xs:(t+1)*xs], row, p.Group, p.PerToken)
	}
	return x, xs
}

// eachInt runs a test under every implementation of this machine.
func eachInt(t *testing.T, test func(t *testing.T)) {
	defer func(old string) { _ = Use(old) }(Active())
	for _, name := range Implementations() {
		if err := Use(name); err != nil {
			t.Fatal(err)
		}
		t.Run(name, test)
	}
}

const intCanary = -12345

// TestIntMul compares every implementation with the definition: the same bits, for every number of tokens, and nothing written
// beside the outputs.
func TestIntMul(t *testing.T) {
	eachInt(t, func(t *testing.T) {
		for _, p := range intPanels() {
			rng := rand.New(rand.NewPCG(1, uint64(p.Cols)))
			tile := randomTile(rng, &p)
			const most = 50
			x, xs := randomActivations(rng, &p, most)
			scratch := aligned(p.ScratchBytes())
			want := make([]float32, most*IntTileRows)
			intMulGo(&p, most, x, xs, tile, want, IntTileRows, scratch)
			for m := 1; m <= most; m++ {
				ldy := IntTileRows + m%3
				y := make([]float32, m*ldy+64)
				for i := range y {
					y[i] = intCanary
				}
				out := y[32 : 32+(m-1)*ldy+IntTileRows]
				clear(scratch)
				IntMul(&p, m, x, xs, tile, out, ldy, scratch)
				for i, v := range y {
					tok, r := (i-32)/ldy, (i-32)%ldy
					if i >= 32 && tok < m && r < IntTileRows {
						if v != want[tok*IntTileRows+r] {
							t.Fatalf("%s: %d tokens: token %d, row %d: %v, want %v", panelName(p), m, tok, r, v, want[tok*IntTileRows+r])
						}
					} else if v != intCanary {
						t.Fatalf("%s: %d tokens: wrote beside the outputs, at %d", panelName(p), m, i-32)
					}
				}
			}
		}
	})
}

// TestIntMulIsTheSum checks the definition itself against float64 over decoded weights and activations.
func TestIntMulIsTheSum(t *testing.T) {
	for _, p := range intPanels() {
		rng := rand.New(rand.NewPCG(2, uint64(p.Cols)))
		tile := randomTile(rng, &p)
		x, xs := randomActivations(rng, &p, 1)
		y, w := make([]float32, IntTileRows), make([]float32, IntTileRows*p.Cols)
		intMulGo(&p, 1, x, xs, tile, y, IntTileRows, aligned(p.ScratchBytes()))
		IntDecode(&p, w, tile)
		for r := range y {
			want, size := 0.0, 0.0
			for c := range p.Cols {
				rec := x[c/p.Group*(p.Group+IntMeta):]
				a := float64(int8(rec[c%p.Group])) * float64(float32At(rec[p.Group:], metaScale/4))
				want += a * float64(w[r*p.Cols+c])
				size += math.Abs(a) * (math.Abs(float64(w[r*p.Cols+c])) + 260*largestScale(&p))
			}
			if math.Abs(want-float64(y[r])) > size*0x1p-18 {
				t.Fatalf("%s: row %d: %v, want %v", panelName(p), r, y[r], want)
			}
		}
	}
}

// largestScale bounds the product of a random scale's levels.
func largestScale(p *IntPanel) float64 {
	if p.Factored {
		return 255
	}
	return 1
}

// TestIntUnpack compares the unpacked tile, which is bytes.
func TestIntUnpack(t *testing.T) {
	eachInt(t, func(t *testing.T) {
		for _, p := range intPanels() {
			if p.Bits == 8 {
				continue
			}
			tile := randomTile(rand.New(rand.NewPCG(3, uint64(p.Cols))), &p)
			got, want := aligned(p.ScratchBytes()), aligned(p.ScratchBytes())
			intUnpackGo(&p, want[intSpill:], tile)
			intUnpack(&p, got[intSpill:], tile)
			if !slices.Equal(got, want) {
				t.Fatalf("%s: unpacks to other bytes", panelName(p))
			}
		}
	})
}

// TestIntQuantize compares codes and meta words, byte for byte, at every width and with special values.
func TestIntQuantize(t *testing.T) {
	special := []float32{0, 1e-40, -1e-40, 1e-31, 3e38, -3e38, float32(math.Inf(1)), float32(math.NaN()), 0.5, -0.5}
	eachInt(t, func(t *testing.T) {
		for _, group := range []int{32, 64, 128, 0} {
			for n := 1; n <= 300; n++ {
				rng := rand.New(rand.NewPCG(uint64(group), uint64(n)))
				g, token := group, false
				if g == 0 {
					g, token = (n+31)&^31, true
				}
				x := make([]float32, n+1)[1:]
				for i := range x {
					x[i] = float32(rng.NormFloat64())
					if n%7 == 0 && rng.IntN(4) == 0 {
						x[i] = special[rng.IntN(len(special))]
					}
				}
				size := IntRowBytes((n+g-1)/g*g, g)
				got, want := make([]byte, size+64), make([]byte, size)
				for i := range got {
					got[i] = 0xA5
				}
				base := int32(intMagic)
				if token {
					base = 0
				}
				for at, d := 0, want; at < n; at, d = at+g, d[g+IntMeta:] {
					quantizeGroupGo(d[:g+IntMeta], x[at:min(at+g, n)], g, base)
				}
				IntQuantize(got[32:32+size], x, g, token)
				if !slices.Equal(got[32:32+size], want) {
					t.Fatalf("group %d, %d values: other bytes", group, n)
				}
				for i, b := range got {
					if b != 0xA5 && (i < 32 || i >= 32+size) {
						t.Fatalf("group %d, %d values: wrote beside the row, at %d", group, n, i-32)
					}
				}
			}
		}
	})
}

// TestIntFit compares every implementation with the definition, bit for bit.
func TestIntFit(t *testing.T) {
	eachInt(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(4, 4))
		for n := range 150 {
			x := make([]float32, n)
			for i := range x {
				x[i] = float32(rng.NormFloat64() * math.Exp(8*rng.NormFloat64()))
			}
			scale, zero := float32(rng.NormFloat64()), float32(rng.IntN(16))
			var want [3][8]float32
			intFitGo(x, 1/scale, scale, zero, 15, &want)
			loss, xq, qq := IntFit(x, scale, zero, 15)
			if loss != sumLanes(&want[0]) || xq != sumLanes(&want[1]) || qq != sumLanes(&want[2]) {
				t.Fatalf("%d values: %v %v %v, want %v %v %v", n, loss, xq, qq, sumLanes(&want[0]), sumLanes(&want[1]), sumLanes(&want[2]))
			}
		}
	})
}

// TestIntLine compares every implementation with the definition, bit for bit.
func TestIntLine(t *testing.T) {
	eachInt(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(5, 5))
		for n := range 150 {
			x := make([]float32, n)
			for i := range x {
				x[i] = float32(rng.NormFloat64() * math.Exp(8*rng.NormFloat64()))
			}
			inverse, low := float32(rng.NormFloat64()), float32(rng.NormFloat64())
			var want [5][8]float32
			intLineGo(x, inverse, low, 15, &want)
			got := IntLine(x, inverse, low, 15)
			if got != (LineSums{sumLanes(&want[0]), sumLanes(&want[1]), sumLanes(&want[2]), sumLanes(&want[3]), sumLanes(&want[4])}) {
				t.Fatalf("%d values: %v, want %v", n, got, want)
			}
		}
	})
}
