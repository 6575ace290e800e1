package bench

import (
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"slices"

	"hone/checkpoint"
	"hone/model"
	"hone/nn"
	"hone/quant"
)

// Shape is a model known by its sizes alone: speed does not depend on what the weights say.
type Shape struct {
	Name                                         string
	Vocab, Width, MLP, Blocks, Heads, KV, Window int
}

// Shapes are the sizes that can be asked for by name.
var Shapes = []Shape{
	{"llama-135m", 49152, 576, 1536, 30, 9, 3, 2048},
	{"llama-1.1b", 32000, 2048, 5632, 22, 32, 4, 2048},
	{"llama-3b", 128256, 3072, 8192, 28, 24, 8, 8192},
}

// ShapeOf finds a shape by name.
func ShapeOf(name string) (Shape, error) {
	var names []string
	for _, s := range Shapes {
		if s.Name == name {
			return s, nil
		}
		names = append(names, s.Name)
	}
	return Shape{}, fmt.Errorf("bench: no shape %q; there are %v", name, names)
}

// Config is the Hugging Face config of the shape.
func (s Shape) Config() map[string]any {
	return map[string]any{
		"architectures": []any{"LlamaForCausalLM"}, "model_type": "llama", "hidden_act": "silu",
		"hidden_size": s.Width, "intermediate_size": s.MLP, "num_hidden_layers": s.Blocks,
		"num_attention_heads": s.Heads, "num_key_value_heads": s.KV, "vocab_size": s.Vocab,
		"max_position_embeddings": s.Window, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
	}
}

// Random is a Source of seeded random weights: each weight is drawn from its own name, so the same shape always has the
// same weights, in whatever order they are asked for. They are rounded to bf16, so that a peer can be given the very
// same ones in half the bytes.
type Random struct{ Params map[string]nn.Param }

// NewRandom serves the parameters of a program.
func NewRandom(p *nn.Program) *Random {
	r := &Random{map[string]nn.Param{}}
	for _, q := range p.Params() {
		r.Params[q.Name] = q
	}
	return r
}

// Matrix draws a matrix as bf16.
func (r *Random) Matrix(name string) (quant.Matrix, error) {
	p, ok := r.Params[name]
	if !ok {
		return nil, fmt.Errorf("bench: the shape has no weight %s", name)
	}
	return quant.FromBytes("bf16", p.Rows, p.Cols, r.bytes(p))
}

// Vector draws a norm gain near 1.
func (r *Random) Vector(name string) ([]float32, error) {
	p, ok := r.Params[name]
	if !ok {
		return nil, fmt.Errorf("bench: the shape has no weight %s", name)
	}
	rng := rngOf(name)
	v := make([]float32, p.Cols)
	for i := range v {
		v[i] = 1 + 0.1*float32(rng.NormFloat64())
	}
	return v, nil
}

func rngOf(name string) *rand.Rand {
	h := fnv.New64a()
	h.Write([]byte(name))
	return rand.New(rand.NewPCG(h.Sum64(), 0))
}

// bytes draws p's values with standard deviation 1/sqrt(cols), little-endian bf16. Values repeat after a prime number
// of draws: speed needs no more, and drawing a billion normals would take longer than the measurement.
func (r *Random) bytes(p nn.Param) []byte {
	const period = 65521
	rng := rngOf(p.Name)
	scale := 1 / math.Sqrt(float64(p.Cols))
	draws := make([]byte, 2*period)
	for i := range period {
		bits := math.Float32bits(float32(rng.NormFloat64()*scale)) >> 16
		draws[2*i], draws[2*i+1] = byte(bits), byte(bits>>8)
	}
	out := make([]byte, 0, 2*p.Rows*p.Cols)
	for len(out) < cap(out) {
		out = append(out, draws[:min(len(draws), cap(out)-len(out))]...)
	}
	return out
}

// WriteGGUF writes the shape's weights for a peer, with a vocabulary of made-up tokens.
func (s Shape) WriteGGUF(path string, d *model.Design, r *Random) error {
	var tensors []checkpoint.GGUFTensor
	for _, p := range d.Program.Params() {
		name, ok := d.GGUFName(p.Name)
		if !ok {
			return fmt.Errorf("bench: %s has no GGUF name", p.Name)
		}
		t := checkpoint.GGUFTensor{Name: name, Format: "bf16", Shape: []int{p.Rows, p.Cols}}
		t.Read = func() ([]byte, error) { return d.ToGGUFRows(p, r.bytes(p)), nil }
		if p.Vector {
			t.Format, t.Shape = "f32", []int{p.Cols}
			t.Read = func() ([]byte, error) { return r.vectorBytes(p.Name) }
		}
		tensors = append(tensors, t)
	}
	return checkpoint.WriteGGUF(path, s.metadata(), tensors)
}

func (r *Random) vectorBytes(name string) ([]byte, error) {
	v, err := r.Vector(name)
	var out []byte
	for _, x := range v {
		bits := math.Float32bits(x)
		out = append(out, byte(bits), byte(bits>>8), byte(bits>>16), byte(bits>>24))
	}
	return out, err
}

func (s Shape) metadata() []checkpoint.GGUFValue {
	tokens, kinds := make([]string, s.Vocab), make([]int32, s.Vocab)
	for i := range tokens {
		tokens[i], kinds[i] = fmt.Sprintf("t%d", i), 1
	}
	copy(tokens, []string{"<unk>", "<s>", "</s>"})
	copy(kinds, []int32{2, 3, 3})
	u := func(n int) uint32 { return uint32(n) }
	return slices.Clip([]checkpoint.GGUFValue{
		{Key: "general.architecture", Value: "llama"}, {Key: "general.name", Value: s.Name},
		{Key: "llama.block_count", Value: u(s.Blocks)}, {Key: "llama.context_length", Value: u(s.Window)},
		{Key: "llama.embedding_length", Value: u(s.Width)}, {Key: "llama.feed_forward_length", Value: u(s.MLP)},
		{Key: "llama.attention.head_count", Value: u(s.Heads)}, {Key: "llama.attention.head_count_kv", Value: u(s.KV)},
		{Key: "llama.attention.layer_norm_rms_epsilon", Value: float32(1e-5)}, {Key: "llama.rope.freq_base", Value: float32(10000)},
		{Key: "llama.rope.dimension_count", Value: u(s.Width / s.Heads)}, {Key: "llama.vocab_size", Value: u(s.Vocab)},
		{Key: "tokenizer.ggml.model", Value: "llama"}, {Key: "tokenizer.ggml.tokens", Value: tokens},
		{Key: "tokenizer.ggml.scores", Value: make([]float32, s.Vocab)}, {Key: "tokenizer.ggml.token_type", Value: kinds},
		{Key: "tokenizer.ggml.bos_token_id", Value: uint32(1)}, {Key: "tokenizer.ggml.eos_token_id", Value: uint32(2)},
	})
}
