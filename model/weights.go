package model

import (
	"fmt"
	"strings"

	"hone/nn"
	"hone/quant"
)

// Weights names the number formats of a variant. The zero value keeps every matrix as the file has it.
type Weights struct {
	Linears string // of the linears inside blocks
	Head    string // of the output matrix and, when tied or not said otherwise, the token embedding
}

// heads are the formats that a format takes for the head along with it, unless another is named. The short names are those
// of package quant; docs/numerics.md gives the figures that chose them.
var heads = map[string]string{"q4": "q4", "q8": "int8-row-a8", "f32": "f32", "f16": "f16", "bf16": "bf16"}

// ParseWeights reads the one grammar of formats: FORMAT[,head=FORMAT], where FORMAT is a registered number format or
// one of the short names q4 and q8. A floating-point format and a short name cover the head too; an integer format
// leaves it as it is unless head= names one.
func ParseWeights(spec string) (Weights, error) {
	var w Weights
	if spec == "" {
		return w, nil
	}
	for i, part := range strings.Split(spec, ",") {
		key, value, named := strings.Cut(part, "=")
		switch {
		case !named && i == 0:
			w = Weights{part, heads[strings.ToLower(part)]}
		case key == "head" && value != "":
			w.Head = value
		default:
			return w, fmt.Errorf("weights %q: cannot read %q; write FORMAT[,head=FORMAT]", spec, part)
		}
	}
	for _, f := range []*string{&w.Linears, &w.Head} {
		if *f == "" {
			continue
		}
		format, err := quant.Lookup(*f)
		if err != nil {
			return w, fmt.Errorf("weights %q: %w", spec, err)
		}
		*f = format.Name()
	}
	return w, nil
}

// String writes the grammar's normal form.
func (w Weights) String() string {
	if w.Head == "" || w.Head == heads[w.Linears] {
		return w.Linears
	}
	return w.Linears + ",head=" + w.Head
}

// Formats maps parameters to formats. A tied head and embedding are one matrix and get one format.
func (w Weights) Formats(tied bool) func(nn.Param) string {
	if w == (Weights{}) {
		return nil
	}
	return func(p nn.Param) string {
		switch {
		case p.Head, p.Embedding && tied:
			return w.Head
		case p.Embedding, p.Router:
			return ""
		}
		return w.Linears
	}
}
