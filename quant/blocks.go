package quant

import (
	"encoding/binary"
	"fmt"

	"hone/kernel"
)

const blockCols = 32 // weights of a GGUF block

// blockFormat is a GGUF format of blocks of 32 weights: an f16 scale, an f16 minimum where there is one, then the codes.
type blockFormat struct {
	name, describe string
	bits           int
	min            bool // a minimum follows the scale
	signed         bool // 8-bit codes are two's complement
}

func (f blockFormat) Name() string              { return f.name }
func (f blockFormat) Describe() string          { return f.describe }
func (f blockFormat) BitsPerWeight(int) float64 { return float64(8*f.blockBytes()) / blockCols }
func (f blockFormat) codesAt() int {
	if f.min {
		return 4
	}
	return 2
}
func (f blockFormat) blockBytes() int { return f.codesAt() + f.bits*blockCols/8 }

func (f blockFormat) rowBytes(cols int) (int, error) {
	if cols%blockCols != 0 {
		return 0, fmt.Errorf("quant: %s stores blocks of %d weights: %d columns are not a multiple", f.name, blockCols, cols)
	}
	return cols / blockCols * f.blockBytes(), nil
}

func (f blockFormat) Encode(int, int, func([]float32, int)) (Matrix, error) {
	return nil, fmt.Errorf("quant: %s: %w; encode to an int4 or int8 format instead", f.name, ErrReadOnly)
}

func (f blockFormat) fromBytes(rows, cols int, data []byte) Matrix {
	return &blocks{f, rows, cols, cols / blockCols * f.blockBytes(), data}
}

// blocks is a matrix of GGUF blocks; rows are stride bytes apart.
type blocks struct {
	blockFormat
	rows, cols, stride int
	data               []byte
}

func (b *blocks) Format() string   { return b.name }
func (b *blocks) Dims() (int, int) { return b.rows, b.cols }
func (b *blocks) Bytes() int64 {
	return int64(b.rows) * int64(b.cols/blockCols) * int64(b.blockBytes())
}
func (b *blocks) Bits() int       { return b.bits }
func (b *blocks) Group() int      { return blockCols }
func (b *blocks) Symmetric() bool { return !b.min }

// block is the n-th block of row i.
func (b *blocks) block(i, n int) []byte {
	size := b.blockBytes()
	at := i*b.stride + n*size
	return b.data[at : at+size : at+size]
}

// affine is the block's scale and the value of its code 0.
func (b *blocks) affine(block []byte) (scale, min float32) {
	scale = f16(binary.LittleEndian.Uint16(block))
	if b.min {
		return scale, f16(binary.LittleEndian.Uint16(block[2:]))
	}
	return scale, -scale * float32(int(1)<<(b.bits-1))
}

// codes writes the block's 32 codes, unsigned.
func (b *blocks) codes(dst []uint8, block []byte) {
	src := block[b.codesAt():]
	if b.bits == 8 {
		for i, c := range src {
			dst[i] = c ^ 0x80
		}
		return
	}
	for i, c := range src {
		dst[i], dst[i+16] = c&15, c>>4
	}
}

func (b *blocks) ReadCodes(codes []uint8, scale, min []float32, row int) {
	for n := range b.cols / blockCols {
		block := b.block(row, n)
		scale[n], min[n] = b.affine(block)
		b.codes(codes[n*blockCols:], block)
	}
}

func (b *blocks) ReadRow(dst []float32, i int) {
	zero := 0
	if !b.min {
		zero = 1 << (b.bits - 1)
	}
	var codes [blockCols]uint8
	for n := range b.cols / blockCols {
		block := b.block(i, n)
		scale, min := b.affine(block)
		b.codes(codes[:], block)
		for j, c := range codes {
			v := float32(scale * float32(int(c)-zero))
			if b.min {
				v += min
			}
			dst[n*blockCols+j] = v
		}
	}
}

func (b *blocks) RowSlice(from, to int) Matrix {
	checkRows(b.name, from, to, b.rows)
	return &blocks{b.blockFormat, to - from, b.cols, b.stride, b.data[from*b.stride:]}
}

func (b *blocks) ColSlice(from, to int) (Matrix, error) {
	if err := checkCols(b.name, from, to, b.cols, blockCols); err != nil {
		return nil, err
	}
	return &blocks{b.blockFormat, b.rows, to - from, b.stride, b.data[from/blockCols*b.blockBytes():]}, nil
}

// check looks at the exponents alone: it runs over every block of a model before its first token.
func (b *blocks) check() error {
	size := b.blockBytes()
	for i := range b.rows {
		row := b.data[i*b.stride:][:b.cols/blockCols*size]
		at := firstBadBlock(row, size, b.min)
		if at < 0 {
			continue
		}
		scale, min := b.affine(row[at:])
		return fmt.Errorf("quant: %s matrix %d x %d: row %d, block %d has scale %v and minimum %v", b.name, b.rows, b.cols, i, at/size, scale, min)
	}
	return nil
}

// firstBadBlock returns where the first block of a row begins whose scale, or minimum where blocks have one, is NaN or
// infinite: an f16 whose exponent is all ones. -1 when there is none.
func firstBadBlock(row []byte, size int, withMin bool) int {
	const exponent = 0x7c00
	for at := 0; at+size <= len(row); at += size {
		v := binary.LittleEndian.Uint32(row[at:])
		if v&exponent == exponent || withMin && v&(exponent<<16) == exponent<<16 {
			return at
		}
	}
	return -1
}

func (b *blocks) panel() panelKind {
	return panelKind{bits: b.bits, group: blockCols, min: b.min, out: 1}
}

func (b *blocks) panelRow(dst *panelRow, i int) {
	words, flip := dst.words, uint32(0)
	if b.signed {
		flip = 0x80808080
	}
	for n := range b.cols / blockCols {
		block := b.block(i, n)
		dst.scale[n] = binary.LittleEndian.Uint16(block)
		if b.min {
			dst.minHalf[n] = binary.LittleEndian.Uint16(block[2:])
		}
		src := block[b.codesAt():]
		for len(src) >= 4 {
			words[0] = binary.LittleEndian.Uint32(src) ^ flip
			words, src = words[1:], src[4:]
		}
	}
}

// f16 widens one half-precision number.
func f16(bits uint16) float32 {
	var v [1]float32
	kernel.F16ToF32(v[:], []uint16{bits})
	return v[0]
}
