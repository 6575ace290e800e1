package quant

import "encoding/binary"

func init() {
	register(&blockFormat{name: "q5_0", describe: "5 bits, groups of 32, f16 scale",
		weights: 32, bytes: 22, bits: 5, group: 32, zero: 16, halves: []int{0}, read: readQ5_0, write: writeQ5_0})
	register(&blockFormat{name: "q5_1", describe: "5 bits, groups of 32, f16 scale and minimum",
		weights: 32, bytes: 24, bits: 5, group: 32, min: true, halves: []int{0, 2}, read: readQ5_1, write: writeQ5_1})
}

func readQ5_0(b *block, src []byte) {
	b.d = half16(src)
	readFifths(b.codes[:32], src[2:])
}

func readQ5_1(b *block, src []byte) {
	b.d, b.min = half16(src), half16(src[2:])
	readFifths(b.codes[:32], src[4:])
}

func writeQ5_0(dst []byte, b *block) {
	putHalves(dst, b.d)
	writeFifths(dst[2:], b.codes[:32])
}

func writeQ5_1(dst []byte, b *block) {
	putHalves(dst, b.d, b.min)
	writeFifths(dst[4:], b.codes[:32])
}

// readFifths reads 32 codes of 5 bits: bit i of the first word is the highest of code i, the nibbles follow as in Q4_0.
func readFifths(codes []uint8, src []byte) {
	nibbles(codes, src[4:], gather)
	high := binary.LittleEndian.Uint32(src)
	for i := range codes {
		codes[i] |= uint8(high>>i&1) << 4
	}
}

func writeFifths(dst []byte, codes []uint8) {
	nibbles(codes, dst[4:], scatter)
	high := uint32(0)
	for i, c := range codes {
		high |= uint32(c>>4&1) << i
	}
	binary.LittleEndian.PutUint32(dst, high)
}
