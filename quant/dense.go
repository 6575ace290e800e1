package quant

import (
	"encoding/binary"
	"fmt"
	"math"
	"unsafe"
)

func init() { register(denseFormat{}) }

// denseFormat is "f32".
type denseFormat struct{}

func (denseFormat) Name() string                   { return "f32" }
func (denseFormat) Describe() string               { return "32-bit floats" }
func (denseFormat) BitsPerWeight(int) float64      { return 32 }
func (denseFormat) rowBytes(cols int) (int, error) { return 4 * cols, nil }

func (denseFormat) Encode(rows, cols int, readRow func(dst []float32, i int)) (Matrix, error) {
	data := make([]float32, rows*cols)
	for i := range rows {
		readRow(data[i*cols:(i+1)*cols], i)
	}
	return NewDense(rows, cols, data), nil
}

func (denseFormat) fromBytes(rows, cols int, data []byte) Matrix {
	return NewDense(rows, cols, floats(data))
}

// floats is data as little-endian f32: the same memory where the machine allows it.
func floats(data []byte) []float32 {
	n := len(data) / 4
	if littleEndian && uintptr(unsafe.Pointer(unsafe.SliceData(data)))%4 == 0 {
		return unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(data))), n)
	}
	out := make([]float32, n)
	for i := range out {
		out[i] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
	}
	return out
}

var littleEndian = binary.NativeEndian.Uint16([]byte{1, 0}) == 1

// dense is a row-major f32 matrix; rows are stride values apart.
type dense struct {
	rows, cols, stride int
	data               []float32
}

// NewDense is the "f32" matrix of row-major data, which is kept, not copied.
func NewDense(rows, cols int, data []float32) Matrix {
	if rows < 0 || cols < 0 || len(data) < rows*cols {
		panic(fmt.Sprintf("quant: NewDense %d x %d over %d values", rows, cols, len(data)))
	}
	return &dense{rows, cols, cols, data}
}

func (d *dense) Format() string      { return "f32" }
func (d *dense) Dims() (int, int)    { return d.rows, d.cols }
func (d *dense) Bytes() int64        { return 4 * int64(d.rows) * int64(d.cols) }
func (d *dense) row(i int) []float32 { return d.data[i*d.stride : i*d.stride+d.cols] }

func (d *dense) ReadRow(dst []float32, i int) { copy(dst[:d.cols], d.row(i)) }

func (d *dense) RowSlice(from, to int) Matrix {
	checkRows("f32", from, to, d.rows)
	return &dense{to - from, d.cols, d.stride, d.data[from*d.stride:]}
}

func (d *dense) ColSlice(from, to int) (Matrix, error) {
	if err := checkCols("f32", from, to, d.cols, 1); err != nil {
		return nil, err
	}
	return &dense{d.rows, to - from, d.stride, d.data[from:]}, nil
}
