package quant

import (
	"encoding/binary"
	"fmt"
	"math"

	"hone/kernel"
)

// blockFormat is a GGUF format: rows are lines of blocks of so many weights in so many bytes. All of them hold small integer
// codes under scales, so that one reader of codes a format is all that decoding and packing need. Weight j of a block, in
// group g = j/group, is
//
//	d·scale[g]·(code[j]−zero) + min·mins[g]
//
// where scale and mins are 1 unless the format is factored.
type blockFormat struct {
	name, describe string
	weights, bytes int                        // of a block
	bits           int                        // of a code
	group          int                        // weights under one scale
	zero           int                        // the code of 0
	min            bool                       // groups have minima
	factored       bool                       // scales and minima are a block's f16 times integers of its groups
	wide           bool                       // d is no f16
	plain          int                        // where codes begin that stand as in panels, signed ones apart; 0: they do not
	halves         []int                      // where a block's f16 scale and minimum stand
	shorter        string                     // the format of blocks of 32 that stands in where rows do not fill those of 256
	grid           *grid                      // codes are values of a grid
	read           func(b *block, src []byte) // b.codes are zero before
	write          func(dst []byte, b *block) // the inverse of read, dst is zero before; nil: only read
}

// block is one block's codes and scales. d and min are f16; wide formats have single instead of d.
type block struct {
	d, min uint16
	single float32
	scales [16]int8
	mins   [16]uint8
	codes  [256]uint8
}

func (f *blockFormat) Name() string              { return f.name }
func (f *blockFormat) Describe() string          { return "GGUF: " + f.describe }
func (f *blockFormat) BitsPerWeight(int) float64 { return float64(8*f.bytes) / float64(f.weights) }

func (f *blockFormat) rowBytes(cols int) (int, error) {
	if cols%f.weights != 0 {
		return 0, fmt.Errorf("quant: %s stores blocks of %d weights: %d columns are not a multiple", f.name, f.weights, cols)
	}
	return cols / f.weights * f.bytes, nil
}

func (f *blockFormat) fromBytes(rows, cols int, data []byte) Matrix {
	return wrap(blocks{f, rows, cols, cols / f.weights * f.bytes, data, nil})
}

// blocks is a matrix of GGUF blocks; rows are stride bytes apart.
type blocks struct {
	*blockFormat
	rows, cols, stride int
	data               []byte
	apart              *scalesApart // scales that stand elsewhere; nil: in the blocks
}

// wrap offers the codes of blocks that other file formats can take over as they are.
func wrap(b blocks) Matrix {
	if b.group == 32 && b.weights == 32 && (b.bits == 4 || b.zero == 128) && !b.wide {
		return &affineBlocks{b}
	}
	return &b
}

func (b *blocks) Format() string   { return b.name }
func (b *blocks) Dims() (int, int) { return b.rows, b.cols }
func (b *blocks) Bytes() int64 {
	return int64(b.rows) * int64(b.cols/b.weights) * int64(b.bytes)
}

// at is the n-th block of row i in the file.
func (b *blocks) at(i, n int) []byte {
	from := i*b.stride + n*b.bytes
	return b.data[from : from+b.bytes : from+b.bytes]
}

// load reads the n-th block of row i.
func (b *blocks) load(dst *block, i, n int) {
	clear(dst.codes[:b.weights])
	b.read(dst, b.at(i, n))
	if b.apart != nil {
		dst.single = microScale(b.apart.at(i, n))
	}
}

// affine is the scale and the minimum of a group.
func (b *blocks) affine(k *block, g int) (scale, min float32) {
	if scale = k.single; !b.wide {
		scale = f16(k.d)
	}
	if b.min {
		min = f16(k.min)
	}
	if b.factored {
		return scale * float32(k.scales[g]), min * float32(k.mins[g])
	}
	return scale, min
}

func (b *blocks) ReadRow(dst []float32, i int) {
	var k block
	for n := range b.cols / b.weights {
		b.load(&k, i, n)
		for g := range b.weights / b.group {
			scale, min := b.affine(&k, g)
			out := dst[n*b.weights+g*b.group:][:b.group]
			for j, c := range k.codes[g*b.group:][:b.group] {
				out[j] = float32(scale * float32(int(c)-b.zero))
			}
			if b.min {
				for j := range out {
					out[j] += min
				}
			}
		}
	}
}

func (b *blocks) RowSlice(from, to int) Matrix {
	checkRows(b.name, from, to, b.rows)
	return wrap(blocks{b.blockFormat, to - from, b.cols, b.stride, b.data[from*b.stride:], b.apart.from(from, 0)})
}

func (b *blocks) ColSlice(from, to int) (Matrix, error) {
	if err := checkCols(b.name, from, to, b.cols, b.weights); err != nil {
		return nil, err
	}
	return wrap(blocks{b.blockFormat, b.rows, to - from, b.stride, b.data[from/b.weights*b.bytes:], b.apart.from(0, from/b.weights)}), nil
}

// check looks at the exponents of scales and minima alone: it runs over every block of a model before its first token.
func (b *blocks) check() error {
	for i := range b.rows {
		row := b.data[i*b.stride:][:b.cols/b.weights*b.bytes]
		for _, at := range b.halves {
			if n := firstBadHalf(row, at, b.bytes); n >= 0 {
				bits := binary.LittleEndian.Uint16(row[n*b.bytes+at:])
				return b.fault(i, n, "has scale or minimum %v", f16(bits))
			}
		}
		if b.wide {
			if err := b.checkWide(i); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *blocks) fault(i, n int, format string, args ...any) error {
	return fmt.Errorf("quant: %s matrix %d x %d: row %d, block %d %s", b.name, b.rows, b.cols, i, n, fmt.Sprintf(format, args...))
}

// firstBadHalf returns the first block of a row whose f16 at the offset is NaN or infinite: its exponent is all ones. -1 when
// there is none.
func firstBadHalf(row []byte, offset, size int) int {
	const exponent = 0x7c00
	for at := offset; at < len(row); at += size {
		if binary.LittleEndian.Uint16(row[at:])&exponent == exponent {
			return at / size
		}
	}
	return -1
}

// checkWide refuses a row with values that f32 cannot hold.
func (b *blocks) checkWide(i int) error {
	const safe = 0x1p119 // times 128 it is finite
	var k block
	for n := range b.cols / b.weights {
		if b.load(&k, i, n); math.Abs(float64(k.single)) <= safe {
			continue
		}
		for _, c := range k.codes[:b.weights] {
			if v := k.single * float32(int(c)-b.zero); !finite(v) || !finite(k.single) {
				return b.fault(i, n, "has scale %v", k.single)
			}
		}
	}
	return nil
}

// affineBlocks are blocks of 32 weights with 4- or 8-bit codes, one f16 scale and at most one f16 minimum.
type affineBlocks struct{ blocks }

func (b *affineBlocks) Bits() int       { return b.bits }
func (b *affineBlocks) Group() int      { return b.group }
func (b *affineBlocks) Symmetric() bool { return !b.min }

func (b *affineBlocks) ReadCodes(codes []uint8, scale, min []float32, row int) {
	var k block
	for n := range b.cols / b.weights {
		b.load(&k, row, n)
		copy(codes[n*b.weights:], k.codes[:b.weights])
		if scale[n], min[n] = b.affine(&k, 0); !b.min {
			min[n] = -scale[n] * float32(b.zero)
		}
	}
}

// f16 widens one half-precision number.
func f16(bits uint16) float32 {
	var v [1]float32
	kernel.F16ToF32(v[:], []uint16{bits})
	return v[0]
}

// half16 is the 16-bit number at b.
func half16(b []byte) uint16 { return binary.LittleEndian.Uint16(b) }

// putHalves writes 16-bit numbers.
func putHalves(dst []byte, values ...uint16) {
	for i, v := range values {
		binary.LittleEndian.PutUint16(dst[2*i:], v)
	}
}

// A move carries a field of many bytes between codes and a file's bytes, one code to a byte: `bits` bits that stand from bit
// `at` in the byte and from bit `to` in the code. Layouts are written once, as a function of the move: gather reads, scatter
// writes. The lengths of src are multiples of 8; what is not moved stays.
type move func(codes []uint8, src []byte, at, bits, to int)

func gather(codes []uint8, src []byte, at, bits, to int) {
	mask := uint64(1<<bits-1) * 0x0101010101010101
	codes = codes[:len(src)]
	for len(src) >= 8 {
		c := binary.LittleEndian.Uint64(src) >> at & mask << to
		binary.LittleEndian.PutUint64(codes, binary.LittleEndian.Uint64(codes)|c)
		codes, src = codes[8:], src[8:]
	}
}

func scatter(codes []uint8, dst []byte, at, bits, to int) {
	gather(dst, codes[:len(dst)], to, bits, at)
}

// nibbles are 32 codes: the low halves of 16 bytes, then the high ones.
func nibbles(codes []uint8, src []byte, move move) {
	move(codes[:16], src[:16], 0, 4, 0)
	move(codes[16:32], src[:16], 4, 4, 0)
}
