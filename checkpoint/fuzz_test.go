package checkpoint

import (
	"os"
	"path/filepath"
	"testing"
)

// The fuzzers' seeds are built here, so that no corpus has to be kept.

func FuzzSafetensors(f *testing.F) {
	f.Add(good())
	f.Add(header(`{"t":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}`, 16))
	f.Add(header(`{"__metadata__":{"a":"b\u00e9"},"t":{"dtype":"BF16","shape":[1,2],"data_offsets":[0,4]}}`, 4))
	f.Fuzz(func(t *testing.T, data []byte) { readAll(t, data) })
}

func FuzzGGUF(f *testing.F) {
	f.Add(goodGGUF().bytes())
	f.Add(newGGUF().tensor("q", 2, []int{1, 32}, make([]byte, 18)).tensor("r", 8, []int{2, 32}, make([]byte, 68)).bytes())
	for id, kind := range ggmlTypes {
		row := make([]byte, kind.bytes)
		for i := range row {
			row[i] = byte(37 * i)
		}
		f.Add(newGGUF().tensor(kind.name, id, []int{1, kind.block}, row).bytes())
	}
	f.Add(newGGUF().pair(splitNo, typeU16, []byte{0, 0}).pair(splitCount, typeU16, []byte{2, 0}).pair(splitTensors, typeI32, []byte{1, 0, 0, 0}).bytes())
	f.Fuzz(func(t *testing.T, data []byte) { readAll(t, data) })
}

// FuzzGGUFPart joins a damaged second part to a good first one.
func FuzzGGUFPart(f *testing.F) {
	part := newGGUF().pair(splitNo, typeU16, []byte{1, 0}).pair(splitCount, typeU16, []byte{2, 0}).tensor("u", 0, []int{2}, f32Bytes(1, 2))
	f.Add(part.bytes())
	f.Add(newGGUF().pair(splitNo, typeU32, []byte{1, 0, 0, 0}).pair(splitCount, typeArray, ggufArray(typeU8, 1, []byte{2})).bytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		dir := t.TempDir()
		first := newGGUF().pair(splitNo, typeU16, []byte{0, 0}).pair(splitCount, typeU16, []byte{2, 0}).tensor("t", 0, []int{1}, f32Bytes(7))
		for no, b := range [][]byte{first.bytes(), data} {
			if err := os.WriteFile(filepath.Join(dir, partName("m", no, 2)), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		file, err := Open(dir)
		if err != nil {
			return
		}
		defer file.Close()
		for _, name := range file.Names() {
			file.Matrix(name)
			file.Vector(name)
		}
	})
}

func FuzzIndex(f *testing.F) {
	f.Add([]byte(`{"metadata":{"total_size":1e9},"weight_map":{"a":"s1.safetensors","b":"s2.safetensors"}}`))
	f.Add([]byte(`{"weight_map":{"a":"../x.safetensors"}}`))
	f.Add([]byte(`{"x":[1,{"y":null}],"weight_map":{"\ud800":"s.safetensors"}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		listed, files, err := parseIndex(data)
		if err != nil {
			return
		}
		for _, file := range files {
			if checkShardName(file) != nil {
				t.Fatalf("shard %q passed", file)
			}
		}
		if len(files) == 0 || len(files) > len(listed) {
			t.Fatalf("%d files for %d tensors", len(files), len(listed))
		}
	})
}

// FuzzPacked reads quantized tensors by a config.json, both of them damaged.
func FuzzPacked(f *testing.F) {
	for _, g := range packGoldens {
		f.Add([]byte(g.config(true)), buildSafetensors(g.tensors(f, true)...))
		f.Add([]byte(g.config(false)), buildSafetensors(g.tensors(f, false)...))
	}
	f.Add([]byte(quantConfigOf(`{"num_bits":8,"type":"int"}`, `,"format":null`)), good())
	f.Add([]byte(methodConfig(gptqFields)), buildSafetensors(columnTensors(false)...))
	f.Add([]byte(methodConfig(awqFields)), buildSafetensors(columnTensors(true)...))
	f.Add([]byte(methodConfig(gptqDynamic)), buildSafetensors(wideColumns()...))
	f.Fuzz(readPacked)
}

// readPacked opens a safetensors file with a config.json and reads what there is to read.
func readPacked(t *testing.T, config, data []byte) {
	s, err := readShard(&mapping{data: data}, "fuzz")
	if err != nil {
		return
	}
	x := &tensors{kind: "hf", path: "fuzz", shards: []*shard{s}}
	if x.config.HF, err = jsonObject(config); err != nil || x.index() != nil {
		return
	}
	for _, name := range x.Names() {
		if _, ok := x.Info(name); !ok {
			t.Fatalf("%q is listed but has no info", name)
		}
		x.Matrix(name)
		x.Vector(name)
	}
	x.Notes()
}
