package quant

import (
	"fmt"
	"slices"
)

// SelectRows is a view of m whose row i is m's row index[i]. The index is kept, not copied, unless m is a view itself.
func SelectRows(m Matrix, index []int) Matrix {
	rows, _ := m.Dims()
	for _, i := range index {
		if i < 0 || i >= rows {
			panic(fmt.Sprintf("quant: SelectRows: row %d of a matrix with %d rows", i, rows))
		}
	}
	if stored, order := splitOrder(m); order != nil {
		return ordered{SelectRows(stored, index), order}
	}
	if stored, inner := unview(m); inner != nil {
		index = slices.Clone(index)
		for i, at := range index {
			index[i] = inner[at]
		}
		m = stored
	}
	v := rowView{m, index}
	if r, ok := m.(IntRows); ok {
		return intRowView{v, r}
	}
	return v
}

type rowView struct {
	Matrix
	index []int
}

func (v rowView) Dims() (int, int) {
	_, cols := v.Matrix.Dims()
	return len(v.index), cols
}

func (v rowView) Bytes() int64 {
	rows, _ := v.Matrix.Dims()
	return v.Matrix.Bytes() / int64(max(rows, 1)) * int64(len(v.index))
}

func (v rowView) ReadRow(dst []float32, i int) { v.Matrix.ReadRow(dst, v.index[i]) }

func (v rowView) RowSlice(from, to int) Matrix { return SelectRows(v.Matrix, v.index[from:to]) }

func (v rowView) ColSlice(from, to int) (Matrix, error) {
	m, err := v.Matrix.ColSlice(from, to)
	if err != nil {
		return nil, err
	}
	return SelectRows(m, v.index), nil
}

func (v rowView) check() error { return Check(v.Matrix) }

// unview returns the matrix behind a view and the view's index; nil when m is none.
func unview(m Matrix) (stored Matrix, index []int) {
	switch v := m.(type) {
	case rowView:
		return v.Matrix, v.index
	case intRowView:
		return v.Matrix, v.index
	}
	return m, nil
}

// panel and panelRow offer the rows to the packer as the matrix behind does.
func (v rowView) panel() (k panelKind, ok bool) {
	if src, is := v.Matrix.(panelSource); is {
		return src.panel()
	}
	return k, false
}

func (v rowView) panelRow(dst *panelRow, i int) { v.Matrix.(panelSource).panelRow(dst, v.index[i]) }

// intRowView keeps the codes of an integer format reachable.
type intRowView struct {
	rowView
	rows IntRows
}

func (v intRowView) Bits() int       { return v.rows.Bits() }
func (v intRowView) Group() int      { return v.rows.Group() }
func (v intRowView) Symmetric() bool { return v.rows.Symmetric() }
func (v intRowView) ReadCodes(codes []uint8, scale, min []float32, row int) {
	v.rows.ReadCodes(codes, scale, min, v.index[row])
}

// Transpose returns the transposed values of m as a dense f32 matrix.
func Transpose(m Matrix) Matrix {
	rows, cols := m.Dims()
	out := make([]float32, rows*cols)
	row := make([]float32, cols)
	for i := range rows {
		m.ReadRow(row, i)
		for j, v := range row {
			out[j*rows+i] = v
		}
	}
	return NewDense(cols, rows, out)
}
