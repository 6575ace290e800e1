package model

import (
	"encoding/binary"
	"encoding/json"
	"hash/fnv"
	"io"
	"maps"
	"math"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"hone/checkpoint"
	"hone/kernel"
	"hone/nn"
)

// oracleCase is a tiny model that transformers ran; internal/oracle/architectures.py writes them.
type oracleCase struct {
	Name      string
	Config    map[string]any
	Tensors   map[string][]int
	Sequences []struct {
		Length int
		Rows   []int
		Logits [][]float64
	}
}

func oracleCases(t testing.TB) []oracleCase {
	t.Helper()
	var golden struct{ Cases []oracleCase }
	readJSONFile(t, "testdata/architectures.json", &golden)
	return golden.Cases
}

// tokens are the oracle's.
func (c oracleCase) tokens(i int) []int32 {
	out := make([]int32, c.Sequences[i].Length)
	for t := range out {
		out[t] = int32((37*t*t + 11*t + 5*i + 3) % 61)
	}
	return out
}

// oracleValues draws a tensor's values from its name, as the oracle does.
func oracleValues(name string, shape []int) []float32 {
	h := fnv.New64a()
	h.Write([]byte(name))
	out := make([]float32, elements(shape))
	scale, one := float32(2.5/math.Sqrt(float64(shape[len(shape)-1]))), float32(0)
	if len(shape) == 1 {
		scale = 0.3
		if strings.HasSuffix(name, "weight") {
			one = 1
		}
	}
	for i := range out {
		z := h.Sum64() + uint64(i+1)*0x9E3779B97F4A7C15
		z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
		z = (z ^ z>>27) * 0x94D049BB133111EB
		z ^= z >> 31
		u := float32(float64(z>>40)/(1<<23) - 1)
		out[i] = one + float32(scale*u)
	}
	return out
}

// writeTensors writes a Hugging Face directory.
func writeTensors(t testing.TB, config map[string]any, tensors map[string][]float32, shapes shapes) string {
	t.Helper()
	dir := t.TempDir()
	b, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "config.json"), b)
	var out []checkpoint.Tensor
	for _, name := range slices.Sorted(maps.Keys(tensors)) {
		out = append(out, checkpoint.Tensor{Name: name, DType: "F32", Shape: shapes[name], Write: func(w io.Writer) error {
			_, err := w.Write(floatBytes(tensors[name]))
			return err
		}})
	}
	if err := checkpoint.WriteSafetensors(filepath.Join(dir, "model.safetensors"), out, nil); err != nil {
		t.Fatal(err)
	}
	return dir
}

func floatBytes(v []float32) []byte {
	var out []byte
	for _, x := range v {
		out = binary.LittleEndian.AppendUint32(out, math.Float32bits(x))
	}
	return out
}

// write makes the case's directory as transformers saves it.
func (c oracleCase) write(t testing.TB) string {
	tensors := map[string][]float32{}
	for name, shape := range c.Tensors {
		tensors[name] = oracleValues(name, shape)
	}
	return writeTensors(t, c.Config, tensors, c.Tensors)
}

// storedValues are the f32 values of a tensor that is to be written.
func storedValues(t testing.TB, s Stored, src nn.Source) []float32 {
	t.Helper()
	if len(s.Parts) == 0 || s.Parts[0].Param.Vector {
		v, err := s.Vector(src)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	m, err := s.Matrix(src)
	if err != nil {
		t.Fatal(err)
	}
	return values(m)
}

// asGGUF writes a model's GGUF form in f32, with more metadata.
func asGGUF(t testing.TB, m *Model, more ...checkpoint.GGUFValue) (string, error) {
	t.Helper()
	stored, err := m.Design.GGUFTensors()
	if err != nil {
		return "", err
	}
	var tensors []checkpoint.GGUFTensor
	for _, s := range stored {
		data := floatBytes(storedValues(t, s, m))
		tensors = append(tensors, checkpoint.GGUFTensor{Name: s.Name, Format: "f32", Shape: s.Shape, Read: func() ([]byte, error) { return data, nil }})
	}
	path := filepath.Join(t.TempDir(), "model.gguf")
	return path, checkpoint.WriteGGUF(path, append(m.Design.GGUFMeta(), more...), tensors)
}

// asHF writes a model's Hugging Face form in f32.
func asHF(t testing.TB, m *Model) string {
	t.Helper()
	tensors, shapes := map[string][]float32{}, shapes{}
	for _, s := range m.Design.HFTensors() {
		tensors[s.Name], shapes[s.Name] = storedValues(t, s, m), s.Shape
	}
	return writeTensors(t, m.Design.HFConfig(), tensors, shapes)
}

// exec loads a model for sequences of the case's lengths.
func (c oracleCase) exec(t testing.TB, m *Model, pool *kernel.Pool) *nn.Exec {
	t.Helper()
	tokens := 0
	for _, s := range c.Sequences {
		tokens += s.Length
	}
	x, err := m.Load(LoadOptions{MaxTokens: tokens, MaxContext: c.Sequences[0].Length, Pool: pool, KV: nn.KVConfig{Type: "f32", Blocks: 16}})
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// difference is the largest distance of a logit from the oracle's, relative to the largest logit: each sequence at once, and
// both side by side in chunks of odd lengths through the paged cache.
func (c oracleCase) difference(t testing.TB, x *nn.Exec) float64 {
	t.Helper()
	var worst, largest float64
	compare := func(got []float32, want []float64) {
		for i, w := range want {
			if d := math.Abs(float64(got[i]) - w); d > worst || math.IsNaN(d) {
				worst = d
			}
			largest = max(largest, math.Abs(w))
		}
	}
	for i, s := range c.Sequences {
		out := logits(t, x, c.tokens(i))
		for k, r := range s.Rows {
			compare(out[r*x.Vocab():], s.Logits[k])
		}
	}
	c.chunked(t, x, compare)
	return worst / largest
}

func (c oracleCase) chunked(t testing.TB, x *nn.Exec, compare func(got []float32, want []float64)) {
	t.Helper()
	blocks := [][]int32{{9, 3, 14, 0, 7}, {5, 12}}
	done := make([]int, len(c.Sequences))
	for step := 0; ; step++ {
		var b nn.Batch
		var last []int
		for i, s := range c.Sequences {
			n := min([]int{1, 17, 5, 33}[(step+i)%4], s.Length-done[i])
			if n == 0 {
				continue
			}
			b.Seqs = append(b.Seqs, nn.Seq{Offset: len(b.Tokens), Len: n, Pos: done[i], Blocks: blocks[i]})
			b.Tokens = append(b.Tokens, c.tokens(i)[done[i]:done[i]+n]...)
			done[i] += n
			last = append(last, i)
		}
		if len(b.Tokens) == 0 {
			return
		}
		if err := x.Forward(&b); err != nil {
			t.Fatal(err)
		}
		for k, seq := range b.Seqs {
			s := c.Sequences[last[k]]
			for j, r := range s.Rows {
				if r < seq.Pos || r >= seq.Pos+seq.Len {
					continue
				}
				row := make([]float32, x.Vocab())
				if err := x.Logits(row, []int32{int32(seq.Offset + r - seq.Pos)}); err != nil {
					t.Fatal(err)
				}
				compare(row, s.Logits[j])
			}
		}
	}
}

// noGGUF are the cases that a GGUF file cannot hold, and why.
var noGGUF = map[string]string{
	"opt": "no opt architecture", "opt-plain": "no opt architecture", "llama-yarn-ramp": "YaRN's ramp",
	"gemma2-uncapped": "no soft caps", "qwen3moe-all": "norm_topk_prob is false", "olmoe-sum": "norm_topk_prob is true",
	"gptoss-clamped": "clamped", "opt-after": "no opt architecture", "opt-bare": "no opt architecture", "qwen3moe-dense": "some have none",
	"olmoe-clip": "clamped queries", "llama-relu": "its MLPs is relu", "llama-gelu": "its MLPs is gelu", "gpt2-scaled": "not scaled by the size",
}

// TestArchitectures: every architecture against transformers, from a Hugging Face directory, from the GGUF file that is
// written of it, and from the directory that is written of that.
func TestArchitectures(t *testing.T) {
	pool := kernel.NewPool(2)
	defer pool.Close()
	tried := map[string]bool{}
	for _, c := range encoderGoldens(t) {
		a, err := archOf(&Config{raw: checkpoint.Config{HF: c.Config}})
		if err != nil {
			t.Fatal(err)
		}
		tried[a.Name] = true
	}
	for _, c := range oracleCases(t) {
		t.Run(c.Name, func(t *testing.T) {
			m := expect(t, c.Name, c.write(t), "")
			if m == nil {
				return
			}
			tried[m.Arch] = true
			c.check(t, "Hugging Face", m, pool)
			saved := shapes{}
			for _, s := range m.Design.HFTensors() {
				saved[s.Name] = s.Shape
			}
			if want := shapes(c.Tensors); !reflect.DeepEqual(saved, want) {
				t.Errorf("a directory would hold %v, transformers saves %v", saved, want)
			}
			path, err := asGGUF(t, m)
			checkError(t, c.Name, err, noGGUF[c.Name])
			if err != nil {
				return
			}
			g := expect(t, "GGUF", path, "")
			if g == nil {
				return
			}
			c.check(t, "GGUF", g, pool)
			if again := expect(t, "GGUF to Hugging Face", asHF(t, g), ""); again != nil {
				c.check(t, "GGUF to Hugging Face", again, pool)
			}
		})
	}
	for _, name := range Archs() {
		if !tried[name] {
			t.Errorf("architecture %s is registered, but no oracle has a case of it", name)
		}
	}
}

// tolerance is a few times what 32-bit sums lose on these models: the tanh form of GELU for the exact one makes 1e-4.
const tolerance = 3e-5

func (c oracleCase) check(t *testing.T, form string, m *Model, pool *kernel.Pool) {
	t.Helper()
	if d := c.difference(t, c.exec(t, m, pool)); !(d <= tolerance) {
		t.Errorf("%s: a logit differs by %.2g of the largest", form, d)
	}
}
