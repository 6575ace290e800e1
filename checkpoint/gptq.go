package checkpoint

import (
	"fmt"
	"slices"
	"strings"
)

// The layouts of AutoGPTQ, GPTQModel and AutoAWQ keep a linear layer transposed, [columns of the weight][rows]:
// qweight holds the codes, qzeros the zero points, packed along the rows, scales [groups][rows].
const (
	partQWeight = ".qweight"
	partQZeros  = ".qzeros"
	partScales  = ".scales"
	partGroups  = ".g_idx"
)

func init() {
	quantMethods["gptq"] = func(config map[string]any) (quantMethod, error) { return readGPTQ(config) }
}

// gptq is a GPTQ checkpoint's quantization_config (https://github.com/AutoGPTQ/AutoGPTQ and GPTQModel).
type gptq struct {
	bits, group int
	symmetric   bool
	plusOne     bool // zero points are stored less one: the first version of the format
	overrides   bool // some layers have their own bits and group
	actOrder    bool // columns were rounded in another order, which g_idx must tell
}

func readGPTQ(c map[string]any) (*gptq, error) {
	q := &gptq{}
	var err error
	if q.bits, q.group, err = bitsAndGroup(c, "bits", "group_size"); err != nil {
		return nil, err
	}
	if !columnBits(q.bits) {
		return nil, unserved("%d bits are not served; 2, 3, 4 and 8 are", q.bits)
	}
	format, there := c["checkpoint_format"].(string)
	if !there {
		format, _ = c["format"].(string)
	}
	switch format {
	case "", "gptq":
		q.plusOne = true
	case "gptq_v2":
	default:
		return nil, unserved("checkpoint_format %.40q is not served; gptq and gptq_v2 are", format)
	}
	if c["is_marlin_format"] == true {
		return nil, unserved("the marlin layout is not served; gptq and gptq_v2 are")
	}
	if p, ok := c["pack_dtype"].(string); ok && p != "int32" {
		return nil, unserved("pack_dtype %.40q is not served; int32 is", p)
	}
	q.symmetric, _ = c["sym"].(bool)
	q.actOrder, _ = c["desc_act"].(bool)
	dynamic, _ := c["dynamic"].(map[string]any)
	q.overrides = len(dynamic) > 0
	return q, nil
}

// columnBits tells the bits that a code may have in these layouts.
func columnBits(bits int) bool { return bits == 2 || bits == 3 || bits == 4 || bits == 8 }

// bitsAndGroup reads the two numbers that both methods tell; a group of -1 (0 here) is a whole row.
func bitsAndGroup(c map[string]any, bitsKey, groupKey string) (bits, group int, err error) {
	bits, ok := jsonInt(c[bitsKey])
	if !ok {
		return 0, 0, fmt.Errorf("%s: a number is wanted", bitsKey)
	}
	if group, ok = jsonInt(c[groupKey]); !ok {
		return 0, 0, fmt.Errorf("%s: a number is wanted", groupKey)
	}
	if group == -1 {
		group = 0
	}
	if group < 0 {
		return 0, 0, fmt.Errorf("%s %d", groupKey, group)
	}
	return bits, group, nil
}

// isPart implements quantMethod.
func (q *gptq) isPart(t *tensors, name string) bool {
	for _, part := range []string{partQZeros, partScales, partGroups} {
		if layer, ok := strings.CutSuffix(name, part); ok {
			return t.slabs[layer+partQWeight] != nil
		}
	}
	return false
}

// weight implements quantMethod.
func (q *gptq) weight(t *tensors, name string) (*codedWeight, error) {
	layer, ok := strings.CutSuffix(name, partQWeight)
	if !ok {
		return nil, nil
	}
	w := &columnWeight{codedWeight: &codedWeight{bits: q.bits, symmetric: q.symmetric}, plusOne: q.plusOne, codesAt: gptqCode, zeroAt: gptqZero}
	index := t.slabs[layer+partGroups]
	if err := w.findParts(t, layer); err != nil {
		return nil, err
	}
	if index == nil && q.actOrder && q.group > 0 {
		return nil, fmt.Errorf("%s is missing, though desc_act is set", layer+partGroups)
	}
	words := w.codes.shape[0]
	if w.cols = words * 32 / q.bits; index != nil && len(index.shape) == 1 {
		w.cols = index.shape[0]
		if q.overrides && w.cols > 0 { // the shapes tell the bits of a layer with settings of its own
			w.bits = words * 32 / w.cols
		}
	}
	if err := w.checkCodes(w.cols, w.bits, 0); err != nil {
		return nil, err
	}
	if err := w.checkGroups(q.group, q.overrides); err != nil {
		return nil, err
	}
	return w.codedWeight, w.setOrder(index, partGroups[1:])
}

// columnWeight is a weight that is stored transposed.
type columnWeight struct {
	*codedWeight
	codes, zero, scale *slab
	plusOne            bool
	// codesAt writes the codes of a few rows, one column after the other, zeroAt finds one zero point.
	codesAt func(w *columnWeight, dst []uint8, from, to int)
	zeroAt  func(w *columnWeight, words []byte, row int) uint8
}

// findParts finds the tensors of a layer and checks their types.
func (w *columnWeight) findParts(t *tensors, layer string) error {
	w.codes, w.zero, w.scale = t.slabs[layer+partQWeight], t.slabs[layer+partQZeros], t.slabs[layer+partScales]
	w.file, w.path, w.name, w.parts = t, w.codes.shard.path, layer+partWeight, w
	for _, p := range []struct {
		part string
		slab *slab
	}{{partQWeight, w.codes}, {partQZeros, w.zero}, {partScales, w.scale}} {
		switch {
		case p.slab == nil:
			return fmt.Errorf("%s is missing", layer+p.part)
		case len(p.slab.shape) != 2:
			return fmt.Errorf("%s of shape %v; two dimensions are wanted", p.part[1:], p.slab.shape)
		case p.part != partScales && p.slab.format() != "i32":
			return fmt.Errorf("%s of type %s; I32 is wanted", p.part[1:], p.slab.format())
		}
		w.bytes += int64(len(p.slab.data()))
	}
	w.groups, w.rows = w.scale.shape[0], w.scale.shape[1]
	return checkScaleType(w.scale, partScales[1:])
}

// checkCodes compares the shapes of codes and zero points with the weight's; along is the dimension that codes are packed in.
func (w *columnWeight) checkCodes(cols, bits, along int) error {
	w.cols = cols
	if err := w.checkDims(); err != nil {
		return err
	}
	if !columnBits(bits) {
		return fmt.Errorf("qweight of shape %v holds no 2, 3, 4 or 8 bits for each of %d columns", w.codes.shape, cols)
	}
	want := []int{cols, w.rows}
	words, ok := packedWords(want[along], bits)
	want[along] = words
	if !ok || !slices.Equal(w.codes.shape, want) {
		return fmt.Errorf("qweight of shape %v; %v is wanted for %d bits", w.codes.shape, want, bits)
	}
	words, ok = packedWords(w.rows, bits)
	if want = []int{w.groups, words}; !ok || !slices.Equal(w.zero.shape, want) {
		return fmt.Errorf("qzeros of shape %v; %v is wanted for %d bits", w.zero.shape, want, bits)
	}
	return nil
}

// checkGroups compares the number of scales with the group size; a layer with settings of its own may have another one.
func (w *columnWeight) checkGroups(group int, free bool) error {
	w.oneScale = group == 0
	if group == 0 || group > w.cols {
		group = w.cols
	}
	want := (w.cols + group - 1) / group
	if free && w.groups > 0 && w.cols%w.groups == 0 {
		want, group = w.groups, w.cols/w.groups
	}
	if w.groups != want {
		return fmt.Errorf("scales of shape %v; [%d %d] is wanted", w.scale.shape, want, w.rows)
	}
	if w.cols%group != 0 {
		w.order = make([]int, w.cols)
		for j := range w.order {
			w.order[j] = j / group
		}
	}
	return nil
}

// scales implements codeParts.
func (w *columnWeight) scales() ([]float32, error) {
	v, err := vectorOf(w.scale.format(), w.scale.shape, w.scale.data())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", partScales[1:], err)
	}
	out := make([]float32, len(v))
	for k := range out {
		out[k] = v[k%w.groups*w.rows+k/w.groups]
	}
	return out, nil
}

// zeros implements codeParts. Zero points stored less one get it back word by word, with the carry that was borrowed
// when it was taken.
func (w *columnWeight) zeros() []uint8 {
	out, stride := make([]uint8, w.rows*w.groups), 4*w.zero.shape[1]
	for g := range w.groups {
		words := w.zero.data()[g*stride:][:stride]
		if w.plusOne {
			words = addOnes(words, w.bits)
		}
		for i := range w.rows {
			out[i*w.groups+g] = w.zeroAt(w, words, i)
		}
	}
	return out
}

// addOnes adds one to each element of a stream of words; of 3-bit elements, which lie across words, one by one.
func addOnes(data []byte, bits int) []byte {
	out := slices.Clone(data)
	if bits == 3 {
		for k := range len(data) * 8 / 3 {
			v := bitsAt(data, k, 3, 1, 0) + 1
			for b := range 3 {
				at := 3*k + b
				out[at/8] = out[at/8]&^(1<<(at%8)) | (v>>b&1)<<(at%8)
			}
		}
		return out
	}
	ones := uint32(0)
	for b := 0; b < 32; b += bits {
		ones |= 1 << b
	}
	for i := 0; i+4 <= len(out); i += 4 {
		putLE32(out[i:], le32(out[i:])+ones)
	}
	return out
}

// columnTile is the number of rows whose codes are decoded together: their words stand side by side.
const columnTile = 64

// reader implements codeParts.
func (w *columnWeight) reader() func(dst []uint8, row int) {
	tile, from := make([]uint8, min(columnTile, w.rows)*w.cols), -1
	return func(dst []uint8, row int) {
		if at := row / columnTile * columnTile; at != from {
			from = at
			w.codesAt(w, tile, from, min(from+columnTile, w.rows))
		}
		copy(dst, tile[(row-from)*w.cols:][:w.cols])
	}
}

// gptqCode: the codes of a column of qweight are a stream of bits.
func gptqCode(w *columnWeight, dst []uint8, from, to int) {
	data := w.codes.data()
	for j := range w.cols {
		for i := from; i < to; i++ {
			dst[(i-from)*w.cols+j] = bitsAt(data, j, w.bits, w.rows, i)
		}
	}
}

// gptqZero: the zero points of a group are a stream of bits.
func gptqZero(w *columnWeight, words []byte, row int) uint8 { return bitsAt(words, row, w.bits, 1, 0) }
