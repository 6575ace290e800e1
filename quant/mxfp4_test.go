package quant

import (
	"bytes"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestPairedMXFP4: indexes in pairs with exponents apart are the values of the format's table, whole, in parts, packed and as
// GGUF blocks.
func TestPairedMXFP4(t *testing.T) {
	grid := [16]float64{0, 0.5, 1, 1.5, 2, 3, 4, 6, 0, -0.5, -1, -1.5, -2, -3, -4, -6}
	const rows, cols = 40, 96
	rng := rand.New(rand.NewPCG(3, 4))
	indexes, exponents := make([]byte, rows*cols/2), make([]byte, rows*cols/32)
	for i := range indexes {
		indexes[i] = byte(rng.Uint32())
	}
	for i := range exponents {
		exponents[i] = byte(120 + rng.IntN(12))
	}
	m, err := NewPairedMXFP4(rows, cols, indexes, exponents)
	if err != nil {
		t.Fatal(err)
	}
	want := func(i, j int) float32 {
		index := indexes[(i*cols+j)/2] >> (j % 2 * 4) & 15
		return float32(math.Ldexp(grid[index], int(exponents[(i*cols+j)/32])-127))
	}
	check := func(what string, m Matrix, row, col int) {
		n, width := m.Dims()
		got := make([]float32, width)
		for i := range n {
			m.ReadRow(got, i)
			for j, v := range got {
				if w := want(row+i, col+j); v != w {
					t.Fatalf("%s: value %d of row %d is %v, want %v", what, j, i, v, w)
				}
			}
		}
	}
	check("whole", m, 0, 0)
	check("rows", m.RowSlice(7, rows).RowSlice(2, 20), 9, 0)
	part, err := m.RowSlice(3, 9).ColSlice(32, 96)
	if err != nil {
		t.Fatal(err)
	}
	check("columns", part, 3, 32)
	var raw []byte
	for i := range rows {
		raw, _ = AppendRow(raw, m, i)
	}
	gguf, err := FromBytes("mxfp4", rows, cols, raw)
	if err != nil {
		t.Fatal(err)
	}
	check("GGUF", gguf, 0, 0)
	samePacked(t, m, gguf)
	for _, bad := range [][2][]byte{{indexes[1:], exponents}, {indexes, exponents[1:]}, {nil, nil}} {
		if _, err := NewPairedMXFP4(rows, cols, bad[0], bad[1]); err == nil {
			t.Errorf("%d bytes of indexes, %d exponents: no error", len(bad[0]), len(bad[1]))
		}
	}
}

func samePacked(t *testing.T, a, b Matrix) {
	t.Helper()
	p, err := Pack(a, nil)
	if err != nil {
		t.Fatal(err)
	}
	q, err := Pack(b, nil)
	if err != nil {
		t.Fatal(err)
	}
	x, y := p.(*tiledPacked).tiled, q.(*tiledPacked).tiled
	if xi, ok := x.(*intPanels); ok {
		if !bytes.Equal(xi.tiles, y.(*intPanels).tiles) {
			t.Error("packed tiles differ")
		}
		return
	}
	rows, cols := a.Dims()
	u, v := make([]float32, RowTile*cols), make([]float32, RowTile*cols)
	for tile := range tileCount(rows) {
		x.decodeTile(u, tile)
		y.decodeTile(v, tile)
		if !slices.Equal(u, v) {
			t.Errorf("packed tile %d differs", tile)
		}
	}
}
