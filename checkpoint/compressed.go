package checkpoint

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// The parts that compressed-tensors stores a quantized linear layer in, beside the layer's name. Packed weights
// (pack-quantized) have weight_packed and weight_shape, plain ones (int-quantized) an int8 weight.
const (
	partWeight = ".weight"
	partPacked = ".weight_packed"
	partScale  = ".weight_scale"
	partZero   = ".weight_zero_point"
	partShape  = ".weight_shape"
	partOrder  = ".weight_g_idx"
)

// furtherParts belong to a layer that has codes; the last two to activations with fixed scales.
var furtherParts = []string{partScale, partZero, partShape, partOrder, ".input_scale", ".input_zero_point"}

func init() {
	quantMethods["compressed-tensors"] = func(config map[string]any) (quantMethod, error) { return readQuantConfig(config) }
}

// packedWeight is a weight of compressed-tensors. Both layouts hold codes and zero points less 2^(bits-1), which cancels.
type packedWeight struct {
	*codedWeight
	codes  *slab // int32 words, or int8
	packed bool
	scale  *slab
	zero   *slab // nil when symmetric
}

// weight implements quantMethod.
func (c *quantConfig) weight(t *tensors, name string) (*codedWeight, error) {
	layer, codes := cutLayer(t, name)
	if codes == nil {
		return nil, nil
	}
	scheme, err := c.schemeOf(layer)
	if err != nil {
		return nil, err
	}
	w := &packedWeight{
		codedWeight: &codedWeight{file: t, path: codes.shard.path, name: layer + partWeight, bits: scheme.bits, symmetric: scheme.symmetric,
			tokens: scheme.tokens, rounded: scheme.rounded, refused: scheme.refused, note: scheme.note},
		codes: codes, packed: t.slabs[layer+partPacked] != nil, scale: t.slabs[layer+partScale], zero: t.slabs[layer+partZero],
	}
	w.parts = w
	if w.scale == nil {
		return nil, fmt.Errorf("%s is missing", layer+partScale)
	}
	if scheme.kind != "int" {
		return nil, fmt.Errorf("weights of type %.40q are not served; int is", scheme.kind)
	}
	if err := w.findDims(t.slabs[layer+partShape]); err != nil {
		return nil, err
	}
	if err := w.findGroups(scheme); err != nil {
		return nil, err
	}
	if err := w.checkZero(); err != nil {
		return nil, err
	}
	w.countBytes()
	return w.codedWeight, w.setOrder(t.slabs[layer+partOrder], partOrder[1:])
}

// cutLayer returns the layer and its codes when name is the tensor that holds a quantized layer's codes.
func cutLayer(t *tensors, name string) (layer string, codes *slab) {
	if layer, ok := strings.CutSuffix(name, partPacked); ok {
		return layer, t.slabs[name]
	}
	layer, ok := strings.CutSuffix(name, partWeight)
	if ok && t.slabs[layer+partScale] != nil && t.slabs[layer+partPacked] == nil {
		return layer, t.slabs[name]
	}
	return "", nil
}

// cacheParts are the scales of a KV cache of 8-bit floats, in the layout's two spellings.
var cacheParts = []string{".self_attn.k_scale", ".self_attn.v_scale", ".k_proj.output_scale", ".v_proj.output_scale"}

// isPart implements quantMethod.
func (c *quantConfig) isPart(t *tensors, name string) bool {
	for _, part := range cacheParts {
		if c.cache && strings.HasSuffix(name, part) {
			t.note("are scales of a KV cache that the file asks to round: the cache is what --kv says instead", name)
			return true
		}
	}
	for _, part := range furtherParts {
		if layer, ok := strings.CutSuffix(name, part); ok {
			return t.slabs[layer+partPacked] != nil || t.slabs[layer+partWeight] != nil
		}
	}
	return false
}

// findDims finds rows and columns; packed codes have them in weight_shape.
func (w *packedWeight) findDims(shape *slab) error {
	if len(w.codes.shape) != 2 {
		return fmt.Errorf("codes of shape %v; two dimensions are wanted", w.codes.shape)
	}
	w.rows, w.cols = w.codes.shape[0], w.codes.shape[1]
	if !w.packed {
		if w.codes.format() != "i8" {
			return fmt.Errorf("codes of type %s for %d bits; I8 is wanted", w.codes.format(), w.bits)
		}
		return w.checkDims()
	}
	if w.codes.format() != "i32" {
		return fmt.Errorf("packed codes of type %s; I32 is wanted", w.codes.format())
	}
	rows, cols, err := shapeValue(shape)
	if err != nil {
		return fmt.Errorf("%s: %w", partShape[1:], err)
	}
	words, ok := packedWords(cols, w.bits)
	if rows != w.rows || !ok || words != w.codes.shape[1] {
		return fmt.Errorf("%s [%d %d] at %d bits does not fit packed codes of shape %v", partShape[1:], rows, cols, w.bits, w.codes.shape)
	}
	w.cols = cols
	return w.checkDims()
}

// checkDims refuses a weight without values.
func (w *codedWeight) checkDims() error {
	if w.rows <= 0 || w.cols <= 0 {
		return fmt.Errorf("shape [%d %d] holds no value", w.rows, w.cols)
	}
	return nil
}

// shapeValue reads the two numbers of a weight_shape tensor.
func shapeValue(s *slab) (rows, cols int, err error) {
	switch {
	case s == nil:
		return 0, 0, errors.New("is missing")
	case !slices.Equal(s.shape, []int{2}):
		return 0, 0, fmt.Errorf("has shape %v; [2] is wanted", s.shape)
	}
	var v [2]int64
	for i := range v {
		switch s.format() {
		case "i64":
			v[i] = int64(binary.LittleEndian.Uint64(s.data()[8*i:]))
		case "i32":
			v[i] = int64(int32(le32(s.data()[4*i:])))
		default:
			return 0, 0, fmt.Errorf("has type %s; I64 is wanted", s.format())
		}
		if v[i] <= 0 || v[i] > maxInt/64 {
			return 0, 0, fmt.Errorf("holds %d", v[i])
		}
	}
	return int(v[0]), int(v[1]), nil
}

// findGroups finds how many scales a row has and checks them against the scheme.
func (w *packedWeight) findGroups(scheme *scheme) error {
	shape, want := w.scale.shape, 1
	if scheme.group > 0 {
		if want = w.cols / scheme.group; w.cols%scheme.group != 0 {
			return fmt.Errorf("groups of %d do not divide %d columns", scheme.group, w.cols)
		}
	}
	w.groups, w.oneScale = want, scheme.group == 0
	switch {
	case slices.Equal(shape, []int{w.rows, want}):
	case want == 1 && slices.Equal(shape, []int{w.rows}):
	case scheme.strategy == "tensor" && w.scale.elements() == 1:
	default:
		return fmt.Errorf("%s of shape %v; [%d %d] is wanted", partScale[1:], shape, w.rows, want)
	}
	return checkScaleType(w.scale, partScale[1:])
}

func checkScaleType(s *slab, name string) error {
	switch s.format() {
	case "f32", "f16", "bf16":
		return nil
	}
	return fmt.Errorf("%s of type %s; F32, F16 or BF16 is wanted", name, s.format())
}

// checkZero checks the zero points. Old files hold zeros for symmetric schemes; they are checked and dropped.
func (w *packedWeight) checkZero() error {
	if w.zero == nil {
		if !w.symmetric {
			return fmt.Errorf("%s is missing, though the scheme is not symmetric", partZero[1:])
		}
		return nil
	}
	if w.symmetric {
		for _, b := range w.zero.data() {
			if b != 0 {
				return fmt.Errorf("%s holds %d, though the scheme is symmetric", partZero[1:], b)
			}
		}
		w.zero = nil
		return nil
	}
	plain := w.zero.format() == "i8" && (slices.Equal(w.zero.shape, w.scale.shape) || slices.Equal(w.zero.shape, []int{w.rows, w.groups}))
	words, _ := packedWords(w.rows, w.bits)
	if !plain && (w.zero.format() != "i32" || !slices.Equal(w.zero.shape, []int{words, w.groups})) {
		return fmt.Errorf("%s of type %s and shape %v; I32 [%d %d] is wanted", partZero[1:], w.zero.format(), w.zero.shape, words, w.groups)
	}
	return nil
}

func (w *packedWeight) countBytes() {
	w.bytes = int64(len(w.codes.data()) + len(w.scale.data()))
	if w.zero != nil {
		w.bytes += int64(len(w.zero.data()))
	}
}

// scales implements codeParts; one scale of a whole tensor is repeated for each row.
func (w *packedWeight) scales() ([]float32, error) {
	v, err := vectorOf(w.scale.format(), w.scale.shape, w.scale.data())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", partScale[1:], err)
	}
	if len(v) == 1 {
		v = slices.Repeat(v, w.rows*w.groups)
	}
	return v, nil
}

// zeros implements codeParts. Packed ones are packed down the rows.
func (w *packedWeight) zeros() []uint8 {
	if w.zero == nil {
		return nil
	}
	data, out := w.zero.data(), make([]uint8, w.rows*w.groups)
	mask := uint8(1<<w.bits - 1)
	for k := range out {
		switch {
		case w.zero.format() == "i32":
			out[k] = bitsAt(data, k/w.groups, w.bits, w.groups, k%w.groups)
		case len(data) == 1:
			out[k] = (data[0] + 1<<(w.bits-1)) & mask
		default:
			out[k] = (data[k] + 1<<(w.bits-1)) & mask
		}
	}
	return out
}

// reader implements codeParts: 4 bits low nibble first, 8 bits a byte each, other widths as a stream of bits.
func (w *packedWeight) reader() func(dst []uint8, row int) {
	stride := len(w.codes.data()) / w.rows
	return func(dst []uint8, i int) {
		row := w.codes.data()[i*stride : (i+1)*stride]
		switch {
		case !w.packed:
			for j := range dst {
				dst[j] = row[j] + 1<<(w.bits-1)
			}
		case w.bits == 8:
			copy(dst, row)
		case w.bits == 4:
			for k, b := range row[:len(dst)/2] {
				dst[2*k], dst[2*k+1] = b&15, b>>4
			}
			if n := len(dst); n%2 == 1 {
				dst[n-1] = row[n/2] & 15
			}
		default:
			for j := range dst {
				dst[j] = bitsAt(row, j, w.bits, 1, 0)
			}
		}
	}
}
