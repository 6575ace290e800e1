package quant

import (
	"math"
	"testing"

	"hone/kernel"
)

// TestWideEncoding: two rows of codes hold an activation to a 32,000th of its group's largest, padding and tiny groups
// included.
func TestWideEncoding(t *testing.T) {
	for _, e := range []Encoding{Int16Group32, Int16Group64, Int16Group128} {
		for _, width := range []int{1, 31, 32, 100, 256, 577} {
			in, x := NewInput(3, width), randomRows(3, width, 7)
			clear(x[:min(width, 32)]) // a group of zeros
			in.Set(x, width, 3)
			in.Prepare((*kernel.Pool)(nil), e)
			got := make([]float32, width)
			for tok := range 3 {
				readInput(in, e, got, tok)
				row, g := x[tok*width:(tok+1)*width], e.group(width)
				for at := 0; at < width; at += g {
					part := row[at:min(at+g, width)]
					limit := float64(kernel.AbsMax(part)) / 32_000
					for i, v := range part {
						if d := math.Abs(float64(got[at+i]) - float64(v)); d > limit {
							t.Fatalf("%v, %d columns: column %d of token %d is %v, not %v", e, width, at+i, tok, got[at+i], v)
						}
					}
				}
			}
		}
	}
}

// TestWideIsNearer: the product with 16-bit activations is much nearer to that with unrounded ones.
func TestWideIsNearer(t *testing.T) {
	const rows, cols, tokens = 64, 576, 5
	x := randomRows(tokens, cols, 9)
	far := func(format string) float64 {
		f, err := Lookup(format)
		if err != nil {
			t.Fatal(err)
		}
		m := sample(t, f, rows, cols, randomRows(rows, cols, 4))
		product := func(pack func(Matrix, *kernel.Pool) (Packed, error)) []float32 {
			w, err := pack(m, nil)
			if err != nil {
				t.Fatal(err)
			}
			in, y := NewInput(tokens, cols), make([]float32, tokens*rows)
			in.Set(x, cols, tokens)
			NewMultiplier(nil).Mul(in, Product{w, y, rows})
			return y
		}
		sum, exact := 0.0, product(PackF32)
		for i, v := range product(Pack) {
			sum += math.Pow(float64(v-exact[i]), 2)
		}
		return math.Sqrt(sum)
	}
	for _, format := range []string{"int8-g32", "int8-g64-asym", "int8-row", "int4-g32", "int4-g64-asym", "int4-row-asym"} {
		if plain, wide := far(format+RoundedSuffix), far(format); !(wide < plain/100) {
			t.Errorf("%s: with int8 activations off by %g, without by %g", format, plain, wide)
		}
	}
}
