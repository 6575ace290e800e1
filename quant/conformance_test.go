package quant

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"hone/kernel"
)

var shapes = []struct{ rows, cols int }{{1, 32}, {3, 64}, {32, 128}, {33, 256}, {6, 512}, {70, 576}, {65, 384}, {5, 1}, {40, 577}, {31, 95}}

func randomRows(rows, cols int, seed uint64) []float32 {
	rng := rand.New(rand.NewPCG(seed, 1))
	out := make([]float32, rows*cols)
	for i := range out {
		out[i] = float32(rng.NormFloat64() * 0.05)
	}
	for c := range cols {
		if rows > 2 {
			out[2*cols+c] = 0 // a row of zeros
		}
		if rows > 3 {
			out[3*cols+c] = float32(c%5) * 1e-41 // denormals
		}
		if rows > 4 {
			out[4*cols+c] *= 1e-6
		}
	}
	return out
}

// sample makes a matrix of any format: encoded, or random file bytes with sane scales.
func sample(t testing.TB, f Format, rows, cols int, data []float32) Matrix {
	t.Helper()
	m, err := f.Encode(rows, cols, func(dst []float32, i int) { copy(dst, data[i*cols:(i+1)*cols]) })
	if errors.Is(err, ErrReadOnly) {
		return randomBlocks(t, f.(*blockFormat), rows, cols)
	}
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func usable(f Format, cols int) bool {
	switch f := f.(type) {
	case intFormat:
		return f.fits(cols)
	case *blockFormat:
		return cols%f.weights == 0
	}
	return true
}

// each runs a test for every registered format and every shape that it takes.
func each(t *testing.T, test func(t *testing.T, f Format, rows, cols int)) {
	for _, f := range Formats() {
		for _, s := range shapes {
			if usable(f, s.cols) {
				t.Run(fmt.Sprintf("%s/%dx%d", f.Name(), s.rows, s.cols), func(t *testing.T) { test(t, f, s.rows, s.cols) })
			}
		}
	}
}

func decode(m Matrix) []float32 {
	rows, cols := m.Dims()
	out := make([]float32, rows*cols)
	for i := range rows {
		m.ReadRow(out[i*cols:(i+1)*cols], i)
	}
	return out
}

func TestNamesAndSizes(t *testing.T) {
	each(t, func(t *testing.T, f Format, rows, cols int) {
		m := sample(t, f, rows, cols, randomRows(rows, cols, 1))
		if r, c := m.Dims(); r != rows || c != cols {
			t.Fatalf("dims %d x %d, want %d x %d", r, c, rows, cols)
		}
		if m.Format() != f.Name() || f.Describe() == "" {
			t.Errorf("matrix says format %q, the format is %q (%q)", m.Format(), f.Name(), f.Describe())
		}
		want := f.BitsPerWeight(cols) * float64(rows*cols) / 8
		if got := float64(m.Bytes()); math.Abs(got-want) > 1 {
			t.Errorf("Bytes() = %v, BitsPerWeight says %v", got, want)
		}
		if err := Check(m); err != nil {
			t.Error(err)
		}
	})
}

// TestEncodingError holds every encoded weight to its own grid: half a step inside the range, the step's clipping at its end.
func TestEncodingError(t *testing.T) {
	each(t, func(t *testing.T, f Format, rows, cols int) {
		data := randomRows(rows, cols, 2)
		m, err := f.Encode(rows, cols, func(dst []float32, i int) { copy(dst, data[i*cols:(i+1)*cols]) })
		if errors.Is(err, ErrReadOnly) {
			t.Skip("left out: only read")
		}
		if err != nil {
			t.Fatal(err)
		}
		got := decode(m)
		if _, ok := f.(*blockFormat); ok {
			return // TestBlockErrors
		}
		for i := range rows {
			want := data[i*cols : (i+1)*cols]
			for j, w := range want {
				if e, limit := math.Abs(float64(got[i*cols+j]-w)), errorLimit(m, i, j, w); e > limit {
					t.Fatalf("row %d, column %d: %v became %v: error %v > %v", i, j, w, got[i*cols+j], e, limit)
				}
			}
		}
	})
}

func errorLimit(m Matrix, i, j int, w float32) float64 {
	x := math.Abs(float64(w))
	switch m := m.(type) {
	case *half:
		if m.Format() == "f16" {
			return x/2048 + 0x1p-25
		}
		return x/256 + 0x1p-134
	case *intMatrix:
		scale, _ := m.affine(i, j/m.Group())
		scale = float32(math.Abs(float64(scale)))
		lost := 0x1p-25 * float64(m.out) * float64(int(1)<<m.format.bits) // an f16 scale that became denormal
		if m.format.search {
			return x*0.5 + float64(scale)*0.5001 + lost
		}
		return float64(scale)*0.5001*(1+x*0x1p-10) + x/1024 + lost
	}
	return 0
}

func TestSlices(t *testing.T) {
	each(t, func(t *testing.T, f Format, rows, cols int) {
		m := sample(t, f, rows, cols, randomRows(rows, cols, 3))
		all := decode(m)
		from, to := rows/3, rows
		if got := decode(m.RowSlice(from, to)); !slices.Equal(got, all[from*cols:to*cols]) {
			t.Error("RowSlice decodes other values")
		}
		index := rand.New(rand.NewPCG(1, 2)).Perm(rows)
		view := SelectRows(m, index)
		for i, at := range index {
			row := make([]float32, cols)
			view.ReadRow(row, i)
			if !slices.Equal(row, all[at*cols:(at+1)*cols]) {
				t.Fatalf("SelectRows: row %d is not row %d", i, at)
			}
		}
		unit := sliceUnit(f)
		if r, ok := m.(IntRows); ok {
			checkCodes(t, r, all)
			checkCodes(t, view.(IntRows), decode(view))
		}
		checkColSlice(t, m, all, cols/2/unit*unit, cols)
		checkColSlice(t, view, decode(view), 0, max(unit, cols/2/unit*unit))
		if _, err := m.ColSlice(1, cols); unit > 1 && err == nil {
			t.Error("ColSlice cuts a group without an error")
		}
		if _, err := m.ColSlice(0, cols+1); err == nil {
			t.Error("ColSlice takes more columns than there are")
		}
	})
}

// sliceUnit is what borders of a column slice must be multiples of.
func sliceUnit(f Format) int {
	switch f := f.(type) {
	case intFormat:
		return max(f.group, 1, 32*(8-f.bits)/4)
	case *blockFormat:
		return f.weights
	}
	return 1
}

func checkColSlice(t *testing.T, m Matrix, all []float32, from, to int) {
	t.Helper()
	rows, cols := m.Dims()
	if from >= to || to > cols {
		return
	}
	s, err := m.ColSlice(from, to)
	if err != nil {
		t.Fatal(err)
	}
	got := decode(s)
	for i := range rows {
		if !slices.Equal(got[i*(to-from):(i+1)*(to-from)], all[i*cols+from:i*cols+to]) {
			t.Fatalf("ColSlice [%d,%d): row %d decodes other values", from, to, i)
		}
	}
}

// checkCodes rebuilds the weights from codes, scales and minima.
func checkCodes(t *testing.T, m IntRows, all []float32) {
	t.Helper()
	rows, cols := m.Dims()
	n := (cols + m.Group() - 1) / m.Group()
	codes, scale, min := make([]uint8, cols), make([]float32, n), make([]float32, n)
	for i := range rows {
		m.ReadCodes(codes, scale, min, i)
		for j, c := range codes {
			g := j / m.Group()
			if got, want := scale[g]*float32(c)+min[g], all[i*cols+j]; math.Abs(float64(got-want)) > 1e-6*math.Abs(float64(min[g]))+1e-44 {
				t.Fatalf("row %d, column %d: code %d gives %v, ReadRow %v", i, j, c, got, want)
			}
			if int(c) >= 1<<m.Bits() {
				t.Fatalf("code %d of %d bits", c, m.Bits())
			}
		}
	}
}

// TestProducts compares the packed product with one in float64 over the decoded weights and the very activations that the
// encoding makes.
func TestProducts(t *testing.T) {
	pool := kernel.NewPool(2)
	defer pool.Close()
	each(t, func(t *testing.T, f Format, rows, cols int) {
		m := sample(t, f, rows, cols, randomRows(rows, cols, 4))
		views := []Matrix{m, SelectRows(m, rand.New(rand.NewPCG(3, 4)).Perm(rows)), Concat(m.RowSlice(0, max(1, rows/2)), m.RowSlice(rows/2, rows))}
		var plain Encoding
		for i, m := range views {
			w, err := Pack(m, pool)
			if err != nil {
				t.Fatal(err)
			}
			if i == 0 {
				plain = w.Encoding()
			}
			if w.Encoding() != plain {
				t.Errorf("view %d takes activations as %v, the matrix itself as %v", i, w.Encoding(), plain)
			}
			checkProduct(t, pool, m, w, 11)
			checkMulT(t, m, w, 3)
			if w, err = PackF32(m, pool); err != nil {
				t.Fatal(err)
			}
			checkProduct(t, pool, m, w, 2)
		}
	})
}

func checkProduct(t *testing.T, pool *kernel.Pool, m Matrix, w Packed, tokens int) {
	t.Helper()
	rows, cols := m.Dims()
	in, x := NewInput(tokens, cols), randomRows(tokens, cols+3, 5)
	in.Set(x, cols+3, tokens)
	y := make([]float32, tokens*(rows+5))
	NewMultiplier(pool).Mul(in, Product{w, y, rows + 5})
	weights, row := decode(m), make([]float32, cols)
	for tok := range tokens {
		readInput(in, w.Encoding(), row, tok)
		for r := range rows {
			want, size := 0.0, 0.0
			for c, v := range row {
				p := float64(v) * float64(weights[r*cols+c])
				want += p
				size += math.Abs(p)
			}
			got := float64(y[tok*(rows+5)+r])
			if limit := size*float64(cols+8)*0x1p-23 + minLimit(m, w, r, row) + 1e-30; math.Abs(got-want) > limit || math.IsNaN(got) {
				t.Fatalf("token %d, row %d: %v, want %v ± %v", tok, r, got, want, limit)
			}
		}
		for r := rows; r < rows+5; r++ {
			if y[tok*(rows+5)+r] != 0 {
				t.Fatalf("token %d: a product of %d rows wrote to row %d", tok, rows, r)
			}
		}
	}
}

// minLimit is the rounding of sums that carry a zero point or minimum apart from the codes.
func minLimit(m Matrix, w Packed, r int, x []float32) float64 {
	ints, ok := m.(IntRows)
	if !ok || ints.Symmetric() {
		return 0
	}
	_, cols := m.Dims()
	n := (cols + ints.Group() - 1) / ints.Group()
	codes, scale, min := make([]uint8, cols), make([]float32, n), make([]float32, n)
	ints.ReadCodes(codes, scale, min, r)
	sum := 0.0
	for c, v := range x {
		g := c / ints.Group()
		sum += math.Abs(float64(v)) * (math.Abs(float64(min[g])) + math.Abs(float64(scale[g])*float64(codes[c])))
	}
	return sum * float64(cols+8) * 0x1p-23
}

// readInput decodes one encoded token.
func readInput(in *Input, e Encoding, dst []float32, t int) {
	switch {
	case e == F32:
		copy(dst, in.x[t*in.ldx:])
	case e == BF16:
		kernel.BF16ToF32(dst, halves(in.rows(e, t))[:len(dst)])
	case e.wide():
		b := in.rows(e, t)[:e.stride(in.width)]
		left := make([]float32, len(dst))
		readCodes(dst, b[:len(b)/2], e.group(in.width))
		readCodes(left, b[len(b)/2:], e.group(in.width))
		kernel.Add(dst, dst, left)
	default:
		readCodes(dst, in.rows(e, t), e.group(in.width))
	}
}

// readCodes decodes a row of int8 groups.
func readCodes(dst []float32, b []byte, g int) {
	for at := 0; at < len(dst); at += g {
		scale := floats(b[g+16 : g+20])[0]
		for i := range min(g, len(dst)-at) {
			dst[at+i] = scale * float32(int8(b[i]))
		}
		b = b[g+kernel.IntMeta:]
	}
}

func checkMulT(t *testing.T, m Matrix, w Packed, tokens int) {
	t.Helper()
	rows, cols := m.Dims()
	dy, dx, weights := randomRows(tokens, rows, 6), make([]float32, tokens*cols), decode(m)
	w.MulT(dx, cols, dy, rows, tokens)
	for tok := range tokens {
		for c := range cols {
			want, size := 0.0, 0.0
			for r := range rows {
				p := float64(dy[tok*rows+r]) * float64(weights[r*cols+c])
				want += p
				size += math.Abs(p)
			}
			if got := float64(dx[tok*cols+c]); math.Abs(got-want) > size*float64(rows+8)*0x1p-22+1e-12 {
				t.Fatalf("MulT: token %d, column %d: %v, want %v", tok, c, got, want)
			}
		}
	}
}

// TestBF16Dot is the packed product with bf16 activations, which only some CPUs prefer.
func TestBF16Dot(t *testing.T) {
	f, _ := Lookup("bf16")
	for _, s := range shapes {
		m := sample(t, f, s.rows, s.cols, randomRows(s.rows, s.cols, 4))
		w, err := Pack(m, nil)
		if err != nil {
			t.Fatal(err)
		}
		w.(*tiledPacked).tiled.(*bf16Panels).dot = true
		checkProduct(t, nil, m, w, 11)
	}
}

// TestCuts demands equal bits for every cut of tokens and rows, and for one worker and two.
func TestCuts(t *testing.T) {
	pool := kernel.NewPool(2)
	defer pool.Close()
	for _, f := range Formats() {
		t.Run(f.Name(), func(t *testing.T) {
			const rows, cols, tokens = 97, 256, 29
			w, err := Pack(sample(t, f, rows, cols, randomRows(rows, cols, 8)), nil)
			if err != nil {
				t.Fatal(err)
			}
			in := NewInput(tokens, cols)
			in.Set(randomRows(tokens, cols, 9), cols, tokens)
			want := make([]float32, tokens*rows)
			NewMultiplier(nil).Mul(in, Product{w, want, rows})
			got := make([]float32, tokens*rows)
			NewMultiplier(pool).Mul(in, Product{w, got, rows})
			if !slices.Equal(got, want) {
				t.Error("two workers give other bits than one")
			}
			for _, step := range []int{1, 2, 3, 4, 5, 6, 7, 8, 13} {
				clear(got)
				for t0 := 0; t0 < tokens; t0 += step {
					for r0 := 0; r0 < rows; r0 += RowTile {
						w.MulRows(got, rows, in, t0, min(t0+step, tokens), r0, min(r0+RowTile, rows))
					}
				}
				if !slices.Equal(got, want) {
					t.Errorf("%d tokens at a time give other bits", step)
				}
			}
		})
	}
}

// TestTokenBlocks is a product so wide that its tokens are cut into blocks, beside one that shares the input.
func TestTokenBlocks(t *testing.T) {
	const cols, tokens = 5632, 130
	pool := kernel.NewPool(2)
	defer pool.Close()
	in := NewInput(tokens, cols)
	x := randomRows(tokens, cols, 9)
	in.Set(x, cols, tokens)
	mul := NewMultiplier(pool)
	for _, names := range [][2]string{{"int4-g32", "int8-row"}, {"w8a8", "f32"}} {
		var ps [2]Product
		for i, name := range names {
			f, _ := Lookup(name)
			rows := 33 + 16*i
			w, err := Pack(sample(t, f, rows, cols, randomRows(rows, cols, uint64(i))), pool)
			if err != nil {
				t.Fatal(err)
			}
			ps[i] = Product{w, make([]float32, tokens*rows), rows}
		}
		mul.Mul(in, ps[0], ps[1])
		for _, p := range ps {
			rows, _ := p.W.Dims()
			want := make([]float32, tokens*rows)
			p.W.MulRows(want, rows, in, 0, tokens, 0, rows)
			if !slices.Equal(p.Y, want) {
				t.Errorf("%s: blocks of tokens change bits", p.W.Encoding())
			}
		}
	}
}

func TestMulAllocatesNothing(t *testing.T) {
	const rows, cols = 70, 256
	in, y := NewInput(4, cols), make([]float32, 4*rows)
	x := randomRows(4, cols, 1)
	mul := NewMultiplier(nil)
	for _, f := range Formats() {
		w, err := Pack(sample(t, f, rows, cols, randomRows(rows, cols, 8)), nil)
		if err != nil {
			t.Fatal(err)
		}
		run := func() {
			in.Set(x, cols, 4)
			mul.Mul(in, Product{w, y, rows}, Product{w, y, rows})
		}
		run()
		if n := testing.AllocsPerRun(10, run); n != 0 {
			t.Errorf("%s: %v allocations a product", f.Name(), n)
		}
	}
}

func TestLookup(t *testing.T) {
	if _, err := Lookup("Int4-G32"); err != nil {
		t.Error(err)
	}
	_, err := Lookup("int4-g23")
	if err == nil || !strings.Contains(err.Error(), "int4-g32") {
		t.Errorf("the error for a mistyped name does not offer the right one: %v", err)
	}
	for _, name := range []string{"iq1_s", "iq1_m", "iq2_xxs", "iq2_xs", "iq2_s", "iq3_xxs", "iq3_s"} {
		if _, err := Lookup(name); err == nil || !strings.Contains(err.Error(), "codebook") {
			t.Errorf("%s is not refused by name: %v", name, err)
		}
	}
	for alias, name := range Aliases() {
		if f, err := Lookup(alias); err != nil || f.Name() != name {
			t.Errorf("alias %s: %v %v", alias, f, err)
		}
	}
}

func TestResolve(t *testing.T) {
	for _, c := range []struct {
		name string
		cols int
		want string
		note bool
	}{
		{"int4-g128", 576, "int4-g64", true}, {"int4-g128", 1536, "int4-g128", false}, {"int8-g64-asym", 96, "int8-g32-asym", true},
		{"int4-g32", 100, "int4-row", true}, {"int4-g128-asym-mse", 100, "int4-row-asym", true}, {"int8-row", 100, "int8-row", false}, {"bf16", 7, "bf16", false},
		{"q4_k", 512, "q4_k", false}, {"q4_k", 576, "q5_0", true}, {"q6_k", 576, "q8_0", true}, {"q4_0", 100, "f16", true}, {"q2_k", 100, "f16", true},
	} {
		f, note, err := Resolve(c.name, c.cols)
		if err != nil || f.Name() != c.want || (note != "") != c.note {
			t.Errorf("Resolve(%s, %d) = %v, %q, %v; want %s", c.name, c.cols, f, note, err, c.want)
		}
	}
}

func TestEncodeRefusesNaN(t *testing.T) {
	f, _ := Lookup("int4-g32")
	_, err := f.Encode(3, 32, func(dst []float32, i int) {
		if clear(dst); i == 2 {
			dst[7] = float32(math.NaN())
		}
	})
	if err == nil || !strings.Contains(err.Error(), "row 2, column 7") {
		t.Errorf("a NaN weight was encoded: %v", err)
	}
}

func TestBadBytes(t *testing.T) {
	for _, c := range []struct {
		format     string
		rows, cols int
		n          int
		words      string
	}{
		{"q4_0", 2, 32, 35, "needs 18 bytes a row"}, {"q4_0", 2, 33, 36, "blocks of 32"}, {"f32", 0, 4, 0, "positive"},
		{"q9_9", 1, 32, 18, "no format"}, {"int4-g32", 1, 32, 18, "no raw bytes"}, {"f32", 1 << 40, 4, 16, "needs"},
	} {
		if _, err := FromBytes(c.format, c.rows, c.cols, make([]byte, c.n)); err == nil || !strings.Contains(err.Error(), c.words) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	for _, f := range Formats() {
		raw, ok := f.(rawFormat)
		if !ok {
			continue
		}
		per, _ := raw.rowBytes(256)
		data := make([]byte, 3*per)
		for i := range per {
			data[per+i] = 0xff
		}
		m, err := FromBytes(f.Name(), 3, 256, data)
		if err != nil {
			t.Fatal(err)
		}
		if err := Check(m); err == nil || !strings.Contains(err.Error(), "row 1") {
			t.Errorf("%s: NaN passes the check: %v", f.Name(), err)
		}
	}
}

func FuzzFromBytes(f *testing.F) {
	f.Add("q4_0", 2, 32, make([]byte, 36))
	f.Add("f32", -1, 3, make([]byte, 12))
	f.Fuzz(func(t *testing.T, format string, rows, cols int, data []byte) {
		m, err := FromBytes(format, rows, cols, data)
		if err != nil {
			return
		}
		_ = Check(m)
		_, c := m.Dims()
		m.ReadRow(make([]float32, c), rows-1)
	})
}

// TestPackedBits: what is foretold of the packed form is what it takes.
func TestPackedBits(t *testing.T) {
	for _, f := range Formats() {
		m := sample(t, f, 64, 512, randomRows(64, 512, 1))
		w, err := Pack(m, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := w.Bytes(), int64(PackedBits(f, 512)*64*512/8); got != want {
			t.Errorf("%s: %d bytes packed, %d foretold", f.Name(), got, want)
		}
	}
}
