package model

import (
	"testing"

	"hone/quant"
)

func TestParseWeights(t *testing.T) {
	for _, c := range []struct{ spec, linears, head, text string }{
		{"", "", "", ""},
		{"q4", "int4-g32-asym-mse-a8", "int4-g32-asym-mse-a8", "int4-g32-asym-mse-a8,head=int4-g32-asym-mse-a8"},
		{"Q8", "int8-g32-a8", "int8-row-a8", "int8-g32-a8,head=int8-row-a8"},
		{"q8,head=q4", "int8-g32-a8", "int4-g32-asym-mse-a8", "int8-g32-a8,head=int4-g32-asym-mse-a8"},
		{"bf16", "bf16", "bf16", "bf16"},
		{"bf16,head=int8-row", "bf16", "int8-row", "bf16,head=int8-row"},
		{"w8a8", "w8a8", "", "w8a8"},
		{"INT4-g32,head=f32", "int4-g32", "f32", "int4-g32,head=f32"},
		{"head=int8-row", "", "int8-row", ",head=int8-row"},
	} {
		w, err := ParseWeights(c.spec)
		if err != nil || w.Linears != c.linears || w.Head != c.head || w.String() != c.text {
			t.Errorf("%q: %+v (%s), %v", c.spec, w, w, err)
		}
		if again, err := ParseWeights(c.text); err != nil || again != w && c.linears != "" {
			t.Errorf("%q is read back as %+v, %v", c.text, again, err)
		}
	}
	for _, bad := range []string{"q5", "int8-row,tail=bf16", "int8-row,bf16", "head=", "int8-row,head=int9", ","} {
		if w, err := ParseWeights(bad); err == nil {
			t.Errorf("%q was read as %+v", bad, w)
		}
	}
	for name, format := range quant.Aliases() {
		if w, err := ParseWeights(name); err != nil || w.Linears != format || w.Head == "" {
			t.Errorf("short name %s: %+v, %v", name, w, err)
		}
	}
}
