package recipe

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"hone/checkpoint"
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
	w.report.Notes = append(w.report.Notes, m.Notes()...)
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
