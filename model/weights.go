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

// ParseWeights reads the one grammar of formats: FORMAT[,head=FORMAT], where FORMAT is a registered number format or
// one of the aliases q4 and q8. A floating-point format covers the head too; an integer format leaves it as it is
// unless head= names one.
func ParseWeights(spec string) (Weights, error) {
	var w Weights
	for i, part := range strings.Split(spec, ",") {
		key, value, named := strings.Cut(part, "=")
		switch {
		case spec == "":
			return w, nil
		case !named && i == 0:
			w = alias(part)
		case key == "head":
			w.Head = value
		default:
			return w, fmt.Errorf("weights %q: cannot read %q; write FORMAT[,head=FORMAT]", spec, part)
		}
	}
	for _, f := range []string{w.Linears, w.Head} {
		if f == "" {
			continue
		}
		if _, err := quant.Lookup(f); err != nil {
			return w, fmt.Errorf("weights %q: %w", spec, err)
		}
	}
	return w, nil
}

// aliases are fixed by measurement; docs/numerics.md gives the figures.
var aliases = map[string]Weights{
	"q4":   {Linears: "int4-g32-asym-mse", Head: "int4-g32-asym-mse"},
	"q8":   {Linears: "int8-g32", Head: "int8-row"},
	"w8a8": {Linears: "w8a8", Head: ""},
	"f32":  {Linears: "f32", Head: "f32"},
	"f16":  {Linears: "f16", Head: "f16"},
	"bf16": {Linears: "bf16", Head: "bf16"},
}

func alias(name string) Weights {
	if w, ok := aliases[name]; ok {
		return w
	}
	return Weights{Linears: name}
}

// String writes the grammar's normal form.
func (w Weights) String() string {
	for name, a := range aliases {
		if a == w && a.Linears == name {
			return name
		}
	}
	if w.Head == "" {
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
		case p.Embedding:
			return ""
		}
		return w.Linears
	}
}
