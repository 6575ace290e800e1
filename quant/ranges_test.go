package quant

import (
	"slices"
	"testing"

	"hone/kernel"
)

// TestMulRanges: products of ranges of gathered rows give the bits of products of the rows where they stand.
func TestMulRanges(t *testing.T) {
	pool := kernel.NewPool(2)
	defer pool.Close()
	const tokens, cols, rows = 150, 96, 70
	order := make([]int32, 190)
	for i := range order {
		order[i] = int32(i * i % tokens)
	}
	for _, format := range []string{"f32", "bf16", "int4-g32", "int8-row", "w8a8", "int8-g32-a8"} {
		f, _, err := Resolve(format, cols)
		if err != nil {
			t.Fatal(err)
		}
		var ws []Packed
		for i := range 3 {
			w, err := Pack(sample(t, f, rows, cols, randomRows(rows, cols, uint64(i))), pool)
			if err != nil {
				t.Fatal(err)
			}
			ws = append(ws, w)
		}
		x := benchRows(tokens, cols)
		in, gathered, m := NewInput(tokens, cols), NewInput(len(order), cols), NewMultiplier(pool)
		in.Set(x, cols, tokens)
		want := make([][]float32, 3)
		for i, w := range ws {
			want[i] = make([]float32, tokens*rows)
			m.Mul(in, Product{w, want[i], rows})
		}
		ends := []int{0, 1, 140, 140, 190} // one expert has no rows
		got := make([]float32, len(order)*rows)
		var products []RangeProduct
		for i := range ends[1:] {
			products = append(products, RangeProduct{Product{ws[i%3], got, rows}, ends[i], ends[i+1]})
		}
		gathered.Gather(in, order)
		m.MulRanges(gathered, products)
		for i := range ends[1:] {
			for at := ends[i]; at < ends[i+1]; at++ {
				row, same := got[at*rows:(at+1)*rows], want[i%3][int(order[at])*rows:][:rows]
				if !slices.Equal(row, same) {
					t.Fatalf("%s: row %d differs from that of the whole product", format, at)
				}
			}
		}
	}
}
