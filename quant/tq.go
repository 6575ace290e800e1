package quant

func init() {
	register(&blockFormat{name: "tq1_0", describe: "-1, 0 and 1, five to a byte, groups of 256, f16 scale",
		weights: 256, bytes: 54, bits: 2, group: 256, zero: 1, halves: []int{52}, read: readTQ1})
	register(&blockFormat{name: "tq2_0", describe: "-1, 0 and 1 in 2 bits, groups of 256, f16 scale",
		weights: 256, bytes: 66, bits: 2, group: 256, zero: 1, halves: []int{64}, read: readTQ2})
}

// readTQ1: a byte is a fraction of 256 whose first five digits to the base of 3 are codes. The n-th digits of the first 32
// bytes are codes 32n …, those of the next 16 codes 160+16n …, the first four of the last 4 codes 240+4n ….
func readTQ1(b *block, src []byte) {
	codes := b.codes[:]
	for _, part := range []struct{ from, to, digits int }{{0, 32, 5}, {32, 48, 5}, {48, 52, 4}} {
		power := uint8(1)
		for range part.digits {
			for i, c := range src[part.from:part.to] {
				codes[i] = uint8(uint16(c*power) * 3 >> 8)
			}
			codes, power = codes[part.to-part.from:], power*3
		}
	}
	b.d = half16(src[52:])
}

// readTQ2: two bits a code, in the order of Q2_K.
func readTQ2(b *block, src []byte) {
	quarters(b.codes[:], src[:64], gather)
	b.d = half16(src[64:])
}
