package quant

func init() {
	register(&blockFormat{name: "q4_k", describe: "4 bits, groups of 32, 6-bit scale and minimum a group, f16 scale and minimum of 256 weights",
		weights: 256, bytes: 144, bits: 4, group: 32, min: true, factored: true, halves: []int{0, 2}, read: readQ4K})
	register(&blockFormat{name: "q5_k", describe: "5 bits, groups of 32, 6-bit scale and minimum a group, f16 scale and minimum of 256 weights",
		weights: 256, bytes: 176, bits: 5, group: 32, min: true, factored: true, halves: []int{0, 2}, read: readQ5K})
}

// readQ4K: scale, minimum (subtracted), 12 bytes of the groups' scales and minima, 128 bytes of codes: group 2k in the low
// halves of the k-th 32 bytes, group 2k+1 in the high ones.
func readQ4K(b *block, src []byte) {
	b.d, b.min = half16(src), half16(src[2:])^0x8000
	sixths(b, src[4:16])
	pairs(b.codes[:], src[16:])
}

// readQ5K: as Q4_K, with 32 bytes of highest bits before the codes: bit g of byte i belongs to weight i of group g.
func readQ5K(b *block, src []byte) {
	b.d, b.min = half16(src), half16(src[2:])^0x8000
	sixths(b, src[4:16])
	pairs(b.codes[:], src[48:])
	for g := range 8 {
		field(b.codes[32*g:], src[16:48], g, 1, 4)
	}
}

func pairs(dst []uint8, src []byte) {
	for g := range 8 {
		field(dst[32*g:], src[g/2*32:][:32], g%2*4, 4, 0)
	}
}

// sixths reads 8 scales and 8 minima of 6 bits from 12 bytes: those of groups 0 … 3 are the low bits of bytes 0 … 3 and
// 4 … 7; bytes 8 … 11 hold the low halves of those of groups 4 … 7, whose two high bits top the first eight bytes.
func sixths(b *block, s []byte) {
	for g := range 4 {
		b.scales[g], b.mins[g] = int8(s[g]&63), s[4+g]&63
		b.scales[4+g] = int8(s[8+g]&15 | s[g]>>6<<4)
		b.mins[4+g] = s[8+g]>>4 | s[4+g]>>6<<4
	}
}
