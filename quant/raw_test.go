package quant

import (
	"bytes"
	"testing"
)

// TestAppendRow: the bytes of rows are the file's own, in every format that has bytes and through every view.
func TestAppendRow(t *testing.T) {
	const rows, cols = 6, 256
	for _, f := range Formats() {
		raw, ok := f.(rawFormat)
		if !ok {
			continue
		}
		per, err := raw.rowBytes(cols)
		if err != nil {
			t.Fatal(err)
		}
		data := make([]byte, rows*per)
		for i := range data {
			data[i] = byte(i*7 + i/per)
		}
		m, err := FromBytes(f.Name(), rows, cols, data)
		if err != nil {
			t.Fatal(err)
		}
		row := func(m Matrix, i int) []byte {
			got, ok := AppendRow([]byte("x"), m, i)
			if !ok || got[0] != 'x' {
				t.Fatalf("%s: no bytes", f.Name())
			}
			return got[1:]
		}
		want := func(i int) []byte { return data[i*per : (i+1)*per] }
		both := Concat(m, m.RowSlice(2, 4))
		for name, c := range map[string]struct{ got, want []byte }{
			"plain":   {row(m, 3), want(3)},
			"slice":   {row(m.RowSlice(2, 5), 1), want(3)},
			"view":    {row(SelectRows(m, []int{5, 0}), 0), want(5)},
			"concat":  {row(both, rows+1), want(3)},
			"view of": {row(SelectRows(both, []int{rows}), 0), want(2)},
		} {
			if !bytes.Equal(c.got, c.want) {
				t.Errorf("%s: %s: other bytes", f.Name(), name)
			}
		}
		if _, ok := AppendRow(nil, Concat(m, NewDense(1, cols, make([]float32, cols))), 0); ok && f.Name() != "f32" {
			t.Errorf("%s: a view of two formats has bytes", f.Name())
		}
	}
	ints := encodeFormat(t, "int8-row", 1, 32)
	if _, ok := AppendRow(nil, ints, 0); ok {
		t.Error("int8-row has bytes of a file")
	}
}

func encodeFormat(t *testing.T, format string, rows, cols int) Matrix {
	t.Helper()
	f, err := Lookup(format)
	if err != nil {
		t.Fatal(err)
	}
	m, err := f.Encode(rows, cols, func(dst []float32, i int) { dst[0] = 1 })
	if err != nil {
		t.Fatal(err)
	}
	return m
}
