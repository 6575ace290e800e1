package quant

import "math"

func init() {
	register(&blockFormat{name: "mxfp4", describe: "4-bit floats (E2M1), groups of 32, a power of two as scale (OCP Microscaling)",
		weights: 32, bytes: 17, bits: 8, group: 32, zero: 128, wide: true, grid: microGrid, read: readMXFP4})
}

// microGrid are the values of E2M1, doubled.
var microGrid = newGrid([16]int8{0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12})

// readMXFP4: an exponent, 16 bytes of indexes as in Q4_0.
func readMXFP4(b *block, src []byte) {
	b.single = float32(math.Ldexp(1, int(src[0])-128)) // halves the doubled grid
	nibbles(b.codes[:], src[1:], gather)
	microGrid.through(b.codes[:32])
}
