package quant

func init() {
	register(&blockFormat{name: "q4_k", describe: "4 bits, groups of 32, 6-bit scale and minimum a group, f16 scale and minimum of 256 weights",
		weights: 256, bytes: 144, bits: 4, group: 32, min: true, factored: true, shorter: "q5_0", halves: []int{0, 2}, read: readQ4K, write: writeQ4K})
	register(&blockFormat{name: "q5_k", describe: "5 bits, groups of 32, 6-bit scale and minimum a group, f16 scale and minimum of 256 weights",
		weights: 256, bytes: 176, bits: 5, group: 32, min: true, factored: true, shorter: "q5_1", halves: []int{0, 2}, read: readQ5K, write: writeQ5K})
}

func readQ4K(b *block, src []byte) {
	readFactors(b, src)
	pairs(b.codes[:], src[16:], gather)
}

func writeQ4K(dst []byte, b *block) {
	writeFactors(dst, b)
	pairs(b.codes[:], dst[16:], scatter)
}

func readQ5K(b *block, src []byte) {
	readFactors(b, src)
	highPairs(b.codes[:], src[16:], gather)
}

func writeQ5K(dst []byte, b *block) {
	writeFactors(dst, b)
	highPairs(b.codes[:], dst[16:], scatter)
}

// pairs are 256 nibbles: group 2k in the low halves of the k-th 32 bytes, group 2k+1 in the high ones.
func pairs(codes []uint8, src []byte, move move) {
	for g := range 8 {
		move(codes[32*g:], src[g/2*32:][:32], g%2*4, 4, 0)
	}
}

// highPairs are 256 codes of 5 bits: 32 bytes of highest bits, bit g of byte i belonging to weight i of group g, then pairs.
func highPairs(codes []uint8, src []byte, move move) {
	pairs(codes, src[32:], move)
	for g := range 8 {
		move(codes[32*g:], src[:32], g, 1, 4)
	}
}

// readFactors reads scale, minimum (subtracted), and 8 scales and 8 minima of 6 bits from 12 bytes: those of groups 0 … 3 are
// the low bits of bytes 0 … 3 and 4 … 7; bytes 8 … 11 hold the low halves of those of groups 4 … 7, whose two high bits top
// the first eight bytes.
func readFactors(b *block, src []byte) {
	b.d, b.min = half16(src), negative16(half16(src[2:]))
	s := src[4:16]
	for g := range 4 {
		b.scales[g], b.mins[g] = int8(s[g]&63), s[4+g]&63
		b.scales[4+g] = int8(s[8+g]&15 | s[g]>>6<<4)
		b.mins[4+g] = s[8+g]>>4 | s[4+g]>>6<<4
	}
}

func writeFactors(dst []byte, b *block) {
	putHalves(dst, b.d, negative16(b.min))
	s := dst[4:16]
	for g := range 4 {
		scale, min := uint8(b.scales[4+g]), b.mins[4+g]
		s[g], s[4+g] = uint8(b.scales[g])|scale>>4<<6, b.mins[g]|min>>4<<6
		s[8+g] = scale&15 | min<<4
	}
}
