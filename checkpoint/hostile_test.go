package checkpoint

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// good is a small well-formed safetensors file.
func good() []byte {
	return buildSafetensors(
		rawTensor{"a", "F32", []int{2, 3}, f32Bytes(1, 2, 3, 4, 5, 6)},
		rawTensor{"b", "F32", []int{2}, f32Bytes(7, 8)},
		rawTensor{"none", "F32", []int{0, 4}, nil},
		rawTensor{"scalar", "I64", nil, make([]byte, 8)},
	)
}

func TestSafetensorsGood(t *testing.T) {
	f := mustOpen(t, writeTemp(t, "x.safetensors", good()))
	if f.Kind() != "safetensors" || fmt.Sprint(f.Names()) != "[a b none scalar]" {
		t.Errorf("%s %v", f.Kind(), f.Names())
	}
	m, err := f.Matrix("a")
	if err != nil {
		t.Fatal(err)
	}
	row := make([]float32, 3)
	m.ReadRow(row, 1)
	if fmt.Sprint(row) != "[4 5 6]" {
		t.Errorf("row 1 %v", row)
	}
	f.Release()
	if v, err := f.Vector("a"); err != nil || fmt.Sprint(v) != "[1 2 3 4 5 6]" {
		t.Errorf("after Release: %v %v", v, err)
	}
	for name, want := range map[string]string{"none": "holds no value", "scalar": `"scalar"`, "b": "two dimensions", "zzz": "not in the file"} {
		if _, err := f.Matrix(name); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "x.safetensors") {
			t.Errorf("Matrix(%q): %v, want %q and the file", name, err, want)
		}
	}
}

// header wraps header text and a body of n bytes.
func header(text string, n int) []byte { return joinSafetensors(text, make([]byte, n)) }

func TestSafetensorsHostile(t *testing.T) {
	entry := func(rest string) []byte { return header(`{"t":{`+rest+`}}`, 16) }
	long := good()
	binary.LittleEndian.PutUint64(long, 1<<40)
	huge := good()
	binary.LittleEndian.PutUint64(huge, math.MaxUint64)
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"empty":           {nil, "empty"},
		"three bytes":     {[]byte("abc"), "only 3 bytes"},
		"header longer":   {long, "truncated"},
		"header 2^64-1":   {huge, "truncated"},
		"truncated body":  {good()[:len(good())-3], "outside"},
		"bytes after":     {append(good(), 0), "the file holds"},
		"half a header":   {joinSafetensors(`{"t":{"dtype":"F32","sha`, nil), "without an end"},
		"text after":      {header(`{}x`, 0), "more follows"},
		"doubled name":    {header(`{"t":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},"t":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}`, 0), "stands twice"},
		"doubled key":     {entry(`"dtype":"F32","dtype":"F32","shape":[4],"data_offsets":[0,16]`), "stands twice"},
		"missing dtype":   {entry(`"shape":[4],"data_offsets":[0,16]`), "all needed"},
		"unknown key":     {entry(`"dtype":"F32","shape":[4],"data_offsets":[0,16],"x":1`), "unknown key"},
		"unknown dtype":   {entry(`"dtype":"F33","shape":[4],"data_offsets":[0,16]`), `unknown dtype "F33"`},
		"outside":         {entry(`"dtype":"F32","shape":[8],"data_offsets":[0,32]`), "outside"},
		"backwards":       {entry(`"dtype":"F32","shape":[4],"data_offsets":[16,0]`), "backwards"},
		"hole":            {entry(`"dtype":"F32","shape":[3],"data_offsets":[4,16]`), "hole"},
		"wrong shape":     {entry(`"dtype":"F32","shape":[5],"data_offsets":[0,16]`), "does not make"},
		"overflow":        {entry(`"dtype":"F32","shape":[4294967296,4294967296,4],"data_offsets":[0,16]`), "does not make"},
		"negative":        {entry(`"dtype":"F32","shape":[-4],"data_offsets":[0,16]`), "whole number"},
		"fraction":        {entry(`"dtype":"F32","shape":[4.0],"data_offsets":[0,16]`), "whole number"},
		"huge number":     {entry(`"dtype":"F32","shape":[99999999999999999999999999],"data_offsets":[0,16]`), "out of range"},
		"rank":            {entry(`"dtype":"F32","shape":[1,1,1,1,1,1,1,1,4],"data_offsets":[0,16]`), "dimensions"},
		"three offsets":   {entry(`"dtype":"F32","shape":[4],"data_offsets":[0,16,16]`), "not 2"},
		"half a byte":     {header(`{"t":{"dtype":"F4","shape":[3],"data_offsets":[0,1]}}`, 1), "does not make"},
		"deep":            {header(`{"t":`+strings.Repeat(`[`, 100000)+`}`, 0), "deeper than"},
		"deep metadata":   {header(`{"__metadata__":{"a":`+strings.Repeat(`[`, 100000)+`}}`, 0), "deeper than"},
		"bad UTF-8":       {header("{\"\xff\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}}", 0), "UTF-8"},
		"overlap":         {header(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}`, 12), "overlap"},
		"pickle":          {[]byte("PK\x03\x04 and more bytes"), "pickle"},
		"lfs":             {[]byte("version https://git-lfs.github.com/spec/v1"), "LFS"},
		"unknown content": {[]byte("nothing of the kind"), "unknown content"},
	} {
		path := writeTemp(t, "x.safetensors", c.data)
		f, err := Open(path)
		if err == nil {
			f.Close()
		}
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: error %v, want %q and the path", name, err, c.want)
		}
	}
}

// goodGGUF is a small well-formed file with every value type.
func goodGGUF() *ggufBuilder {
	b := newGGUF().text("general.architecture", "llama").pair("general.alignment", typeU32, []byte{32, 0, 0, 0})
	for kind, value := range map[uint32][]byte{
		typeU8: {200}, typeI8: {0xff}, typeU16: {0, 0x80}, typeI16: {0xfe, 0xff}, typeI32: {0xfd, 0xff, 0xff, 0xff},
		typeF32: f32Bytes(1.5), typeBool: {1}, typeU64: {1, 0, 0, 0, 0, 0, 0, 0x10}, typeI64: bytes.Repeat([]byte{0xff}, 8),
		typeF64: binary.LittleEndian.AppendUint64(nil, math.Float64bits(-2.5)),
	} {
		b.pair(fmt.Sprint("v", kind), kind, value)
		b.pair(fmt.Sprint("a", kind), typeArray, ggufArray(kind, 2, append(bytes.Clone(value), value...)))
	}
	b.pair("words", typeArray, ggufArray(typeString, 3, bytes.Join([][]byte{ggufString("one"), ggufString(""), ggufString("three")}, nil)))
	b.pair("nested", typeArray, ggufArray(typeArray, 1, ggufArray(typeU8, 2, []byte{1, 2})))
	b.tensor("w", 0, []int{2, 3}, f32Bytes(1, 2, 3, 4, 5, 6))
	return b.tensor("g", 0, []int{3}, f32Bytes(7, 8, 9))
}

func TestGGUFValues(t *testing.T) {
	f := mustOpen(t, writeTemp(t, "x.gguf", goodGGUF().bytes()))
	m := f.Config().GGUF
	for key, want := range map[string]any{
		"v0": uint8(200), "v1": int8(-1), "v2": uint16(0x8000), "v3": int16(-2), "v5": int32(-3), "v6": float32(1.5), "v7": true,
		"v10": uint64(1<<60 + 1), "v11": int64(-1), "v12": -2.5,
	} {
		if m[key] != want {
			t.Errorf("%s = %v (%T), want %v (%T)", key, m[key], m[key], want, want)
		}
	}
	if s, ok := m.Strings("words"); !ok || fmt.Sprintf("%q", s) != `["one" "" "three"]` {
		t.Errorf("words %q", s)
	}
	if v, ok := m.Ints("a5"); !ok || fmt.Sprint(v) != "[-3 -3]" {
		t.Errorf("a5 %v %v", v, ok)
	}
	if v, ok := m.Floats("a12"); !ok || fmt.Sprint(v) != "[-2.5 -2.5]" {
		t.Errorf("a12 %v %v", v, ok)
	}
	if v, ok := m.Float("v0"); !ok || v != 200 {
		t.Errorf("v0 as float %v %v", v, ok)
	}
	if b, ok := m.Bool("v7"); !ok || !b {
		t.Errorf("v7 %v %v", b, ok)
	}
	if _, ok := m.Int("words"); ok {
		t.Error("a list of words is no number")
	}
	if v, err := f.Vector("w"); err != nil || fmt.Sprint(v) != "[1 2 3 4 5 6]" {
		t.Errorf("w %v %v", v, err)
	}
	if info, _ := f.Info("w"); fmt.Sprint(info.Shape) != "[2 3]" {
		t.Errorf("shape %v", info.Shape)
	}
	old := goodGGUF()
	old.version = 2
	mustOpen(t, writeTemp(t, "v2.gguf", old.bytes()))
}

func TestGGUFHostile(t *testing.T) {
	counts := func(tensors, pairs uint64) []byte {
		b := binary.LittleEndian.AppendUint32([]byte("GGUF"), 3)
		b = binary.LittleEndian.AppendUint64(b, tensors)
		return append(binary.LittleEndian.AppendUint64(b, pairs), make([]byte, 100)...)
	}
	version := func(v uint32) []byte {
		b := goodGGUF()
		b.version = v
		return b.bytes()
	}
	one := func(kind uint32, value []byte) []byte { return newGGUF().pair("k", kind, value).bytes() }
	align := func(kind uint32, value ...byte) []byte {
		return newGGUF().pair("general.alignment", kind, value).bytes()
	}
	body := func(b *ggufBuilder) []byte { b.body = make([]byte, 256); return b.bytes() }
	nan := make([]byte, 18)
	binary.LittleEndian.PutUint16(nan, 0x7e00)
	deep := ggufArray(typeU8, 0, nil)
	for range 50 {
		deep = ggufArray(typeArray, 1, deep)
	}
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"magic alone":        {[]byte("GGUF"), "truncated"},
		"version 1":          {version(1), "version 1"},
		"version 9":          {version(9), "version 9"},
		"big-endian":         {version(0x03000000), "big-endian"},
		"huge tensor count":  {counts(math.MaxUint64, 0), "tensors"},
		"huge pair count":    {counts(0, 1<<62), "pairs"},
		"huge string":        {one(typeString, binary.LittleEndian.AppendUint64(nil, math.MaxUint64-3)), "truncated"},
		"huge array":         {one(typeArray, ggufArray(typeU8, 1<<63, nil)), "cannot fit"},
		"huge string array":  {one(typeArray, ggufArray(typeString, 1<<40, nil)), "cannot fit"},
		"huge nested":        {one(typeArray, ggufArray(typeArray, 1<<40, nil)), "cannot fit"},
		"deep arrays":        {one(typeArray, deep), "arrays inside arrays"},
		"unknown type":       {one(77, nil), "type 77"},
		"unknown element":    {one(typeArray, ggufArray(13, 1, []byte{0})), "type 13"},
		"boolean of 2":       {one(typeBool, []byte{2}), "boolean of 2"},
		"doubled key":        {newGGUF().text("k", "a").text("k", "b").bytes(), "stands twice"},
		"empty key":          {newGGUF().text("", "a").bytes(), "name of 0 bytes"},
		"alignment 0":        {align(typeU32, 0, 0, 0, 0), "alignment"},
		"alignment 24":       {align(typeU32, 24, 0, 0, 0), "alignment"},
		"alignment type":     {align(typeU8, 32), "alignment"},
		"alignment 2^31":     {align(typeU32, 0, 0, 0, 128), "alignment"},
		"rank 5":             {body(newGGUF().info("t", 0, []int{1, 1, 1, 1, 1}, 0)), "5 dimensions"},
		"dimension 0":        {body(newGGUF().info("t", 0, []int{0}, 0)), "dimension 0 is 0"},
		"dimension overflow": {body(newGGUF().info("t", 0, []int{1 << 40, 1 << 40}, 0)), "overflows"},
		"type unknown":       {body(newGGUF().info("t", 200, []int{4}, 0)), "type 200 is unknown"},
		"type removed":       {body(newGGUF().info("t", 31, []int{4}, 0)), "Q4_0_4_4"},
		"block":              {body(newGGUF().info("t", 2, []int{1, 33}, 0)), "no multiple"},
		"outside":            {body(newGGUF().info("t", 0, []int{64}, 32)), "outside"},
		"far outside":        {body(newGGUF().info("t", 0, []int{1}, math.MaxUint64-31)), "outside"},
		"unaligned":          {body(newGGUF().info("t", 0, []int{4}, 8)), "multiple of the alignment"},
		"overlap":            {body(newGGUF().info("t", 0, []int{16}, 0).info("u", 0, []int{4}, 32)), "overlaps"},
		"doubled tensor":     {body(newGGUF().info("t", 0, []int{4}, 0).info("t", 0, []int{4}, 32)), "stands twice"},
		"truncated":          {goodGGUF().bytes()[:len(goodGGUF().bytes())-8], "outside"},
	} {
		path := writeTemp(t, "x.gguf", c.data)
		f, err := Open(path)
		if err == nil {
			f.Close()
		}
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: error %v, want %q and the path", name, err, c.want)
		}
	}
	f := mustOpen(t, writeTemp(t, "nan.gguf", newGGUF().tensor("w", 2, []int{1, 32}, nan).tensor("k", 16, []int{1, 256}, make([]byte, 66)).bytes()))
	if _, err := f.Matrix("w"); err == nil || !strings.Contains(err.Error(), `"w"`) || !strings.Contains(err.Error(), "NaN") {
		t.Errorf("NaN scale: %v", err)
	}
	if _, err := f.Matrix("k"); err == nil || !refusesFormat(err, "iq2_xxs") {
		t.Errorf("type that is not served: %v", err)
	}
}

// A vector of few bits a value does not take many times its file.
func TestVectorMemory(t *testing.T) {
	if _, err := vectorOf("tq2_0", []int{1 << 25}, make([]byte, 1<<25/256*66)); err == nil || !strings.Contains(err.Error(), "too many") {
		t.Errorf("2^25 values in 2 bits: %v", err)
	}
	if v, err := vectorOf("tq2_0", []int{512}, make([]byte, 2*66)); err != nil || len(v) != 512 {
		t.Errorf("512 values in 2 bits: %d, %v", len(v), err)
	}
}

// Every truncation and every flipped byte of a small file is an error or a file that can be read, never a panic.
func TestEveryByteDamaged(t *testing.T) {
	for _, data := range [][]byte{good(), goodGGUF().bytes()} {
		for i := range data {
			readAll(t, data[:i])
			for _, bit := range []byte{1, 0x80, 0xff} {
				bad := bytes.Clone(data)
				bad[i] ^= bit
				readAll(t, bad)
			}
		}
	}
}

// readAll opens bytes as a file and reads what there is to read.
func readAll(t testing.TB, data []byte) {
	m := &mapping{data: data}
	m.closed.Store(true) // heap bytes: nothing to unmap
	f, err := openMapped(m, "fuzz")
	if err != nil {
		return
	}
	for _, name := range f.Names() {
		if _, ok := f.Info(name); !ok {
			t.Fatalf("%q is listed but has no info", name)
		}
		f.Matrix(name)
		f.Vector(name)
	}
}

// Crafted headers must not claim more than 64 MB and twice the file.
func TestMemoryBound(t *testing.T) {
	if raceDetector {
		t.Skip("left out: the race detector changes what is allocated")
	}
	var names, pairs, empty bytes.Buffer
	names.WriteString(`{"first":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}`)
	for i := range maxTensors - 1 {
		fmt.Fprintf(&names, `,"%x":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}`, i)
	}
	names.WriteString("}")
	b := newGGUF()
	for i := range maxPairs {
		b.pair(fmt.Sprintf("%x", i), typeU8, []byte{1})
	}
	pairs.Write(b.bytes())
	empty.Write(newGGUF().pair("s", typeArray, ggufArray(typeString, 1<<20, make([]byte, 8<<20))).bytes())
	for name, data := range map[string][]byte{
		"tensors": joinSafetensors(names.String(), nil),
		"pairs":   pairs.Bytes(),
		"strings": empty.Bytes(),
		"many":    joinSafetensors(names.String()[:names.Len()-1]+`,"x":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}`, nil),
	} {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		m := &mapping{data: data}
		m.closed.Store(true)
		_, err := openMapped(m, name)
		runtime.ReadMemStats(&after)
		if (err != nil) != (name == "many") {
			t.Errorf("%s: error %v", name, err)
		}
		if took, limit := after.TotalAlloc-before.TotalAlloc, uint64(64<<20+2*len(data)); took > limit {
			t.Errorf("%s: %d bytes were allocated for a file of %d", name, took, len(data))
		}
	}
}

// A config.json is small, but a tree of it is large.
func TestConfigMemoryBound(t *testing.T) {
	if raceDetector {
		t.Skip("left out: the race detector changes what is allocated")
	}
	for _, unit := range []string{"1,", "{},", `"",`} {
		text := `{"a":[` + strings.Repeat(unit, (maxConfig-20)/len(unit)) + `1]}`
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if _, err := jsonObject([]byte(text)); err != nil {
			t.Error(err)
		}
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; took > 60<<20 {
			t.Errorf("%q: %d bytes were allocated for %d", unit, took, len(text))
		}
	}
}

func TestDirectoryHostile(t *testing.T) {
	index := func(body string) map[string][]byte {
		return map[string][]byte{configName: []byte("{}"), indexName: []byte(body), "s1.safetensors": good()}
	}
	other := buildSafetensors(rawTensor{"b", "F32", []int{2}, f32Bytes(7, 8)})
	for name, c := range map[string]struct {
		files map[string][]byte
		want  string
	}{
		"no config":        {map[string][]byte{weightsName: good()}, "no config.json"},
		"two ggufs":        {map[string][]byte{"m.gguf": good(), "n.gguf": good()}, "m.gguf"},
		"bad config":       {map[string][]byte{configName: []byte(`{"a":`), weightsName: good()}, "config.json"},
		"doubled key":      {map[string][]byte{configName: []byte(`{"a":1,"a":2}`), weightsName: good()}, "stands twice"},
		"deep config":      {map[string][]byte{configName: []byte(`{"a":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `}`), weightsName: good()}, "deeper"},
		"config array":     {map[string][]byte{configName: []byte(`[]`), weightsName: good()}, "should stand"},
		"long config":      {map[string][]byte{configName: bytes.Repeat([]byte(" "), maxConfig+1), weightsName: good()}, "at most"},
		"no weights":       {map[string][]byte{configName: []byte("{}")}, "no weights"},
		"pickle":           {map[string][]byte{configName: []byte("{}"), "pytorch_model.bin": nil}, "pickle"},
		"LFS pointer":      {map[string][]byte{configName: []byte("{}"), weightsName: []byte("version https://git-lfs.github.com/spec/v1")}, "git lfs pull"},
		"LFS shard":        {map[string][]byte{configName: []byte("{}"), indexName: []byte(`{"weight_map":{"a":"s1.safetensors"}}`), "s1.safetensors": []byte("version https://git-lfs")}, "git lfs pull"},
		"maker's layout":   {map[string][]byte{"params.json": []byte("{}"), "consolidated.safetensors": good()}, "converted for transformers"},
		"old sentences":    {map[string][]byte{"modules.json": []byte("[]")}, "0_Transformer"},
		"MLX":              {map[string][]byte{configName: []byte(`{"quantization":{"group_size":64,"bits":4}}`), weightsName: good()}, "MLX"},
		"MLX twice":        {map[string][]byte{configName: []byte(`{"quantization_config":{"group_size":64,"bits":4},"quantization":{}}`), weightsName: good()}, "MLX"},
		"bitsandbytes":     {map[string][]byte{configName: []byte(`{"quantization_config":{"quant_method":"bitsandbytes"}}`), weightsName: good()}, `"bitsandbytes" is not read; awq, compressed-tensors, gptq, mxfp4 are: take`},
		"two files":        {map[string][]byte{configName: []byte("{}"), "a.safetensors": good(), "b.safetensors": good()}, "2 safetensors"},
		"traversal":        {index(`{"weight_map":{"a":"../s1.safetensors"}}`), "plain file name"},
		"absolute":         {index(`{"weight_map":{"a":"/etc/passwd"}}`), "plain file name"},
		"backslash":        {index(`{"weight_map":{"a":"..\\s1.safetensors"}}`), "plain file name"},
		"no shard":         {index(`{"weight_map":{"a":"s9.safetensors"}}`), "s9.safetensors"},
		"itself":           {index(`{"weight_map":{"a":"` + indexName + `"}}`), "not a .safetensors"},
		"empty name":       {index(`{"weight_map":{"a":""}}`), "plain file name"},
		"dots":             {index(`{"weight_map":{"a":".."}}`), "plain file name"},
		"tensor elsewhere": {index(`{"weight_map":{"zzz":"s1.safetensors"}}`), "where it is not"},
		"doubled tensor":   {index(`{"weight_map":{"a":"s1.safetensors","a":"s1.safetensors"}}`), "stands twice"},
		"empty map":        {index(`{"weight_map":{}}`), "no weight_map"},
		"doubled map":      {index(`{"weight_map":{"a":"s1.safetensors"},"weight_map":{}}`), "stands twice"},
		"map of numbers":   {index(`{"weight_map":{"a":1}}`), "should stand"},
		"one in two": {map[string][]byte{configName: []byte("{}"), "s1.safetensors": good(), "s2.safetensors": other,
			indexName: []byte(`{"weight_map":{"a":"s1.safetensors","b":"s2.safetensors"}}`)}, "stands in s1.safetensors too"},
		"broken shard": {map[string][]byte{configName: []byte("{}"), "s1.safetensors": good()[:20],
			indexName: []byte(`{"weight_map":{"a":"s1.safetensors"}}`)}, "s1.safetensors"},
	} {
		dir := t.TempDir()
		for file, data := range c.files {
			if err := os.WriteFile(filepath.Join(dir, file), data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		f, err := Open(dir)
		if err == nil {
			f.Close()
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", name, err, c.want)
		}
	}
}

func TestSharded(t *testing.T) {
	dir := t.TempDir()
	for file, data := range map[string][]byte{
		configName:       []byte(`{"hidden_size":3}`),
		indexName:        []byte(`{"metadata":{"total_size":32},"weight_map":{"a":"s1.safetensors","b":"s2.safetensors"}}`),
		"s1.safetensors": buildSafetensors(rawTensor{"a", "F32", []int{2, 3}, f32Bytes(1, 2, 3, 4, 5, 6)}),
		"s2.safetensors": buildSafetensors(rawTensor{"b", "F32", []int{2}, f32Bytes(7, 8)}),
	} {
		if err := os.WriteFile(filepath.Join(dir, file), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f := mustOpen(t, dir)
	if fmt.Sprint(f.Names()) != "[a b]" {
		t.Errorf("names %v", f.Names())
	}
	if v, err := f.Vector("b"); err != nil || fmt.Sprint(v) != "[7 8]" {
		t.Errorf("b %v %v", v, err)
	}
}

func TestNotRegular(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, weightsName), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, configName), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), "regular") {
		t.Errorf("a folder as weights: %v", err)
	}
	if _, err := Open(filepath.Join(dir, "absent")); err == nil {
		t.Error("an absent path opened")
	}
}
