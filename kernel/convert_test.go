package kernel

import (
	"math"
	"math/rand/v2"
	"testing"
)

// floats are bit patterns at and around all that conversions treat apart.
func floats() []float32 {
	var out []float32
	for e := range uint32(512) { // all signs and exponents
		for _, m := range []uint32{0, 1, 0xfff, 0x1000, 0x1001, 0x7fff, 0x8000, 0x8001, 0x17fff, 0x18000, 0x3fffff, 0x400000, 0x7fe000, 0x7fefff, 0x7ff000, 0x7fffff} {
			out = append(out, math.Float32frombits(e<<23|m))
		}
	}
	r := rand.New(rand.NewPCG(1, 1))
	for range 5000 {
		out = append(out, math.Float32frombits(r.Uint32()))
	}
	return out
}

// nearest returns the candidate bits whose value is nearest to v, ties to the even pattern: the definition of rounding.
func nearest(v float32, bits uint16, value func(uint16) float64) uint16 {
	best, bestD := bits, math.Inf(1)
	for _, c := range []uint16{bits - 1, bits, bits + 1} {
		if c&0x8000 != bits&0x8000 {
			continue
		}
		d := math.Abs(value(c) - float64(v))
		if d < bestD || d == bestD && c&1 == 0 {
			best, bestD = c, d
		}
	}
	return best
}

func TestRoundingIsNearestEven(t *testing.T) {
	// An infinity counts as the number that would follow the largest one.
	bf := func(b uint16) float64 {
		if b&0x7fff == 0x7f80 {
			return math.Copysign(0x1p128, float64(int16(b)))
		}
		return float64(math.Float32frombits(uint32(b) << 16))
	}
	half := func(b uint16) float64 {
		if b&0x7fff == 0x7c00 {
			return math.Copysign(65536, float64(int16(b)))
		}
		return float64(f16Value(b))
	}
	for _, v := range floats() {
		if v != v || math.IsInf(float64(v), 0) {
			continue
		}
		if got := bf16Bits(v); got != nearest(v, got, bf) {
			t.Fatalf("bf16(%x) = %04x, want %04x", math.Float32bits(v), got, nearest(v, got, bf))
		}
		if got := f16Bits(v); math.Abs(float64(v)) < 65536 && got != nearest(v, got, half) {
			t.Fatalf("f16(%x) = %04x, want %04x", math.Float32bits(v), got, nearest(v, got, half))
		}
	}
	for bits, want := range map[uint16]float64{0x3c00: 1, 0x0001: 0x1p-24, 0x0400: 0x1p-14, 0x7bff: 65504, 0xc000: -2, 0x83ff: -1023 * 0x1p-24} {
		if got := f16Value(bits); float64(got) != want {
			t.Errorf("f16 %04x = %v, want %v", bits, got, want)
		}
	}
}

func TestConversionsEqualDefinition(t *testing.T) {
	all := make([]uint16, 1<<16)
	for i := range all {
		all[i] = uint16(i)
	}
	values := floats()
	each(t, func(t *testing.T) {
		wide, wantWide := make([]float32, len(all)), make([]float32, len(all))
		BF16ToF32(wide, all)
		bf16ToF32Go(wantWide, all)
		sameBits(t, "BF16ToF32", wide, wantWide)
		F16ToF32(wide, all)
		f16ToF32Go(wantWide, all)
		sameBits(t, "F16ToF32", wide, wantWide)
		half, wantHalf := make([]uint16, len(values)), make([]uint16, len(values))
		for _, c := range []struct {
			name      string
			f, golang func([]uint16, []float32)
		}{{"F32ToBF16", F32ToBF16, f32ToBF16Go}, {"F32ToF16", F32ToF16, f32ToF16Go}} {
			c.f(half, values)
			c.golang(wantHalf, values)
			for i := range half {
				if half[i] != wantHalf[i] {
					t.Fatalf("%s(%08x) = %04x, want %04x", c.name, math.Float32bits(values[i]), half[i], wantHalf[i])
				}
			}
		}
	})
}

func sameBits(t *testing.T, name string, got, want []float32) {
	t.Helper()
	for i := range got {
		if math.Float32bits(got[i]) != math.Float32bits(want[i]) {
			t.Fatalf("%s: element %d is %08x, want %08x", name, i, math.Float32bits(got[i]), math.Float32bits(want[i]))
		}
	}
}

// TestConversionLengths converts every length between canaries and against guard pages.
func TestConversionLengths(t *testing.T) {
	each(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(2, 1))
		for n := range 80 {
			for offset := range 8 {
				f := random(r, n+17)
				h := make([]uint16, n+17)
				b := make([]int8, n+17)
				for i := range b {
					b[i] = int8(r.Uint32())
				}
				for _, to16 := range []func([]uint16, []float32){F32ToBF16, F32ToF16} {
					testConversion(t, to16, h, f[offset:][:n:n], offset, 0xabcd)
				}
				for _, to32 := range []func([]float32, []uint16){BF16ToF32, F16ToF32} {
					testConversion(t, to32, f, h[offset:][:n:n], offset, 1.5)
				}
				testConversion(t, func(d []float32, s []int8) { Int8ToF32(d, s, 0.37) }, f, b[offset:][:n:n], offset, 1.5)
			}
			end32, end16, end8 := guarded[float32](t, n, false), guarded[uint16](t, n, false), guarded[int8](t, n, false)
			Int8ToF32(end32, end8, 2)
			F32ToBF16(end16, end32)
			F32ToF16(end16, end32)
			BF16ToF32(end32, end16)
			F16ToF32(end32, end16)
		}
	})
}

// testConversion holds f on n elements against f on single ones and looks for writes beyond them.
func testConversion[D, S comparable](t *testing.T, f func([]D, []S), dst []D, src []S, offset int, canary D) {
	t.Helper()
	for i := range dst {
		dst[i] = canary
	}
	n := len(src)
	f(dst[offset:][:n:n], src)
	for i, v := range dst {
		want := []D{canary}
		if i >= offset && i < offset+n {
			f(want, src[i-offset:][:1])
		}
		if v != want[0] {
			t.Fatalf("length %d, offset %d: element %d is %v, want %v", n, offset, i-offset, v, want[0])
		}
	}
}
