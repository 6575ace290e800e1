package quant

func init() {
	register(&blockFormat{name: "q4_1", describe: "4 bits, groups of 32, f16 scale and minimum",
		weights: 32, bytes: 20, bits: 4, group: 32, min: true, plain: 4, halves: []int{0, 2}, read: readQ4_1, write: writeQ4_1})
}

// readQ4_1: codes as in Q4_0, after the minimum.
func readQ4_1(b *block, src []byte) {
	b.d, b.min = half16(src), half16(src[2:])
	nibbles(b.codes[:], src[4:], gather)
}

func writeQ4_1(dst []byte, b *block) {
	putHalves(dst, b.d, b.min)
	nibbles(b.codes[:], dst[4:], scatter)
}
