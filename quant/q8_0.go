package quant

func init() {
	register(&blockFormat{name: "q8_0", describe: "8 bits, groups of 32, f16 scale",
		weights: 32, bytes: 34, bits: 8, group: 32, zero: 128, plain: 2, halves: []int{0}, read: readQ8_0, write: writeQ8_0})
}

// readQ8_0: codes are two's complement.
func readQ8_0(b *block, src []byte) {
	b.d = half16(src)
	for i, c := range src[2:] {
		b.codes[i] = c ^ 0x80
	}
}

func writeQ8_0(dst []byte, b *block) {
	putHalves(dst, b.d)
	for i := range dst[2:] {
		dst[2+i] = b.codes[i] ^ 0x80
	}
}
