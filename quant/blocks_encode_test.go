package quant

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"strings"
	"testing"
)

// formula is the matrix of internal/oracle/blocks.py, value for value.
func formula(kind string, n int) []float32 {
	out := make([]float32, n)
	for i := range out {
		z := uint64(i+1) * 0x9E3779B97F4A7C15
		z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
		z = (z ^ z>>27) * 0x94D049BB133111EB
		z ^= z >> 31
		sum := 0.0
		for k := range 4 {
			sum += float64(z >> (16 * k) & 0xFFFF)
		}
		x := (sum - 131070) / 1892000
		switch {
		case kind == "heavy" && z%61 == 0:
			x *= 4
		case kind == "shifted":
			x += float64(i/32%7-3) / 200
		}
		out[i] = float32(x)
	}
	return out
}

func encodeBlocks(t testing.TB, format string, rows, cols int, x []float32) Matrix {
	t.Helper()
	f, err := Lookup(format)
	if err != nil {
		t.Fatal(err)
	}
	m, err := f.Encode(rows, cols, func(dst []float32, i int) { copy(dst, x[i*cols:(i+1)*cols]) })
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestBlockErrors holds the mean squared error of every type that is written to 1.02 times that of llama-quantize.
func TestBlockErrors(t *testing.T) {
	const rows, cols = 192, 512
	text, err := os.ReadFile("testdata/gguf_errors.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Format, Matrix string
		MSE            float64
	}
	if err := json.Unmarshal(text, &cases); err != nil || len(cases) != 33 {
		t.Fatalf("%d cases, %v", len(cases), err)
	}
	for _, c := range cases {
		x := formula(c.Matrix, rows*cols)
		var sum float64
		for i, v := range decode(encodeBlocks(t, c.Format, rows, cols, x)) {
			e := float64(v) - float64(x[i])
			sum += e * e
		}
		ratio := sum / (rows * cols) / c.MSE
		t.Logf("%-7s %-8s %.4f of llama-quantize's error", c.Format, c.Matrix, ratio)
		if ratio > 1.02 {
			t.Errorf("%s of %s: mean squared error is %.4f of llama-quantize's", c.Format, c.Matrix, ratio)
		}
	}
}

// TestBlocksWrittenAsRead: what is read from any bytes is written as the same bytes.
func TestBlocksWrittenAsRead(t *testing.T) {
	for _, any := range Formats() {
		f, ok := any.(*blockFormat)
		if !ok || f.write == nil {
			continue
		}
		m := randomBlocks(t, f, 3, 512)
		raw, view := rawBlocks(m), &block{}
		for n := 0; n < len(raw); n += f.bytes {
			*view = block{}
			f.read(view, raw[n:n+f.bytes])
			got := make([]byte, f.bytes)
			f.write(got, view)
			if !bytes.Equal(got, raw[n:n+f.bytes]) {
				t.Errorf("%s: block at %d is written as other bytes", f.name, n)
				break
			}
		}
	}
}

func rawBlocks(m Matrix) []byte {
	if b, ok := m.(*affineBlocks); ok {
		return b.data
	}
	return m.(*blocks).data
}

// TestBlocksOfExtremes: weights that are zero, tiny, equal, all of one sign or far apart are rounded to something near; those whose
// scale f16 cannot hold are refused.
func TestBlocksOfExtremes(t *testing.T) {
	rows := map[string]func(i int) float32{
		"zero":       func(int) float32 { return 0 },
		"denormal":   func(i int) float32 { return float32(i) * 1e-42 },
		"tiny":       func(i int) float32 { return float32(i-100) * 1e-9 },
		"equal":      func(int) float32 { return 0.25 },
		"positive":   func(i int) float32 { return 1 + float32(i%7)/10 },
		"negative":   func(i int) float32 { return -1 - float32(i%7)/10 },
		"one spike":  func(i int) float32 { return float32(i/255) * 1000 },
		"large":      func(i int) float32 { return float32(i-128) * 100 },
		"two scales": func(i int) float32 { return float32(math.Pow(-10, float64(-i/64))) },
	}
	for _, any := range Formats() {
		f, ok := any.(*blockFormat)
		if !ok || f.write == nil {
			continue
		}
		for name, at := range rows {
			x, peak, sum, error2 := make([]float32, 256), 0.0, 0.0, 0.0
			for i := range x {
				x[i] = at(i)
				peak = max(peak, math.Abs(float64(x[i])))
			}
			m := encodeBlocks(t, f.name, 1, 256, x)
			if err := Check(m); err != nil {
				t.Errorf("%s of %s: %v", f.name, name, err)
			}
			for i, v := range decode(m) {
				e := float64(v) - float64(x[i])
				error2, sum = error2+e*e, sum+float64(x[i])*float64(x[i])
			}
			if error2 > 0.1*sum+256e-14 {
				t.Errorf("%s of %s: squared error %v of %v", f.name, name, error2, sum)
			}
		}
		_, err := f.Encode(1, 256, func(dst []float32, _ int) {
			for i := range dst {
				dst[i] = float32(i%2*2-1) * 1e12
			}
		})
		if err == nil || !strings.Contains(err.Error(), "beyond f16") {
			t.Errorf("%s: weights of 1e12: %v", f.name, err)
		}
	}
}
