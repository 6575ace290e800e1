package quant

import (
	"encoding/binary"

	"hone/kernel"
)

func init() {
	register(halfFormat{"f16", "IEEE half precision", kernel.F16ToF32, kernel.F32ToF16})
	register(halfFormat{"bf16", "bfloat16, the upper half of f32", kernel.BF16ToF32, kernel.F32ToBF16})
}

// halfFormat is a 16-bit float format.
type halfFormat struct {
	name, describe string
	widen          func(dst []float32, src []uint16)
	narrow         func(dst []uint16, src []float32)
}

func (f halfFormat) Name() string                   { return f.name }
func (f halfFormat) Describe() string               { return f.describe }
func (f halfFormat) BitsPerWeight(int) float64      { return 16 }
func (f halfFormat) rowBytes(cols int) (int, error) { return 2 * cols, nil }

func (f halfFormat) Encode(rows, cols int, readRow func(dst []float32, i int)) (Matrix, error) {
	m := &half{f, rows, cols, 2 * cols, make([]byte, 2*rows*cols)}
	row, bits := make([]float32, cols), make([]uint16, cols)
	for i := range rows {
		readRow(row, i)
		f.narrow(bits, row)
		for j, b := range bits {
			binary.LittleEndian.PutUint16(m.data[i*m.stride+2*j:], b)
		}
	}
	return m, nil
}

func (f halfFormat) fromBytes(rows, cols int, data []byte) Matrix {
	return &half{f, rows, cols, 2 * cols, data}
}

// half is a matrix of 16-bit floats; rows are stride bytes apart.
type half struct {
	format             halfFormat
	rows, cols, stride int
	data               []byte
}

func (h *half) Format() string   { return h.format.name }
func (h *half) Dims() (int, int) { return h.rows, h.cols }
func (h *half) Bytes() int64     { return 2 * int64(h.rows) * int64(h.cols) }

// row is the file bytes of row i.
func (h *half) row(i int) []byte { return h.data[i*h.stride : i*h.stride+2*h.cols] }

func (h *half) ReadRow(dst []float32, i int) {
	var buf [256]uint16
	src := h.row(i)
	for at := 0; at < h.cols; at += len(buf) {
		n := min(len(buf), h.cols-at)
		for j := range buf[:n] {
			buf[j] = binary.LittleEndian.Uint16(src[2*(at+j):])
		}
		h.format.widen(dst[at:at+n], buf[:n])
	}
}

func (h *half) RowSlice(from, to int) Matrix {
	checkRows(h.Format(), from, to, h.rows)
	return &half{h.format, to - from, h.cols, h.stride, h.data[from*h.stride:]}
}

func (h *half) ColSlice(from, to int) (Matrix, error) {
	if err := checkCols(h.Format(), from, to, h.cols, 1); err != nil {
		return nil, err
	}
	return &half{h.format, h.rows, to - from, h.stride, h.data[2*from:]}, nil
}
