package quant

func init() {
	register(&blockFormat{name: "q2_k", describe: "2 bits, groups of 16, 4-bit scale and minimum a group, f16 scale and minimum of 256 weights",
		weights: 256, bytes: 84, bits: 2, group: 16, min: true, factored: true, shorter: "iq4_nl", halves: []int{80, 82}, read: readQ2K, write: writeQ2K})
}

// readQ2K: 16 bytes with scale (low) and minimum (high) of the groups, 64 bytes of codes, scale, minimum (subtracted).
func readQ2K(b *block, src []byte) {
	for g, c := range src[:16] {
		b.scales[g], b.mins[g] = int8(c&15), c>>4
	}
	quarters(b.codes[:], src[16:80], gather)
	b.d, b.min = half16(src[80:]), negative16(half16(src[82:]))
}

func writeQ2K(dst []byte, b *block) {
	for g, s := range b.scales {
		dst[g] = uint8(s) | b.mins[g]<<4
	}
	quarters(b.codes[:], dst[16:80], scatter)
	putHalves(dst[80:], b.d, negative16(b.min))
}

// quarters are 256 codes of 2 bits: byte i of the first 32 holds weights i, i+32, i+64, i+96, byte i of the other 32 those of the
// second half.
func quarters(codes []uint8, src []byte, move move) {
	for k := range 8 {
		move(codes[32*k:], src[k/4*32:][:32], k%4*2, 2, 0)
	}
}

// negative16 is an f16 with the other sign.
func negative16(half uint16) uint16 { return half ^ 0x8000 }
