package quant

import "hone/kernel"

// Integer formats whose names do not say otherwise take activations in about 16 bits: int8 codes, and int8 codes of what
// these leave over. Both are rows of one product, so that the weights are read once, and each output is the sum of the two.

// wideEncoding is the encoding of two rows of codes for the encoding of one.
func wideEncoding(e Encoding) Encoding { return e - Int8Group32 + Int16Group32 }

// narrow is the encoding of each of the two rows, e itself where there is one.
func (e Encoding) narrow() Encoding {
	if e.wide() {
		return e - Int16Group32 + Int8Group32
	}
	return e
}

func (e Encoding) wide() bool { return e >= Int16Group32 && e <= Int16Group128 }

// wideChunk is how many values are encoded at a time, whole groups: what is left over of them stays in the nearest cache.
const wideChunk = 1024

// encodeWide writes the codes of row and those of what they leave over.
func encodeWide(dst []byte, row []float32, group int) {
	first, rest := dst[:len(dst)/2], dst[len(dst)/2:]
	var left [wideChunk]float32
	for len(row) > 0 {
		n := min(wideChunk, len(row))
		bytes := kernel.IntRowBytes((n+group-1)/group*group, group)
		kernel.IntQuantize(first[:bytes], row[:n], group, false)
		kernel.IntLeft(left[:n], row[:n], first, group)
		kernel.IntQuantize(rest[:bytes], left[:n], group, false)
		row, first, rest = row[n:], first[bytes:], rest[bytes:]
	}
}

// widePanels are integer panels that take two rows of codes a token.
type widePanels struct{ *intPanels }

// wideTokens is how many tokens' outputs stand beside each other before their halves are added.
const wideTokens = 24

func (p widePanels) encoding() Encoding { return wideEncoding(p.intPanels.encoding()) }

func (p widePanels) scratchBytes() int { return p.ScratchBytes() + 2*wideTokens*RowTile*4 }

func (p widePanels) mulTile(y []float32, ldy int, x *Input, t0, t1, tile int, scratch []byte) {
	e := p.encoding()
	halves := floats(scratch[p.ScratchBytes():])
	for t := t0; t < t1; t += wideTokens {
		n := min(wideTokens, t1-t)
		kernel.IntMul(&p.IntPanel, 2*n, x.rows(e, t), e.stride(x.width)/2, p.tile(tile), halves, RowTile, scratch)
		for i := range n {
			at := halves[2*i*RowTile:]
			kernel.Add(y[(t-t0+i)*ldy:][:RowTile], at[:RowTile], at[RowTile:2*RowTile])
		}
	}
}
