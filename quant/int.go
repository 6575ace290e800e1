package quant

import (
	"fmt"
	"math"
)

func init() {
	for _, bits := range []int{4, 8} {
		for _, group := range []int{0, 32, 64, 128} {
			for _, asym := range []bool{false, true} {
				registerInt(intFormat{bits: bits, group: group, asym: asym})
			}
		}
	}
}

// registerInt registers a format of weights and the one whose products round the activations too.
func registerInt(f intFormat) {
	register(f)
	f.rounded = true
	register(f)
}

// RoundedSuffix ends the names of formats whose products round activations to int8.
const RoundedSuffix = "-a8"

// intFormat is one of Hone's own integer formats. Symmetric: w = scale*(code-2^(bits-1)), scale = 2*absmax/(2^bits-1), codes
// clamped. Asymmetric: w = scale*(code-zero) with an integer zero point, the range widened to hold 0. Scales of groups
// are f16 (times one power of two for the whole matrix, 1 unless its weights are very small or large); scales of rows are f32.
//
// A plain name says how weights are rounded, and nothing else is: products take activations in about 16 bits, whose rounding
// is not seen. Names with -a8 take them in int8, in half the time, at a loss that docs/numerics.md measures.
type intFormat struct {
	bits, group int // group 0: one scale a row
	asym        bool
	search      bool // the scale is searched for the least squared error
	token       bool // products take one activation scale per token
	rounded     bool // products take activations in int8, one scale a group
}

func (f intFormat) Name() string {
	if f.token {
		return "w8a8"
	}
	name := fmt.Sprintf("int%d-g%d", f.bits, f.group)
	if f.group == 0 {
		name = fmt.Sprintf("int%d-row", f.bits)
	}
	if f.asym {
		name += "-asym"
	}
	if f.search {
		name += "-mse"
	}
	if f.rounded {
		name += RoundedSuffix
	}
	return name
}

func (f intFormat) Describe() string {
	text := fmt.Sprintf("%d bits, %s, ", f.bits, groupWords(f.group))
	if f.asym {
		text += "with zero points"
	} else {
		text += "symmetric"
	}
	if f.search {
		text += ", scale searched for the least squared error"
	}
	if f.rounded {
		text += ", activations int8"
	}
	if f.token {
		text += ", activations int8 with one scale a token"
	}
	return text
}

func (f intFormat) BitsPerWeight(cols int) float64 {
	extra := 16
	if f.group == 0 {
		extra = 32
	}
	if f.asym {
		extra += 8
	}
	return float64(f.bits) + float64(extra)/float64(f.width(cols))
}

// width is the number of columns under one scale.
func (f intFormat) width(cols int) int {
	if f.group == 0 {
		return cols
	}
	return f.group
}

func (f intFormat) fits(cols int) bool { return f.group == 0 || cols%f.group == 0 }

// zero is the code of weight 0 of a symmetric format.
func (f intFormat) zero() int { return 1 << (f.bits - 1) }

// codeBytes is the size of a row's codes. Four-bit codes stand in blocks of 32 columns, 16 bytes each, the last one padded:
// byte i holds column i low and column i+16 high.
func (f intFormat) codeBytes(cols int) int {
	if f.bits == 8 {
		return cols
	}
	return (cols + 31) / 32 * 16
}

func (f intFormat) Encode(rows, cols int, readRow func(dst []float32, i int)) (Matrix, error) {
	if rows <= 0 || cols <= 0 {
		return nil, fmt.Errorf("quant: %s matrix of %d x %d: both sizes must be positive", f.Name(), rows, cols)
	}
	if !f.fits(cols) {
		return nil, fmt.Errorf("quant: %s: a group of %d does not divide %d columns; Resolve finds one that does", f.Name(), f.group, cols)
	}
	b := newIntBuilder(f, rows, cols)
	if err := b.encode(readRow); err != nil {
		return nil, err
	}
	return b.finish(), nil
}

// intMatrix is a matrix of one of Hone's integer formats.
type intMatrix struct {
	format     intFormat
	rows, cols int
	codes      []byte
	stride     int       // bytes between the codes of rows
	half       []uint16  // group scales over out, f16
	rowScale   []float32 // row scales
	zeros      []uint8   // zero points, as many as scales
	perRow     int       // scales between rows
	out        float32   // a power of two that multiplies every group scale
	wide       []float32 // group scales as given, where f16 does not hold them: what is read; products take the narrowed ones
}

func (m *intMatrix) Format() string   { return m.format.Name() }
func (m *intMatrix) Dims() (int, int) { return m.rows, m.cols }
func (m *intMatrix) Bits() int        { return m.format.bits }
func (m *intMatrix) Group() int       { return m.format.width(m.cols) }
func (m *intMatrix) Symmetric() bool  { return !m.format.asym }

func (m *intMatrix) Bytes() int64 {
	return int64(math.Ceil(m.format.BitsPerWeight(m.cols) * float64(m.cols) / 8 * float64(m.rows)))
}

// affine is the scale and zero point of group g of row i.
func (m *intMatrix) affine(i, g int) (scale float32, zero int) {
	zero = m.format.zero()
	if m.format.asym {
		zero = int(m.zeros[i*m.perRow+g])
	}
	if m.format.group == 0 {
		return m.rowScale[i], zero
	}
	if m.wide != nil {
		return m.wide[i*m.perRow+g], zero
	}
	return f16(m.half[i*m.perRow+g]) * m.out, zero
}

// rowCodes writes the codes of row i.
func (m *intMatrix) rowCodes(dst []uint8, i int) {
	src := m.codes[i*m.stride:]
	if m.format.bits == 8 {
		copy(dst[:m.cols], src)
		return
	}
	for j := range dst[:m.cols] {
		b := src[j/32*16+j%16]
		if j%32 < 16 {
			dst[j] = b & 15
		} else {
			dst[j] = b >> 4
		}
	}
}

func (m *intMatrix) ReadCodes(codes []uint8, scale, min []float32, row int) {
	m.rowCodes(codes, row)
	for g := range m.cols / m.Group() {
		s, zero := m.affine(row, g)
		scale[g], min[g] = s, -s*float32(zero)
	}
}

func (m *intMatrix) ReadRow(dst []float32, i int) {
	var codes [128]uint8
	width := m.Group()
	for at := 0; at < m.cols; {
		n := min(len(codes), width-at%width, m.cols-at)
		scale, zero := m.affine(i, at/width)
		m.codeRange(codes[:n], i, at)
		for j, c := range codes[:n] {
			dst[at+j] = scale * float32(int(c)-zero)
		}
		at += n
	}
}

// codeRange writes the codes of row i from column at, a multiple of 32.
func (m *intMatrix) codeRange(dst []uint8, i, at int) {
	part := *m
	part.codes, part.cols = m.codes[m.format.codeBytes(at):], len(dst)
	part.rowCodes(dst, i)
}

func (m *intMatrix) RowSlice(from, to int) Matrix {
	checkRows(m.Format(), from, to, m.rows)
	s := *m
	s.rows, s.codes = to-from, m.codes[from*m.stride:]
	if m.format.group == 0 {
		s.rowScale = m.rowScale[from:]
	} else {
		s.half = m.half[from*m.perRow:]
	}
	if m.wide != nil {
		s.wide = m.wide[from*m.perRow:]
	}
	if m.format.asym {
		s.zeros = m.zeros[from*m.perRow:]
	}
	return &s
}

func (m *intMatrix) ColSlice(from, to int) (Matrix, error) {
	unit := m.format.group
	if unit == 0 {
		if unit = 1; m.format.bits == 4 {
			unit = 32 // the codes stand in blocks of 32
		}
	}
	if err := checkCols(m.Format(), from, to, m.cols, unit); err != nil {
		return nil, err
	}
	s := *m
	s.cols, s.codes = to-from, m.codes[m.format.codeBytes(from):]
	if g := m.format.group; g > 0 {
		s.half = m.half[from/g:]
		if m.wide != nil {
			s.wide = m.wide[from/g:]
		}
		if m.format.asym {
			s.zeros = m.zeros[from/g:]
		}
	}
	return &s, nil
}

func (m *intMatrix) check() error {
	for i := range m.rows {
		for g := range m.cols / m.Group() {
			if scale, _ := m.affine(i, g); !finite(scale) {
				return fmt.Errorf("quant: %s matrix %d x %d: row %d, group %d has scale %v", m.Format(), m.rows, m.cols, i, g, scale)
			}
		}
	}
	return nil
}
