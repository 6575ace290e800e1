package checkpoint

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strings"

	"hone/quant"
)

// quantMethod reads one way of keeping quantized layers; the quantization_config names it.
type quantMethod interface {
	// weight returns the quantized weight whose codes are the tensor of this name; nil when it holds no codes.
	weight(t *tensors, name string) (*codedWeight, error)
	// isPart tells whether a tensor is a further part of a quantized layer: scales, zero points and the like.
	isPart(t *tensors, name string) bool
}

// quantMethods are the methods by quant_method; each one's file adds itself. A nil quantMethod means that nothing is quantized.
var quantMethods = map[string]func(config map[string]any) (quantMethod, error){}

// findCoded finds the quantized weights and lists the logical names in file order.
func (t *tensors) findCoded(raw []string) error {
	method, err := t.quantMethod()
	if err != nil {
		return fault(t.configPath(), "", "quantization_config: %w", err)
	}
	if method == nil {
		t.names = raw
		return nil
	}
	t.weights = map[string]*codedWeight{}
	for _, name := range raw {
		w, err := method.weight(t, name)
		switch {
		case err != nil:
			return &Error{Path: t.slabs[name].shard.path, Tensor: name, Err: err}
		case w == nil && !method.isPart(t, name):
			t.names = append(t.names, name)
		case w != nil && t.weights[w.name] != nil || w != nil && w.name != name && t.slabs[w.name] != nil:
			return fault(t.slabs[name].shard.path, name, "%s is there too", quoteName(w.name))
		case w != nil:
			t.weights[w.name] = w
			t.names = append(t.names, w.name)
		}
	}
	return nil
}

func (t *tensors) configPath() string { return filepath.Join(t.config.Dir, configName) }

// quantMethod reads how the model is quantized: from config.json, or from the file beside it that AutoGPTQ and AutoAWQ
// wrote before 2024.
func (t *tensors) quantMethod() (quantMethod, error) {
	raw, there := t.config.HF["quantization_config"]
	if !there {
		raw = t.config.HF["compression_config"] // compressed-tensors' name until 2024
	}
	if raw == nil {
		raw = t.config.HF["quantization"]
	}
	if raw == nil {
		return t.oldQuantMethod()
	}
	config, ok := raw.(map[string]any)
	if !ok {
		return nil, errors.New("an object is wanted")
	}
	name, named := config["quant_method"].(string)
	read := quantMethods[name]
	switch {
	case read != nil:
		return read(config)
	case !named && config["group_size"] != nil:
		return nil, unserved("it names no quant_method, as MLX writes it, whose layout is not read; %s", otherForms())
	}
	return nil, unserved("quant_method %.60q is not read; %s", name, otherForms())
}

// otherForms says what to take instead of a layout that is not read.
func otherForms() string {
	return fmt.Sprintf("%s are: take the model in one of these, as a GGUF file, or as it was before", strings.Join(slices.Sorted(maps.Keys(quantMethods)), ", "))
}

func (t *tensors) oldQuantMethod() (quantMethod, error) {
	if t.config.HF == nil || t.config.Dir == "" {
		return nil, nil
	}
	for _, f := range []struct{ file, method string }{{"quantize_config.json", "gptq"}, {"quant_config.json", "awq"}} {
		data, err := readSmall(filepath.Join(t.config.Dir, f.file), maxConfig)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		config, err := jsonObject(data)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.file, err)
		}
		return quantMethods[f.method](config)
	}
	return nil, nil
}

// codedWeight is a quantized weight: w[r][c] = scale[r][g] * (code[r][c] - zero[r][g]), g the group of column c.
type codedWeight struct {
	file       *tensors
	path, name string // the shard, and the logical name that ends in .weight
	rows, cols int
	bits       int  // of a code, 1 to 8
	groups     int  // scales a row
	oneScale   bool // one scale a row by name, not by a group as wide as the row: products then round inputs otherwise
	symmetric  bool
	tokens     bool    // activations are int8 with one scale a token
	rounded    bool    // activations are int8 with scales of groups
	order      []int   // group of each column; nil when groups are runs of cols/groups columns
	runs       []int32 // with order: the columns group by group, where all groups have as many; nil otherwise
	parts      codeParts
	bytes      int64
	refused    error        // why it cannot be served although it is whole
	note       string       // what the file asks for and is served in another way
	micro      *microWeight // instead of integer codes
}

// codeParts decodes the parts of one layout. Codes and zero points are unsigned.
type codeParts interface {
	scales() ([]float32, error) // [rows][groups]
	zeros() []uint8             // [rows][groups]; nil: all are 2^(bits-1)
	// reader returns a function that writes the codes of one row; it is asked for rows in rising order.
	reader() func(dst []uint8, row int)
}

// format names the number format that holds the weight exactly. Codes of fewer than 4 (8) bits take 4 (8); groups are cut into
// smaller ones with equal scales; what no integer format holds is "f32".
func (w *codedWeight) format() string {
	bits, group := 4, 0
	if w.bits > 4 {
		bits = 8
	}
	symmetric := w.symmetric && w.bits == bits
	switch {
	case w.tokens && w.oneScale && symmetric && bits == 8:
		return "w8a8"
	case w.order != nil && w.runs == nil:
		return "f32"
	case !w.oneScale:
		for _, g := range []int{128, 64, 32} {
			if w.cols/w.groups%g == 0 {
				group = g
				break
			}
		}
		if group == 0 {
			return "f32"
		}
	}
	name := fmt.Sprintf("int%d-row", bits)
	if group > 0 {
		name = fmt.Sprintf("int%d-g%d", bits, group)
	}
	if !symmetric {
		name += "-asym"
	}
	if w.rounded {
		name += quant.RoundedSuffix
	}
	return name
}

func (w *codedWeight) info() Info {
	if w.micro != nil {
		return Info{Format: "mxfp4", Shape: slices.Clone(w.micro.shape), Bytes: w.bytes}
	}
	return Info{Format: w.format(), Shape: []int{w.rows, w.cols}, Bytes: w.bytes}
}

// matrix decodes the codes and scales into a matrix of one of quant's formats.
func (w *codedWeight) matrix() (quant.Matrix, error) {
	m, err := w.decode()
	if err != nil {
		return nil, &Error{Path: w.path, Tensor: w.name, Err: err}
	}
	if w.note != "" {
		w.file.note(w.note, w.name)
	}
	return m, nil
}

func (w *codedWeight) decode() (quant.Matrix, error) {
	if w.refused != nil {
		return nil, w.refused
	}
	if w.micro != nil {
		return w.micro.matrix()
	}
	scales, err := w.parts.scales()
	if err != nil {
		return nil, err
	}
	zeros, half := w.parts.zeros(), uint8(1)<<(w.bits-1)
	centred := !slices.ContainsFunc(zeros, func(z uint8) bool { return z != half })
	exact := *w // the zero points decide, whatever the configuration says of symmetry
	if w.symmetric && !centred {
		w.file.note("are said to be symmetric, but have zero points that are not in the middle: they are served with these", w.name)
		exact.symmetric = false
	}
	format := exact.format()
	if format == "f32" {
		w.file.note("have groups that no integer format holds (their size is no multiple of 32, or not all have it): served as f32, exactly, in more memory", w.name)
		return w.dense(scales, zeros), nil
	}
	if !w.oneScale && slices.ContainsFunc(scales, wideScale) {
		w.file.note("have group scales of more bits than f16: integer products round these by at most 0.05 %", w.name)
	}
	read := w.runReader()
	m, err := quant.NewInt(format, w.rows, w.cols, func(codes []uint8, scale []float32, zero []uint8, i int) error {
		read(codes, i)
		for g := range scale {
			k := i*w.groups + g*w.groups/len(scale)
			scale[g] = scales[k]
			if zero[g] = half; zeros != nil {
				zero[g] = zeros[k]
			}
		}
		return nil
	})
	if err != nil || w.runs == nil {
		return m, err
	}
	return quant.OrderColumns(m, w.runs)
}

// runReader reads the codes of a row group by group.
func (w *codedWeight) runReader() func(dst []uint8, row int) {
	read := w.parts.reader()
	if w.runs == nil {
		return read
	}
	codes := make([]uint8, w.cols)
	return func(dst []uint8, row int) {
		read(codes, row)
		for k, j := range w.runs {
			dst[k] = codes[j]
		}
	}
}

// dense is the weight in f32.
func (w *codedWeight) dense(scales []float32, zeros []uint8) quant.Matrix {
	out, codes := make([]float32, w.rows*w.cols), make([]uint8, w.cols)
	read := w.parts.reader()
	for i := range w.rows {
		read(codes, i)
		for j, c := range codes {
			g := j / (w.cols / w.groups)
			if w.order != nil {
				g = w.order[j]
			}
			zero := uint8(1) << (w.bits - 1)
			if zeros != nil {
				zero = zeros[i*w.groups+g]
			}
			out[i*w.cols+j] = scales[i*w.groups+g] * float32(int(c)-int(zero))
		}
	}
	return quant.NewDense(w.rows, w.cols, out)
}

// note remembers what was changed to serve a weight.
func (t *tensors) note(what, name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.noted == nil {
		t.noted = map[string][]string{}
	}
	if !slices.Contains(t.noted[what], name) {
		t.noted[what] = append(t.noted[what], name)
	}
}

// Notes implements Noter.
func (t *tensors) Notes() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var out []string
	for _, what := range slices.Sorted(maps.Keys(t.noted)) {
		out = append(out, fmt.Sprintf("%s: %d weights (%s first) %s", t.path, len(t.noted[what]), t.noted[what][0], what))
	}
	return out
}

// wideScale tells a scale with more bits than the f16 that group scales are multiplied in; F16 and BF16 files have none.
func wideScale(v float32) bool { return math.Float32bits(v)&(1<<13-1) != 0 }

// setOrder takes the group of each column from an int32 tensor (nil: groups are runs of columns).
func (w *codedWeight) setOrder(index *slab, name string) error {
	if index == nil {
		return nil
	}
	if index.format() != "i32" || !slices.Equal(index.shape, []int{w.cols}) {
		return fmt.Errorf("%s of type %s and shape %v; I32 [%d] is wanted", name, index.format(), index.shape, w.cols)
	}
	order := make([]int, w.cols)
	width, unused, plain := w.cols/w.groups, true, w.cols%w.groups == 0
	for j := range order {
		order[j] = int(int32(le32(index.data()[4*j:])))
		unused = unused && order[j] == -1
		plain = plain && order[j] == j/width
	}
	if plain || unused && w.cols%w.groups == 0 { // -1 stands for a table that was never filled
		return nil
	}
	for j, g := range order {
		if g < 0 || g >= w.groups {
			return fmt.Errorf("%s puts column %d into group %d of %d", name, j, g, w.groups)
		}
	}
	w.order, w.runs = order, groupRuns(order, w.groups)
	return nil
}

// groupRuns lists the columns group by group, nil unless all groups have as many columns.
func groupRuns(order []int, groups int) []int32 {
	width := len(order) / groups
	next := make([]int, groups)
	for g := range next {
		next[g] = g * width
	}
	runs := make([]int32, len(order))
	for j, g := range order {
		if next[g] == (g+1)*width {
			return nil
		}
		runs[next[g]] = int32(j)
		next[g]++
	}
	if len(order)%groups != 0 {
		return nil
	}
	return runs
}

// packedWords is the number of int32 words that hold n codes; a code may lie across two words.
func packedWords(n, bits int) (int, bool) {
	if n < 0 || n > maxInt/64 {
		return 0, false
	}
	return (n*bits + 31) / 32, true
}

// bitsAt reads the k-th code of a stream of int32 words, word w of which stands at data[4*(w*stride+column)].
func bitsAt(data []byte, k, bits, stride, column int) uint8 {
	bit := k * bits
	at := 4 * (bit/32*stride + column)
	v := uint64(le32(data[at:])) >> (bit % 32)
	if bit%32+bits > 32 {
		v |= uint64(le32(data[at+4*stride:])) << (32 - bit%32)
	}
	return uint8(v & (1<<bits - 1))
}
