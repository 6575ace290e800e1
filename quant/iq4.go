package quant

import "encoding/binary"

func init() {
	register(&blockFormat{name: "iq4_nl", describe: "4 bits on an uneven grid, groups of 32, f16 scale",
		weights: 32, bytes: 18, bits: 8, group: 32, zero: 128, grid: unevenGrid, plain: 2, halves: []int{0}, read: readIQ4NL, write: writeIQ4NL})
	register(&blockFormat{name: "iq4_xs", describe: "4 bits on an uneven grid, groups of 32, 6-bit scale a group, f16 scale of 256 weights",
		weights: 256, bytes: 136, bits: 8, group: 32, zero: 128, factored: true, grid: unevenGrid, halves: []int{0}, read: readIQ4XS})
}

// unevenGrid are the values of the IQ4 formats.
var unevenGrid = newGrid([16]int8{-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113})

// readIQ4NL: as Q4_0, the codes being indexes.
func readIQ4NL(b *block, src []byte) {
	readQ4_0(b, src)
	unevenGrid.through(b.codes[:32])
}

func writeIQ4NL(dst []byte, b *block) {
	unevenGrid.back(b.codes[:32])
	writeQ4_0(dst, b)
}

// readIQ4XS: scale, 16 bits with the high pairs of the groups' scales, 4 bytes with their low halves (all less 32), 8 groups
// of indexes as in Q4_0.
func readIQ4XS(b *block, src []byte) {
	b.d = half16(src)
	high, low := half16(src[2:]), binary.LittleEndian.Uint32(src[4:])
	for g := range 8 {
		b.scales[g] = int8(low>>(4*g)&15|uint32(high)>>(2*g)&3<<4) - 32
		nibbles(b.codes[32*g:], src[8+16*g:], gather)
	}
	unevenGrid.through(b.codes[:])
}
