package quant

import "encoding/binary"

// panel says how blocks are packed; not ok: as f32.
func (b *blocks) panel() (k panelKind, ok bool) {
	if b.factored || b.wide || b.bits == 5 {
		return k, false
	}
	return panelKind{bits: max(4, b.bits), group: 32, min: b.min, out: 1}, true
}

// panelRow writes row i. Codes are moved so that the code of 0 is the one that panels of so many bits have.
func (b *blocks) panelRow(dst *panelRow, i int) {
	kind, _ := b.panel()
	move := uint32(kind.zeroCode()-b.zero) * 0x01010101
	if b.min {
		move = 0
	}
	var k block
	for n := range b.cols / b.weights {
		b.load(&k, i, n)
		for g := range b.weights / 32 {
			at := n*b.weights/32 + g
			dst.scale[at], dst.minHalf[at] = k.d, k.min
			putCodes(dst.words[at*kind.bits:], k.codes[g*32:], kind.bits, move)
		}
	}
}

// zeroCode is the code of weight 0 in panels without minima.
func (k panelKind) zeroCode() int { return 1 << (k.bits - 1) }

// putCodes writes 32 codes as the words of a panel.
func putCodes(words []uint32, codes []uint8, bits int, move uint32) {
	le := binary.LittleEndian
	if bits == 8 {
		for j := range words[:8] {
			words[j] = le.Uint32(codes[4*j:]) + move
		}
		return
	}
	for j := range words[:4] {
		words[j] = le.Uint32(codes[4*j:]) + move | (le.Uint32(codes[16+4*j:])+move)<<4
	}
}
