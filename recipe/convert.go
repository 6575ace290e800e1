package recipe

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"hone/checkpoint"
	"hone/internal/durable"
	"hone/internal/machine"
	"hone/model"
	"hone/quant"
	"hone/tokenizer"
)

// The two kinds of file that Convert writes.
const (
	KindGGUF = "gguf"
	KindHF   = "hf"
)

// Conversion is what Convert is asked.
type Conversion struct {
	To       string        // KindGGUF or KindHF; "": GGUF where the output's name ends in .gguf
	Weights  model.Weights // number formats of matrices; one that Linears does not name is f32
	Keep     bool          // matrices keep their number formats, Weights is not used
	Progress func(done, all int64) error
}

// Converted is what Convert did.
type Converted struct {
	Path    string   `json:"path"`
	From    string   `json:"from"`
	To      string   `json:"to"`
	Dtype   string   `json:"dtype"`
	Tensors int      `json:"tensors"`
	Bytes   int64    `json:"bytes"` // of the weights
	Notes   []string `json:"notes,omitempty"`
}

// Convert writes a model as a GGUF file or a Hugging Face directory at out, which must not exist; it appears whole or not at
// all. A tensor is read, encoded and written a few rows at a time. The same model gives the same bytes.
func Convert(ctx context.Context, m *model.Model, out string, c Conversion) (*Converted, error) {
	out = filepath.Clean(out) // a folder's name may end in a slash
	if c.To == "" {
		c.To = KindHF
		if strings.HasSuffix(out, ".gguf") {
			c.To = KindGGUF
		}
	}
	w := &converter{ctx: ctx, m: m, c: c, notes: map[string]bool{}, report: &Converted{Path: out, From: m.File.Kind(), To: c.To, Dtype: "keep"}}
	if !c.Keep {
		w.c.Weights.Linears = cmp.Or(c.Weights.Linears, "f32")
		w.report.Dtype = w.c.Weights.String()
	}
	var err error
	switch c.To {
	case KindGGUF:
		err = w.gguf(out)
	case KindHF:
		err = w.hf(out)
	default:
		err = fmt.Errorf("%q is no kind of model file: %s and %s are", c.To, KindGGUF, KindHF)
	}
	if err == nil {
		err = readable(out)
	}
	if err != nil {
		return nil, err
	}
	if n, ok := m.File.(checkpoint.Noter); ok {
		w.report.Notes = append(w.report.Notes, n.Notes()...)
	}
	return w.report, nil
}

// readable opens what was written; it is removed where that fails.
func readable(out string) error {
	m, err := model.Open(out)
	if err != nil {
		return errors.Join(fmt.Errorf("what was written cannot be read: %w", err), os.RemoveAll(out))
	}
	return m.File.Close()
}

// converter is one conversion under way.
type converter struct {
	ctx       context.Context
	m         *model.Model
	c         Conversion
	report    *Converted
	notes     map[string]bool
	done, all int64
}

func (w *converter) note(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !w.notes[text] {
		w.notes[text] = true
		w.report.Notes = append(w.report.Notes, text)
	}
}

// tensor is a stored tensor on its way into the other kind of file.
type tensor struct {
	model.Stored
	format string
	bytes  int64
}

// plan finds the number format of each tensor and counts the bytes.
func (w *converter) plan(stored []model.Stored) ([]tensor, error) {
	out := make([]tensor, len(stored))
	for i, s := range stored {
		f, err := w.format(s)
		if err != nil {
			return nil, fmt.Errorf("%s: tensor %s: %w", w.m.Path, s.Name, err)
		}
		n := int64(1)
		for _, d := range s.Shape {
			n *= int64(d)
		}
		cols := s.Shape[len(s.Shape)-1]
		out[i] = tensor{s, f.Name(), n / int64(cols) * int64(math.Ceil(f.BitsPerWeight(cols)*float64(cols)/8))}
		w.all += out[i].bytes
	}
	w.report.Tensors, w.report.Bytes = len(out), w.all
	return out, nil
}

// single are GGUF's names of matrices that are read in f32 alone: tables of positions and token types, routers of experts.
var single = []string{"position_embd.weight", "token_types.weight", "ffn_gate_inp.weight"}

// format is the number format that a tensor is written in.
func (w *converter) format(s model.Stored) (quant.Format, error) {
	name := w.c.Weights.Linears
	cols := s.Shape[len(s.Shape)-1]
	switch {
	case vector(s) && (w.c.To == KindGGUF || w.c.Keep || !plain(name)):
		name = "f32"
	case w.c.To == KindGGUF && slices.ContainsFunc(single, func(end string) bool { return strings.HasSuffix(s.Name, end) }):
		name = "f32"
	case w.c.Keep:
		name = w.stored(s)
	case !vector(s) && (s.Parts[0].Param.Head || s.Parts[0].Param.Embedding):
		name = cmp.Or(w.c.Weights.Head, name)
	}
	if w.c.Keep {
		return quant.Lookup(name)
	}
	f, note, err := quant.Resolve(name, cols)
	if err != nil {
		return nil, err
	}
	if note != "" {
		w.note("%s", note)
	}
	one, err := f.Encode(1, cols, func([]float32, int) {})
	if err != nil {
		return nil, err
	}
	if _, ok := quant.AppendRow(nil, one, 0); !ok {
		return nil, fmt.Errorf("%s has no place in such a file; `hone quantize` writes Hone's own formats", f.Name())
	}
	return f, nil
}

// stored is the number format of the file's tensors that make up s, f32 where they have several.
func (w *converter) stored(s model.Stored) string {
	name := ""
	for _, p := range s.Parts {
		f := w.m.Stored(p.Param.Name).Format
		if name != "" && f != name {
			return "f32"
		}
		name = f
	}
	return name
}

// vector tells tensors of gains, biases and tables, those of all experts in one too, from matrices.
func vector(s model.Stored) bool { return len(s.Parts) == 0 || s.Parts[0].Param.Vector }

func plain(format string) bool { return format == "f32" || format == "f16" || format == "bf16" }

// write streams a tensor.
func (w *converter) write(out io.Writer, t tensor) error {
	defer w.m.File.Release()
	if vector(t.Stored) {
		v, err := t.Vector(w.m)
		if err != nil {
			return err
		}
		return w.writeMatrix(out, quant.NewDense(1, len(v), v), t.format)
	}
	m, err := t.Matrix(w.m)
	if err != nil {
		return err
	}
	return w.writeMatrix(out, m, t.format)
}

// batch is the number of values that are encoded together.
const batch = 1 << 20

// writeMatrix writes a matrix's rows as they are where they have the wanted format, and encodes them otherwise.
func (w *converter) writeMatrix(out io.Writer, m quant.Matrix, format string) error {
	f, err := quant.Lookup(format)
	if err != nil {
		return err
	}
	rows, cols := m.Dims()
	var buf []byte
	for at := 0; at < rows; {
		n := min(rows-at, max(1, batch/cols))
		part, first := m, at
		_, raw := quant.AppendRow(nil, m, at)
		if w.c.Keep && !raw && !plain(format) {
			return fmt.Errorf("%s has no bytes in such a file, so it cannot be kept: name another number format", format)
		}
		if !raw || m.Format() != format {
			if part, err = encodeRows(f, m, at, n); err != nil {
				return err
			}
			first = 0
		}
		buf = buf[:0]
		for i := range n {
			buf, _ = quant.AppendRow(buf, part, first+i)
		}
		if _, err := out.Write(buf); err != nil {
			return err
		}
		at += n
		if err := w.step(int64(len(buf))); err != nil {
			return err
		}
	}
	return nil
}

// encodeRows rounds rows [at, at+n) of m.
func encodeRows(f quant.Format, m quant.Matrix, at, n int) (quant.Matrix, error) {
	_, cols := m.Dims()
	var wide float32
	part, err := f.Encode(n, cols, func(dst []float32, i int) {
		m.ReadRow(dst, at+i)
		for _, v := range dst[:cols] {
			wide = max(wide, v, -v)
		}
	})
	if err == nil && f.Name() == "f16" && wide >= 65520 {
		err = fmt.Errorf("a value of %v is beyond the range of f16; bf16 or f32 hold it", wide)
	}
	return part, err
}

func (w *converter) step(n int64) error {
	w.done += n
	if err := w.ctx.Err(); err != nil {
		return err
	}
	if w.c.Progress != nil {
		return w.c.Progress(w.done, w.all)
	}
	return nil
}

// gguf writes a GGUF file.
func (w *converter) gguf(out string) error {
	stored, err := w.m.Design.GGUFTensors()
	if err != nil {
		return fmt.Errorf("%s: %w", w.m.Path, err)
	}
	planned, err := w.plan(stored)
	if err != nil {
		return err
	}
	meta, err := w.metadata()
	if err != nil {
		return fmt.Errorf("%s: %w", w.m.Path, err)
	}
	var tensors []checkpoint.GGUFTensor
	for _, t := range planned {
		tensors = append(tensors, checkpoint.GGUFTensor{Name: t.Name, Format: t.format, Shape: t.Shape, Write: func(out io.Writer) error { return w.write(out, t) }})
	}
	if err := w.room(out); err != nil {
		return err
	}
	return checkpoint.WriteGGUF(out, meta, tensors)
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

// A GGUF file without a tokenizer says so.
const (
	ggufTokenizer = "tokenizer.ggml.model"
	noTokenizer   = "no_vocab"
)

// tokenizer is the model's; nil where it has none, which is noted.
func (w *converter) tokenizer() (tokenizer.Tokenizer, error) {
	if source := w.m.File.Config().GGUF; source != nil {
		if name, _ := source.String(ggufTokenizer); name == "" || name == noTokenizer {
			w.note("the model has no tokenizer")
			return nil, nil
		}
	}
	tok, err := w.m.Tokenizer()
	if errors.Is(err, fs.ErrNotExist) {
		w.note("the model has no tokenizer")
		return nil, nil
	}
	return tok, err
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

// room refuses an output that is there, or that the disk cannot hold.
func (w *converter) room(out string) error {
	if _, err := os.Lstat(out); err == nil {
		return fmt.Errorf("%s is there already: remove it or name another output", out)
	}
	if free, ok := freeDisk(filepath.Dir(out)); ok && free < w.all {
		return fmt.Errorf("%s needs %d MB, and %d MB are free there: name another disk or a smaller --dtype", out, w.all>>20, free>>20)
	}
	return nil
}

var freeDisk = machine.FreeDisk // tests have smaller disks

// hf writes a Hugging Face directory.
func (w *converter) hf(out string) error {
	planned, err := w.plan(w.m.Design.HFTensors())
	if err != nil {
		return err
	}
	files, err := w.files()
	if err != nil {
		return err
	}
	var tensors []checkpoint.Tensor
	for _, t := range planned {
		if !plain(t.format) {
			return fmt.Errorf("%s: tensor %s: %s has no place in a Hugging Face directory: name --dtype f32, f16 or bf16; `hone quantize` writes integer formats", w.m.Path, t.Name, t.format)
		}
		tensors = append(tensors, checkpoint.Tensor{Name: t.Name, DType: strings.ToUpper(t.format), Shape: t.Shape, Write: func(out io.Writer) error { return w.write(out, t) }})
	}
	if err := w.room(out); err != nil {
		return err
	}
	return durable.WriteDir(out, func(dir string) error {
		for _, name := range slices.Sorted(maps.Keys(files)) {
			path := filepath.Join(dir, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
				return err
			}
			if err := os.WriteFile(path, files[name], 0o666); err != nil {
				return err
			}
		}
		return checkpoint.WriteSafetensors(filepath.Join(dir, "model.safetensors"), tensors, map[string]string{"format": "pt"})
	})
}

// files are the side files of a Hugging Face directory: config, tokenizer, and settings of generation.
func (w *converter) files() (map[string][]byte, error) {
	files := map[string][]byte{}
	tok, err := w.tokenizer()
	if err != nil {
		return nil, err
	}
	if tok != nil {
		files["tokenizer.json"], files["tokenizer_config.json"] = tok.ToJSON()
	}
	if err := addKept(files, w.m); err != nil {
		return nil, err
	}
	if w.m.File.Config().GGUF != nil || exists(filepath.Join(w.m.Dir(), "modules.json")) { // a directory that did not say it is left so
		maps.Copy(files, w.m.Design.PoolingFiles())
	}
	config := maps.Clone(w.m.HFConfig())
	delete(config, "quantization_config")
	delete(config, "compression_config")
	if !w.c.Keep {
		delete(config, "dtype")
		config["torch_dtype"] = map[string]string{"f32": "float32", "f16": "float16", "bf16": "bfloat16"}[w.c.Weights.Linears]
	}
	if tok != nil && w.m.File.Config().GGUF != nil && !w.m.Encoder() {
		generation := ends(tok)
		maps.Copy(config, generation)
		if files["generation_config.json"], err = indented(generation); err != nil {
			return nil, err
		}
	}
	files["config.json"], err = indented(config)
	return files, err
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// ends are the ids that begin a text and end a generation, as configs name them.
func ends(tok tokenizer.Tokenizer) map[string]any {
	out := map[string]any{}
	if id, ok := tok.BOS(); ok {
		out["bos_token_id"] = id
	}
	switch eos := tok.EOS(); len(eos) {
	case 0:
	case 1:
		out["eos_token_id"] = eos[0]
	default:
		out["eos_token_id"] = eos
	}
	return out
}

func indented(v any) ([]byte, error) {
	b, err := json.MarshalIndent(v, "", "  ")
	return append(b, '\n'), err
}
