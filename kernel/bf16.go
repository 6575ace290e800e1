package kernel

import (
	"math"
	"runtime"
	"unsafe"
)

// BF16TileRows is the number of output rows of one tile of a packed bfloat16 matrix. A tile holds, for every 2 columns, 32
// pairs: row r's two weights at elements 2r and 2r+1.
const BF16TileRows = 32

// BF16Dot tells whether this CPU multiplies bfloat16 by bfloat16 faster than it widens weights and multiplies in f32. Where the
// instruction exists but runs at half the rate of the f32 units (Intel), the answer is no.
func BF16Dot() bool { return useBF16 && fastBF16 }

// BF16Mul computes y[t*ldy+r] for m tokens and the 32 rows of one tile. x holds m rows of k bfloat16 activations, xs
// elements apart; k is even; tile holds k*32 elements. Products are exact and summed in f32 in the order of k, whatever m
// is, but the odd column of a pair comes first; the dot-product instruction flushes denormals.
func BF16Mul(m, k int, x []uint16, xs int, tile []uint16, y []float32, ldy int) {
	if m == 0 {
		return
	}
	_ = x[:(m-1)*xs+k]
	_ = tile[:k*BF16TileRows]
	_ = y[:(m-1)*ldy+BF16TileRows]
	if useBF16 {
		bf16DotAVX512(m, k, unsafe.SliceData(x), xs, unsafe.SliceData(tile), unsafe.SliceData(y), ldy)
		runtime.KeepAlive(tile)
		return
	}
	bf16MulGo(m, k, x, xs, tile, y, ldy)
}

// BF16MulF32 computes y[t*ldy+r] for m tokens and the 32 rows of one tile with f32 activations, xs elements apart: one chain of
// k multiply-adds in the order of k, whatever m is. tile holds k rounded up to even times 32 elements.
func BF16MulF32(m, k int, x []float32, xs int, tile []uint16, y []float32, ldy int) {
	if m == 0 {
		return
	}
	_ = x[:(m-1)*xs+k]
	_ = tile[:(k+k&1)*BF16TileRows]
	_ = y[:(m-1)*ldy+BF16TileRows]
	even := k &^ 1
	px, w, py := unsafe.SliceData(x), unsafe.SliceData(tile), unsafe.SliceData(y)
	switch {
	case !useAVX2 || even == 0:
		bf16MulF32Go(m, k, x, xs, tile, y, ldy)
		return
	case useAVX512:
		bf16MulAVX512(m, even, px, xs, w, py, ldy)
	default:
		bf16MulAVX2(m, even, px, xs, w, py, ldy)
	}
	if k != even {
		bf16LastColumn(m, k, x, xs, tile, y, ldy)
	}
	runtime.KeepAlive(tile)
}

// bf16LastColumn adds the column that has no pair.
func bf16LastColumn(m, k int, x []float32, xs int, tile []uint16, y []float32, ldy int) {
	w := tile[(k-1)*BF16TileRows:]
	for t := range m {
		v := x[t*xs+k-1]
		for r := range BF16TileRows {
			y[t*ldy+r] = fma32(v, bf16Value(w[2*r]), y[t*ldy+r])
		}
	}
}

// bf16MulF32Go is the definition of BF16MulF32.
func bf16MulF32Go(m, k int, x []float32, xs int, tile []uint16, y []float32, ldy int) {
	for t := range m {
		var sum [BF16TileRows]float32
		for j, v := range x[t*xs : t*xs+k] {
			w := (*[2 * BF16TileRows]uint16)(tile[j&^1*BF16TileRows:])
			for r := range sum {
				sum[r] += float32(v * bf16Value(w[2*r+j&1]))
			}
		}
		copy(y[t*ldy:], sum[:])
	}
}

// bf16MulGo is the definition of BF16Mul.
func bf16MulGo(m, k int, x []uint16, xs int, tile []uint16, y []float32, ldy int) {
	for t := range m {
		var sum [BF16TileRows]float32
		a := x[t*xs : t*xs+k]
		for j := 0; j < k; j += 2 {
			lo, hi := bf16Value(a[j]), bf16Value(a[j+1])
			w := (*[2 * BF16TileRows]uint16)(tile[j*BF16TileRows:])
			for r := range sum {
				sum[r] += float32(hi * bf16Value(w[2*r+1]))
				sum[r] += float32(lo * bf16Value(w[2*r]))
			}
		}
		copy(y[t*ldy:], sum[:])
	}
}

func bf16Value(b uint16) float32 { return math.Float32frombits(uint32(b) << 16) }
