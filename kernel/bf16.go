package kernel

import "math"

// BF16TileRows is the number of output rows of one tile of a packed bfloat16 matrix. A tile holds, for every 2 columns, 32
// pairs: row r's two weights at elements 2r and 2r+1.
const BF16TileRows = 32

// BF16Mul computes y[t*ldy+r] for m tokens and the 32 rows of one tile. x holds m rows of k bfloat16 activations, xs
// elements apart; k is even; tile holds k*32 elements. Products are exact and summed in f32 in the order of k, whatever m
// is; the dot-product instruction takes the odd column of a pair first and flushes denormals.
func BF16Mul(m, k int, x []uint16, xs int, tile []uint16, y []float32, ldy int) {
	if m == 0 {
		return
	}
	_ = x[:(m-1)*xs+k]
	_ = tile[:k*BF16TileRows]
	_ = y[:(m-1)*ldy+BF16TileRows]
	bf16Mul(m, k, x, xs, tile, y, ldy)
}

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

func bf16Mul(m, k int, x []uint16, xs int, tile []uint16, y []float32, ldy int) {
	bf16MulGo(m, k, x, xs, tile, y, ldy)
}
