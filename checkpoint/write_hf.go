package checkpoint

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"hone/internal/durable"
	"hone/internal/until"
	"hone/kernel"
	"hone/quant"
)

// WriteSpec is a model to be written as a Hugging Face directory.
type WriteSpec struct {
	// Config becomes config.json. A quantization_config in it is replaced by one that fits Weights.
	Config map[string]any
	// Files are further files by name, such as tokenizer.json and 1_Pooling/config.json.
	Files map[string][]byte
	// Weights become model.safetensors, in this order.
	Weights []Weight
	// Stop, when set, is asked while tensors are written; its error ends the work.
	Stop func() error
}

// Weight is one named tensor: a matrix in its number format, or plain values.
type Weight struct {
	Name   string // Hugging Face's, such as model.layers.0.self_attn.q_proj.weight
	Matrix quant.Matrix
	// For anything but a matrix: float32 values (nil when Matrix is set) and their shape, [len(Values)] when nil.
	Values []float32
	Shape  []int
}

// WriteHF writes a directory that must not exist yet; it appears whole or not at all. Dense matrices keep their type
// (F32, F16, BF16), integer formats take the compressed-tensors layout: pack-quantized, or int-quantized for w8a8. No
// value is rounded: a format that the layout cannot hold exactly is refused by name.
func WriteHF(dir string, spec WriteSpec) error {
	err := durable.WriteDir(dir, func(temp string) error { return FillHF(temp, spec) })
	if err != nil {
		return fmt.Errorf("checkpoint: writing %s: %w", dir, err)
	}
	return nil
}

// FillHF writes the files of WriteHF into a directory that is there, for callers that publish it themselves.
func FillHF(dir string, spec WriteSpec) error {
	tensors, groups, err := planWeights(spec.Weights)
	if err != nil {
		return err
	}
	for i, write := range tensors {
		tensors[i].Write = func(w io.Writer) error { return write.Write(until.Writer(w, spec.Stop)) }
	}
	if err := WriteSafetensors(filepath.Join(dir, weightsName), tensors, map[string]string{"format": "pt"}); err != nil {
		return err
	}
	if err := writeJSON(filepath.Join(dir, configName), configWith(spec.Config, groups)); err != nil {
		return err
	}
	for _, name := range sortedFiles(spec.Files) {
		if filepath.Clean(name) != name || !filepath.IsLocal(name) || name == configName || strings.HasSuffix(name, ".safetensors") {
			return fmt.Errorf("file %s cannot stand beside the weights", quoteName(name))
		}
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			return err
		}
		if err := os.WriteFile(path, spec.Files[name], 0o666); err != nil {
			return err
		}
	}
	return nil
}

func sortedFiles(m map[string][]byte) []string { return slices.Sorted(maps.Keys(m)) }

func writeJSON(path string, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(data, '\n'), 0o666)
}

func configWith(config map[string]any, groups *groupTable) map[string]any {
	out := maps.Clone(config)
	if out == nil {
		out = map[string]any{}
	}
	delete(out, "quantization_config")
	delete(out, "compression_config")
	if q := groups.config(); q != nil {
		out["quantization_config"] = q
	}
	return out
}

// planWeights turns weights into safetensors tensors and collects what quantization_config must say.
func planWeights(weights []Weight) ([]Tensor, *groupTable, error) {
	var out []Tensor
	groups := &groupTable{}
	for _, w := range weights {
		tensors, err := planWeight(w, groups)
		if err != nil {
			return nil, nil, fmt.Errorf("tensor %s: %w", quoteName(w.Name), err)
		}
		out = append(out, tensors...)
	}
	return out, groups, nil
}

func planWeight(w Weight, groups *groupTable) ([]Tensor, error) {
	if w.Matrix == nil {
		return planValues(w)
	}
	rows, cols := w.Matrix.Dims()
	shape := []int{rows, cols}
	if ints, ok := w.Matrix.(quant.IntRows); ok {
		return planInts(w.Name, ints, groups)
	}
	dtype := map[string]string{"f32": "F32", "f16": "F16", "bf16": "BF16"}[w.Matrix.Format()]
	if dtype == "" {
		return nil, fmt.Errorf("format %q has no exact place in safetensors; encode it as a Hone format, or write a GGUF file (--out FILE.gguf)", w.Matrix.Format())
	}
	groups.dense(w.Name)
	return []Tensor{{w.Name, dtype, shape, func(out io.Writer) error { return writeDense(out, dtype, w.Matrix) }}}, nil
}

func planValues(w Weight) ([]Tensor, error) {
	shape := w.Shape
	if shape == nil {
		shape = []int{len(w.Values)}
	}
	if n, ok := byteLen(shape, 32); !ok || n != 4*len(w.Values) {
		return nil, fmt.Errorf("shape %v does not fit %d values", shape, len(w.Values))
	}
	write := func(out io.Writer) error { return writeFloats(out, "F32", w.Values) }
	return []Tensor{{w.Name, "F32", shape, write}}, nil
}

func writeDense(out io.Writer, dtype string, m quant.Matrix) error {
	rows, cols := m.Dims()
	row := make([]float32, cols)
	for i := range rows {
		m.ReadRow(row, i)
		if err := writeFloats(out, dtype, row); err != nil {
			return err
		}
	}
	return nil
}

// writeFloats writes values in a type that holds them exactly.
func writeFloats(out io.Writer, dtype string, values []float32) error {
	buf := make([]byte, 0, 4*len(values))
	if dtype == "F32" {
		for _, v := range values {
			buf = binary.LittleEndian.AppendUint32(buf, math.Float32bits(v))
		}
		_, err := out.Write(buf)
		return err
	}
	half := make([]uint16, len(values))
	if dtype == "BF16" {
		kernel.F32ToBF16(half, values)
	} else {
		kernel.F32ToF16(half, values)
	}
	for _, h := range half {
		buf = binary.LittleEndian.AppendUint16(buf, h)
	}
	_, err := out.Write(buf)
	return err
}

var errNoWeight = errors.New("the name of a quantized matrix must end in .weight")

var errZeroPoint = errors.New("its minima are no whole multiples of its scales, so compressed-tensors cannot hold them; encode it as a Hone format, or write a GGUF file (--out FILE.gguf)")
