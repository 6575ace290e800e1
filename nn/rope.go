package nn

import (
	"math"
	"slices"

	"hone/kernel"
)

// Rope is rotary positions (Su et al. 2021), in the form that turns the two halves of a head's rotated part. Layers that
// share a *Rope share its tables.
type Rope struct {
	// InvFreq holds radians a position, for the first 2·len(InvFreq) features of a head; the rest is not rotated.
	InvFreq []float64
	Factor  float64 // of cos and sin (YaRN, longrope); 0: 1
	// Long replaces InvFreq, and LongFactor Factor, in an executor whose MaxContext exceeds Original positions (Ding et al.
	// 2024): for all of its sequences, so that the bits of one do not depend on its length. Original 0: never.
	Long       []float64
	LongFactor float64
	Original   int
	Most       int // positions from here on would need other frequencies: no sequence may reach them; 0: none
}

// at is the pair of frequencies and factor for a context.
func (r *Rope) at(context int) (freq []float64, factor float64) {
	freq, factor = r.InvFreq, r.Factor
	if r.Original > 0 && context > r.Original {
		freq, factor = r.Long, r.LongFactor
	}
	if factor == 0 {
		factor = 1
	}
	return freq, factor
}

// ropeTable holds factor·cos and factor·sin of position·frequency for positions below its length.
type ropeTable struct {
	of       *Rope
	freq     []float64
	factor   float64
	cos, sin []float32
}

// ropeFor shares one table between the layers that have the same rotary positions.
func (x *Exec) ropeFor(r *Rope) *ropeTable {
	for _, t := range x.ropes {
		if t.of == r {
			return t
		}
	}
	t := &ropeTable{of: r}
	t.freq, t.factor = r.at(x.opt.MaxContext)
	x.ropes = append(x.ropes, t)
	if x.rowPos != nil {
		t.grow(x.opt.MaxContext)
	}
	return t
}

// grow extends the table to positions [0, n).
func (t *ropeTable) grow(n int) {
	if more := n*len(t.freq) - len(t.cos); more > 0 {
		t.cos, t.sin = slices.Grow(t.cos, more), slices.Grow(t.sin, more)
	}
	for p := len(t.cos) / len(t.freq); p < n; p++ {
		for _, f := range t.freq {
			sin, cos := math.Sincos(float64(p) * f)
			t.cos, t.sin = append(t.cos, float32(t.factor*cos)), append(t.sin, float32(t.factor*sin))
		}
	}
}

// apply rotates the heads of a row, dim features each.
func (t *ropeTable) apply(x []float32, pos, dim int) {
	n := len(t.freq)
	cos, sin := t.cos[pos*n:(pos+1)*n], t.sin[pos*n:(pos+1)*n]
	for at := 0; at < len(x); at += dim {
		kernel.Rope(x[at:at+dim], cos, sin)
	}
}

// unapply carries gradients back: the transpose of a rotation is the rotation by the opposite angle, of the same factor.
func (t *ropeTable) unapply(x []float32, pos, dim int) {
	n := len(t.freq)
	for at := 0; at < len(x); at += dim {
		for i := range n {
			cos, sin := t.cos[pos*n+i], t.sin[pos*n+i]
			a, b := x[at+i], x[at+n+i]
			x[at+i], x[at+n+i] = a*cos+b*sin, b*cos-a*sin
		}
	}
}
