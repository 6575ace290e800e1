package quant

import (
	"slices"
	"testing"
)

// TestConcat: the rows of all parts in order, in slices too; integer formats stay integer, mixed ones become f32.
func TestConcat(t *testing.T) {
	part := func(format string, rows int) Matrix {
		f, err := Lookup(format)
		if err != nil {
			t.Fatal(err)
		}
		m, err := f.Encode(rows, 64, func(dst []float32, i int) {
			for j := range dst {
				dst[j] = float32((i*31+j*17+rows)%64 - 32)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	for _, c := range []struct{ a, b, want string }{{"int8-row", "int8-row", "int8-row"}, {"f32", "f32", "f32"}, {"f32", "int8-row", "f32"}} {
		a, b := part(c.a, 3), part(c.b, 5)
		all := Concat(a, b)
		want := append(decode(a), decode(b)...)
		if got := decode(all); all.Format() != c.want || !slices.Equal(got, want) {
			t.Errorf("%s and %s make %s of %v", c.a, c.b, all.Format(), got)
		}
		if got := decode(all.RowSlice(2, 7)); !slices.Equal(got, want[2*64:7*64]) {
			t.Errorf("%s and %s: rows 2 to 7 are %v", c.a, c.b, got)
		}
		if _, ok := all.(IntRows); ok != (c.want == "int8-row") {
			t.Errorf("%s and %s: integer rows %v", c.a, c.b, ok)
		}
	}
}
