package quant

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"hone/internal/spelling"
)

// A Format is a way to store weights. Formats are values without state, registered by their file's init.
type Format interface {
	Name() string
	Describe() string // one line
	// BitsPerWeight counts codes, scales and minima of a row of cols weights.
	BitsPerWeight(cols int) float64
	// Encode rounds the rows that readRow gives (each cols values) to the format. A read-only format refuses.
	Encode(rows, cols int, readRow func(dst []float32, i int)) (Matrix, error)
}

// refused are types of GGUF and safetensors files that are known and not read.
var refused = map[string]string{
	"f64": wider, "f8_e4m3": eighth, "f8_e5m2": eighth, "f8_e4m3fnuz": eighth, "f8_e5m2fnuz": eighth, "f8_e8m0": eighth, "f4": eighth,
	"i8": bare, "u8": bare, "i32": bare, "i64": bare, "bool": bare,
	"q8_1": "it holds activations, not weights", "nvfp4": noBlocks, "q1_0": noBlocks,
	"iq1_s": codebook, "iq1_m": codebook, "iq2_xxs": codebook, "iq2_xs": codebook, "iq2_s": codebook, "iq3_xxs": codebook, "iq3_s": codebook,
}

const (
	codebook = "its weights are entries of a codebook; take the model in Q2_K, Q3_K or IQ4_XS instead"
	wider    = "save the model in f32, f16 or bf16"
	eighth   = "its scales lie elsewhere; take the model in bf16, or as a GGUF file"
	bare     = "whole numbers without scales are no weights; take the model in bf16, or as a GGUF file"
	noBlocks = "take the model in Q4_K, Q8_0 or BF16 instead"
)

// ErrReadOnly is what Encode of a format that Hone only reads wraps.
var ErrReadOnly = errors.New("this format is only read")

var (
	formats = map[string]Format{}
	aliases = map[string]string{"q4": "int4-g32-asym-mse-a8", "q8": "int8-g32-a8"}
)

func register(f Format) {
	if formats[f.Name()] != nil {
		panic("quant: two formats are called " + f.Name())
	}
	formats[f.Name()] = f
}

// Formats returns all formats, sorted by name.
func Formats() []Format {
	var out []Format
	for _, f := range formats {
		out = append(out, f)
	}
	slices.SortFunc(out, func(a, b Format) int { return strings.Compare(a.Name(), b.Name()) })
	return out
}

// Lookup finds a format by name or alias (q4, q8), whatever the case; the error lists the nearest names.
func Lookup(name string) (Format, error) {
	key := strings.ToLower(name)
	if a, ok := aliases[key]; ok {
		key = a
	}
	if f, ok := formats[key]; ok {
		return f, nil
	}
	if why, ok := refused[key]; ok {
		return nil, fmt.Errorf("quant: format %q is not read: %s", name, why)
	}
	return nil, fmt.Errorf("quant: no format %q: did you mean %s?", name, strings.Join(nearest(key, 3), ", "))
}

// Aliases returns the short names and the formats they stand for.
func Aliases() map[string]string {
	out := map[string]string{}
	for k, v := range aliases {
		out[k] = v
	}
	return out
}

func nearest(name string, n int) []string {
	var names []string
	for k := range formats {
		names = append(names, k)
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(apart(name, a)-apart(name, b), strings.Compare(a, b))
	})
	return names[:min(n, len(names))]
}

// apart is how unlike a format's name is to what was written: what both begin with counts more than what follows.
func apart(written, name string) int {
	same := 0
	for same < min(len(written), len(name)) && written[same] == name[same] {
		same++
	}
	return spelling.Distance(written, name) - 2*same
}

// Resolve finds the format that name stands for at this width. Where the group does not divide cols the next smaller one
// is taken, one scale a row after the smallest; where the rows of a GGUF type do not fill its blocks, a finer type with shorter
// blocks, or f16. note says so (empty otherwise).
func Resolve(name string, cols int) (f Format, note string, err error) {
	f, err = Lookup(name)
	if err != nil {
		return nil, "", err
	}
	if b, ok := f.(*blockFormat); ok && b.write != nil && cols%b.weights != 0 {
		return b.substitute(cols)
	}
	g, ok := f.(intFormat)
	if !ok || g.fits(cols) {
		return f, "", nil
	}
	want := g
	for !g.fits(cols) {
		if g.group /= 2; g.group < 32 {
			g.group, g.search = 0, false // one scale a row is not searched
		}
	}
	f, err = Lookup(g.Name())
	if err != nil {
		return nil, "", err
	}
	return f, fmt.Sprintf("%s: a group of %d does not divide %d columns; %s is taken", want.Name(), want.group, cols, groupWords(g.group)), nil
}

func groupWords(group int) string {
	if group == 0 {
		return "one scale a row"
	}
	return "a group of " + strconv.Itoa(group)
}
