package checkpoint

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// TestWriteGGUF reads back what was written: metadata of every kind, tensors of several types and ranks, at any alignment.
func TestWriteGGUF(t *testing.T) {
	meta := []GGUFValue{
		{"general.architecture", "llama"}, {"a.text", []string{"", "é"}}, {"a.flag", true}, {"a.flags", []bool{true, false}},
		{"a.u8", uint8(200)}, {"a.i8", int8(-1)}, {"a.u16", uint16(1 << 15)}, {"a.i16", int16(-2)}, {"a.u32", uint32(9)}, {"a.i32", int32(-3)},
		{"a.u64", uint64(1 << 60)}, {"a.i64", int64(-1 << 60)}, {"a.f32", float32(2.5)}, {"a.f64", -0.1},
		{"a.u8s", []uint8{1, 2}}, {"a.i8s", []int8{-1}}, {"a.u16s", []uint16{7}}, {"a.i16s", []int16{-7}}, {"a.u32s", []uint32{8}}, {"a.i32s", []int32{-1, 7}},
		{"a.u64s", []uint64{9}}, {"a.i64s", []int64{-9}}, {"a.f32s", []float32{0.5}}, {"a.f64s", []float64{0.25}},
		{"a.nested", []any{[]int32{1, 2}, []string{"x"}, []any{[]bool{true}}}}, {"a.none", []int32{}},
	}
	f32 := f32Bytes(1, 2, 3)
	tensors := []GGUFTensor{
		{Name: "v.weight", Format: "f32", Shape: []int{3}, Read: func() ([]byte, error) { return f32, nil }},
		{Name: "m.weight", Format: "bf16", Shape: []int{2, 3}, Write: func(w io.Writer) error {
			for _, b := range []byte{128, 63, 0, 64, 64, 64, 0, 0, 0, 0, 128, 191} {
				if _, err := w.Write([]byte{b}); err != nil {
					return err
				}
			}
			return nil
		}},
		{Name: "e.weight", Format: "iq2_xs", Shape: []int{1, 2, 1, 256}, Read: give(148)},
	}
	for _, align := range []uint32{0, 8, 256} {
		values := meta
		if align > 0 {
			values = append(slices.Clone(meta), GGUFValue{"general.alignment", align})
		}
		path := filepath.Join(t.TempDir(), "m.gguf")
		if err := WriteGGUF(path, values, tensors); err != nil {
			t.Fatal(err)
		}
		f := mustOpen(t, path)
		for _, v := range values {
			if got := f.Config().GGUF[v.Key]; !reflect.DeepEqual(got, v.Value) {
				t.Errorf("%s is %v (%T), want %v (%T)", v.Key, got, got, v.Value, v.Value)
			}
		}
		if v, err := f.Vector("v.weight"); err != nil || !reflect.DeepEqual(v, []float32{1, 2, 3}) {
			t.Errorf("v.weight %v, %v", v, err)
		}
		if m, err := f.Vector("m.weight"); err != nil || !reflect.DeepEqual(m, []float32{1, 2, 3, 0, 0, -1}) {
			t.Errorf("m.weight %v, %v", m, err)
		}
		if info, _ := f.Info("e.weight"); info.Format != "iq2_xs" || !slices.Equal(info.Shape, []int{1, 2, 1, 256}) {
			t.Errorf("e.weight %v", info)
		}
	}
}

func give(n int) func() ([]byte, error) {
	return func() ([]byte, error) { return make([]byte, n), nil }
}

func TestWriteGGUFRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.gguf")
	bad := errors.New("bad")
	one := GGUFTensor{Name: "t", Format: "f32", Shape: []int{1}, Read: give(4)}
	with := func(change func(*GGUFTensor)) []GGUFTensor {
		x := one
		change(&x)
		return []GGUFTensor{x}
	}
	for name, c := range map[string]struct {
		meta    []GGUFValue
		tensors []GGUFTensor
		want    string
	}{
		"type":         {nil, with(func(x *GGUFTensor) { x.Format = "q9" }), "no type"},
		"short":        {nil, with(func(x *GGUFTensor) { x.Shape = []int{2} }), "4 bytes given"},
		"long":         {nil, with(func(x *GGUFTensor) { x.Read = give(8) }), "more bytes"},
		"odd rows":     {nil, with(func(x *GGUFTensor) { x.Format, x.Shape = "q4_0", []int{1, 31} }), "no multiple"},
		"source":       {nil, with(func(x *GGUFTensor) { x.Read = func() ([]byte, error) { return nil, bad } }), "bad"},
		"rank":         {nil, with(func(x *GGUFTensor) { x.Shape = []int{1, 1, 1, 1, 1} }), "dimensions"},
		"no dimension": {nil, with(func(x *GGUFTensor) { x.Shape = nil }), "dimensions"},
		"zero":         {nil, with(func(x *GGUFTensor) { x.Shape = []int{0} }), "dimensions"},
		"overflow":     {nil, with(func(x *GGUFTensor) { x.Shape = []int{1 << 40, 1 << 40} }), "overflows"},
		"long name":    {nil, with(func(x *GGUFTensor) { x.Name = strings.Repeat("n", 64) }), "a name of 64 bytes"},
		"twice":        {nil, []GGUFTensor{one, one}, "stands twice"},
		"complex":      {[]GGUFValue{{"k", 1 + 2i}}, nil, "complex128 cannot be written"},
		"int":          {[]GGUFValue{{"k", 1}}, nil, "a int cannot be written"},
		"scalar array": {[]GGUFValue{{"k", []any{1}}}, nil, "a int cannot be written"},
		"key twice":    {[]GGUFValue{{"k", true}, {"k", true}}, nil, "stands twice"},
		"empty key":    {[]GGUFValue{{"", true}}, nil, "empty"},
		"alignment":    {[]GGUFValue{{"general.alignment", uint32(24)}}, nil, "power of two"},
	} {
		err := WriteGGUF(path, c.meta, c.tensors)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", name, err, c.want)
		}
	}
	if files, _ := os.ReadDir(filepath.Dir(path)); len(files) != 0 {
		t.Errorf("failed writes left %v", files)
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
