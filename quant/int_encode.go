package quant

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"

	"hone/kernel"
)

// intBuilder collects the rows of an integer matrix; group scales stay f32 with an f16 fraction until the range of all
// of them is known.
type intBuilder struct {
	m      *intMatrix
	scales []float32
}

func newIntBuilder(f intFormat, rows, cols int) *intBuilder {
	perRow := cols / f.width(cols)
	m := &intMatrix{format: f, rows: rows, cols: cols, stride: f.codeBytes(cols), perRow: perRow, out: 1}
	m.codes = make([]byte, rows*m.stride)
	if f.asym {
		m.zeros = make([]uint8, rows*perRow)
	}
	return &intBuilder{m, make([]float32, rows*perRow)}
}

// encodeBatch is the number of weights that are read before their rows are rounded on all cores.
const encodeBatch = 1 << 18

// encode reads rows in order and rounds them in parallel.
func (b *intBuilder) encode(readRow func(dst []float32, i int)) error {
	cols := b.m.cols
	batch := min(b.m.rows, max(1, encodeBatch/cols))
	data, faults := make([]float32, batch*cols), make([]error, runtime.GOMAXPROCS(0))
	for at := 0; at < b.m.rows; at += batch {
		n := min(batch, b.m.rows-at)
		for i := range n {
			readRow(data[i*cols:(i+1)*cols], at+i)
		}
		var wait sync.WaitGroup
		for w := range faults {
			wait.Go(func() {
				codes := make([]uint8, cols)
				for i := w; i < n && faults[w] == nil; i += len(faults) {
					faults[w] = b.encodeRow(data[i*cols:(i+1)*cols], codes, at+i)
				}
			})
		}
		wait.Wait()
		if err := errors.Join(faults...); err != nil {
			return err
		}
	}
	return nil
}

// encodeRow rounds row i; codes is memory for one row.
func (b *intBuilder) encodeRow(row []float32, codes []uint8, i int) error {
	if j := firstNotFinite(row); j >= 0 {
		return fmt.Errorf("quant: %s: row %d, column %d holds %v, which has no code", b.m.Format(), i, j, row[j])
	}
	f, width := b.m.format, b.m.Group()
	for g := range b.m.perRow {
		part := row[g*width : (g+1)*width]
		scale, zero := f.choose(part)
		by := f.roundingScale(part, scale)
		b.scales[i*b.m.perRow+g] = scale
		if f.asym {
			b.m.zeros[i*b.m.perRow+g] = uint8(zero)
		}
		f.round(codes[g*width:(g+1)*width], part, by, zero)
	}
	b.setCodes(codes, i)
	return nil
}

// setCodes stores a row's codes.
func (b *intBuilder) setCodes(codes []uint8, i int) {
	dst := b.m.codes[i*b.m.stride : (i+1)*b.m.stride]
	if b.m.format.bits == 8 {
		copy(dst, codes)
		return
	}
	for len(codes) >= 32 {
		for j, c := range codes[:16] {
			dst[j] = c | codes[j+16]<<4
		}
		codes, dst = codes[32:], dst[16:]
	}
	for j, c := range codes { // the last block may be short
		dst[j%16] |= c << (j / 16 * 4)
	}
}

// finish fixes the matrix's power of two and narrows the group scales to f16.
func (b *intBuilder) finish() *intMatrix {
	m := b.m
	if m.format.group == 0 {
		m.rowScale = b.scales
		return m
	}
	m.out = outFactor(b.scales)
	for i, s := range b.scales {
		b.scales[i] = s / m.out
	}
	m.half = make([]uint16, len(b.scales))
	kernel.F32ToF16(m.half, b.scales)
	return m
}

// outFactor is 1 where all scales are normal numbers in f16, otherwise the power of two that brings the largest below 2^15.
func outFactor(scales []float32) float32 {
	low, high := float32(math.Inf(1)), float32(0)
	for _, s := range scales {
		if s = float32(math.Abs(float64(s))); s > 0 && finite(s) {
			low, high = min(low, s), max(high, s)
		}
	}
	if high == 0 || low >= 0x1p-14 && high < 65504 {
		return 1
	}
	_, exp := math.Frexp(float64(high))
	return float32(math.Ldexp(1, max(exp-15, -126)))
}

// choose finds the scale and zero point of a group by plain rounding, or by search.
func (f intFormat) choose(x []float32) (scale float32, zero int) {
	low, high := f.span(x)
	scale, zero = f.grid(low, high)
	if f.search {
		return f.searchGrid(x, low, high)
	}
	return scale, zero
}

// roundingScale is the scale that codes are found by: of plain symmetric groups the one before it was narrowed to f16. There the
// largest weight lies exactly half a step beyond the grid's upper end; the tie sends a negative one to the lower end, and
// a scale a little too wide would take it from there, which costs 3 % of perplexity on SmolLM2. The codes are those of
// compressed-tensors' min-max observer.
func (f intFormat) roundingScale(x []float32, narrowed float32) float32 {
	if f.asym || f.search || narrowed == 0 {
		return narrowed
	}
	return kernel.AbsMax(x) / (float32(int(1)<<f.bits-1) / 2)
}

// span is the range that a grid must hold: from the least weight or 0 to the greatest or 0, or as wide on both sides.
func (f intFormat) span(x []float32) (low, high float32) {
	if !f.asym {
		high = kernel.AbsMax(x)
		return -high, high
	}
	for _, v := range x {
		if v < low {
			low = v
		}
		if v > high {
			high = v
		}
	}
	return low, high
}

// grid spans [low,high], which holds 0.
func (f intFormat) grid(low, high float32) (scale float32, zero int) {
	top := float32(int(1)<<f.bits - 1)
	scale, zero = f.narrow(float32((float64(high)-float64(low))/float64(top))), f.zero()
	if f.asym && scale > 0 {
		zero = int(min(top, max(0, float32(math.RoundToEven(float64(-low/scale))))))
	}
	return scale, zero
}

// narrow gives a group scale the 11-bit fraction of f16; row scales are f32.
func (f intFormat) narrow(s float32) float32 {
	if f.group == 0 || s == 0 {
		return s
	}
	const drop = 13
	b := math.Float32bits(s)
	r := math.Float32frombits((b + 1<<(drop-1) - 1 + b>>drop&1) &^ (1<<drop - 1))
	if !finite(r) {
		return math.Float32frombits(b &^ (1<<drop - 1))
	}
	return r
}

// round writes the nearest codes (ties to even), clamped.
func (f intFormat) round(dst []uint8, x []float32, scale float32, zero int) {
	if scale == 0 {
		for i := range dst {
			dst[i] = uint8(zero)
		}
		return
	}
	top, z := float32(int(1)<<f.bits-1), float32(zero)
	for i, v := range x {
		q := roundEven(v/scale) + z
		dst[i] = uint8(min(top, max(0, q)))
	}
}

// roundEven rounds |v| < 2^22 to the nearest integer, ties to even; larger values keep their size.
func roundEven(v float32) float32 {
	const magic = 3 << 22
	if v > 1<<21 || v < -1<<21 {
		return v
	}
	return float32(v+magic) - magic
}

// NewInt makes a matrix of one of the int formats or w8a8 from codes (0 … 2^bits-1), scales and, for asymmetric formats,
// zero points that readRow writes row by row, one per group. Products take group scales narrowed to f16; reading gives the
// scales as they are.
func NewInt(format string, rows, cols int, readRow func(codes []uint8, scale []float32, zero []uint8, i int) error) (Matrix, error) {
	any, err := Lookup(format)
	if err != nil {
		return nil, err
	}
	f, ok := any.(intFormat)
	if !ok || rows <= 0 || cols <= 0 || !f.fits(cols) {
		return nil, fmt.Errorf("quant: NewInt: no %s matrix of %d x %d can be made of codes", format, rows, cols)
	}
	b := newIntBuilder(f, rows, cols)
	codes, zeros := make([]uint8, cols), make([]uint8, b.m.perRow)
	for i := range rows {
		if err := readRow(codes, b.scales[i*b.m.perRow:(i+1)*b.m.perRow], zeros, i); err != nil {
			return nil, err
		}
		if j := f.badCode(codes); j >= 0 {
			return nil, fmt.Errorf("quant: NewInt: %s: row %d, column %d has code %d", format, i, j, codes[j])
		}
		if f.asym {
			copy(b.m.zeros[i*b.m.perRow:], zeros)
		}
		b.setCodes(codes, i)
	}
	given := slices.Clone(b.scales)
	m := b.finish()
	m.keepWide(given)
	return m, m.check()
}

// keepWide keeps group scales that f16 does not hold.
func (m *intMatrix) keepWide(scales []float32) {
	back := make([]float32, len(m.half))
	kernel.F16ToF32(back, m.half)
	for i, v := range back {
		if v*m.out != scales[i] {
			m.wide = scales
			return
		}
	}
}

// badCode returns the column of the first code that the format's bits cannot hold, or -1.
func (f intFormat) badCode(codes []uint8) int {
	if f.bits == 8 {
		return -1
	}
	all := uint8(0)
	for _, c := range codes {
		all |= c
	}
	if all>>f.bits == 0 {
		return -1
	}
	return slices.IndexFunc(codes, func(c uint8) bool { return c>>f.bits != 0 })
}
