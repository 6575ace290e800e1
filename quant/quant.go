// Package quant holds the number formats of weight matrices: how a file stores them, how they are encoded and decoded, and
// the products of their packed form.
//
// A weight matrix has two faces. A Matrix is the stored one: codes and scales as in the file, never modified. A Packed is
// made from it for the CPU at hand and is disposable: it multiplies. Packing rounds nothing that the stored face holds.
//
// One file is one format; formats register themselves by name, and one conformance test runs over all of them. An Input is
// an activation matrix with the encodings that packed weights ask for; a Multiplier runs products that share an input.
//
// Every output element of a product is computed in one order that depends on the weight's width alone: one token or many,
// one worker or many, any cut of rows and tokens give the same bits.
package quant

import (
	"fmt"
	"math"

	"hone/kernel"
)

// A Matrix is a stored weight matrix, rows x cols. It is safe for concurrent use.
type Matrix interface {
	Format() string // registered name
	Dims() (rows, cols int)
	Bytes() int64                 // stored bytes, scales included
	ReadRow(dst []float32, i int) // decodes row i; dst holds at least cols values
	RowSlice(from, to int) Matrix // rows [from,to), sharing storage
	// ColSlice returns columns [from,to), sharing storage; an error where a border falls inside a group.
	ColSlice(from, to int) (Matrix, error)
}

// IntRows is what every affine integer format offers: w = scale*code + min, one scale and min per group of a row.
type IntRows interface {
	Matrix
	Bits() int       // 4 or 8
	Group() int      // columns of one scale; the whole width for formats with one scale a row
	Symmetric() bool // min is -scale*2^(bits-1)
	// ReadCodes writes row's cols codes and its scales and minima, one per group.
	ReadCodes(codes []uint8, scale, min []float32, row int)
}

// checker is implemented by matrices whose bytes come from files and may hold scales that are no numbers.
type checker interface{ check() error }

// Check refuses a matrix whose scales, minima or values are NaN or infinite; the error names the row.
func Check(m Matrix) error {
	if c, ok := m.(checker); ok {
		return c.check()
	}
	rows, cols := m.Dims()
	buf, zeros := make([]float32, cols), make([]float32, cols)
	for i := range rows {
		m.ReadRow(buf, i)
		if kernel.Dot(buf, zeros) == 0 {
			continue // NaN and infinity times 0 are NaN
		}
		if j := firstNotFinite(buf); j >= 0 {
			return fmt.Errorf("quant: %s matrix %d x %d: row %d, column %d holds %v", m.Format(), rows, cols, i, j, buf[j])
		}
	}
	return nil
}

// firstNotFinite returns the index of the first NaN or infinity, or -1.
func firstNotFinite(x []float32) int {
	for i, v := range x {
		if !finite(v) {
			return i
		}
	}
	return -1
}

func finite(v float32) bool { return math.Float32bits(v)&0x7f800000 != 0x7f800000 }

// FromBytes makes a matrix of file bytes, without copying them. The length must be exact.
func FromBytes(format string, rows, cols int, data []byte) (Matrix, error) {
	f, err := Lookup(format)
	if err != nil {
		return nil, err
	}
	raw, ok := f.(rawFormat)
	if !ok {
		return nil, fmt.Errorf("quant: format %s has no raw bytes of its own: build it with NewInt or Encode", f.Name())
	}
	if rows <= 0 || cols <= 0 {
		return nil, fmt.Errorf("quant: %s matrix of %d x %d: both sizes must be positive", f.Name(), rows, cols)
	}
	per, err := raw.rowBytes(cols)
	if err != nil {
		return nil, err
	}
	if len(data)%per != 0 || len(data)/per != rows {
		return nil, fmt.Errorf("quant: %s matrix %d x %d needs %d bytes a row, so %.0f; there are %d", f.Name(), rows, cols,
			per, float64(per)*float64(rows), len(data))
	}
	return raw.fromBytes(rows, cols, data), nil
}

// rawFormat is a format whose rows stand in files as plain bytes.
type rawFormat interface {
	Format
	rowBytes(cols int) (int, error)
	fromBytes(rows, cols int, data []byte) Matrix
}

func checkRows(format string, from, to, rows int) {
	if from < 0 || to < from || to > rows {
		panic(fmt.Sprintf("quant: rows [%d,%d) of a %s matrix with %d rows", from, to, format, rows))
	}
}

// checkCols tests a column slice whose borders must be multiples of unit, or the end.
func checkCols(format string, from, to, cols, unit int) error {
	if from < 0 || to <= from || to > cols {
		return fmt.Errorf("quant: columns [%d,%d) of a %s matrix with %d columns", from, to, format, cols)
	}
	if from%unit != 0 || to%unit != 0 && to != cols {
		return fmt.Errorf("quant: columns [%d,%d) of a %s matrix: borders must be multiples of its group of %d", from, to, format, unit)
	}
	return nil
}
