package quant

func init() {
	register(&blockFormat{name: "q2_k", describe: "2 bits, groups of 16, 4-bit scale and minimum a group, f16 scale and minimum of 256 weights",
		weights: 256, bytes: 84, bits: 2, group: 16, min: true, factored: true, halves: []int{80, 82}, read: readQ2K})
}

// readQ2K: 16 bytes with scale (low) and minimum (high) of the groups, 64 bytes of codes, scale, minimum (subtracted). Byte i
// of the first 32 holds weights i, i+32, i+64, i+96; the other 32 hold the second half.
func readQ2K(b *block, src []byte) {
	for g, c := range src[:16] {
		b.scales[g], b.mins[g] = int8(c&15), c>>4
	}
	quarters(b.codes[:], src[16:80])
	b.d, b.min = half16(src[80:]), half16(src[82:])^0x8000
}

// quarters reads 256 codes of 2 bits.
func quarters(dst []uint8, src []byte) {
	for k := range 8 {
		field(dst[32*k:], src[k/4*32:][:32], k%4*2, 2, 0)
	}
}
