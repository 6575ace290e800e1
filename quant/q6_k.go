package quant

func init() {
	register(&blockFormat{name: "q6_k", describe: "6 bits, groups of 16, 8-bit scale a group, f16 scale of 256 weights",
		weights: 256, bytes: 210, bits: 6, group: 16, zero: 32, factored: true, shorter: "q8_0", halves: []int{208}, read: readQ6K, write: writeQ6K})
}

// readQ6K: codes, 16 scales, scale.
func readQ6K(b *block, src []byte) {
	sixths(b.codes[:], src, gather)
	for g, c := range src[192:208] {
		b.scales[g] = int8(c)
	}
	b.d = half16(src[208:])
}

func writeQ6K(dst []byte, b *block) {
	sixths(b.codes[:], dst, scatter)
	for g, s := range b.scales {
		dst[192+g] = uint8(s)
	}
	putHalves(dst[208:], b.d)
}

// sixths are 256 codes of 6 bits: 128 bytes of low halves, 64 bytes of high pairs. Each half of the block is cut into four parts
// of 32: byte i of 64 holds the low bits of part 0 (of part 1 from byte 32 on) and above them those of part 2 (3), byte i of
// 32 the high bits of all four parts.
func sixths(codes []uint8, src []byte, move move) {
	low, high := src[:128], src[128:192]
	for k := range 8 {
		half, part := k/4, k%4
		move(codes[32*k:], low[half*64+part%2*32:][:32], part/2*4, 4, 0)
		move(codes[32*k:], high[half*32:][:32], part*2, 2, 4)
	}
}
