package recipe

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hone/checkpoint"
	"hone/internal/testdata"
	"hone/kernel"
	"hone/model"
	"hone/nn"
	"hone/tokenizer"
)

// convertTo converts a model and opens what was written.
func convertTo(t *testing.T, m *model.Model, name string, c Conversion) (*model.Model, *Converted) {
	t.Helper()
	out := filepath.Join(t.TempDir(), name)
	r, err := Convert(t.Context(), m, out, c)
	if err != nil {
		t.Fatal(err)
	}
	return open(t, out), r
}

// sameWeights compares every weight of two models; a vector that GGUF keeps plus one may differ in its last bits.
func sameWeights(t *testing.T, got, want *model.Model) {
	t.Helper()
	for _, p := range want.Design.Program.Params() {
		a, b := weight(t, got, p.Name, p.Vector), weight(t, want, p.Name, p.Vector)
		if slices.Equal(a, b) {
			continue
		}
		if !p.Vector || len(a) != len(b) || farthest(a, b) > 3e-7 {
			t.Errorf("%s: %s differs from %s", got.Path, p.Name, want.Path)
		}
	}
}

func farthest(a, b []float32) float64 {
	d := 0.0
	for i, v := range a {
		d = max(d, math.Abs(float64(v)-float64(b[i])))
	}
	return d
}

func weight(t *testing.T, m *model.Model, name string, vector bool) []float32 {
	t.Helper()
	if vector {
		v, err := m.Vector(name)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	w, err := m.Matrix(name)
	if err != nil {
		t.Fatal(err)
	}
	rows, cols := w.Dims()
	out := make([]float32, rows*cols)
	for i := range rows {
		w.ReadRow(out[i*cols:], i)
	}
	return out
}

// TestConvertBothWays: GGUF to Hugging Face and back and once more gives equal weights, bits and tokens, and each step the
// same bytes again.
func TestConvertBothWays(t *testing.T) {
	source := open(t, tinyGGUF(t))
	want := logits(t, source, model.Weights{Linears: "f32", Head: "f32"})
	m := source
	for _, name := range []string{"hf", "back.gguf", "again"} {
		next, r := convertTo(t, m, name, Conversion{})
		sameWeights(t, next, source)
		if got := logits(t, next, model.Weights{}); !slices.Equal(got, want) {
			t.Errorf("%s: other logits", name)
		}
		checkTokens(t, source, next)
		if r.Tensors != 20 || r.Dtype != "f32" || len(r.Notes) != 0 {
			t.Errorf("%s: %+v", name, r)
		}
		second := filepath.Join(t.TempDir(), name)
		if m == source {
			second += string(filepath.Separator)
		}
		if _, err := Convert(t.Context(), m, second, Conversion{}); err != nil {
			t.Fatal(err)
		}
		if !maps.EqualFunc(contents(t, r.Path), contents(t, second), bytes.Equal) {
			t.Errorf("%s: the same model gave other bytes", name)
		}
		m = next
	}
	config := m.HFConfig()
	for key, want := range map[string]string{"torch_dtype": "float32", "bos_token_id": "256", "eos_token_id": "257", "pad_token_id": "257"} {
		if got, _ := json.Marshal(config[key]); strings.Trim(string(got), `"`) != want {
			t.Errorf("%s is %s, want %s", key, got, want)
		}
	}
}

// contents are the files of a directory, or one file, by name.
func contents(t *testing.T, path string) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	err := filepath.WalkDir(path, func(p string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(p)
		rel, _ := filepath.Rel(path, p)
		out[rel] = b
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestConvertFormats: matrices take the wanted format, rounded once; vectors of GGUF files stay f32.
func TestConvertFormats(t *testing.T) {
	source := open(t, tinyGGUF(t))
	for _, c := range []struct{ name, linears, head string }{{"a", "f16", ""}, {"b.gguf", "bf16", ""}, {"c.gguf", "f16", "f32"}, {"d.gguf", "q8_0", ""}, {"e.gguf", "q4_0", "bf16"}} {
		m, r := convertTo(t, source, c.name, Conversion{Weights: model.Weights{Linears: c.linears, Head: c.head}})
		head := c.linears
		if c.head != "" {
			head = c.head
		}
		q, e := m.Stored("model.layers.1.self_attn.q_proj.weight").Format, m.Stored("model.embed_tokens.weight").Format
		if q != c.linears || e != head {
			t.Errorf("%s: q is %s, the embedding %s", r.Dtype, q, e)
		}
		norm := m.Stored("model.norm.weight").Format
		if r.To == KindGGUF && norm != "f32" || r.To == KindHF && norm != c.linears {
			t.Errorf("%s as %s: the norm is %s", r.To, r.Dtype, norm)
		}
		sameLogits := logits(t, source, model.Weights{Linears: c.linears, Head: head})
		if r.To == KindGGUF && !slices.Equal(logits(t, m, model.Weights{}), sameLogits) {
			t.Errorf("%s: other logits than those of the source rounded while it is loaded", r.Dtype)
		}
	}
}

// TestConvertOddRows: rows that a block format does not fit are written in the next finer one, and it is said.
func TestConvertOddRows(t *testing.T) {
	m, r := convertTo(t, open(t, tinyGGUF(t)), "x.gguf", Conversion{Weights: model.Weights{Linears: "q6_k"}})
	if got := m.Stored("model.layers.0.mlp.down_proj.weight").Format; got != "q8_0" || len(r.Notes) != 2 || !strings.Contains(r.Notes[0], "64 values do not fit the blocks of q6_k") {
		t.Errorf("%s, notes %q", got, r.Notes)
	}
}

// TestConvertKeep: a GGUF file whose formats are kept has the same bytes of weights, and all of its metadata.
func TestConvertKeep(t *testing.T) {
	source := open(t, tinyGGUF(t))
	half, _ := convertTo(t, source, "half.gguf", Conversion{Weights: model.Weights{Linears: "f16"}})
	kept, r := convertTo(t, half, "kept.gguf", Conversion{Keep: true})
	sameWeights(t, kept, half)
	if r.Dtype != "keep" || kept.Stored("model.layers.0.mlp.up_proj.weight").Format != "f16" {
		t.Errorf("%+v", r)
	}
	a, b := half.File.Config().GGUF, kept.File.Config().GGUF
	for key := range a {
		if x, y := jsonText(t, a[key]), jsonText(t, b[key]); x != y && key != "general.quantization_version" {
			t.Errorf("%s is %s, was %s", key, y, x)
		}
	}
}

// TestConvertKeepPublished: gpt-oss as it was published goes to GGUF with the bits of its 4-bit floats, and to any other form.
func TestConvertKeepPublished(t *testing.T) {
	source := open(t, filepath.Join(testdata.Root(t), "model", "testdata", "gptoss-mxfp4"))
	want := outputs(t, source)
	for name, keep := range map[string]bool{"kept.gguf": true, "m.gguf": false, "hf": false} {
		m, _ := convertTo(t, source, name, Conversion{Keep: keep})
		format := map[bool]string{true: "mxfp4", false: "f32"}[keep]
		if got := m.Stored("model.layers.0.mlp.experts.1.up_proj.weight").Format; got != format {
			t.Errorf("%s: experts are %s, want %s", name, got, format)
		}
		sameWeights(t, m, source)
		if d := farthest(outputs(t, m), want); d > 1e-5*float64(kernel.AbsMax(want)) {
			t.Errorf("%s: an output is off by %v", name, d)
		}
	}
	ints := open(t, filepath.Join(testdata.Root(t), "model", "testdata", "quantized", "gptq-4-g32"))
	for _, name := range []string{"x.gguf", "x"} {
		if _, err := Convert(t.Context(), ints, filepath.Join(t.TempDir(), name), Conversion{Keep: true}); err == nil || !strings.Contains(err.Error(), "int4-g32") {
			t.Errorf("int4-g32 kept as %s: %v", name, err)
		}
	}
}

func jsonText(t *testing.T, v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestConvertQuantized: directories of packed codes become f32 with the values of their codes, without a tokenizer where they
// have none.
func TestConvertQuantized(t *testing.T) {
	for _, name := range []string{"gptq-4-g32-act", "awq-g32", "ct-mixed"} {
		source := open(t, filepath.Join(testdata.Root(t), "model", "testdata", "quantized", name))
		for _, out := range []string{"m.gguf", "hf"} {
			m, r := convertTo(t, source, out, Conversion{})
			sameWeights(t, m, source)
			if m.HFConfig()["quantization_config"] != nil {
				t.Error("quantization_config is still there")
			}
			if !slices.Contains(r.Notes, "the model has no tokenizer") {
				t.Errorf("notes %q", r.Notes)
			}
		}
	}
}

func TestConvertRefuses(t *testing.T) {
	source := open(t, tinyGGUF(t))
	dir := t.TempDir()
	there := filepath.Join(dir, "there")
	if err := os.WriteFile(there, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	broken := errors.New("broken off")
	for name, c := range map[string]struct {
		ctx  context.Context
		out  string
		c    Conversion
		want string
	}{
		"kind":          {t.Context(), "x", Conversion{To: "onnx"}, `"onnx" is no kind`},
		"int8 as gguf":  {t.Context(), "x.gguf", Conversion{Weights: model.Weights{Linears: "int8-row"}}, "hone quantize"},
		"int8 as hf":    {t.Context(), "x", Conversion{Weights: model.Weights{Linears: "int8-row"}}, "hone quantize"},
		"there":         {t.Context(), "there", Conversion{}, "is there already"},
		"there as gguf": {t.Context(), "there", Conversion{To: KindGGUF}, "is there already"},
		"cancelled":     {stopped, "x", Conversion{}, "context canceled"},
		"cancelled too": {stopped, "x.gguf", Conversion{}, "context canceled"},
		"progress":      {t.Context(), "x.gguf", Conversion{Progress: func(int64, int64) error { return broken }}, "broken off"},
	} {
		_, err := Convert(c.ctx, source, filepath.Join(dir, c.out), c.c)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", name, err, c.want)
		}
	}
	if files, _ := os.ReadDir(dir); len(files) != 1 {
		t.Errorf("failed conversions left %v", files)
	}
}

// TestConvertFullDisk: an output that does not fit is refused before anything is written.
func TestConvertFullDisk(t *testing.T) {
	defer func(f func(string) (int64, bool)) { freeDisk = f }(freeDisk)
	freeDisk = func(string) (int64, bool) { return 1 << 10, true }
	for _, name := range []string{"x.gguf", "x"} {
		out := filepath.Join(t.TempDir(), name)
		if _, err := Convert(t.Context(), open(t, tinyGGUF(t)), out, Conversion{}); err == nil || !strings.Contains(err.Error(), "0 MB are free") {
			t.Errorf("error %v", err)
		}
	}
}

// TestConvertOverflow: a value that f16 cannot hold is refused by the tensor's name.
func TestConvertOverflow(t *testing.T) {
	source := open(t, tinyGGUF(t))
	dir := filepath.Join(t.TempDir(), "hf")
	config := maps.Clone(source.HFConfig())
	var weights []checkpoint.Weight
	for _, p := range source.Design.Program.Params() {
		v := weight(t, source, p.Name, p.Vector)
		if p.Name == "model.layers.1.mlp.up_proj.weight" {
			v[7] = -70000
		}
		shape := []int{p.Rows, p.Cols}
		if p.Vector {
			shape = shape[1:]
		}
		weights = append(weights, checkpoint.Weight{Name: p.Name, Values: v, Shape: shape})
	}
	if err := checkpoint.WriteHF(dir, checkpoint.WriteSpec{Config: config, Weights: weights}); err != nil {
		t.Fatal(err)
	}
	_, err := Convert(t.Context(), open(t, dir), filepath.Join(t.TempDir(), "x.gguf"), Conversion{Weights: model.Weights{Linears: "f16"}})
	if err == nil || !strings.Contains(err.Error(), "70000") || !strings.Contains(err.Error(), "blk.1.ffn_up.weight") {
		t.Errorf("error %v", err)
	}
}

// lastLogits runs ids in f32 and returns the last row of logits.
func lastLogits(t *testing.T, m *model.Model, ids []int32) []float32 {
	t.Helper()
	pool := kernel.NewPool(2)
	defer pool.Close()
	x, err := m.Load(model.LoadOptions{Weights: model.Weights{Linears: "f32", Head: "f32"}, MaxTokens: len(ids), Pool: pool})
	if err != nil {
		t.Fatal(err)
	}
	if err := x.Forward(&nn.Batch{Tokens: ids, Seqs: []nn.Seq{{Len: len(ids)}}}); err != nil {
		t.Fatal(err)
	}
	out := make([]float32, x.Vocab())
	if err := x.Logits(out, []int32{int32(len(ids) - 1)}); err != nil {
		t.Fatal(err)
	}
	return out
}

// archCase is a tiny model of an architecture (model/testdata/architectures.json).
type archCase struct {
	Name    string
	Config  map[string]any
	Tensors map[string][]int
}

// write makes a Hugging Face directory of the case with random weights.
func (c archCase) write(t *testing.T) string {
	dir := filepath.Join(t.TempDir(), c.Name)
	if err := os.Mkdir(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(jsonText(t, c.Config)), 0o600); err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(3, 4))
	var tensors []checkpoint.Tensor
	for _, name := range slices.Sorted(maps.Keys(c.Tensors)) {
		n := 1
		for _, d := range c.Tensors[name] {
			n *= d
		}
		tensors = append(tensors, checkpoint.Tensor{Name: name, DType: "F32", Shape: c.Tensors[name], Write: func(w io.Writer) error {
			for range n {
				bits := math.Float32bits(float32(rng.NormFloat64()))
				if _, err := w.Write([]byte{byte(bits), byte(bits >> 8), byte(bits >> 16), byte(bits >> 24)}); err != nil {
					return err
				}
			}
			return nil
		}})
	}
	if err := checkpoint.WriteSafetensors(filepath.Join(dir, "model.safetensors"), tensors, nil); err != nil {
		t.Fatal(err)
	}
	return dir
}

// archCases are the models that transformers ran for package model.
func archCases(t *testing.T) []archCase {
	t.Helper()
	read := func(name string, v any) {
		b, err := os.ReadFile(filepath.Join(testdata.Root(t), "model", "testdata", name))
		if err == nil {
			d := json.NewDecoder(bytes.NewReader(b))
			d.UseNumber()
			err = d.Decode(v)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	var decoders struct{ Cases []archCase }
	read("architectures.json", &decoders)
	encoders := map[string]archCase{}
	read("encoders.json", &encoders)
	cases := decoders.Cases
	for _, name := range slices.Sorted(maps.Keys(encoders)) {
		c := encoders[name]
		c.Name, c.Tensors = name, map[string][]int{}
		d, err := model.FromConfig(c.Config)
		if err != nil {
			t.Fatal(name, err)
		}
		for _, s := range d.HFTensors() {
			c.Tensors[s.Name] = s.Shape
		}
		cases = append(cases, c)
	}
	return cases
}

// TestConvertEveryArchitecture: every architecture goes to GGUF and back with equal weights and outputs; a model that GGUF has no
// words for is refused with the reason, and goes to a Hugging Face directory all the same. Outputs may differ by what GGUF's
// 32-bit floats round of the config.
func TestConvertEveryArchitecture(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range archCases(t) {
		t.Run(c.Name, func(t *testing.T) {
			source := open(t, c.write(t))
			want := outputs(t, source)
			m := source
			for _, name := range []string{"m.gguf", "hf", "again"} {
				if _, err := m.Design.GGUFTensors(); name == "m.gguf" && err != nil {
					if _, again := Convert(t.Context(), m, filepath.Join(t.TempDir(), name), Conversion{}); again == nil || !strings.Contains(again.Error(), err.Error()) {
						t.Errorf("%v, but Convert says %v", err, again)
					}
					t.Logf("GGUF: %v", err)
					continue
				}
				next, _ := convertTo(t, m, name, Conversion{})
				if !source.Encoder() { // GGUF has one name for several encoders, which BERT's program reads
					sameWeights(t, next, source)
				}
				if meta := next.File.Config().GGUF; meta != nil {
					types, _ := next.File.Info("token_types.weight")
					if n, ok := meta.Int("tokenizer.ggml.token_type_count"); ok != (len(types.Shape) > 0) || ok && n != types.Shape[0] {
						t.Errorf("%s: %d token types in the metadata, shape %v", name, n, types.Shape)
					}
				}
				got := outputs(t, next)
				if d := farthest(got, want); d > 1e-5*float64(kernel.AbsMax(want)) {
					t.Errorf("%s: an output is off by %v", name, d)
				}
				m = next
			}
			seen[source.Arch] = true
		})
	}
	for _, name := range model.Archs() {
		if !seen[name] {
			t.Errorf("no model of architecture %s was converted", name)
		}
	}
}

// outputs runs some tokens and returns logits or vectors.
func outputs(t *testing.T, m *model.Model) []float32 {
	t.Helper()
	ids := []int32{1, 17, 40, 3, 9, 9, 22}
	if !m.Encoder() {
		return lastLogits(t, m, ids)
	}
	pool := kernel.NewPool(2)
	defer pool.Close()
	x, err := m.Load(model.LoadOptions{MaxTokens: len(ids), Pool: pool})
	if err != nil {
		t.Fatal(err)
	}
	if err := x.Forward(&nn.Batch{Tokens: ids, Seqs: []nn.Seq{{Len: len(ids)}}}); err != nil {
		t.Fatal(err)
	}
	out := make([]float32, x.PooledWidth())
	if err := x.Pooled(out); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestConvertTransformers compares with what transformers gives for directories that Hone wrote
// (internal/oracle/converted.py): logits, ids and the text of a chat.
func TestConvertTransformers(t *testing.T) {
	dirs := os.Getenv("HONE_CONVERTED")
	if dirs == "" {
		t.Skip("left out: HONE_CONVERTED is not set, so no directory that transformers ran is at hand")
	}
	for _, dir := range filepath.SplitList(dirs) {
		var want struct {
			Cases []struct {
				Text   string
				IDs    []int32
				Logits []float32
			}
			Chat string
		}
		b, err := os.ReadFile(filepath.Join(dir, "transformers.json"))
		if err == nil {
			err = json.Unmarshal(b, &want)
		}
		if err != nil {
			t.Fatal(err)
		}
		m := open(t, dir)
		tok, err := m.Tokenizer()
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range want.Cases {
			ids, err := tok.Encode(c.Text, tokenizer.EncodeOptions{AddSpecial: true, ParseSpecial: true})
			if err != nil || !slices.Equal(ids, c.IDs) {
				t.Errorf("%s: %q: ids %v, want %v (%v)", dir, c.Text, ids, c.IDs, err)
			}
			apart := 0.0
			for i, v := range lastLogits(t, m, c.IDs) {
				apart = max(apart, math.Abs(float64(v-c.Logits[i])))
			}
			t.Logf("%s: %q: largest difference of a logit %.2g", dir, c.Text, apart)
			if !(apart <= 1e-3) {
				t.Errorf("%s: %q: a logit is off by %v", dir, c.Text, apart)
			}
		}
		if template, err := tokenizer.TemplateOf(tok); err != nil {
			t.Error(err)
		} else if template != nil {
			text, err := template.Render([]tokenizer.Message{{Role: "user", Content: "Hi"}}, true, nil)
			if err != nil || text != want.Chat {
				t.Errorf("%s: chat %q, want %q (%v)", dir, text, want.Chat, err)
			}
		}
	}
}
