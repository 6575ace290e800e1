package quant

import (
	"encoding/binary"
	"math"
)

func init() {
	register(&blockFormat{name: "q8_k", describe: "8 bits, groups of 256, f32 scale",
		weights: 256, bytes: 292, bits: 8, group: 256, zero: 128, wide: true, read: readQ8K})
}

// readQ8K: f32 scale, codes in two's complement, 16 sums of codes that are not needed.
func readQ8K(b *block, src []byte) {
	b.single = math.Float32frombits(binary.LittleEndian.Uint32(src))
	for i, c := range src[4:260] {
		b.codes[i] = c ^ 0x80
	}
}
