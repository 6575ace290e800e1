package quant

func init() {
	register(&blockFormat{name: "q4_0", describe: "4 bits, groups of 32, f16 scale",
		weights: 32, bytes: 18, bits: 4, group: 32, zero: 8, plain: 2, halves: []int{0}, read: readQ4_0, write: writeQ4_0})
}

// readQ4_0: byte i of the codes holds weight i low and weight i+16 high.
func readQ4_0(b *block, src []byte) {
	b.d = half16(src)
	nibbles(b.codes[:], src[2:], gather)
}

func writeQ4_0(dst []byte, b *block) {
	putHalves(dst, b.d)
	nibbles(b.codes[:], dst[2:], scatter)
}
