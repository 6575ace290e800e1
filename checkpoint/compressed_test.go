package checkpoint

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"hone/quant"
)

// packGolden is a weight packed by compressed-tensors 0.20's own pack_to_int32 (run once, over numpy). The code at row i
// and column j is (7i + 13j + ij mod 5) mod 2^bits, the zero point of group g (3i + 5g + 1) mod 2^bits, both less 2^(bits-1).
type packGolden struct {
	bits, rows, cols, groups int
	packed, zeros            string
}

var packGoldens = []packGolden{
	{4, 11, 64, 2, "d07a14be58f29c36d07a14be58f29c36d07a14be58f29c36d07a14be58f29c3657138f46027935a168249b57c38a46bd79e5ac68df9b07ce8af1bd29e0ac13" +
		"dfde6cf5de67f08e17f08912a03912ab34c25b34cd56e47d56ef78069f78019a2855006b16c177228d38e39944af5a05bb66c17c27dd88e39e49ffaa05b06b11ccdc" +
		"59d1ae26fe7bf3c048109d15e26a32bf37048c54d15926ae76f37b48c0981503ad47e18b25cf6903ad47e18b25cf6903ad47e18b25cf6903ad47e18b25cf698a46b2" +
		"7935ac68d49b57ce8af6bd79e0ac18df9b02ce3af1bd24e05c13df4602019f28019a23b14a23bc45d36c45de67f58e67f08917a08912ab39c2ab34cd5b88339e49f4" +
		"aa55b06b16cc77d28d38ee99f4af5a00bb16c17c22dd38e39e44ff0f8c04d15921ae26f37b43c048159d65e26a37bf87048c59d1a926ae7bf3cb4836d07a14be58f2" +
		"9c36d07a14be58f29c36d07a14be58f29c36d07a14be58f29c", "41a70d6396fc52b8c90f00001e040000"},
	{8, 5, 36, 1, "000d1a2734414e5b6875828f9ca9b6c3d0ddeaf704111e2b3845525f6c798693a0adbac7071523313f48566472808997a5b3c1cad8e6f4020b192735434c5a" +
		"6876848d9ba9b7c5ce0e1d2c36454f5e6d7786909faeb8c7d1e0eff9081221303a495362717b8a94a3b2bccbd5152530404b566671818c97a7b2c2cdd8e8f3030e19" +
		"2934444f5a6a7585909babb6c6d1dc1c2d3945515d6e7a86929eafbbc7d3dff0fc081420313d495561727e8a96a2b3bfcbd7e3", "0104070a0d000000"},
	{4, 9, 36, 1, "d07a14be58f29c36d07a14be58f29c36d07a000057138f46027935a168249b57c38a46bd79e50000de6cf5de67f08e17f08912a03912ab34c25b000055006b" +
		"16c177228d38e39944af5a05bb66c10000dc59d1ae26fe7bf3c048109d15e26a32bf37000003ad47e18b25cf6903ad47e18b25cf6903ad00008a46b27935ac68d49b" +
		"57ce8af6bd79e0ac180000019f28019a23b14a23bc45d36c45de67f58e000088339e49f4aa55b06b16cc77d28d38ee99f40000", "41a70d6309000000"},
}

func (g packGolden) code(i, j int) int { return (7*i + 13*j + i*j%5) % (1 << g.bits) }
func (g packGolden) zero(i, k int) int { return (3*i + 5*k + 1) % (1 << g.bits) }
func (g packGolden) scale(i, k int) float32 {
	return float32(1+i+16*k) / 256
}

// at is what compressed-tensors dequantizes: (q - zero) * scale.
func (g packGolden) at(i, j int, symmetric bool) float32 {
	k := j / (g.cols / g.groups)
	zero := 1 << (g.bits - 1)
	if !symmetric {
		zero = g.zero(i, k)
	}
	return float32(g.code(i, j)-zero) * g.scale(i, k)
}

func (g packGolden) scales() []float32 {
	var out []float32
	for i := range g.rows {
		for k := range g.groups {
			out = append(out, g.scale(i, k))
		}
	}
	return out
}

func (g packGolden) tensors(t testing.TB, symmetric bool) []rawTensor {
	unhex := func(s string) []byte {
		b, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	shape := binary.LittleEndian.AppendUint64(nil, uint64(g.rows))
	shape = binary.LittleEndian.AppendUint64(shape, uint64(g.cols))
	out := []rawTensor{
		{"m.q_proj.weight_packed", "I32", []int{g.rows, (g.cols*g.bits + 31) / 32}, unhex(g.packed)},
		{"m.q_proj.weight_scale", "F32", []int{g.rows, g.groups}, f32Bytes(g.scales()...)},
		{"m.q_proj.weight_shape", "I64", []int{2}, shape},
	}
	if !symmetric {
		out = append(out, rawTensor{"m.q_proj.weight_zero_point", "I32", []int{(g.rows*g.bits + 31) / 32, g.groups}, unhex(g.zeros)})
	}
	return out
}

// writeModel makes a Hugging Face directory of a quantization_config and tensors.
func writeModel(t testing.TB, config string, tensors ...rawTensor) string {
	t.Helper()
	dir := t.TempDir()
	for name, data := range map[string][]byte{configName: []byte(config), weightsName: buildSafetensors(tensors...)} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// quantConfigOf is a config.json with one group of these weights.
func quantConfigOf(weights string, more string) string {
	return `{"quantization_config":{"quant_method":"compressed-tensors","format":"pack-quantized","config_groups":{"group_0":{"targets":["Linear"],` +
		`"weights":` + weights + `,"input_activations":null,"output_activations":null` + more + `}},"ignore":["lm_head"]}}`
}

func (g packGolden) config(symmetric bool) string {
	w := map[string]any{"num_bits": g.bits, "type": "int", "symmetric": symmetric, "strategy": "channel", "group_size": -1}
	if g.groups > 1 {
		w["strategy"], w["group_size"] = "group", g.cols/g.groups
	}
	text, _ := json.Marshal(w)
	return quantConfigOf(string(text), "")
}

func TestReadPackedGoldens(t *testing.T) {
	for _, g := range packGoldens {
		for _, symmetric := range []bool{true, false} {
			f := mustOpen(t, writeModel(t, g.config(symmetric), g.tensors(t, symmetric)...))
			if names := f.Names(); !slices.Equal(names, []string{"m.q_proj.weight"}) {
				t.Errorf("names %q", names)
			}
			m, err := f.Matrix("m.q_proj.weight")
			if err != nil {
				t.Fatal(err)
			}
			row := make([]float32, g.cols)
			for i := range g.rows {
				m.ReadRow(row, i)
				for j, got := range row {
					if want := g.at(i, j, symmetric); got != want {
						t.Fatalf("%s [%d %d] = %v, want %v", m.Format(), i, j, got, want)
					}
				}
			}
		}
	}
}

// ints makes a matrix with codes, scales and zero points of a fixed pattern.
func patternMatrix(t testing.TB, format string, rows, cols int) quant.Matrix {
	t.Helper()
	m, err := quant.NewInt(format, rows, cols, func(codes []uint8, scale []float32, zero []uint8, i int) error {
		top := 15
		if strings.Contains(format, "8") && !strings.HasPrefix(format, "int4") {
			top = 255
		}
		for j := range codes {
			codes[j] = uint8((7*i + 13*j) % (top + 1))
		}
		for g := range scale {
			scale[g] = float32(1+(i+g)%7) / 512
			zero[g] = uint8((3*i + 5*g) % (top + 1))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// What WriteHF writes is read back as the same matrix, in every format that it accepts.
func TestWriteHFRoundTrip(t *testing.T) {
	var formats []string
	for _, f := range quant.Formats() {
		if n := f.Name(); strings.HasPrefix(n, "int") && !strings.Contains(n, "mse") || n == "w8a8" {
			formats = append(formats, n)
		}
	}
	if len(formats) < 17 {
		t.Fatalf("formats %q", formats)
	}
	for _, format := range formats {
		t.Run(format, func(t *testing.T) {
			const name = "model.layers.0.self_attn.q_proj.weight"
			m := patternMatrix(t, format, 37, 256)
			got, f := writeAndRead(t, WriteSpec{Weights: []Weight{{Name: name, Matrix: m}}}, name)
			if got.Format() != format {
				t.Errorf("read back as %s", got.Format())
			}
			sameMatrix(t, got, m)
			if info, _ := f.Info(name); info.Format != format || !slices.Equal(info.Shape, []int{37, 256}) {
				t.Errorf("info %v", info)
			}
		})
	}
}

func writeAndRead(t *testing.T, spec WriteSpec, name string) (quant.Matrix, File) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "out")
	if err := WriteHF(dir, spec); err != nil {
		t.Fatal(err)
	}
	f := mustOpen(t, dir)
	m, err := f.Matrix(name)
	if err != nil {
		t.Fatal(err)
	}
	return m, f
}

func sameMatrix(t *testing.T, got, want quant.Matrix) {
	t.Helper()
	rows, cols := want.Dims()
	if r, c := got.Dims(); r != rows || c != cols {
		t.Fatalf("[%d %d], want [%d %d]", r, c, rows, cols)
	}
	a, b := make([]float32, cols), make([]float32, cols)
	for i := range rows {
		got.ReadRow(a, i)
		want.ReadRow(b, i)
		if !slices.Equal(a, b) {
			t.Fatalf("row %d differs", i)
		}
	}
}

// Rows of odd width end in half a byte.
func TestOddWidth(t *testing.T) {
	m := patternMatrix(t, "int4-row-asym", 3, 37)
	got, _ := writeAndRead(t, WriteSpec{Weights: []Weight{{Name: "a.weight", Matrix: m}}}, "a.weight")
	sameMatrix(t, got, m)
}

// The types of GGUF whose zero is a code are integer groups too: no second rounding on the way into the other layout, and
// products that round their inputs as before.
func TestWriteHFFromGGUFBlocks(t *testing.T) {
	data := make([]byte, 5*2*34)
	for i := range data {
		data[i] = byte(i * 37)
	}
	for i := 0; i < len(data); i += 34 {
		binary.LittleEndian.PutUint16(data[i:], 0x1c00+uint16(i))
	}
	m, err := quant.FromBytes("q8_0", 5, 64, data)
	if err != nil {
		t.Fatal(err)
	}
	got, _ := writeAndRead(t, WriteSpec{Weights: []Weight{{Name: "a.weight", Matrix: m}}}, "a.weight")
	if got.Format() != "int8-g32-a8" {
		t.Errorf("read back as %s", got.Format())
	}
	sameMatrix(t, got, m)
}

func TestWriteHFWholeModel(t *testing.T) {
	bf16, err := quant.FromBytes("bf16", 2, 32, make([]byte, 128))
	if err != nil {
		t.Fatal(err)
	}
	norm := []float32{1, 2, float32(math.Pi)}
	spec := WriteSpec{
		Config: map[string]any{"model_type": "llama", "hidden_size": 32, "quantization_config": "old"},
		Files:  map[string][]byte{"tokenizer.json": []byte("{}")},
		Weights: []Weight{
			{Name: "model.embed_tokens.weight", Matrix: patternMatrix(t, "int8-row-a8", 8, 32)},
			{Name: "a.q_proj.weight", Matrix: patternMatrix(t, "int4-g32", 8, 64)},
			{Name: "c.q_proj.weight", Matrix: patternMatrix(t, "int4-g32-a8", 8, 64)},
			{Name: "b.q_proj.weight", Matrix: patternMatrix(t, "int4-g32", 8, 64)},
			{Name: "a.o_proj.weight", Matrix: patternMatrix(t, "w8a8", 8, 64)},
			{Name: "a.gate.weight", Matrix: bf16},
			{Name: "norm.weight", Values: norm},
			{Name: "table", Values: make([]float32, 6), Shape: []int{2, 1, 3}},
		},
	}
	_, f := writeAndRead(t, spec, "a.q_proj.weight")
	formats := map[string]string{}
	for _, n := range f.Names() {
		info, _ := f.Info(n)
		formats[n] = info.Format
	}
	want := map[string]string{
		"model.embed_tokens.weight": "int8-row-a8", "a.q_proj.weight": "int4-g32", "c.q_proj.weight": "int4-g32-a8", "b.q_proj.weight": "int4-g32", "a.o_proj.weight": "w8a8",
		"a.gate.weight": "bf16", "norm.weight": "f32", "table": "f32",
	}
	if !reflect.DeepEqual(formats, want) {
		t.Errorf("formats %v", formats)
	}
	if v, err := f.Vector("norm.weight"); err != nil || !slices.Equal(v, norm) {
		t.Errorf("norm %v %v", v, err)
	}
	q := f.Config().HF["quantization_config"].(map[string]any)
	if q["format"] != "mixed-precision" || !reflect.DeepEqual(q["ignore"], []any{"a.gate", "lm_head"}) {
		t.Errorf("format %v, ignore %v", q["format"], q["ignore"])
	}
	if data, err := os.ReadFile(filepath.Join(f.Config().Dir, "tokenizer.json")); err != nil || string(data) != "{}" {
		t.Errorf("tokenizer.json: %q %v", data, err)
	}
}

func TestWriteHFRefuses(t *testing.T) {
	q4 := make([]byte, 20)
	binary.LittleEndian.PutUint16(q4, 0x3c00)     // scale 1
	binary.LittleEndian.PutUint16(q4[2:], 0x3800) // minimum 0.5
	q4m, err := quant.FromBytes("q4_1", 1, 32, q4)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		spec WriteSpec
		want string
	}{
		"q4_1":      {WriteSpec{Weights: []Weight{{Name: "a.weight", Matrix: q4m}}}, "whole multiples"},
		"name":      {WriteSpec{Weights: []Weight{{Name: "a", Matrix: patternMatrix(t, "int4-g32", 1, 32)}}}, "end in .weight"},
		"twice":     {WriteSpec{Weights: []Weight{{Name: "a", Values: []float32{1}}, {Name: "a", Values: []float32{1}}}}, "stands twice"},
		"shape":     {WriteSpec{Weights: []Weight{{Name: "a", Values: []float32{1}, Shape: []int{2}}}}, "does not fit"},
		"traversal": {WriteSpec{Files: map[string][]byte{"../tokenizer.json": nil}}, "cannot stand beside"},
		"overwrite": {WriteSpec{Files: map[string][]byte{"model.safetensors": nil}}, "cannot stand beside"},
	} {
		dir := filepath.Join(t.TempDir(), "out")
		err := WriteHF(dir, c.spec)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", name, err, c.want)
		}
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("%s: the directory appeared", name)
		}
	}
}

// edit returns a copy of tensors with one of them changed or, when change returns no name, taken away.
func edit(tensors []rawTensor, suffix string, change func(rawTensor) rawTensor) []rawTensor {
	var out []rawTensor
	for _, x := range tensors {
		if strings.HasSuffix(x.name, suffix) {
			x = change(x)
		}
		if x.name != "" {
			out = append(out, x)
		}
	}
	return out
}

func TestPackedHostile(t *testing.T) {
	g := packGoldens[0]
	base, asym := g.tensors(t, true), g.tensors(t, false)
	drop := func(rawTensor) rawTensor { return rawTensor{} }
	reshape := func(shape ...int) func(rawTensor) rawTensor {
		return func(x rawTensor) rawTensor { x.shape = shape; return x }
	}
	value := func(rows, cols uint64) func(rawTensor) rawTensor {
		return func(x rawTensor) rawTensor {
			x.data = binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, rows), cols)
			return x
		}
	}
	retype := func(dtype string) func(rawTensor) rawTensor {
		return func(x rawTensor) rawTensor { x.dtype = dtype; return x }
	}
	weights := func(s string) string { return quantConfigOf(s, "") }
	for name, c := range map[string]struct {
		config  string
		tensors []rawTensor
		want    string
	}{
		"no scale":         {g.config(true), edit(base, "_scale", drop), "weight_scale is missing"},
		"no shape":         {g.config(true), edit(base, "_shape", drop), "is missing"},
		"no zero point":    {g.config(false), base, "is missing"},
		"huge shape":       {g.config(true), edit(base, "_shape", value(11, 1<<62)), "weight_shape: holds"},
		"negative shape":   {g.config(true), edit(base, "_shape", value(1<<63, 64)), "weight_shape: holds"},
		"wrong columns":    {g.config(true), edit(base, "_shape", value(11, 96)), "does not fit"},
		"wrong rows":       {g.config(true), edit(base, "_shape", value(12, 64)), "does not fit"},
		"scale shape":      {g.config(true), edit(base, "_scale", reshape(2, 11)), "[11 2] is wanted"},
		"codes type":       {g.config(true), edit(base, "_packed", retype("F32")), "I32 is wanted"},
		"scale type":       {g.config(true), edit(base, "_scale", retype("U32")), "BF16 is wanted"},
		"zero shape":       {g.config(false), edit(asym, "_point", reshape(4)), "[2 2] is wanted"},
		"zero of symmetry": {g.config(true), asym, "though the scheme is symmetric"},
		"bits":             {weights(`{"num_bits":8,"type":"int","strategy":"group","group_size":32}`), base, "does not fit"},
		"groups":           {weights(`{"num_bits":4,"type":"int","strategy":"group","group_size":48}`), base, "do not divide"},
		"group size":       {weights(`{"num_bits":4,"type":"int","strategy":"group","group_size":-5}`), base, "group_size -5"},
		"num_bits":         {weights(`{"num_bits":-4,"type":"int"}`), base, "num_bits -4"},
		"no target":        {strings.Replace(g.config(true), "Linear", "Conv1d", 1), base, "no group"},
		"bad pattern":      {strings.Replace(g.config(true), "Linear", "re:(", 1), base, "re:("},
		"method":           {`{"quantization_config":{"quant_method":"exl2"}}`, base, "exl2"},
		"float":            {quantConfigOf(`{"num_bits":4,"type":"float","strategy":"group","group_size":32}`, ""), base, `type "float"`},
		"fp8":              {strings.Replace(g.config(true), "pack-quantized", "float-quantized", 1), base, `"float-quantized" is not served`},
		"nvfp4":            {strings.Replace(g.config(true), `"targets"`, `"format":"nvfp4-pack-quantized","targets"`, 1), base, `"nvfp4-pack-quantized" is not served`},
		"marlin":           {strings.Replace(g.config(true), "pack-quantized", "marlin-24", 1), base, `"marlin-24" is not served`},
		"sparse":           {strings.Replace(g.config(true), `"format"`, `"sparsity_config":{"format":"sparse-24-bitmask"},"format"`, 1), base, "sparsity_config"},
		"one zero of many": {g.config(false), edit(asym, "_point", func(x rawTensor) rawTensor { x.dtype, x.shape, x.data = "I8", []int{1}, []byte{1}; return x }), "[2 2] is wanted"},
		"order type":       {g.config(true), append(slices.Clone(base), rawTensor{"m.q_proj.weight_g_idx", "F32", []int{64}, make([]byte, 256)}), "I32 [64] is wanted"},
		"order range":      {g.config(true), append(slices.Clone(base), rawTensor{"m.q_proj.weight_g_idx", "I32", []int{64}, slices.Repeat([]byte{2, 0, 0, 0}, 64)}), "group 2 of 2"},
		"not an object":    {`{"quantization_config":[]}`, base, "object"},
		"transforms":       {strings.Replace(g.config(true), `"format"`, `"transform_config":{"a":1},"format"`, 1), base, "transform_config"},
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

// What is whole but not served opens, is listed, and is refused by name when it is asked for.
func TestPackedRefused(t *testing.T) {
	g := packGoldens[0]
	base := g.tensors(t, true)
	config := func(weights, more string) string { return quantConfigOf(weights, more) }
	const w4 = `{"num_bits":4,"type":"int","strategy":"group","group_size":32}`
	nan := edit(base, "_scale", func(x rawTensor) rawTensor {
		x.data = f32Bytes(append(g.scales()[1:], float32(math.NaN()))...)
		return x
	})
	for name, c := range map[string]struct {
		config  string
		tensors []rawTensor
		want    string
	}{
		"NaN scale":  {g.config(true), nan, "NaN"},
		"fp8 inputs": {config(w4, `,"input_activations":{"num_bits":8,"type":"float","strategy":"token","symmetric":true,"dynamic":true}`), base, "input_activations"},
		"outputs":    {config(w4, `,"output_activations":{"num_bits":8}`), base, "output_activations"},
	} {
		f := mustOpen(t, writeModel(t, c.config, c.tensors...))
		_, err := f.Matrix("m.q_proj.weight")
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "m.q_proj.weight") {
			t.Errorf("%s: error %v, want %q and the tensor", name, err, c.want)
		}
	}
}

// A file by llm-compressor for W8A8: int8 codes, bf16 scales a row, zero points of old symmetric files.
func TestReadIntQuantized(t *testing.T) {
	config := quantConfigOf(`{"num_bits":8,"type":"int","symmetric":true,"strategy":"channel"}`,
		`,"input_activations":{"num_bits":8,"type":"int","symmetric":true,"strategy":"token","dynamic":true}`)
	f := mustOpen(t, writeModel(t, config,
		rawTensor{"m.up.weight", "I8", []int{2, 3}, []byte{0x80, 0xff, 0, 1, 2, 0x7f}},
		rawTensor{"m.up.weight_scale", "BF16", []int{2, 1}, []byte{0x00, 0x3f, 0x80, 0x3f}},
		rawTensor{"m.up.weight_zero_point", "I8", []int{2, 1}, []byte{0, 0}},
		rawTensor{"m.up.bias", "F32", []int{2}, f32Bytes(1, 2)},
	))
	if !slices.Equal(f.Names(), []string{"m.up.weight", "m.up.bias"}) {
		t.Errorf("names %q", f.Names())
	}
	m, err := f.Matrix("m.up.weight")
	if err != nil || m.Format() != "w8a8" {
		t.Fatalf("%v %v", m, err)
	}
	v, err := f.Vector("m.up.weight")
	if want := []float32{-64, -0.5, 0, 1, 2, 127}; err != nil || !slices.Equal(v, want) {
		t.Errorf("%v %v, want %v", v, err, want)
	}
}

func TestReadIntQuantizedAsymmetric(t *testing.T) {
	config := quantConfigOf(`{"num_bits":8,"type":"int","symmetric":false,"strategy":"channel"}`, "")
	f := mustOpen(t, writeModel(t, config,
		rawTensor{"m.up.weight", "I8", []int{1, 3}, []byte{0x80, 0, 0x7f}},
		rawTensor{"m.up.weight_scale", "F32", []int{1, 1}, f32Bytes(0.5)},
		rawTensor{"m.up.weight_zero_point", "I8", []int{1, 1}, []byte{0xfe}},
	))
	v, err := f.Vector("m.up.weight")
	if want := []float32{-63, 1, 64.5}; err != nil || !slices.Equal(v, want) {
		t.Errorf("%v %v, want %v", v, err, want)
	}
}

// Scales of more precision than a group keeps are rounded, and it is said.
func TestRoundedScalesAreNoted(t *testing.T) {
	g := packGoldens[0]
	exact := mustOpen(t, writeModel(t, g.config(true), g.tensors(t, true)...))
	fine := edit(g.tensors(t, true), "_scale", func(x rawTensor) rawTensor {
		v := g.scales()
		v[3] = 0.1
		x.data = f32Bytes(v...)
		return x
	})
	rounded := mustOpen(t, writeModel(t, g.config(true), fine...))
	for f, want := range map[File]int{exact: 0, rounded: 1} {
		for range 2 {
			if _, err := f.Matrix("m.q_proj.weight"); err != nil {
				t.Fatal(err)
			}
		}
		if notes := f.(Noter).Notes(); len(notes) != want || want == 1 && !strings.Contains(notes[0], "m.q_proj.weight") {
			t.Errorf("notes %q, want %d", notes, want)
		}
	}
}

// TestCacheScales: scales of a KV cache that the config asks to round belong to no weight; without its word they are tensors like
// others.
func TestCacheScales(t *testing.T) {
	g := packGoldens[0]
	tensors := append(g.tensors(t, true), rawTensor{"m.self_attn.k_scale", "F32", []int{1}, f32Bytes(1)},
		rawTensor{"m.v_proj.output_scale", "F32", []int{1}, f32Bytes(1)})
	asked := strings.Replace(g.config(true), `"ignore"`, `"kv_cache_scheme":{"num_bits":8,"type":"float"},"ignore"`, 1)
	for config, want := range map[string]int{asked: 1, g.config(true): 3} {
		f := mustOpen(t, writeModel(t, config, tensors...))
		if names := f.Names(); len(names) != want {
			t.Errorf("tensors %q, want %d", names, want)
		}
		if notes := f.(Noter).Notes(); len(notes) != 1 && want == 1 || len(notes) != 0 && want != 1 {
			t.Errorf("notes %q", notes)
		}
	}
}

func TestPackedEveryByteDamaged(t *testing.T) {
	g := packGoldens[2]
	config := []byte(g.config(false))
	data := buildSafetensors(g.tensors(t, false)...)
	for i := range data {
		readPacked(t, config, data[:i])
		for _, bit := range []byte{1, 0x80, 0xff} {
			bad := slices.Clone(data)
			bad[i] ^= bit
			readPacked(t, config, bad)
		}
	}
	for i := range config {
		bad := slices.Clone(config)
		bad[i] ^= 1
		readPacked(t, bad, data)
	}
}

// A write that is stopped ends with the reason and leaves nothing.
func TestWriteHFStops(t *testing.T) {
	for asked := range 3 {
		dir, left := filepath.Join(t.TempDir(), "m"), asked
		spec := WriteSpec{Weights: []Weight{{Name: "a.weight", Values: make([]float32, 8)}, {Name: "b.weight", Values: make([]float32, 8)}}}
		spec.Stop = func() error {
			if left--; left < 0 {
				return context.Canceled
			}
			return nil
		}
		err := WriteHF(dir, spec)
		list, _ := os.ReadDir(filepath.Dir(dir))
		if stopped := asked < 2; errors.Is(err, context.Canceled) != stopped || stopped != (len(list) == 0) {
			t.Errorf("asked %d times: %v, left %v", asked, err, list)
		}
	}
}
