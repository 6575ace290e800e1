package checkpoint

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// columnTensors is a layer of 64 columns and 8 rows at 4 bits in groups of 32, as GPTQ or AWQ keep it.
func columnTensors(awq bool) []rawTensor {
	codes := []int{8, 8} // 64 columns in words of 8, for each row
	if awq {
		codes = []int{64, 1}
	}
	out := []rawTensor{
		{"m.q_proj.qweight", "I32", codes, words(64, 0x76543210)},
		{"m.q_proj.qzeros", "I32", []int{2, 1}, words(2, 0x77777777)},
		{"m.q_proj.scales", "F32", []int{2, 8}, f32Bytes(slices.Repeat([]float32{0.5}, 16)...)},
	}
	if !awq {
		index := make([]byte, 4*64)
		for j := range 64 {
			index[4*j] = byte(j / 32)
		}
		out = append(out, rawTensor{"m.q_proj.g_idx", "I32", []int{64}, index})
	}
	return out
}

func words(n int, v uint32) []byte {
	out := make([]byte, 4*n)
	for i := range n {
		putLE32(out[4*i:], v)
	}
	return out
}

func methodConfig(fields string) string { return `{"quantization_config":{` + fields + `}}` }

const (
	gptqFields = `"quant_method":"gptq","bits":4,"group_size":32,"sym":true`
	awqFields  = `"quant_method":"awq","bits":4,"group_size":32,"zero_point":true,"version":"gemm"`
)

// The values of a code word by hand: GPTQ has eight columns of a row in it, AWQ eight rows of a column, even ones first.
func TestColumnOrder(t *testing.T) {
	for _, c := range []struct {
		config string
		awq    bool
		want   []float32 // row 1, columns 0 to 3
	}{
		{methodConfig(gptqFields), false, []float32{-4, -3.5, -3, -2.5}},
		{methodConfig(awqFields), true, []float32{-1.5, -1.5, -1.5, -1.5}}, // row 1 lies in nibble 4; zero points are as stored
	} {
		f := mustOpen(t, writeModel(t, c.config, columnTensors(c.awq)...))
		if names := f.Names(); !slices.Equal(names, []string{"m.q_proj.weight"}) {
			t.Errorf("names %q", names)
		}
		v, err := f.Vector("m.q_proj.weight")
		if err != nil || len(v) != 8*64 || !slices.Equal(v[64:68], c.want) {
			t.Errorf("%s: %v %v, want %v", c.config, v[64:68], err, c.want)
		}
	}
}

// Zero points that are stored less one borrow across a word: what GPTQModel took away is given back.
func TestZeroPointsCarry(t *testing.T) {
	zeros := []uint8{0, 3, 0, 0, 15, 1, 0, 8}
	for bits, ones := range map[int]uint32{4: 0x11111111, 8: 0x01010101} {
		word := uint32(0)
		for i, z := range zeros[:32/bits] {
			word |= uint32(z) << (i * bits)
		}
		back := addOnes(words(1, word-ones), bits)
		for i, z := range zeros[:32/bits] {
			if got := bitsAt(back, i, bits, 1, 0); got != z {
				t.Errorf("%d bits: zero point %d is %d, want %d", bits, i, got, z)
			}
		}
	}
}

// The zero points of each group begin at a word of their own, also where 3 bits do not fill the words.
func TestZeroPointsOfGroups(t *testing.T) {
	layer := []rawTensor{
		{"m.q_proj.qweight", "I32", []int{6, 8}, make([]byte, 6*8*4)}, // 64 columns of 3 bits, 8 rows
		{"m.q_proj.qzeros", "I32", []int{2, 1}, words(2, 0o55555555)},
		{"m.q_proj.scales", "F32", []int{2, 8}, f32Bytes(slices.Repeat([]float32{1}, 16)...)},
	}
	v, err := mustOpen(t, writeModel(t, methodConfig(strings.Replace(gptqFields, `"bits":4`, `"bits":3`, 1)), layer...)).Vector("m.q_proj.weight")
	if err != nil || len(v) != 8*64 || slices.ContainsFunc(v, func(x float32) bool { return x != -6 }) {
		t.Errorf("%v, %v; want -6 everywhere", v, err)
	}
}

// What cannot be served exactly in integers, or is served in another way, is said.
func TestCodedNotes(t *testing.T) {
	static := quantConfigOf(`{"num_bits":4,"type":"int","strategy":"group","group_size":32}`,
		`,"input_activations":{"num_bits":8,"type":"int","strategy":"tensor","symmetric":true,"dynamic":false}`)
	act := edit(columnTensors(false), ".g_idx", func(x rawTensor) rawTensor { x.data[0] = 1; return x })
	even := edit(columnTensors(false), ".g_idx", func(x rawTensor) rawTensor { x.data[0], x.data[4*63] = 1, 0; return x })
	odd := edit(columnTensors(false), ".qzeros", func(x rawTensor) rawTensor { x.data[0] = 0x76; return x })
	for name, c := range map[string]struct {
		config  string
		tensors []rawTensor
		want    string
	}{
		"uneven":     {methodConfig(gptqFields), act, "served as f32"},
		"act-order":  {methodConfig(gptqFields), even, ""},
		"asymmetric": {methodConfig(gptqFields), odd, "said to be symmetric"},
		"static":     {static, packGoldens[0].tensors(t, true), "ask for int8 inputs"},
		"plain":      {methodConfig(gptqFields), columnTensors(false), ""},
	} {
		f := mustOpen(t, writeModel(t, c.config, c.tensors...))
		if _, err := f.Matrix("m.q_proj.weight"); err != nil {
			t.Fatal(name, err)
		}
		notes := strings.Join(f.(Noter).Notes(), "\n")
		if c.want == "" && notes != "" || !strings.Contains(notes, c.want) {
			t.Errorf("%s: notes %q, want %q", name, notes, c.want)
		}
	}
}

func TestColumnHostile(t *testing.T) {
	g, a := columnTensors(false), columnTensors(true)
	drop := func(rawTensor) rawTensor { return rawTensor{} }
	to := func(dtype string, shape ...int) func(rawTensor) rawTensor {
		return func(x rawTensor) rawTensor { x.dtype, x.shape = dtype, shape; return x }
	}
	gptq := func(old, new string) string { return methodConfig(strings.Replace(gptqFields, old, new, 1)) }
	awq := func(old, new string) string { return methodConfig(strings.Replace(awqFields, old, new, 1)) }
	for name, c := range map[string]struct {
		config  string
		tensors []rawTensor
		want    string
	}{
		"no scales":     {gptq("", ""), edit(g, ".scales", drop), "scales is missing"},
		"no zeros":      {awq("", ""), edit(a, ".qzeros", drop), "qzeros is missing"},
		"codes type":    {gptq("", ""), edit(g, ".qweight", to("F32", 8, 8)), "I32 is wanted"},
		"codes shape":   {gptq("", ""), edit(g, ".qweight", to("I32", 4, 16)), "is wanted for 4 bits"},
		"zeros shape":   {gptq("", ""), edit(g, ".qzeros", to("I32", 1, 2)), "[2 1] is wanted"},
		"scale type":    {gptq("", ""), edit(g, ".scales", to("U32", 2, 8)), "BF16 is wanted"},
		"scale shape":   {gptq("", ""), edit(g, ".scales", to("F32", 4, 4)), "is wanted"},
		"index":         {gptq("", ""), edit(g, ".g_idx", func(x rawTensor) rawTensor { x.data = slices.Clone(x.data); x.data[0] = 9; return x }), "group 9 of 2"},
		"index shape":   {gptq("", ""), edit(g, ".g_idx", to("I32", 2, 32)), "[64] is wanted"},
		"no index":      {gptq(`"bits"`, `"desc_act":true,"bits"`), edit(g, ".g_idx", drop), "g_idx is missing"},
		"bits":          {gptq(`"bits":4`, `"bits":5`), g, "5 bits are not served"},
		"no bits":       {gptq(`"bits":4`, `"bits":"4"`), g, "bits: a number"},
		"group":         {gptq(`"group_size":32`, `"group_size":64`), g, "[1 8] is wanted"},
		"group -2":      {gptq(`"group_size":32`, `"group_size":-2`), g, "group_size -2"},
		"marlin":        {gptq(`"bits"`, `"checkpoint_format":"marlin","bits"`), g, `"marlin" is not served`},
		"old marlin":    {gptq(`"bits"`, `"is_marlin_format":true,"bits"`), g, "marlin layout"},
		"pack_dtype":    {gptq(`"bits"`, `"pack_dtype":"int64","bits"`), g, "int64"},
		"gemv":          {awq("gemm", "gemv"), a, `"gemv" is not served`},
		"gemv fast":     {awq("gemm", "gemv_fast"), a, `"gemv_fast" is not served`},
		"awq of 8 bits": {awq(`"bits":4`, `"bits":8`), a, "AWQ with 8 bits"},
		"no zero point": {awq("true", "false"), a, "without zero points"},
		"two weights":   {gptq("", ""), append(slices.Clone(g), rawTensor{"m.q_proj.weight", "F32", []int{1}, f32Bytes(1)}), "is there too"},
	} {
		f, err := Open(writeModel(t, c.config, c.tensors...))
		if err == nil {
			f.Close()
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", name, err, c.want)
		}
	}
}

const gptqDynamic = gptqFields + `,"dynamic":{"+:m\\.q_proj":{"bits":8,"group_size":64}}`

// wideColumns is the layer of columnTensors at 8 bits with one group.
func wideColumns() []rawTensor {
	out := columnTensors(false)
	out[0].shape, out[0].data = []int{16, 8}, words(128, 0x80818283)
	out[1].shape, out[1].data = []int{1, 2}, words(2, 0x7f7f7f7f)
	out[2].shape, out[2].data = []int{1, 8}, f32Bytes(slices.Repeat([]float32{0.5}, 8)...)
	out[3].data = make([]byte, 4*64)
	return out
}

// A layer with settings of its own, which its shapes tell.
func TestColumnsDynamic(t *testing.T) {
	f := mustOpen(t, writeModel(t, methodConfig(gptqDynamic), wideColumns()...))
	m, err := f.Matrix("m.q_proj.weight")
	if err != nil || m.Format() != "int8-g64" {
		t.Fatalf("%v %v", m, err)
	}
	if v, err := f.Vector("m.q_proj.weight"); err != nil || !slices.Equal(v[:4], []float32{1.5, 1, 0.5, 0}) {
		t.Errorf("%v %v", v[:4], err)
	}
}

// The settings of old directories stand in a file of their own.
func TestOldSettings(t *testing.T) {
	for file, awq := range map[string]bool{"quantize_config.json": false, "quant_config.json": true} {
		settings := `{"bits":4,"group_size":32}`
		if awq {
			settings = `{"w_bit":4,"q_group_size":32,"zero_point":true,"version":"GEMM"}`
		}
		dir := writeModel(t, `{}`, columnTensors(awq)...)
		if err := os.WriteFile(filepath.Join(dir, file), []byte(settings), 0o600); err != nil {
			t.Fatal(err)
		}
		if f := mustOpen(t, dir); !slices.Equal(f.Names(), []string{"m.q_proj.weight"}) {
			t.Errorf("%s: names %q", file, f.Names())
		}
		if err := os.WriteFile(filepath.Join(dir, file), []byte(`{"bits":`), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), file) {
			t.Errorf("%s: error %v", file, err)
		}
	}
}

func TestColumnEveryByteDamaged(t *testing.T) {
	for config, awq := range map[string]bool{methodConfig(gptqFields): false, methodConfig(awqFields): true} {
		data := buildSafetensors(columnTensors(awq)...)
		for i := range data {
			bad := slices.Clone(data)
			bad[i] ^= 0x81
			readPacked(t, []byte(config), bad)
		}
		for i := range config {
			bad := []byte(config)
			bad[i] ^= 1
			readPacked(t, bad, data)
		}
	}
}
