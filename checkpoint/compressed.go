package checkpoint

import (
	"encoding/binary"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"

	"hone/quant"
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

// packedWeight is a quantized weight: w[r][c] = scale[r][c/group] * (code[r][c] - zero[r][c/group]).
//
// Codes and zero points are unsigned here; both files' layouts hold them less 2^(bits-1), which cancels.
type packedWeight struct {
	file       *tensors
	name       string // the logical one, ending in .weight
	codes      *slab  // int32 words, or int8
	packed     bool
	scale      *slab
	zero       *slab // nil when symmetric
	rows, cols int
	bits       int
	groups     int // scales a row
	oneScale   bool
	format     string
	refused    error // why it cannot be served although it is whole
}

// findPacked finds the quantized weights and lists the logical names in file order.
func (t *tensors) findPacked(raw []string) error {
	config, err := readQuantConfig(t.config.HF)
	if err != nil {
		return fault(t.configPath(), "", "quantization_config: %w", err)
	}
	if config == nil {
		t.names = raw
		return nil
	}
	t.weights = map[string]*packedWeight{}
	for _, name := range raw {
		layer, codes := cutLayer(t, name)
		if codes == nil {
			if !t.isPart(name) {
				t.names = append(t.names, name)
			}
			continue
		}
		w, err := t.packedWeight(layer, codes, config)
		if err != nil {
			return &Error{Path: codes.shard.path, Tensor: name, Err: err}
		}
		t.weights[w.name] = w
		t.names = append(t.names, w.name)
	}
	return nil
}

func (t *tensors) configPath() string { return filepath.Join(t.config.Dir, configName) }

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

// isPart tells whether a tensor belongs to a quantized layer that has codes.
func (t *tensors) isPart(name string) bool {
	for _, part := range []string{partScale, partZero, partShape, partOrder} {
		if layer, ok := strings.CutSuffix(name, part); ok {
			return t.slabs[layer+partPacked] != nil || t.slabs[layer+partWeight] != nil
		}
	}
	return false
}

// packedWeight joins a layer's parts and checks that their shapes fit each other and the configuration.
func (t *tensors) packedWeight(layer string, codes *slab, config *quantConfig) (*packedWeight, error) {
	w := &packedWeight{
		file: t, name: layer + partWeight, codes: codes, packed: t.slabs[layer+partPacked] != nil,
		scale: t.slabs[layer+partScale], zero: t.slabs[layer+partZero],
	}
	scheme, err := config.schemeOf(layer)
	if err != nil {
		return nil, err
	}
	if w.scale == nil {
		return nil, fmt.Errorf("%s is missing", layer+partScale)
	}
	w.bits = scheme.bits
	if err := w.findDims(t.slabs[layer+partShape]); err != nil {
		return nil, err
	}
	if err := w.findGroups(scheme); err != nil {
		return nil, err
	}
	if err := w.checkZero(scheme); err != nil {
		return nil, err
	}
	w.format, w.refused = scheme.format(w.oneScale)
	if t.slabs[layer+partOrder] != nil {
		w.refused = fmt.Errorf("columns reordered by %s are not served", partOrder[1:])
	}
	return w, nil
}

// findDims finds rows and columns; packed codes have them in weight_shape.
func (w *packedWeight) findDims(shape *slab) error {
	if len(w.codes.shape) != 2 {
		return fmt.Errorf("codes of shape %v; two dimensions are wanted", w.codes.shape)
	}
	w.rows, w.cols = w.codes.shape[0], w.codes.shape[1]
	if !w.packed {
		if w.codes.format() != "i8" || w.bits > 8 {
			return fmt.Errorf("codes of type %s for %d bits; I8 is wanted", w.codes.format(), w.bits)
		}
		return nil
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
	return nil
}

// packedWords is the number of int32 words that hold n codes.
func packedWords(n, bits int) (int, bool) {
	if n < 0 || n > maxInt/64 {
		return 0, false
	}
	return (n*bits + 31) / 32, true
}

// shapeValue reads the two numbers of a weight_shape tensor.
func shapeValue(s *slab) (rows, cols int, err error) {
	switch {
	case s == nil:
		return 0, 0, fmt.Errorf("is missing")
	case !slices.Equal(s.shape, []int{2}):
		return 0, 0, fmt.Errorf("has shape %v; [2] is wanted", s.shape)
	}
	var v [2]int64
	for i := range v {
		switch s.format() {
		case "i64":
			v[i] = int64(binary.LittleEndian.Uint64(s.data()[8*i:]))
		case "i32":
			v[i] = int64(int32(binary.LittleEndian.Uint32(s.data()[4*i:])))
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
	switch w.scale.format() {
	case "f32", "f16", "bf16":
		return nil
	}
	return fmt.Errorf("%s of type %s; F32, F16 or BF16 is wanted", partScale[1:], w.scale.format())
}

// checkZero checks the zero points. Old files hold zeros for symmetric schemes; they are checked and dropped.
func (w *packedWeight) checkZero(scheme *scheme) error {
	if w.zero == nil {
		if !scheme.symmetric {
			return fmt.Errorf("%s is missing, though the scheme is not symmetric", partZero[1:])
		}
		return nil
	}
	plain := w.zero.format() == "i8" && (slices.Equal(w.zero.shape, w.scale.shape) || slices.Equal(w.zero.shape, []int{w.rows, w.groups}))
	if scheme.symmetric {
		for _, b := range w.zero.data() {
			if b != 0 {
				return fmt.Errorf("%s holds %d, though the scheme is symmetric", partZero[1:], b)
			}
		}
		w.zero = nil
		return nil
	}
	words, _ := packedWords(w.rows, w.bits)
	if !plain && (w.zero.format() != "i32" || !slices.Equal(w.zero.shape, []int{words, w.groups})) {
		return fmt.Errorf("%s of type %s and shape %v; I32 [%d %d] is wanted", partZero[1:], w.zero.format(), w.zero.shape, words, w.groups)
	}
	return nil
}

func (w *packedWeight) info() Info {
	n := len(w.codes.data()) + len(w.scale.data())
	if w.zero != nil {
		n += len(w.zero.data())
	}
	return Info{Format: w.format, Shape: []int{w.rows, w.cols}, Bytes: int64(n)}
}

// matrix reads the codes and scales into a matrix of one of quant's formats.
func (w *packedWeight) matrix() (quant.Matrix, error) {
	fail := func(err error) (quant.Matrix, error) {
		return nil, &Error{Path: w.codes.shard.path, Tensor: w.name, Err: err}
	}
	if w.refused != nil {
		return fail(w.refused)
	}
	scales, err := vectorOf(w.scale.format(), w.scale.shape, w.scale.data())
	if err != nil {
		return fail(fmt.Errorf("%s: %w", partScale[1:], err))
	}
	if !w.oneScale && slices.ContainsFunc(scales, wideScale) {
		w.file.note(w.name)
	}
	m, err := quant.NewInt(w.format, w.rows, w.cols, func(codes []uint8, scale []float32, zero []uint8, i int) error {
		w.readCodes(codes, i)
		if len(scales) == 1 {
			scale[0] = scales[0]
		} else {
			copy(scale, scales[i*w.groups:(i+1)*w.groups])
		}
		if w.zero != nil {
			w.readZeros(zero, i)
		}
		return nil
	})
	if err != nil {
		return fail(err)
	}
	return m, nil
}

// wideScale tells a scale with more bits than the f16 that group scales are kept in; F16 and BF16 files have none.
func wideScale(v float32) bool { return math.Float32bits(v)&(1<<13-1) != 0 }

// note remembers that a weight's scales were rounded.
func (t *tensors) note(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !slices.Contains(t.rounded, name) {
		t.rounded = append(t.rounded, name)
	}
}

// Notes implements Noter.
func (t *tensors) Notes() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.rounded) == 0 {
		return nil
	}
	return []string{fmt.Sprintf("%s: the float32 group scales of %d weights (%s first) are kept as f16, rounded by at most 0.05 %%",
		t.path, len(t.rounded), t.rounded[0])}
}

// readCodes writes row i's codes: 4 bits low nibble first, 8 bits a byte each.
func (w *packedWeight) readCodes(dst []uint8, i int) {
	row := w.codes.data()[i*len(w.codes.data())/w.rows:]
	switch {
	case !w.packed:
		for j := range dst {
			dst[j] = row[j] ^ 0x80
		}
	case w.bits == 8:
		copy(dst, row)
	default:
		for k, b := range row[:len(dst)/2] {
			dst[2*k], dst[2*k+1] = b&15, b>>4
		}
		if n := len(dst); n%2 == 1 {
			dst[n-1] = row[n/2] & 15
		}
	}
}

// readZeros writes row i's zero points. Packed ones are packed down the rows, so a word holds a column's piece.
func (w *packedWeight) readZeros(dst []uint8, i int) {
	data := w.zero.data()
	if w.zero.format() == "i8" {
		for g := range dst {
			dst[g] = data[i*w.groups+g] + 1<<(w.bits-1)
			dst[g] &= 1<<w.bits - 1
		}
		return
	}
	bit := i * w.bits
	for g := range dst {
		at := (bit/32*w.groups+g)*4 + bit%32/8
		dst[g] = data[at] >> (bit % 8) & (1<<w.bits - 1)
	}
}
