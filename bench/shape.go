package bench

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"maps"
	"math"
	"math/rand/v2"
	"strings"

	"hone/checkpoint"
	"hone/kernel"
	"hone/model"
	"hone/nn"
	"hone/quant"
)

// Shape is a model known by its sizes alone: speed does not depend on what the weights say.
type Shape struct {
	Name                                         string
	Vocab, Width, MLP, Blocks, Heads, KV, Window int
	Experts, Active                              int // Qwen3-MoE, MLP features an expert; 0: Llama
}

// Shapes are the sizes that can be asked for by name.
var Shapes = []Shape{
	{"llama-135m", 49152, 576, 1536, 30, 9, 3, 2048, 0, 0},
	{"llama-1.1b", 32000, 2048, 5632, 22, 32, 4, 2048, 0, 0},
	{"llama-3b", 128256, 3072, 8192, 28, 24, 8, 8192, 0, 0},
	{"qwen3moe-1.6b-a0.3b", 32000, 1024, 384, 20, 16, 4, 2048, 64, 8},
}

// ShapeOf finds a shape by name.
func ShapeOf(name string) (Shape, error) {
	for _, s := range Shapes {
		if s.Name == name {
			return s, nil
		}
	}
	return Shape{}, fmt.Errorf("bench: no shape %q; there are %s", name, strings.Join(ShapeNames(), ", "))
}

// ShapeNames are the names that ShapeOf knows.
func ShapeNames() []string {
	var names []string
	for _, s := range Shapes {
		names = append(names, s.Name)
	}
	return names
}

// Config is the Hugging Face config of the shape.
func (s Shape) Config() map[string]any {
	config := map[string]any{
		"architectures": []any{"LlamaForCausalLM"}, "model_type": "llama", "hidden_act": "silu",
		"hidden_size": s.Width, "intermediate_size": s.MLP, "num_hidden_layers": s.Blocks,
		"num_attention_heads": s.Heads, "num_key_value_heads": s.KV, "vocab_size": s.Vocab,
		"max_position_embeddings": s.Window, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
	}
	if s.Experts > 0 {
		maps.Copy(config, map[string]any{
			"architectures": []any{"Qwen3MoeForCausalLM"}, "model_type": "qwen3_moe", "head_dim": s.Width / s.Heads,
			"num_experts": s.Experts, "num_experts_per_tok": s.Active, "moe_intermediate_size": s.MLP, "norm_topk_prob": true,
		})
	}
	return config
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
	stored, err := d.GGUFTensors()
	if err != nil {
		return err
	}
	var tensors []checkpoint.GGUFTensor
	for _, t := range stored {
		out := checkpoint.GGUFTensor{Name: t.Name, Format: "bf16", Shape: t.Shape, Read: func() ([]byte, error) { return matrixBytes(t, r) }}
		if len(t.Shape) == 1 {
			out.Format, out.Read = "f32", func() ([]byte, error) { return vectorBytes(t, r) }
		}
		tensors = append(tensors, out)
	}
	return checkpoint.WriteGGUF(path, s.metadata(d), tensors)
}

// matrixBytes are a stored matrix's values, which lie on bf16's grid.
func matrixBytes(t model.Stored, src nn.Source) ([]byte, error) {
	m, err := t.Matrix(src)
	if err != nil {
		return nil, err
	}
	rows, cols := m.Dims()
	out, row, half := make([]byte, 0, 2*rows*cols), make([]float32, cols), make([]uint16, cols)
	for i := range rows {
		m.ReadRow(row, i)
		kernel.F32ToBF16(half, row)
		for _, h := range half {
			out = append(out, byte(h), byte(h>>8))
		}
	}
	return out, nil
}

func vectorBytes(t model.Stored, src nn.Source) ([]byte, error) {
	v, err := t.Vector(src)
	var out []byte
	for _, x := range v {
		out = binary.LittleEndian.AppendUint32(out, math.Float32bits(x))
	}
	return out, err
}

func (s Shape) metadata(d *model.Design) []checkpoint.GGUFValue {
	tokens, kinds := make([]string, s.Vocab), make([]int32, s.Vocab)
	for i := range tokens {
		tokens[i], kinds[i] = fmt.Sprintf("t%d", i), 1
	}
	copy(tokens, []string{"<unk>", "<s>", "</s>"})
	copy(kinds, []int32{2, 3, 3})
	return append(d.GGUFMeta(), []checkpoint.GGUFValue{
		{Key: "general.name", Value: s.Name},
		{Key: "tokenizer.ggml.model", Value: "llama"}, {Key: "tokenizer.ggml.tokens", Value: tokens},
		{Key: "tokenizer.ggml.scores", Value: make([]float32, s.Vocab)}, {Key: "tokenizer.ggml.token_type", Value: kinds},
		{Key: "tokenizer.ggml.bos_token_id", Value: uint32(1)}, {Key: "tokenizer.ggml.eos_token_id", Value: uint32(2)},
	}...)
}
