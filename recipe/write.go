package recipe

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"

	"hone/checkpoint"
	"hone/model"
	"hone/nn"
	"hone/quant"
)

// kept are files of a Hugging Face directory that a variant takes over as they are.
var kept = []string{"generation_config.json", "special_tokens_map.json", "added_tokens.json", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model",
	"vocab.txt", "vocab.json", "merges.txt", "chat_template.jinja", "config_sentence_transformers.json", "sentence_bert_config.json"}

// A Step is called after each weight is rounded; its error ends the work.
type Step func(done, all int) error

// Fill writes a variant of a model as a Hugging Face directory into dir, which exists: quantized weights in the
// compressed-tensors layout, the tokenizer, and extra files by name. No value is rounded but by the wanted formats.
func Fill(ctx context.Context, dir string, m *model.Model, w model.Weights, extra map[string][]byte, steps ...Step) error {
	spec, err := variant(ctx, m, w, extra, steps)
	if err != nil {
		return err
	}
	return checkpoint.FillHF(dir, spec)
}

// Write is Fill for a directory that does not exist yet; it appears whole or not at all.
func Write(ctx context.Context, dir string, m *model.Model, w model.Weights, extra map[string][]byte, steps ...Step) error {
	spec, err := variant(ctx, m, w, extra, steps)
	if err != nil {
		return err
	}
	return checkpoint.WriteHF(dir, spec)
}

func variant(ctx context.Context, m *model.Model, w model.Weights, extra map[string][]byte, steps []Step) (checkpoint.WriteSpec, error) {
	spec := checkpoint.WriteSpec{Config: m.HFConfig(), Files: maps.Clone(extra), Stop: ctx.Err}
	if spec.Files == nil {
		spec.Files = map[string][]byte{}
	}
	maps.Copy(spec.Files, m.Design.PoolingFiles())
	if err := addFiles(spec.Files, m); err != nil {
		return spec, err
	}
	formats := w.Formats(m.Design.Tied)
	params, weights := m.Design.Program.Params(), converted{}
	for i, p := range params {
		weight, err := convert(ctx, m, p, formats)
		if err != nil {
			return spec, fmt.Errorf("%s: %w", m.Path, err)
		}
		weights[p.Name] = weight
		for _, step := range steps {
			if err := step(i+1, len(params)); err != nil {
				return spec, err
			}
		}
	}
	for _, t := range m.Design.HFTensors() {
		joined, err := weights.join(t)
		if err != nil {
			return spec, fmt.Errorf("%s: %w", m.Path, err)
		}
		spec.Weights = append(spec.Weights, joined...)
	}
	return spec, nil
}

// converted is a source of the variant's weights.
type converted map[string]checkpoint.Weight

func (c converted) Matrix(name string) (quant.Matrix, error) { return c[name].Matrix, nil }
func (c converted) Vector(name string) ([]float32, error)    { return c[name].Values, nil }

// join makes a tensor as the family's files have it. Rows of integer formats can be put together and reordered, but neither
// transposed nor laid in banks: such weights keep their own names, which Hone reads too.
func (c converted) join(t model.Stored) ([]checkpoint.Weight, error) {
	first := t.Parts[0]
	if first.Param.Vector {
		values, err := t.Vector(c)
		return []checkpoint.Weight{{Name: t.Name, Values: values, Shape: t.Shape}}, err
	}
	m, err := t.Matrix(c)
	if err != nil {
		return nil, err
	}
	if _, ints := m.(quant.IntRows); len(t.Shape) == 2 && (ints || plain(m.Format())) && m.Format() == c[first.Param.Name].Matrix.Format() {
		return []checkpoint.Weight{{Name: t.Name, Matrix: m}}, nil
	}
	var out []checkpoint.Weight
	for _, p := range t.Parts {
		out = append(out, c[p.Param.Name])
	}
	return out, nil
}

func convert(ctx context.Context, m *model.Model, p nn.Param, formats func(nn.Param) string) (checkpoint.Weight, error) {
	if p.Vector {
		values, err := m.Vector(p.Name)
		return checkpoint.Weight{Name: p.Name, Values: values}, err
	}
	matrix, err := nn.Convert(m, p, formats, ctx.Err)
	return checkpoint.Weight{Name: p.Name, Matrix: matrix}, err
}

// addFiles adds the tokenizer and what else the parent's directory says about itself.
func addFiles(files map[string][]byte, m *model.Model) error {
	tok, err := m.Tokenizer()
	if err != nil {
		return fmt.Errorf("%s: %w", m.Path, err)
	}
	files["tokenizer.json"], files["tokenizer_config.json"] = tok.ToJSON()
	return addKept(files, m)
}

// addKept adds the files that are taken over as they are.
func addKept(files map[string][]byte, m *model.Model) error {
	if m.File.Kind() != "hf" {
		return nil
	}
	for _, name := range kept {
		b, err := readKept(filepath.Join(m.Dir(), name))
		switch {
		case err == nil:
			files[name] = b
		case !os.IsNotExist(err):
			return err
		}
	}
	return nil
}

// mostKept bounds the files that are taken over: the largest vocabularies have some tens of megabytes.
const mostKept = 256 << 20

func readKept(path string) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is not a regular file", path)
	case info.Size() > mostKept:
		return nil, fmt.Errorf("%s has %d bytes; at most %d are taken over into a variant", path, info.Size(), mostKept)
	}
	return os.ReadFile(path)
}
