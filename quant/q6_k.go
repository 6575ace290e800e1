package quant

func init() {
	register(&blockFormat{name: "q6_k", describe: "6 bits, groups of 16, 8-bit scale a group, f16 scale of 256 weights",
		weights: 256, bytes: 210, bits: 6, group: 16, zero: 32, factored: true, halves: []int{208}, read: readQ6K})
}

// readQ6K: 128 bytes of low halves, 64 bytes of high pairs of bits, 16 scales, scale. Each half of the block is cut into four
// parts of 32: byte i of 64 holds the low bits of part 0 (of part 1 from byte 32 on) and above them those of part 2 (3),
// byte i of 32 the high bits of all four parts.
func readQ6K(b *block, src []byte) {
	low, high := src[:128], src[128:192]
	for k := range 8 {
		half, part := k/4, k%4
		field(b.codes[32*k:], low[half*64+part%2*32:][:32], part/2*4, 4, 0)
		field(b.codes[32*k:], high[half*32:][:32], part*2, 2, 4)
	}
	for g, c := range src[192:208] {
		b.scales[g] = int8(c)
	}
	b.d = half16(src[208:])
}
