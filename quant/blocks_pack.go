package quant

import (
	"encoding/binary"
	"math"

	"hone/kernel"
)

// kind says how blocks of this format are packed; not ok: as f32.
func (f *blockFormat) kind() (k panelKind, ok bool) {
	if f.wide && f.weights != 32 {
		return k, false
	}
	k = panelKind{bits: max(4, f.bits), group: 32, min: f.min, factored: f.factored, half: f.group == 16, out: 1}
	if f.grid != nil {
		k.bits, k.grid = 4, &f.grid.codes
	}
	return k, true
}

func (b *blocks) panel() (k panelKind, ok bool) {
	if k, ok = b.kind(); ok && b.wide {
		k.out, ok = b.commonPower()
	}
	return k, ok
}

// commonPower is the power of two that brings all scales into the range of f16, where there is one. Scales over codes of 0
// alone do not count.
func (b *blocks) commonPower() (out float32, ok bool) {
	var k block
	low, high := math.MaxInt, math.MinInt
	for i := range b.rows {
		for n := range b.cols / b.weights {
			b.load(&k, i, n)
			for _, c := range k.codes[:b.weights] {
				if int(c) != b.zero {
					_, exp := math.Frexp(float64(k.single))
					low, high = min(low, exp), max(high, exp)
					break
				}
			}
		}
	}
	const least, most = -23, 16 // exponents of Frexp for 2^-24 and 2^15
	if low > high {
		return 1, true
	}
	if low >= least && high <= most {
		return 1, true
	}
	exp := max(high-most, -126)
	return float32(math.Ldexp(1, exp)), low-exp >= least && high-exp <= most
}

// panelRow writes row i. Codes are moved so that the code of 0 is the one that panels of so many bits have.
func (b *blocks) panelRow(dst *panelRow, i int) {
	move := uint32(1<<(dst.bits-1)-b.zero) * 0x01010101
	if b.min || b.grid != nil {
		move = 0
	}
	if b.plain > 0 {
		b.plainRow(dst, i)
		return
	}
	var k block
	for n := range b.cols / b.weights {
		b.load(&k, i, n)
		if b.grid != nil {
			b.grid.back(k.codes[:b.weights])
		}
		b.panelScales(dst, &k, n)
		for g := range b.weights / 32 {
			at := n*b.weights/32 + g
			dst.putCodes(at, k.codes[g*32:], move)
		}
	}
}

// plainRow is panelRow where the codes can be copied.
func (b *blocks) plainRow(dst *panelRow, i int) {
	flip := uint32(0)
	if dst.bits == 8 {
		flip = 0x80808080
	}
	words := dst.words
	for n := range b.cols / b.weights {
		src := b.at(i, n)
		dst.scale[n] = half16(src)
		if b.min {
			dst.minHalf[n] = half16(src[2:])
		}
		for src = src[b.plain:]; len(src) >= 4; src = src[4:] {
			words[0] = binary.LittleEndian.Uint32(src) ^ flip
			words = words[1:]
		}
	}
}

// panelScales writes the scales and minima of block n.
func (b *blocks) panelScales(dst *panelRow, k *block, n int) {
	if b.wide {
		var half [1]uint16
		kernel.F32ToF16(half[:], []float32{k.single / dst.out})
		k.d = half[0]
	}
	if b.factored {
		dst.scale[n], dst.minHalf[n] = k.d, k.min
		parts := b.weights / b.group
		for g := range parts {
			dst.factor[n*parts+g], dst.factorMin[n*parts+g] = uint8(k.scales[g]), k.mins[g]
		}
		return
	}
	for at := n * b.weights / 32; at < (n+1)*b.weights/32; at++ {
		dst.scale[at], dst.minHalf[at], dst.min[at] = k.d, k.min, 0
	}
}

// putCodes writes the 32 codes of a group as words and planes of a panel.
func (r *panelRow) putCodes(g int, codes []uint8, move uint32) {
	var c [8]uint32
	for j := range c {
		c[j] = binary.LittleEndian.Uint32(codes[4*j:]) + move
	}
	if r.bits == 8 {
		copy(r.words[8*g:], c[:])
		return
	}
	const low, high1, high2 = 0x0f0f0f0f, 0x01010101, 0x03030303
	for j := range 4 {
		r.words[4*g+j] = c[j]&low | c[4+j]&low<<4
	}
	switch r.bits {
	case 5:
		r.planes[g] = 0
		for k, w := range c {
			r.planes[g] |= w >> 4 & high1 << k
		}
	case 6:
		for half := range 2 {
			w := c[4*half:]
			r.planes[2*g+half] = w[0]>>4&high2 | w[1]>>4&high2<<2 | w[2]>>4&high2<<4 | w[3]>>4&high2<<6
		}
	}
}
