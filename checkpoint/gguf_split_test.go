package checkpoint

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// writeParts writes a model of three tensors in three parts; edit changes a part's keys or tensors, or leaves it out by
// returning false.
func writeParts(t *testing.T, edit func(no int, meta *[]GGUFValue, tensor *GGUFTensor) bool) string {
	t.Helper()
	dir := t.TempDir()
	for no := range 3 {
		meta := []GGUFValue{{splitNo, uint16(no)}, {splitCount, uint16(3)}, {splitTensors, int32(3)}}
		if no == 0 {
			meta = append([]GGUFValue{{"general.architecture", "llama"}}, meta...)
		}
		tensor := GGUFTensor{Name: fmt.Sprint("t", no), Format: "f32", Shape: []int{2}, Read: func() ([]byte, error) {
			return f32Bytes(float32(no), 1), nil
		}}
		if edit != nil && !edit(no, &meta, &tensor) {
			continue
		}
		if err := WriteGGUF(filepath.Join(dir, partName("m", no, 3)), meta, []GGUFTensor{tensor}); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, partName("m", 0, 3))
}

func TestSplitGGUF(t *testing.T) {
	path := writeParts(t, nil)
	for _, open := range []string{path, filepath.Dir(path)} {
		f := mustOpen(t, open)
		if !slices.Equal(f.Names(), []string{"t0", "t1", "t2"}) {
			t.Errorf("names %q", f.Names())
		}
		for no := range 3 {
			if v, err := f.Vector(fmt.Sprint("t", no)); err != nil || v[0] != float32(no) {
				t.Errorf("t%d: %v %v", no, v, err)
			}
		}
		if meta := f.Config().GGUF; len(meta) != 1 {
			t.Errorf("metadata %v", meta)
		}
		f.Release()
	}
	// A file that says that it is the only part needs no such name.
	lone := writeTemp(t, "x.gguf", newGGUF().pair(splitCount, typeU16, []byte{1, 0}).bytes())
	mustOpen(t, lone)
}

func TestSplitGGUFHostile(t *testing.T) {
	set := func(no int, key string, value any) func(int, *[]GGUFValue, *GGUFTensor) bool {
		return func(n int, meta *[]GGUFValue, _ *GGUFTensor) bool {
			if n != no {
				return true
			}
			for i, v := range *meta {
				if v.Key == key {
					(*meta)[i].Value = value
					return true
				}
			}
			*meta = append(*meta, GGUFValue{key, value})
			return true
		}
	}
	second := partName("m", 1, 3)
	for name, c := range map[string]struct {
		edit func(int, *[]GGUFValue, *GGUFTensor) bool
		want string
	}{
		"absent":        {func(no int, _ *[]GGUFValue, _ *GGUFTensor) bool { return no != 1 }, second},
		"wrong number":  {set(1, splitNo, uint16(2)), "split.no is 2"},
		"other count":   {set(2, splitCount, uint16(4)), "split.count is 4"},
		"other total":   {set(1, splitTensors, int32(9)), "disagrees"},
		"total":         {func(no int, m *[]GGUFValue, x *GGUFTensor) bool { return set(no, splitTensors, int32(4))(no, m, x) }, "hold 3 tensors"},
		"architecture":  {set(1, "general.architecture", "gpt2"), "disagrees"},
		"first's count": {set(0, splitCount, uint16(2)), "part 00001 of 00003 by its name"},
		"first's no":    {set(0, splitNo, uint16(1)), "open m-00001-of-00003.gguf"},
		"huge count":    {set(0, splitCount, uint16(65535)), "at most 4096"},
		"same tensor": {func(no int, _ *[]GGUFValue, x *GGUFTensor) bool {
			x.Name = strings.Replace(x.Name, "2", "1", 1)
			return true
		}, second},
	} {
		path := writeParts(t, c.edit)
		f, err := Open(path)
		if err == nil {
			f.Close()
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", name, err, c.want)
		}
	}
	path := writeParts(t, nil)
	if f, err := Open(filepath.Join(filepath.Dir(path), second)); err == nil || !strings.Contains(err.Error(), "open m-00001-of-00003.gguf, the first") {
		t.Errorf("the second part: %v %v", f, err)
	}
	if err := os.WriteFile(filepath.Join(filepath.Dir(path), second), []byte("GGUF"), 0o600); err != nil {
		t.Fatal(err)
	}
	if f, err := Open(path); err == nil || !strings.Contains(err.Error(), second) {
		t.Errorf("a damaged part: %v %v", f, err)
	}
	if err := os.Rename(path, filepath.Join(filepath.Dir(path), "model.gguf")); err != nil {
		t.Fatal(err)
	}
	if f, err := Open(filepath.Join(filepath.Dir(path), "model.gguf")); err == nil || !strings.Contains(err.Error(), "does not end in") {
		t.Errorf("a renamed part: %v %v", f, err)
	}
}
