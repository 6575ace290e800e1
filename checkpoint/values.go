package checkpoint

import (
	"fmt"
	"math"

	"hone/quant"
)

// matrixOf views the bytes of a tensor of two or more dimensions as a matrix and checks its numbers.
func matrixOf(format string, shape []int, data []byte) (quant.Matrix, error) {
	if len(shape) < 2 {
		return nil, fmt.Errorf("shape %v: a matrix has at least two dimensions", shape)
	}
	rows, cols := flat(shape)
	return checkedMatrix(format, rows, cols, data)
}

// flat keeps the last dimension, which block formats are cut along, and joins all others.
func flat(shape []int) (rows, cols int) {
	rows, cols = 1, 1
	for i, d := range shape {
		if i == len(shape)-1 {
			cols = d
			continue
		}
		rows *= d
	}
	return rows, cols
}

func checkedMatrix(format string, rows, cols int, data []byte) (quant.Matrix, error) {
	if rows == 0 || cols == 0 {
		return nil, fmt.Errorf("shape [%d %d] holds no value", rows, cols)
	}
	m, err := quant.FromBytes(format, rows, cols, data)
	if err != nil {
		return nil, err
	}
	if err := quant.Check(m); err != nil {
		return nil, err
	}
	return m, nil
}

// maxVector is the number of values up to which a vector may take more than twice its bytes in the file: 64 MB decoded.
const maxVector = 1 << 24

// vectorOf decodes a tensor of any shape to float32.
func vectorOf(format string, shape []int, data []byte) ([]float32, error) {
	rows, cols := flat(shape)
	m, err := checkedMatrix(format, rows, cols, data)
	if err != nil {
		return nil, err
	}
	if n := rows * cols; n > maxVector && 2*n > len(data) {
		return nil, fmt.Errorf("shape %v as %s: %d values are too many for a vector, which is decoded whole", shape, format, n)
	}
	v := flatten(m)
	for i, x := range v {
		if math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) {
			return nil, fmt.Errorf("value %d is %v", i, x)
		}
	}
	return v, nil
}

func flatten(m quant.Matrix) []float32 {
	rows, cols := m.Dims()
	out := make([]float32, rows*cols)
	for i := range rows {
		m.ReadRow(out[i*cols:(i+1)*cols], i)
	}
	return out
}
