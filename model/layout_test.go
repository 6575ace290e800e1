package model

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"hone/nn"
	"hone/quant"
)

// memory is a file of tensors flattened to two dimensions, or a source of canonical weights.
type memory map[string]quant.Matrix

func (f memory) Matrix(name string) (quant.Matrix, error) {
	if m := f[name]; m != nil {
		return m, nil
	}
	return nil, fmt.Errorf("no %s", name)
}

func (f memory) Vector(name string) ([]float32, error) {
	m, err := f.Matrix(name)
	if err != nil {
		return nil, err
	}
	return values(m), nil
}

func values(m quant.Matrix) []float32 {
	rows, cols := m.Dims()
	out := make([]float32, rows*cols)
	for i := range rows {
		m.ReadRow(out[i*cols:], i)
	}
	return out
}

func randomMatrix(rng *rand.Rand, rows, cols int) quant.Matrix {
	data := make([]float32, rows*cols)
	for i := range data {
		data[i] = float32(rng.IntN(1 << 20))
	}
	return quant.NewDense(rows, cols, data)
}

// TestLayout: every kind of place, written from canonical weights and read back, gives the same weights, and lies where
// the table says.
func TestLayout(t *testing.T) {
	const width, size, experts = 6, 4, 3
	l := Layout{
		"a.%d.plain":            at("A%d.plain"),
		"a.%d.norm.weight":      at("A%d.norm").more(1),
		"a.%d.q":                rows("A%d.qkv", 0, 8),
		"a.%d.k":                rows("A%d.qkv", 8, 12),
		"a.%d.v":                rows("A%d.qkv", 12, 16),
		"a.%d.rotated":          at("A%d.rotated").interleaved(size),
		"a.%d.t":                at("A%d.t").turned(),
		"a.%d.t1":               rows("A%d.tt", 0, 5).turned(),
		"a.%d.t2":               rows("A%d.tt", 5, 8).turned(),
		"a.%d.x":                at("A%d.xyz").alternate(0, 3, size),
		"a.%d.y":                at("A%d.xyz").alternate(1, 3, size),
		"a.%d.z":                at("A%d.xyz").alternate(2, 3, size),
		"a.%d.e.%d.down":        bank("A%d.down", experts),
		"a.%d.e.%d.up.weight":   bank("A%d.up_gate", experts).alternate(0, 2, 1).turned(),
		"a.%d.e.%d.gate.weight": bank("A%d.up_gate", experts).alternate(1, 2, 1).turned(),
		"a.%d.e.%d.up.bias":     bank("A%d.up_gate_bias", experts).alternate(0, 2, 1),
		"a.%d.e.%d.gate.bias":   bank("A%d.up_gate_bias", experts).alternate(1, 2, 1),
	}
	var params []nn.Param
	add := func(name string, n int) {
		params = append(params, nn.Param{Name: name + ".weight", Rows: n, Cols: width}, nn.Param{Name: name + ".bias", Rows: 1, Cols: n, Vector: true})
	}
	params = append(params, nn.Param{Name: "a.11.norm.weight", Rows: 1, Cols: width, Vector: true})
	for name, n := range map[string]int{"plain": 5, "q": 8, "k": 4, "v": 4, "rotated": 8, "t": 7, "t1": 5, "t2": 3, "x": 8, "y": 8, "z": 8} {
		add("a.11."+name, n)
	}
	for e := range experts {
		for name, n := range map[string]int{"down": 5, "up": 9, "gate": 9} {
			add(fmt.Sprintf("a.11.e.%d.%s", e, name), n)
		}
	}
	rng, weights, file := rand.New(rand.NewPCG(1, 2)), memory{}, memory{}
	var parts []Part
	for _, p := range params {
		weights[p.Name] = randomMatrix(rng, p.Rows, p.Cols)
		place, ok := l.place(p)
		if !ok {
			t.Fatalf("no place for %s", p.Name)
		}
		parts = append(parts, Part{p, place})
	}
	shapes := map[string]string{}
	for _, s := range gather(parts) {
		shapes[s.Name] = fmt.Sprint(s.Shape)
		if s.Parts[0].Param.Vector {
			v, err := s.Vector(weights)
			if err != nil {
				t.Fatal(err)
			}
			file[s.Name] = quant.NewDense(1, len(v), v)
			continue
		}
		m, err := s.Matrix(weights)
		if err != nil {
			t.Fatal(err)
		}
		file[s.Name] = m
	}
	for name, want := range map[string]string{
		"A11.plain.weight": "[5 6]", "A11.norm": "[6]", "A11.qkv.weight": "[16 6]", "A11.qkv.bias": "[16]", "A11.t.weight": "[6 7]", "A11.t.bias": "[7]",
		"A11.tt.weight": "[6 8]", "A11.xyz.weight": "[24 6]", "A11.down.weight": "[3 5 6]", "A11.down.bias": "[3 5]", "A11.up_gate": "[3 6 18]", "A11.up_gate_bias": "[3 18]",
	} {
		if shapes[name] != want {
			t.Errorf("%s has shape %s, want %s", name, shapes[name], want)
		}
	}
	for _, p := range parts {
		stored := file[p.Place.Tensor]
		var got []float32
		if p.Param.Vector {
			got = p.Place.vector(values(stored))
		} else {
			m, err := p.Place.matrix(stored)
			if err != nil {
				t.Fatal(err)
			}
			got = values(m)
		}
		if want := values(weights[p.Param.Name]); !slices.Equal(got, want) {
			t.Errorf("%s came back as %v, want %v", p.Param.Name, got, want)
		}
	}
	at := func(name string, m memory, row, col int) float32 {
		_, cols := m[name].Dims()
		return values(m[name])[row*cols+col]
	}
	for _, c := range []struct {
		stored         string
		srow, scol     int
		canonical      string
		row, col, plus int
	}{
		{"A11.norm", 0, 2, "a.11.norm.weight", 0, 2, 1},
		{"A11.qkv.weight", 9, 1, "a.11.k.weight", 1, 1, 0},
		{"A11.rotated.weight", 4 + 1, 3, "a.11.rotated.weight", 4 + 2, 3, 0}, // second head: its third row is GGUF's second
		{"A11.t.weight", 2, 5, "a.11.t.weight", 5, 2, 0},
		{"A11.tt.weight", 2, 6, "a.11.t2.weight", 1, 2, 0},
		{"A11.xyz.weight", 12 + 4 + 3, 0, "a.11.y.weight", 4 + 3, 0, 0}, // second turn
		{"A11.down.weight", 2*5 + 3, 1, "a.11.e.2.down.weight", 3, 1, 0},
		{"A11.up_gate", 1*6 + 4, 2*7 + 1, "a.11.e.1.gate.weight", 7, 4, 0},
		{"A11.up_gate_bias", 0, 18 + 2*7, "a.11.e.1.up.bias", 0, 7, 0},
	} {
		if got, want := at(c.stored, file, c.srow, c.scol), at(c.canonical, weights, c.row, c.col)+float32(c.plus); got != want {
			t.Errorf("%s [%d %d] is %v, %s [%d %d] is %v", c.stored, c.srow, c.scol, got, c.canonical, c.row, c.col, want)
		}
	}
}

// TestTurnedFormats: what is stored [in, out] is served in its own format where that holds each value alone, and refused
// otherwise.
func TestTurnedFormats(t *testing.T) {
	f, err := quant.Lookup("bf16")
	if err != nil {
		t.Fatal(err)
	}
	m, err := f.Encode(2, 3, func(dst []float32, i int) { copy(dst, []float32{float32(i), 2, 0.5}) })
	if err != nil {
		t.Fatal(err)
	}
	got, err := Place{Transposed: true, To: 3}.matrix(m)
	if err != nil {
		t.Fatal(err)
	}
	if got.Format() != "bf16" || !slices.Equal(values(got), []float32{0, 1, 2, 2, 0.5, 0.5}) {
		t.Errorf("%s %v", got.Format(), values(got))
	}
	if f, err = quant.Lookup("int8-row"); err != nil {
		t.Fatal(err)
	}
	if m, err = f.Encode(2, 3, func(dst []float32, i int) { copy(dst, []float32{1, 2, 3}) }); err != nil {
		t.Fatal(err)
	}
	_, err = Place{Transposed: true, To: 3}.matrix(m)
	checkError(t, "int8 rows", err, "stored transposed as int8-row")
}
