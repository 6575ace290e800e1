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
		i := map[lookupKind]int{byToken: int(in.batch.Tokens[r]), byPosition: pos, byZero: 0}[op.kind]
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
	default:
		panic("the interpreter does not know this op")
	}
}

func pointwise64(op *Pointwise, a, b float64) float64 {
	switch op.kind.name {
	case "add":
		return a + b
	case "silu_mul":
		return a / (1 + math.Exp(-a)) * b
	}
	return a / 2 * (1 + math.Erf(a/math.Sqrt2))
}

func (in *interpreter) norm(op *Norm, x []float64) []float64 {
	var mean, sq float64
	if op.Bias != "" {
		for _, v := range x {
			mean += v / float64(len(x))
		}
	}
	for _, v := range x {
		sq += (v - mean) * (v - mean) / float64(len(x))
	}
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = (v - mean) / math.Sqrt(sq+float64(op.Eps)) * in.params[op.Gain][i]
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
	size := a.spec.Size
	kv := h / (a.spec.Heads / a.spec.KVHeads) * size
	seen := s.Len
	if a.spec.Causal {
		seen = t + 1
	}
	p, sum := make([]float64, seen), 0.0
	for j := range p {
		for d := range size {
			p[j] += in.values[a.q][s.Offset+t][h*size+d] * in.values[a.k][s.Offset+j][kv+d]
		}
		p[j] = math.Exp(p[j] / math.Sqrt(float64(size)))
		sum += p[j]
	}
	for j := range p {
		for d := range size {
			in.values[a.out][s.Offset+t][h*size+d] += p[j] / sum * in.values[a.v][s.Offset+j][kv+d]
		}
	}
}

func rotate64(x []float64, a Attention, pos int) []float64 {
	y := append([]float64(nil), x...)
	for h := 0; h < len(x); h += a.Size {
		for i, f := range a.InvFreq {
			sin, cos := math.Sincos(float64(pos) * f)
			y[h+i], y[h+a.Size/2+i] = x[h+i]*cos-x[h+a.Size/2+i]*sin, x[h+a.Size/2+i]*cos+x[h+i]*sin
		}
	}
	return y
}
