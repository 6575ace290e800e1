package nn

import "math"

// interpreter runs any program plainly in float64, one row at a time: what every op's forward and backward is held to.
type interpreter struct {
	p      *Program
	params map[string][]float64
	values [][][]float64 // value, row, feature
	batch  *Batch
}

func newInterpreter(p *Program, src randomSource) *interpreter {
	in := &interpreter{p: p, params: map[string][]float64{}}
	for name, q := range src {
		in.params[name] = widen(q.data)
	}
	return in
}

// hidden runs a batch and returns the rows of the hidden value.
func (in *interpreter) hidden(b *Batch) [][]float64 {
	in.batch = b
	in.values = make([][][]float64, len(in.p.values))
	for v := range in.values {
		in.values[v] = make([][]float64, len(b.Tokens))
	}
	for _, op := range in.p.Ops {
		if a, ok := op.(*Attend); ok {
			in.attend(a)
			continue
		}
		for _, s := range b.Seqs {
			for t := range s.Len {
				in.row(op, s.Offset+t, t)
			}
		}
	}
	return in.values[in.p.Hidden]
}

func (in *interpreter) row(op Op, r, pos int) {
	switch op := op.(type) {
	case *Lookup:
		i := map[lookupKind]int{byToken: int(in.batch.Tokens[r]), byPosition: pos + op.Offset, byType: in.batch.typeOf(r)}[op.kind]
		in.values[op.out][r] = in.params[op.Name][i*op.Width : (i+1)*op.Width]
	case *Norm:
		in.values[op.out][r] = in.norm(op, in.values[op.in][r])
	case *Linears:
		for _, l := range op.Each {
			in.values[l.out][r] = in.linear(l, in.values[op.in][r])
		}
	case *Pointwise:
		y := make([]float64, in.p.Width(op.out))
		for i := range y {
			y[i] = pointwise64(op, in.values[op.in[0]][r][i], in.values[op.in[len(op.in)-1]][r][i])
		}
		in.values[op.out][r] = y
	case *MoE:
		in.values[op.out][r] = in.experts(op, in.values[op.in][r])
	default:
		panic("the interpreter does not know this op")
	}
}

func pointwise64(op *Pointwise, a, b float64) float64 {
	erf := func(a float64) float64 { return a / 2 * (1 + math.Erf(a/math.Sqrt2)) }
	tanh := func(a float64) float64 {
		return a / 2 * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(a+0.044715*a*a*a)))
	}
	switch op.kind.name {
	case "add":
		return a + b
	case "silu_mul":
		return a / (1 + math.Exp(-a)) * b
	case "gelu":
		return erf(a)
	case "gelu_tanh":
		return tanh(a)
	case "gelu_mul":
		return erf(a) * b
	case "gelu_tanh_mul":
		return tanh(a) * b
	case "relu":
		return math.Max(a, 0)
	case "relu_mul":
		return math.Max(a, 0) * b
	case "scale":
		return tinyScale * a
	case "clamp":
		return math.Max(math.Min(a, tinyClip), -tinyClip)
	}
	panic("the interpreter does not know " + op.kind.name)
}

// norm takes one row; parts of it are normalised on their own.
func (in *interpreter) norm(op *Norm, x []float64) []float64 {
	var y []float64
	for at := 0; at < len(x); at += op.each {
		y = append(y, in.normPart(op, x[at:at+op.each])...)
	}
	return y
}

func (in *interpreter) normPart(op *Norm, x []float64) []float64 {
	var mean, sq float64
	if op.Center {
		for _, v := range x {
			mean += v / float64(len(x))
		}
	}
	for _, v := range x {
		sq += (v - mean) * (v - mean) / float64(len(x))
	}
	y := make([]float64, len(x))
	for i, v := range x {
		gain := 1.0
		if op.Gain != "" {
			gain = in.params[op.Gain][i]
		}
		if op.PlusOne {
			gain++
		}
		y[i] = (v - mean) / math.Sqrt(sq+float64(op.Eps)) * gain
		if op.Bias != "" {
			y[i] += in.params[op.Bias][i]
		}
	}
	return y
}

func (in *interpreter) linear(l Linear, x []float64) []float64 {
	w, y := in.params[l.Name], make([]float64, l.Out)
	for o := range y {
		for i, v := range x {
			y[o] += v * w[o*len(x)+i]
		}
		if l.Bias != "" {
			y[o] += in.params[l.Bias][o]
		}
	}
	return y
}

func (in *interpreter) attend(a *Attend) {
	for _, s := range in.batch.Seqs {
		for t := range s.Len {
			r := s.Offset + t
			in.values[a.q][r] = rotate64(in.values[a.q][r], a.spec, t)
			in.values[a.k][r] = rotate64(in.values[a.k][r], a.spec, t)
			in.values[a.out][r] = make([]float64, a.spec.Heads*a.spec.Size)
		}
		for t := range s.Len {
			for h := range a.spec.Heads {
				in.attendHead(a, s, t, h)
			}
		}
	}
}

func (in *interpreter) attendHead(a *Attend, s Seq, t, h int) {
	size, spec := a.spec.Size, a.spec
	kv := h / (spec.Heads / spec.KVHeads) * size
	p, sum := make([]float64, s.Len), 0.0
	if spec.Sinks != "" {
		sum = math.Exp(in.params[spec.Sinks][h])
	}
	for j := range p {
		if spec.Causal && j > t || spec.Window > 0 && j <= t-spec.Window {
			continue
		}
		for d := range size {
			p[j] += in.values[a.q][s.Offset+t][h*size+d] * in.values[a.k][s.Offset+j][kv+d]
		}
		if p[j] /= math.Sqrt(float64(size)); spec.Scale != 0 {
			p[j] *= spec.Scale * math.Sqrt(float64(size))
		}
		if spec.Softcap != 0 {
			p[j] = spec.Softcap * math.Tanh(p[j]/spec.Softcap)
		}
		p[j] = math.Exp(p[j])
		sum += p[j]
	}
	for j := range p {
		for d := range size {
			in.values[a.out][s.Offset+t][h*size+d] += p[j] / sum * in.values[a.v][s.Offset+j][kv+d]
		}
	}
}

// rotate64 takes Long frequencies where there are any: tests ask for them with Original below the context.
func rotate64(x []float64, a Attention, pos int) []float64 {
	y := append([]float64(nil), x...)
	if a.Rope == nil {
		return y
	}
	freq, factor := a.Rope.InvFreq, a.Rope.Factor
	if a.Rope.Long != nil {
		freq, factor = a.Rope.Long, a.Rope.LongFactor
	}
	if factor == 0 {
		factor = 1
	}
	half := len(freq)
	for h := 0; h < len(x); h += a.Size {
		for i, f := range freq {
			sin, cos := math.Sincos(float64(pos) * f)
			y[h+i] = factor * (x[h+i]*cos - x[h+half+i]*sin)
			y[h+half+i] = factor * (x[h+half+i]*cos + x[h+i]*sin)
		}
	}
	return y
}
