package quant

func init() {
	register(&blockFormat{name: "q3_k", describe: "3 bits, groups of 16, 6-bit scale a group, f16 scale of 256 weights",
		weights: 256, bytes: 110, bits: 3, group: 16, zero: 4, factored: true, shorter: "iq4_nl", halves: []int{108}, read: readQ3K, write: writeQ3K})
}

// readQ3K: codes, 12 bytes of scales: the low four bits of group g in byte g%8, the high two in byte 8+g%4, all less 32.
func readQ3K(b *block, src []byte) {
	eighths(b.codes[:], src, gather)
	s := src[96:108]
	for g := range b.scales {
		low, high := s[g%8]>>(g/8*4)&15, s[8+g%4]>>(g/4*2)&3
		b.scales[g] = int8(low|high<<4) - 32
	}
	b.d = half16(src[108:])
}

func writeQ3K(dst []byte, b *block) {
	eighths(b.codes[:], dst, scatter)
	s := dst[96:108]
	for g, v := range b.scales {
		c := uint8(v + 32)
		s[g%8] |= c & 15 << (g / 8 * 4)
		s[8+g%4] |= c >> 4 << (g / 4 * 2)
	}
	putHalves(dst[108:], b.d)
}

// eighths are 256 codes of 3 bits: 32 bytes of highest bits (bit k of byte i: weight 32k+i), the others as in Q2_K.
func eighths(codes []uint8, src []byte, move move) {
	for k := range 8 {
		move(codes[32*k:], src[:32], k, 1, 2)
	}
	quarters(codes, src[32:96], move)
}
