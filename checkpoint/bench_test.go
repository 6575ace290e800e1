package checkpoint

import (
	"path/filepath"
	"testing"

	"hone/internal/testdata"
)

func BenchmarkOpenGGUF(b *testing.B) { benchmarkOpen(b, "smollm2-135m-instruct.Q4_1.gguf") }

func BenchmarkOpenHF(b *testing.B) { benchmarkOpen(b, "all-minilm-l6-v2") }

func benchmarkOpen(b *testing.B, name string) {
	path := testdata.Models(b, name)
	b.ReportAllocs()
	for b.Loop() {
		f, err := Open(path)
		if err != nil {
			b.Fatal(err)
		}
		f.Close()
	}
}

// BenchmarkMatrices is what loading adds before packing: views and the check of every scale.
func BenchmarkMatrices(b *testing.B) {
	f := mustOpen(b, testdata.Models(b, "smollm2-135m-instruct.Q4_1.gguf"))
	for b.Loop() {
		for _, name := range f.Names() {
			if info, _ := f.Info(name); len(info.Shape) == 2 {
				if _, err := f.Matrix(name); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
}

func BenchmarkMatricesF32(b *testing.B) {
	f := mustOpen(b, testdata.Models(b, "smollm2-135m-offgrid.F32.gguf"))
	for b.Loop() {
		for _, name := range f.Names() {
			if info, _ := f.Info(name); len(info.Shape) == 2 {
				if _, err := f.Matrix(name); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
}

// BenchmarkReadPacked is what loading a saved variant takes before packing.
func BenchmarkReadPacked(b *testing.B) {
	dir := filepath.Join(b.TempDir(), "m")
	m := patternMatrix(b, "int4-g32", 2048, 2048)
	if err := WriteHF(dir, WriteSpec{Weights: []Weight{{Name: "a.weight", Matrix: m}}}); err != nil {
		b.Fatal(err)
	}
	f := mustOpen(b, dir)
	b.SetBytes(m.Bytes())
	for b.Loop() {
		if _, err := f.Matrix("a.weight"); err != nil {
			b.Fatal(err)
		}
	}
}
