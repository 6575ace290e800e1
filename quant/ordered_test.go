package quant

import (
	"math/rand/v2"
	"slices"
	"testing"

	"hone/kernel"
)

// orderedCase is a random int4 matrix, a permutation of its columns, and activations.
type orderedCase struct {
	inner  Matrix
	order  []int32
	x      []float32
	xInner []float32 // columns of x in the matrix's order
}

const (
	orderedRows, orderedCols, orderedTokens = 70, 192, 11
)

func newOrderedCase(t *testing.T, seed uint64) orderedCase {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 7))
	f, err := Lookup("int4-g64-asym")
	if err != nil {
		t.Fatal(err)
	}
	c := orderedCase{}
	c.inner, err = f.Encode(orderedRows, orderedCols, func(dst []float32, _ int) {
		for j := range dst {
			dst[j] = float32(rng.NormFloat64())
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, j := range rng.Perm(orderedCols) {
		c.order = append(c.order, int32(j))
	}
	c.x, c.xInner = make([]float32, orderedTokens*orderedCols), make([]float32, orderedTokens*orderedCols)
	for i := range c.x {
		c.x[i] = float32(rng.NormFloat64())
	}
	for t := range orderedTokens {
		for k, j := range c.order {
			c.xInner[t*orderedCols+k] = c.x[t*orderedCols+int(j)]
		}
	}
	return c
}

func (c orderedCase) matrix(t *testing.T) Matrix {
	t.Helper()
	m, err := OrderColumns(c.inner, c.order)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func packed(t *testing.T, m Matrix) Packed {
	t.Helper()
	p, err := Pack(m, nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// want are the products of the stored matrix with activations in its order.
func (c orderedCase) want(t *testing.T) []float32 {
	t.Helper()
	in := NewInput(orderedTokens, orderedCols)
	in.Set(c.xInner, orderedCols, orderedTokens)
	y := make([]float32, orderedTokens*orderedRows)
	NewMultiplier(nil).Mul(in, Product{packed(t, c.inner), y, orderedRows})
	return y
}

func TestOrderedColumns(t *testing.T) {
	c := newOrderedCase(t, 1)
	m := c.matrix(t)
	row, inner := make([]float32, orderedCols), make([]float32, orderedCols)
	for _, v := range []struct {
		m Matrix
		i int
	}{{m, 5}, {m.RowSlice(3, 9), 2}, {SelectRows(m, []int{1, 5}), 1}, {Concat(m.RowSlice(0, 2), m.RowSlice(5, 6)), 2}} {
		v.m.ReadRow(row, v.i)
		c.inner.ReadRow(inner, 5)
		for k, j := range c.order {
			if row[j] != inner[k] {
				t.Fatalf("%T: column %d is %v, want %v", v.m, j, row[j], inner[k])
			}
		}
	}
	if _, err := m.ColSlice(0, 64); err == nil {
		t.Error("a group of columns was cut out")
	}
	for name, order := range map[string][]int32{"short": c.order[1:], "twice": append([]int32{c.order[1]}, c.order[1:]...), "range": append([]int32{orderedCols}, c.order[1:]...)} {
		if _, err := OrderColumns(c.inner, order); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestOrderedProducts: products are, bit for bit, those of the stored matrix with its activations put in order, alone, beside
// others and in ranges; and the one back is the product of the decoded matrix.
func TestOrderedProducts(t *testing.T) {
	a, b := newOrderedCase(t, 1), newOrderedCase(t, 2)
	b.x = a.x
	for tok := range orderedTokens {
		for k, j := range b.order {
			b.xInner[tok*orderedCols+k] = a.x[tok*orderedCols+int(j)]
		}
	}
	pa, pb, wantA, wantB := packed(t, a.matrix(t)), packed(t, b.matrix(t)), a.want(t), b.want(t)
	plain := packed(t, a.inner)
	pool := kernel.NewPool(2)
	defer pool.Close()
	in, mult := NewInput(orderedTokens, orderedCols), NewMultiplier(pool)
	ya, yb, yp := make([]float32, len(wantA)), make([]float32, len(wantA)), make([]float32, len(wantA))
	for range 2 { // the second time with memory that was used
		in.Set(a.x, orderedCols, orderedTokens)
		mult.Mul(in, Product{pa, ya, orderedRows}, Product{plain, yp, orderedRows}, Product{pb, yb, orderedRows})
		if !slices.Equal(ya, wantA) || !slices.Equal(yb, wantB) {
			t.Fatal("other products")
		}
	}
	if n := testing.AllocsPerRun(5, func() {
		in.Set(a.x, orderedCols, orderedTokens)
		mult.Mul(in, Product{pa, ya, orderedRows}, Product{pb, yb, orderedRows})
	}); n > 1 {
		t.Errorf("%v allocations a product", n)
	}
	clear(ya)
	in.Set(a.x, orderedCols, orderedTokens)
	pa.MulRows(ya, orderedRows, in, 0, orderedTokens, 0, orderedRows)
	if !slices.Equal(ya, wantA) {
		t.Error("MulRows gives other products")
	}
	clear(ya)
	clear(yb)
	gathered := NewInput(orderedTokens, orderedCols)
	rows := []int32{3, 0, 7, 7, 10}
	gathered.Gather(in, rows)
	mult.MulRanges(gathered, []RangeProduct{{Product{pa, ya, orderedRows}, 0, 3}, {Product{pb, yb, orderedRows}, 0, 3}, {Product{pb, ya, orderedRows}, 3, 5}})
	for i, r := range rows {
		want := wantA
		if i >= 3 {
			want = wantB
		}
		if !slices.Equal(ya[i*orderedRows:][:orderedRows], want[int(r)*orderedRows:][:orderedRows]) {
			t.Errorf("row %d of a range differs", i)
		}
		if i < 3 && !slices.Equal(yb[i*orderedRows:][:orderedRows], wantB[int(r)*orderedRows:][:orderedRows]) {
			t.Errorf("row %d of the second weight of a range differs", i)
		}
	}
	dense, err := PackF32(a.matrix(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	got, want := make([]float32, len(a.x)), make([]float32, len(a.x))
	pa.MulT(got, orderedCols, wantA, orderedRows, orderedTokens)
	dense.MulT(want, orderedCols, wantA, orderedRows, orderedTokens)
	for i, v := range want {
		if d := got[i] - v; d > 1e-2 || d < -1e-2 {
			t.Fatalf("dX[%d] is %v, want %v", i, got[i], v)
		}
	}
}
