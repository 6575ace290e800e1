package quant

import (
	"fmt"
	"math"
)

func init() {
	register(&blockFormat{name: "mxfp4", describe: "4-bit floats (E2M1), groups of 32, a power of two as scale (OCP Microscaling)",
		weights: 32, bytes: 17, bits: 8, group: 32, zero: 128, wide: true, grid: microGrid, read: readMXFP4})
}

// microGrid are the values of E2M1, doubled.
var microGrid = newGrid([16]int8{0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12})

// readMXFP4: an exponent, 16 bytes of indexes as in Q4_0.
func readMXFP4(b *block, src []byte) {
	b.single = microScale(src[0])
	nibbles(b.codes[:], src[1:], gather)
	microGrid.through(b.codes[:32])
}

// microScale is the scale of the doubled grid.
func microScale(exponent byte) float32 { return float32(math.Ldexp(1, int(exponent)-128)) }

// pairedMXFP4 is the same format as Hugging Face directories hold it (gpt-oss): a byte has the indexes of two weights that
// stand beside each other, and the exponents are a tensor of their own.
var pairedMXFP4 = &blockFormat{name: "mxfp4", weights: 32, bytes: 16, bits: 8, group: 32, zero: 128, wide: true, grid: microGrid, read: func(b *block, src []byte) {
	for j, pair := range src[:16] {
		b.codes[2*j], b.codes[2*j+1] = pair&15, pair>>4
	}
	microGrid.through(b.codes[:32])
}}

// NewPairedMXFP4 is a matrix of indexes [rows, cols/32, 16], two weights a byte, the first in the low half, and exponents
// [rows, cols/32]. The memory is kept, not copied.
func NewPairedMXFP4(rows, cols int, indexes, exponents []byte) (Matrix, error) {
	if rows < 1 || cols < 1 || cols%32 != 0 || len(exponents)/rows != cols/32 || len(exponents)%rows != 0 || len(indexes)/16 != len(exponents) || len(indexes)%16 != 0 {
		return nil, fmt.Errorf("quant: %d bytes of indexes and %d exponents are no mxfp4 matrix of %d x %d", len(indexes), len(exponents), rows, cols)
	}
	return &blocks{pairedMXFP4, rows, cols, cols / 2, indexes, &scalesApart{cols / 32, exponents}}, nil
}

// scalesApart are scales that stand apart from their blocks, stride a row.
type scalesApart struct {
	stride int
	scales []byte
}

func (a *scalesApart) at(row, block int) byte { return a.scales[row*a.stride+block] }

// from leaves out the rows and blocks before; nil stays nil.
func (a *scalesApart) from(row, block int) *scalesApart {
	if a == nil {
		return nil
	}
	return &scalesApart{a.stride, a.scales[min(row*a.stride+block, len(a.scales)):]}
}

// appendPaired appends blocks as GGUF has them: exponent, then weight j beside weight j+16.
func (b *blocks) appendPaired(dst []byte, i int) []byte {
	for n := range b.cols / 32 {
		src := b.at(i, n)
		dst = append(dst, b.apart.at(i, n))
		for j := range 16 {
			low, high := src[j/2]>>(j%2*4)&15, src[8+j/2]>>(j%2*4)&15
			dst = append(dst, low|high<<4)
		}
	}
	return dst
}
