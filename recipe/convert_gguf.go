package recipe

import (
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"hone/checkpoint"
	"hone/model"
	"hone/tokenizer"
)

// A GGUF file without a tokenizer says so.
const (
	ggufTokenizer = "tokenizer.ggml.model"
	noTokenizer   = "no_vocab"
)

// single are GGUF's names of matrices that are read in f32 alone: tables of positions and token types, routers of experts.
var single = []string{"position_embd.weight", "token_types.weight", "ffn_gate_inp.weight"}

// gguf writes a GGUF file.
func (w *converter) gguf(out string) error {
	stored, err := w.m.Design.GGUFTensors()
	if err != nil {
		return fmt.Errorf("%s: %w", w.m.Path, err)
	}
	for _, note := range w.m.Design.GGUFNotes() {
		w.note("%s", note)
	}
	planned, err := w.plan(stored)
	if err != nil {
		return err
	}
	meta, err := w.metadata()
	if err != nil {
		return fmt.Errorf("%s: %w", w.m.Path, err)
	}
	meta = withTokenTypes(meta, stored)
	var tensors []checkpoint.GGUFTensor
	for _, t := range planned {
		tensors = append(tensors, checkpoint.GGUFTensor{Name: t.Name, Format: t.format, Shape: t.Shape, Write: func(out io.Writer) error { return w.write(out, t) }})
	}
	if err := w.room(out); err != nil {
		return err
	}
	return checkpoint.WriteGGUF(out, meta, tensors)
}

// withTokenTypes says how many token types the model has: llama.cpp wants it among the tokenizer's settings.
func withTokenTypes(meta []checkpoint.GGUFValue, stored []model.Stored) []checkpoint.GGUFValue {
	const key = "tokenizer.ggml.token_type_count"
	meta = slices.DeleteFunc(meta, func(v checkpoint.GGUFValue) bool { return v.Key == key })
	for _, s := range stored {
		if s.Name == "token_types.weight" {
			meta = append(meta, checkpoint.GGUFValue{Key: key, Value: uint32(s.Shape[0])})
		}
	}
	return meta
}

// fileTypes are the numbers of general.file_type: the number format of most tensors.
var fileTypes = map[string]uint32{"f32": 0, "f16": 1, "q4_0": 2, "q4_1": 3, "q8_0": 7, "q5_0": 8, "q5_1": 9, "q2_k": 10, "q3_k": 12, "q4_k": 15,
	"q5_k": 17, "q6_k": 18, "iq4_nl": 25, "iq4_xs": 30, "bf16": 32, "tq1_0": 36, "tq2_0": 37, "mxfp4": 38}

// metadata is the GGUF file's: that of the source where it is one, else what the config and the tokenizer say.
func (w *converter) metadata() ([]checkpoint.GGUFValue, error) {
	if source := w.m.File.Config().GGUF; source != nil {
		return w.sourceMetadata(source), nil
	}
	if p := w.m.Design.Program.Pool; p != nil && len(p.Head) == 0 && !p.Normalize {
		w.note("GGUF files do not say whether an encoder's vectors are normalised: those of this model are not, and readers of the file will normalise them")
	}
	meta := w.m.Design.GGUFMeta()
	meta = slices.Insert(meta, 1, checkpoint.GGUFValue{Key: "general.type", Value: "model"}, checkpoint.GGUFValue{Key: "general.name", Value: w.name()})
	meta = append(meta, w.fileType()...)
	tok, err := w.tokenizer()
	if err != nil {
		return nil, err
	}
	if tok == nil {
		return append(meta, checkpoint.GGUFValue{Key: ggufTokenizer, Value: noTokenizer}), nil
	}
	values, notes, err := tokenizer.ToGGUF(tok, w.embeddings())
	if err != nil {
		return nil, err
	}
	for _, n := range notes {
		w.note("%s", n)
	}
	for _, v := range values {
		meta = append(meta, checkpoint.GGUFValue{Key: v.Key, Value: v.Value})
	}
	return meta, nil
}

// sourceMetadata is the metadata of a GGUF file, in a fixed order, with what the number formats change.
func (w *converter) sourceMetadata(source checkpoint.Metadata) []checkpoint.GGUFValue {
	values := maps.Clone(source)
	if !w.c.Keep {
		delete(values, "general.file_type")
		delete(values, "general.quantization_version")
	}
	delete(values, "general.alignment")
	const first = "general.architecture"
	out := []checkpoint.GGUFValue{{Key: first, Value: values[first]}}
	for _, key := range slices.Sorted(maps.Keys(values)) {
		if key != first {
			out = append(out, checkpoint.GGUFValue{Key: key, Value: values[key]})
		}
	}
	if !w.c.Keep {
		out = append(out, w.fileType()...)
	}
	return out
}

// fileType says what most tensors are.
func (w *converter) fileType() []checkpoint.GGUFValue {
	var out []checkpoint.GGUFValue
	if n, ok := fileTypes[w.c.Weights.Linears]; ok && !w.c.Keep {
		out = append(out, checkpoint.GGUFValue{Key: "general.file_type", Value: n})
	}
	if w.c.Keep || !plain(w.c.Weights.Linears) {
		out = append(out, checkpoint.GGUFValue{Key: "general.quantization_version", Value: uint32(2)})
	}
	return out
}

// name is what the model is called: in its config, or by its folder.
func (w *converter) name() string {
	if name, _ := w.m.HFConfig()["_name_or_path"].(string); name != "" {
		return filepath.Base(filepath.ToSlash(name))
	}
	path, err := filepath.Abs(w.m.Path)
	if err != nil {
		path = w.m.Path
	}
	return strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
}

// embeddings is the number of token embeddings.
func (w *converter) embeddings() int {
	for _, p := range w.m.Design.Program.Params() {
		if p.Embedding {
			return p.Rows
		}
	}
	return 0
}
