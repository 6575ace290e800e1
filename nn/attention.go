package nn

import "math"

// Attention is scaled dot-product attention with grouped queries (Vaswani et al. 2017; Ainslie et al. 2023), between
// its four linears. Names are relative to the prefix that Builder.Attention is given.
type Attention struct {
	Q, K, V, O           string // names of the linears
	QKVBias, OBias       bool
	Heads, KVHeads, Size int // Size: width of a head
	Causal               bool
	Rope                 *Rope   // nil: no rotary positions
	Window               int     // 0: all keys; else a query at p sees keys in (p-Window, p]; causal attention only
	Scale                float64 // of scores; 0: 1/sqrt(Size)
	Softcap              float64 // 0: none; else scores become c·tanh(score/c) (Gemma 2)
	// Sinks names a vector [Heads] of logits that join the denominator of each softmax (gpt-oss); "": none.
	Sinks string
	// QNorm and KNorm name RMSNorms of queries and keys before rotation, "": none: over each head, with gains [Size], or
	// with NormRows over the whole row, with a gain for each feature. With NormPlusOne the gain is 1 + the weight.
	QNorm, KNorm          string
	NormRows, NormPlusOne bool
	NormEps               float32
	Clip                  float64 // 0: none; else q, k (after their norms) and v are cut to [-Clip, Clip] before rotation
}

func (a *Attention) scale() float64 {
	if a.Scale != 0 {
		return a.Scale
	}
	return 1 / math.Sqrt(float64(a.Size))
}

// Attention emits q, k, v, the attention and the output projection of x [rows, width]; the value has x's shape. Heads is a
// multiple of KVHeads.
func (b *Builder) Attention(x Value, prefix string, a Attention) Value {
	if a.Window > 0 && !a.Causal {
		panic("nn: a window looks back from a query; it needs causal attention")
	}
	group := a.Heads / a.KVHeads
	lin := func(name string, bias bool, heads, unit int) Linear {
		l := Linear{Name: prefix + "." + name + ".weight", Out: heads * a.Size, Unit: unit}
		if bias {
			l.Bias = prefix + "." + name + ".bias"
		}
		return l
	}
	qkv := b.ColumnLinears(x, lin(a.Q, a.QKVBias, a.Heads, group*a.Size), lin(a.K, a.QKVBias, a.KVHeads, a.Size),
		lin(a.V, a.QKVBias, a.KVHeads, a.Size))
	if a.QNorm != "" {
		qkv[0] = b.headNorm(qkv[0], prefix+"."+a.QNorm, a)
	}
	if a.KNorm != "" {
		qkv[1] = b.headNorm(qkv[1], prefix+"."+a.KNorm, a)
	}
	if a.Clip > 0 {
		for i := range qkv {
			qkv[i] = b.Clamp(qkv[i], a.Clip)
		}
	}
	if a.Sinks != "" {
		a.Sinks = b.name(prefix + "." + a.Sinks)
	}
	y := b.attend(qkv[0], qkv[1], qkv[2], a)
	o := lin(a.O, a.OBias, a.Heads, 0)
	return b.RowLinear(y, o.Name, o.Bias, b.p.Width(x))
}

// headNorm normalises the heads of a value, or its whole rows, before rotation.
func (b *Builder) headNorm(x Value, name string, a Attention) Value {
	n := Norm{Gain: name + ".weight", Eps: a.NormEps, PlusOne: a.NormPlusOne}
	if !a.NormRows {
		n.each = a.Size
	}
	return b.norm(x, n)
}
