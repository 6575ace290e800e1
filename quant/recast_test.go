package quant

import (
	"slices"
	"testing"
)

// TestRecast: between formats that differ in their activations alone a matrix keeps every value, columns in an order of
// their own included; what has other codes is not taken over.
func TestRecast(t *testing.T) {
	const rows, cols = 5, 64
	lookup := func(name string) Format {
		f, err := Lookup(name)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	order := make([]int32, cols)
	for i := range order {
		order[i] = int32((i*7 + 3) % cols)
	}
	for _, c := range []struct {
		from, to string
		same     bool
	}{
		{"int4-g32", "int4-g32-a8", true}, {"int4-g32-a8", "int4-g32", true}, {"int8-row", "w8a8", true}, {"w8a8", "int8-row-a8", true},
		{"int4-g32-asym-mse-a8", "int4-g32-asym-mse", true},
		{"int4-g32", "int4-g64-a8", false}, {"int4-g32", "int4-g32-mse", false}, {"int4-g32", "int4-g32-asym", false}, {"q4_0", "int4-g32", false}, {"int8-row", "bf16", false},
	} {
		m := sample(t, lookup(c.from), rows, cols, randomRows(rows, cols, 3))
		turned, err := OrderColumns(m, order)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range []Matrix{m, turned} {
			got, ok := Recast(m, lookup(c.to))
			if ok != c.same {
				t.Errorf("%s to %s: %v", c.from, c.to, ok)
			}
			if ok && (got.Format() != c.to || !slices.Equal(decode(got), decode(m))) {
				t.Errorf("%s to %s: named %s, or other values", c.from, c.to, got.Format())
			}
		}
	}
}
