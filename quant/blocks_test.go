package quant

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"testing"
)

// randomBlocks is any codes and integer scales under sane floating-point ones.
func randomBlocks(t testing.TB, f *blockFormat, rows, cols int) Matrix {
	rng := rand.New(rand.NewPCG(7, uint64(cols)))
	per, err := f.rowBytes(cols)
	if err != nil {
		t.Fatal(err)
	}
	data := make([]byte, per*rows)
	for i := range data {
		data[i] = byte(rng.UintN(256))
	}
	for at := 0; at < len(data); at += f.bytes {
		for n, half := range f.halves { // scales of about 0.01
			data[at+half+1] = byte(rng.UintN(2)<<7 | 0x20 + 8*uint(n) | rng.UintN(4))
		}
		switch {
		case f.wide && f.weights == 32:
			data[at] = byte(115 + rng.UintN(8))
		case f.wide:
			binary.LittleEndian.PutUint32(data[at:], math.Float32bits(float32(rng.NormFloat64())))
		}
	}
	m, err := FromBytes(f.Name(), rows, cols, data)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestOwnBits: the types that real files are made of are served with at most 1.1 times the file's bytes.
func TestOwnBits(t *testing.T) {
	for _, name := range []string{"q4_0", "q4_1", "q4_k", "q5_0", "q5_k", "q6_k", "q8_0", "iq4_nl", "iq4_xs", "mxfp4"} {
		f, _ := Lookup(name)
		m := randomBlocks(t, f.(*blockFormat), 64, 512)
		w, err := Pack(m, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got, file := w.Bytes(), m.Bytes(); 10*got > 11*file {
			t.Errorf("%s: %d bytes packed, %d in the file", name, got, file)
		}
	}
}
