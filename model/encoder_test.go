package model

import (
	"hash/fnv"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hone/checkpoint"
	"hone/kernel"
	"hone/nn"
)

// formula is the weight that internal/oracle/encoders.py gives a tensor of this name and shape.
func formula(name string, shape []int) []float32 {
	h := fnv.New64a()
	h.Write([]byte(name))
	seed := h.Sum64()
	out := make([]float32, elements(shape))
	for i := range out {
		z := seed + uint64(i+1)*0x9E3779B97F4A7C15
		z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
		z = (z ^ z>>27) * 0x94D049BB133111EB
		z ^= z >> 31
		u := float64(z>>40)/(1<<23) - 1
		switch {
		case len(shape) == 2:
			u *= 2.5 / math.Sqrt(float64(shape[1]))
		case strings.HasSuffix(name, ".weight"):
			u = 1 + 0.5*u
		default:
			u *= 0.5
		}
		out[i] = float32(u)
	}
	return out
}

// encoderGolden is one model of the oracle.
type encoderGolden struct {
	Config map[string]any
	Texts  []encoderText
}

type encoderText struct {
	IDs, Types        []int32
	Logits, Mean, CLS []float64
	LastToken         []float64
	Max               []float64
}

func encoderGoldens(t *testing.T) map[string]encoderGolden {
	t.Helper()
	var golden map[string]encoderGolden
	readJSONFile(t, "testdata/encoders.json", &golden)
	return golden
}

// writeEncoder writes a directory with the formula's weights; change, if set, changes a tensor.
func writeEncoder(t *testing.T, config map[string]any, change func(name string, v []float32)) string {
	t.Helper()
	s := shapesOf(t, config, "")
	dir := writeHF(t, config, shapes{})
	var tensors []checkpoint.Tensor
	for name, shape := range s {
		v := formula(name, shape)
		if change != nil {
			change(name, v)
		}
		tensors = append(tensors, checkpoint.Tensor{Name: name, DType: "F32", Shape: shape, Write: func(w io.Writer) error {
			_, err := w.Write(littleEndian(v))
			return err
		}})
	}
	path := filepath.Join(dir, "model.safetensors")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := checkpoint.WriteSafetensors(path, tensors, nil); err != nil {
		t.Fatal(err)
	}
	return dir
}

func littleEndian(v []float32) []byte {
	out := make([]byte, 0, 4*len(v))
	for _, x := range v {
		b := math.Float32bits(x)
		out = append(out, byte(b), byte(b>>8), byte(b>>16), byte(b>>24))
	}
	return out
}

// encode runs all texts as one ragged batch.
func encode(t *testing.T, path string, texts []encoderText) [][]float32 {
	t.Helper()
	m, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer m.File.Close()
	pool := kernel.NewPool(2)
	defer pool.Close()
	x, err := m.Load(LoadOptions{MaxTokens: 128, Pool: pool})
	if err != nil {
		t.Fatal(err)
	}
	var b nn.Batch
	for _, text := range texts {
		b.Seqs = append(b.Seqs, nn.Seq{Offset: len(b.Tokens), Len: len(text.IDs)})
		b.Tokens, b.Types = append(b.Tokens, text.IDs...), append(b.Types, text.Types...)
	}
	if err := x.Forward(&b); err != nil {
		t.Fatal(err)
	}
	flat := make([]float32, len(texts)*x.PooledWidth())
	if err := x.Pooled(flat); err != nil {
		t.Fatal(err)
	}
	var out [][]float32
	for range texts {
		out = append(out, flat[:x.PooledWidth()])
		flat = flat[x.PooledWidth():]
	}
	return out
}

// distance is the largest difference of a value from the reference, relative to the reference's largest value.
func distance(got [][]float32, texts []encoderText, want func(encoderText) []float64) float64 {
	var diff, most float64
	for i, text := range texts {
		w := want(text)
		if len(w) != len(got[i]) {
			return math.Inf(1)
		}
		for k, v := range w {
			diff, most = max(diff, math.Abs(float64(got[i][k])-v)), max(most, math.Abs(v))
		}
	}
	return diff / most
}

// ways are the kinds of pooling, as a sentence-transformers directory asks for them.
var ways = map[string]func(encoderText) []float64{
	"mean": func(e encoderText) []float64 { return e.Mean }, "cls": func(e encoderText) []float64 { return e.CLS },
	"lasttoken": func(e encoderText) []float64 { return e.LastToken }, "max": func(e encoderText) []float64 { return e.Max },
}

// within is what tells the two forms of GELU apart.
const within = 2e-5

// TestEncoders: tiny random encoders give the vectors and logits of transformers, as Hugging Face directories and as GGUF
// files that were written from them.
func TestEncoders(t *testing.T) {
	for name, g := range encoderGoldens(t) {
		t.Run(name, func(t *testing.T) {
			dir := writeEncoder(t, g.Config, nil)
			if len(g.Texts[0].Logits) > 0 {
				got := encode(t, dir, g.Texts)
				if d := distance(got, g.Texts, func(e encoderText) []float64 { return e.Logits }); d > within {
					t.Errorf("logits differ by %v of the largest", d)
				}
				checkGGUF(t, dir, g, got)
				return
			}
			for mode, want := range ways {
				writeFile(t, filepath.Join(dir, "modules.json"), []byte(`[{"path":"","type":"x.Transformer"},{"path":"1_Pooling","type":"x.Pooling"}]`))
				writeFile(t, filepath.Join(dir, "1_Pooling", "config.json"), []byte(`{"pooling_mode":"`+mode+`"}`))
				got := encode(t, dir, g.Texts)
				if d := distance(got, g.Texts, want); d > within {
					t.Errorf("%s: vectors differ by %v of the largest", mode, d)
				}
				if mode != "max" { // GGUF has no word for it
					checkGGUF(t, dir, g, got)
				}
			}
		})
	}
}

// checkGGUF writes a directory's model as GGUF and compares what that gives; vectors of GGUF files are normalised.
func checkGGUF(t *testing.T, dir string, g encoderGolden, want [][]float32) {
	t.Helper()
	m, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer m.File.Close()
	stored, err := m.Design.GGUFTensors()
	if m.Arch == "distilbert" && m.Design.Classes != nil || g.Config["hidden_act"] == "relu" {
		if err == nil || !strings.Contains(err.Error(), "have no word for") {
			t.Error(err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	var tensors []checkpoint.GGUFTensor
	for _, s := range stored {
		shape := withoutOnes(s.Shape) // as converters have written them
		tensors = append(tensors, checkpoint.GGUFTensor{Name: s.Name, Format: "f32", Shape: shape, Read: func() ([]byte, error) { return storedBytes(s, m) }})
	}
	path := filepath.Join(t.TempDir(), "model.gguf")
	if err := checkpoint.WriteGGUF(path, m.Design.GGUFMeta(), tensors); err != nil {
		t.Fatal(err)
	}
	got := encode(t, path, g.Texts)
	d := distance(got, g.Texts, func(e encoderText) []float64 {
		for i := range g.Texts {
			if &g.Texts[i].IDs[0] == &e.IDs[0] {
				return unit(want[i], m.Design.Classes == nil)
			}
		}
		return nil
	})
	if d > 1e-5 {
		t.Errorf("as GGUF the output differs by %v", d)
	}
}

func unit(v []float32, normalize bool) []float64 {
	var sq float64
	out := make([]float64, len(v))
	for i, x := range v {
		out[i] = float64(x)
		sq += out[i] * out[i]
	}
	for i := range out {
		if normalize {
			out[i] /= math.Sqrt(sq)
		}
	}
	return out
}

// storedBytes are a stored tensor's values as f32.
func storedBytes(s Stored, m *Model) ([]byte, error) {
	if s.Parts[0].Param.Vector {
		v, err := s.Vector(m)
		return littleEndian(v), err
	}
	w, err := s.Matrix(m)
	if err != nil {
		return nil, err
	}
	return littleEndian(values(w)), nil
}

// TestEncoderMutations: each part of an encoder counts: without it, or with another in its place, the output is another.
func TestEncoderMutations(t *testing.T) {
	clearing := func(part string) func(string, []float32) {
		return func(name string, v []float32) {
			if strings.HasSuffix(name, part) {
				clear(v)
			}
		}
	}
	for _, c := range []struct {
		model, what string
		config      map[string]any
		change      func(string, []float32)
		texts       func(encoderText) encoderText
	}{
		{"bert classifier", "activation", m{"hidden_act": "gelu"}, nil, nil},
		{"bert cross-encoder", "activation", m{"hidden_act": "relu"}, nil, nil},
		{"bert classifier", "epsilon", m{"layer_norm_eps": 0.01}, nil, nil},
		{"bert classifier", "heads", m{"num_attention_heads": 3}, nil, nil},
		{"bert classifier", "a bias of the queries", nil, clearing("layer.1.attention.self.query.bias"), nil},
		{"bert classifier", "a bias of the MLP", nil, clearing("layer.0.output.dense.bias"), nil},
		{"bert classifier", "the pooler's bias", nil, clearing("pooler.dense.bias"), nil},
		{"bert classifier", "the classifier's bias", nil, clearing("classifier.bias"), nil},
		{"bert classifier", "token types", nil, nil, func(e encoderText) encoderText { e.Types = make([]int32, len(e.Types)); return e }},
		{"bert classifier", "positions", nil, clearing("position_embeddings.weight"), nil},
		{"roberta classifier", "the first position", m{"pad_token_id": 0}, nil, nil},
		{"roberta classifier", "token types", nil, clearing("token_type_embeddings.weight"), nil},
		{"roberta classifier", "the head's bias", nil, clearing("classifier.dense.bias"), nil},
		{"xlm-roberta cross-encoder", "the first position", m{"pad_token_id": 0}, nil, nil},
		{"distilbert classifier", "activation", m{"activation": "relu"}, nil, nil},
		{"distilbert classifier", "a norm's bias", nil, clearing("layer.0.sa_layer_norm.bias"), nil},
		{"distilbert classifier", "the head's bias", nil, clearing("pre_classifier.bias"), nil},
	} {
		g, ok := encoderGoldens(t)[c.model]
		if !ok {
			t.Fatal(c.model)
		}
		config := maps.Clone(g.Config)
		maps.Copy(config, c.config)
		texts := append([]encoderText(nil), g.Texts...)
		for i := range texts {
			if c.texts != nil {
				texts[i] = c.texts(texts[i])
			}
		}
		got := encode(t, writeEncoder(t, config, c.change), texts)
		if d := distance(got, texts, func(e encoderText) []float64 { return e.Logits }); d <= within {
			t.Errorf("%s, another %s: the logits differ by %v alone", c.model, c.what, d)
		}
	}
}

// TestClasses: labels and scores as the config tells.
func TestClasses(t *testing.T) {
	base := with(bertConfig(), m{"architectures": []any{"BertForSequenceClassification"}})
	one := m{"id2label": m{"0": "LABEL_0"}}
	for _, c := range []struct {
		name   string
		change m
		says   string
		labels string
		scores string
	}{
		{"nothing said", nil, "", "LABEL_0 LABEL_1", "softmax"},
		{"number", m{"num_labels": 3}, "", "LABEL_0 LABEL_1 LABEL_2", "softmax"},
		{"names", m{"id2label": m{"1": "bad", "0": "good"}}, "", "good bad", "softmax"},
		{"one", one, "", "LABEL_0", "sigmoid"},
		{"each for itself", m{"problem_type": "multi_label_classification"}, "", "LABEL_0 LABEL_1", "sigmoid"},
		{"a number", with(one, m{"problem_type": "regression"}), "", "LABEL_0", "none"},
		{"cross-encoder, old", with(one, m{"sbert_ce_default_activation_function": "torch.nn.modules.linear.Identity"}), "", "LABEL_0", "none"},
		{"cross-encoder", with(one, m{"sentence_transformers": m{"activation_fn": "torch.nn.modules.activation.Sigmoid"}}), "", "LABEL_0", "sigmoid"},
		{"cross-encoder of another kind", with(one, m{"sentence_transformers": m{"activation_fn": "torch.nn.Tanh"}}), `sentence_transformers.activation_fn to "torch.nn.Tanh"`, "", ""},
		{"another problem", m{"problem_type": "ranking"}, `problem_type to "ranking"`, "", ""},
		{"a gap", m{"id2label": m{"0": "a", "2": "b"}}, `id2label names label "2" of 2`, "", ""},
		{"no number", m{"id2label": m{"a": "a"}}, `id2label names label "a" of 1`, "", ""},
		{"none", m{"id2label": m{}}, "but no labels", "", ""},
		{"too many", m{"num_labels": 1 << 20}, "1048576 labels without names", "", ""},
	} {
		d, err := FromConfig(with(base, c.change))
		checkError(t, c.name, err, c.says)
		if err != nil {
			continue
		}
		if got := strings.Join(d.Classes.Labels, " "); got != c.labels || d.Classes.Scores != c.scores {
			t.Errorf("%s: labels %q, scores %s", c.name, got, d.Classes.Scores)
		}
	}
	if d, err := FromConfig(bertConfig()); err != nil || d.Classes != nil {
		t.Errorf("an encoder without a head: %v, %+v", err, d)
	}
}

// TestOldNorms: the first BERT checkpoints call gains gamma and biases beta.
func TestOldNorms(t *testing.T) {
	g := encoderGoldens(t)["bert"]
	dir := writeEncoder(t, g.Config, nil)
	old := shapes{}
	for name, shape := range shapesOf(t, g.Config, "") {
		name = strings.Replace(name, "LayerNorm.weight", "LayerNorm.gamma", 1)
		old[strings.Replace(name, "LayerNorm.bias", "LayerNorm.beta", 1)] = shape
	}
	expect(t, "old names", writeHF(t, g.Config, old), "")
	expect(t, "old names under bert.", writeHF(t, g.Config, prefixed(old, "bert.")), "")
	expect(t, "new names", dir, "")
}

func prefixed(s shapes, prefix string) shapes {
	out := shapes{}
	for name, shape := range s {
		out[prefix+name] = shape
	}
	return out
}

func TestGives(t *testing.T) {
	class := with(bertConfig(), m{"architectures": []any{"BertForSequenceClassification"}})
	for want, config := range map[string]m{
		"vectors of 12, pooled by mean, normalised":                  bertConfig(),
		`3 labels (softmax): "LABEL_0, LABEL_1, LABEL_2"`:            with(class, m{"num_labels": 3}),
		"one score (sigmoid), to classify or to rank pairs of texts": with(class, m{"num_labels": 1}),
		"": llamaConfig(),
	} {
		d, err := FromConfig(config)
		if err != nil || d.Gives() != want {
			t.Errorf("%q, %v; want %q", d.Gives(), err, want)
		}
	}
	dir := writeEncoder(t, encoderGoldens(t)["bert"].Config, nil)
	writeFile(t, filepath.Join(dir, "modules.json"), []byte(`[{"path":"1_Pooling","type":"x.Pooling"}]`))
	writeFile(t, filepath.Join(dir, "1_Pooling", "config.json"), []byte(`{"pooling_mode":"max"}`))
	if got := expect(t, "max", dir, "").Design.Gives(); got != "vectors of 24, pooled by max" {
		t.Error(got)
	}
}
