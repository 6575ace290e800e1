package model

import (
	"fmt"
	"slices"

	"hone/checkpoint"
	"hone/nn"
	"hone/quant"
)

// Use is one weight of a model and what becomes of it.
type Use struct {
	Param  nn.Param
	Stored checkpoint.Info
	Format string // that it runs in
	Note   string // why this is not the format that was asked for; "" when it is
	Bits   float64
	// Packed and Table are the bytes it takes in memory: as a multiplied matrix, and as a table that rows are read from.
	// A table that stays as stored takes none: its rows are read from the file's mapping, which holds Mapped bytes of it.
	Packed, Table, Mapped int64
}

// Values is the number of the weight's values.
func (u Use) Values() int64 { return int64(u.Param.Rows) * int64(u.Param.Cols) }

// Plan is what a model takes when it is loaded in given formats. Nothing is loaded to make it.
type Plan struct {
	Uses    []Use
	program *nn.Program
	notes   []string
}

// Plan tells how the model would be loaded.
func (m *Model) Plan(w Weights) (Plan, error) {
	plan := Plan{program: m.Design.Program, notes: m.Notes()}
	formats := w.Formats(m.Design.Tied)
	for _, p := range m.Design.Program.Params() {
		u, err := m.use(p, formats)
		if err != nil {
			return plan, fmt.Errorf("%s: %w", m.Path, err)
		}
		plan.Uses = append(plan.Uses, u)
	}
	return plan, nil
}

func (m *Model) use(p nn.Param, formats func(nn.Param) string) (Use, error) {
	info, _ := m.File.Info(m.places[p.Name].Tensor)
	u := Use{Param: p, Stored: info, Format: info.Format}
	if _, err := quant.Lookup(info.Format); err != nil {
		return u, fmt.Errorf("%s: %w", p.Name, err)
	}
	if p.Vector {
		u.Format, u.Bits, u.Packed = "f32", 32, u.Values()*4
		return u, nil
	}
	if formats != nil && formats(p) != "" {
		f, note, err := quant.Resolve(formats(p), p.Cols)
		if err != nil {
			return u, fmt.Errorf("%s: %w", p.Name, err)
		}
		u.Format, u.Note = f.Name(), note
	}
	f, err := quant.Lookup(u.Format)
	if err != nil {
		return u, fmt.Errorf("%s: %w", p.Name, err)
	}
	u.Bits = f.BitsPerWeight(p.Cols)
	bytes := int64(u.Bits * float64(u.Values()) / 8)
	if !p.Embedding || m.Design.Tied {
		u.Packed = int64(quant.PackedBits(f, p.Cols) * float64(u.Values()) / 8)
	}
	switch {
	case p.Embedding && u.Format != u.Stored.Format:
		u.Table = bytes
	case p.Embedding:
		u.Mapped = bytes
	}
	return u, nil
}

// Weights is the memory of the loaded weights.
func (p Plan) Weights() int64 {
	var n int64
	for _, u := range p.Uses {
		n += u.Packed + u.Table
	}
	return n
}

// Mapped is what the model reads from its file's mapping while it runs: the system brings the pages when they are needed
// and may take them away again.
func (p Plan) Mapped() int64 {
	var n int64
	for _, u := range p.Uses {
		n += u.Mapped
	}
	return n
}

// Loading is the most memory that weights take while they are loaded: converted matrices stand beside packed ones.
func (p Plan) Loading() int64 {
	n := p.Weights()
	for _, u := range p.Uses {
		if u.Format != u.Stored.Format && !u.Param.Vector {
			n += u.Packed
		}
	}
	return n
}

// BitsPerWeight is the effective number of bits of a value: embedding, head, norms, scales and minima included.
func (p Plan) BitsPerWeight() float64 {
	var bits, values float64
	for _, u := range p.Uses {
		bits += u.Bits * float64(u.Values())
		values += float64(u.Values())
	}
	return bits / values
}

// Values is the number of the model's parameters.
func (p Plan) Values() int64 {
	var n int64
	for _, u := range p.Uses {
		n += u.Values()
	}
	return n
}

// Notes lists each reason once why a format is not the one that was asked for, and what of the file is left out.
func (p Plan) Notes() []string {
	out := slices.Clone(p.notes)
	seen := map[string]bool{}
	for _, u := range p.Uses {
		if u.Note != "" && !seen[u.Note] {
			seen[u.Note] = true
			out = append(out, u.Note)
		}
	}
	return out
}

// Notes tell what was taken for granted or left out of the file.
func (m *Model) Notes() []string {
	out := slices.Clone(m.config.said)
	if n := len(m.zeros); n > 0 {
		out = append(out, fmt.Sprintf("%d biases of zeros (%.80s first) have no place in the model and are left out, which changes nothing", n, m.zeros[0]))
	}
	meta := m.config.raw.GGUF
	if kind, _ := meta.String("tokenizer.ggml.model"); kind == "gpt2" && meta["tokenizer.ggml.pre"] == nil {
		out = append(out, "the file does not name its pre-tokenizer (tokenizer.ggml.pre), as none did before May 2024: text is cut by llama.cpp's default rule, "+
			"which may not be the model's; a newer file of the model names it")
	}
	return out
}

// Activations bounds the memory of a batch of maxTokens rows from above.
func (p Plan) Activations(maxTokens int) int64 { return Activations(p.program, maxTokens) }

// Activations is that of a program.
func Activations(p *nn.Program, maxTokens int) int64 {
	widest := 0
	for _, op := range p.Ops {
		for _, v := range op.Outputs() {
			widest = max(widest, p.Width(v))
		}
	}
	const buffers = 8 // values alive at once, and the encodings of the widest
	return int64(buffers) * int64(widest) * int64(maxTokens) * 4
}
