package checkpoint

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

// TestWriteGGUF reads back what was written: metadata of every kind, tensors of several types and ranks.
func TestWriteGGUF(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.gguf")
	meta := []GGUFValue{
		{"general.architecture", "llama"}, {"a.text", []string{"", "é"}}, {"a.kinds", []int32{-1, 7}},
		{"a.scores", []float32{0.5}}, {"a.flag", true}, {"a.i", int32(-3)}, {"a.u", uint32(9)}, {"a.big", uint64(1 << 40)}, {"a.f", float32(2.5)},
	}
	f32 := []byte{0, 0, 128, 63, 0, 0, 0, 64, 0, 0, 64, 64}
	tensors := []GGUFTensor{
		{"v.weight", "f32", []int{3}, func() ([]byte, error) { return f32, nil }},
		{"m.weight", "bf16", []int{2, 3}, func() ([]byte, error) { return []byte{128, 63, 0, 64, 64, 64, 0, 0, 0, 0, 128, 191}, nil }},
	}
	if err := WriteGGUF(path, meta, tensors); err != nil {
		t.Fatal(err)
	}
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, v := range meta {
		if got := f.Config().GGUF[v.Key]; !reflect.DeepEqual(got, v.Value) {
			t.Errorf("%s is %v (%T), want %v (%T)", v.Key, got, got, v.Value, v.Value)
		}
	}
	v, err := f.Vector("v.weight")
	if err != nil || !reflect.DeepEqual(v, []float32{1, 2, 3}) {
		t.Errorf("v.weight %v, %v", v, err)
	}
	m, err := f.Vector("m.weight")
	if err != nil || !reflect.DeepEqual(m, []float32{1, 2, 3, 0, 0, -1}) {
		t.Errorf("m.weight %v, %v", m, err)
	}
}

func TestWriteGGUFRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.gguf")
	bad := errors.New("bad")
	for name, tensor := range map[string]GGUFTensor{
		"unknown type": {"t", "q9", []int{1}, func() ([]byte, error) { return nil, nil }},
		"wrong size":   {"t", "f32", []int{2}, func() ([]byte, error) { return make([]byte, 4), nil }},
		"odd rows":     {"t", "q4_0", []int{1, 31}, func() ([]byte, error) { return nil, nil }},
		"source":       {"t", "f32", []int{1}, func() ([]byte, error) { return nil, bad }},
	} {
		if err := WriteGGUF(path, nil, []GGUFTensor{tensor}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if err := WriteGGUF(path, []GGUFValue{{"k", 1 + 2i}}, nil); err == nil {
		t.Error("a complex number was written")
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("a failed write left a file")
	}
}

// TestLoneGGUF: a directory with one GGUF file and no config.json is that file.
func TestLoneGGUF(t *testing.T) {
	dir := t.TempDir()
	if err := WriteGGUF(filepath.Join(dir, "model.gguf"), []GGUFValue{{"general.architecture", "llama"}}, nil); err != nil {
		t.Fatal(err)
	}
	f, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if f.Kind() != "gguf" {
		t.Errorf("kind %s", f.Kind())
	}
	if err := WriteGGUF(filepath.Join(dir, "other.gguf"), nil, nil); err != nil {
		t.Fatal(err)
	}
	if f, err := Open(dir); err == nil {
		f.Close()
		t.Error("a directory with two GGUF files was opened")
	}
}
