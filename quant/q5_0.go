package quant

import "encoding/binary"

func init() {
	register(&blockFormat{name: "q5_0", describe: "5 bits, groups of 32, f16 scale",
		weights: 32, bytes: 22, bits: 5, group: 32, zero: 16, halves: []int{0}, read: readQ5_0})
	register(&blockFormat{name: "q5_1", describe: "5 bits, groups of 32, f16 scale and minimum",
		weights: 32, bytes: 24, bits: 5, group: 32, min: true, halves: []int{0, 2}, read: readQ5_1})
}

func readQ5_0(b *block, src []byte) {
	b.d = half16(src)
	fifths(b.codes[:32], src[2:])
}

func readQ5_1(b *block, src []byte) {
	b.d, b.min = half16(src), half16(src[2:])
	fifths(b.codes[:32], src[4:])
}

// fifths reads 32 codes of 5 bits: bit i of the first word is the highest of code i, the nibbles follow as in Q4_0.
func fifths(dst []uint8, src []byte) {
	high := binary.LittleEndian.Uint32(src)
	nibbles(dst, src[4:])
	for i := range dst {
		dst[i] |= uint8(high>>i&1) << 4
	}
}
