package nn

import (
	"fmt"
	"math"
	"slices"

	"hone/kernel"
	"hone/quant"
)

// Pooling says how the rows of a sequence become one vector.
type Pooling int

const (
	PoolMean  Pooling = iota // the mean of its rows (Reimers and Gurevych 2019)
	PoolFirst                // its first row: BERT's [CLS]
	PoolLast                 // its last row
	PoolMax                  // the largest value of each feature
)

// Pool ends an encoder: one vector a sequence, by way of the layers of Head, L2-normalised when Normalize is set.
type Pool struct {
	Kind      Pooling
	Head      []Dense // a classifier's layers; none for embeddings
	Normalize bool
	width     int // of the rows
}

// Dense is one layer over pooled vectors: y = act(x·Wᵀ + bias). Names are canonical ones, Bias may be empty.
type Dense struct {
	Name, Bias string
	Out        int
	Act        string // "", "tanh" or "relu"
}

// Pool ends an encoder.
func (b *Builder) Pool(x Value, p Pool) {
	b.p.Hidden = x
	p.width, p.Head = b.p.Width(x), slices.Clone(p.Head)
	for i := range p.Head {
		p.Head[i].Name = b.name(p.Head[i].Name)
		if p.Head[i].Bias != "" {
			p.Head[i].Bias = b.name(p.Head[i].Bias)
		}
	}
	b.p.Pool = &p
}

// Width is the length of the vectors that come out.
func (p *Pool) Width() int { return p.widthOf(len(p.Head)) }

// widthOf is the length of a vector before layer i.
func (p *Pool) widthOf(i int) int {
	if i == 0 {
		return p.width
	}
	return p.Head[i-1].Out
}

// Params lists the weights of the head's layers.
func (p *Pool) Params() []Param {
	var ps []Param
	for i, d := range p.Head {
		ps = append(ps, Param{Name: d.Name, Rows: d.Out, Cols: p.widthOf(i), Head: true})
		if d.Bias != "" {
			ps = append(ps, Param{Name: d.Bias, Rows: 1, Cols: d.Out, Vector: true})
		}
	}
	return ps
}

// boundPool is a pool tied to an executor's weights.
type boundPool struct {
	*Pool
	x      *Exec
	inputs []*quant.Input
	layers []quant.Product
	bias   [][]float32
	acts   [][]float32 // vectors before each layer, and what comes out
}

func (p *Pool) bindPool(x *Exec) (*boundPool, error) {
	b := &boundPool{Pool: p, x: x, acts: make([][]float32, len(p.Head)+1), bias: make([][]float32, len(p.Head))}
	for i, d := range p.Head {
		w, err := x.packed(Param{Name: d.Name, Rows: d.Out, Cols: p.widthOf(i), Head: true})
		if err != nil {
			return nil, err
		}
		b.layers = append(b.layers, quant.Product{W: w, LdY: d.Out})
		b.inputs = append(b.inputs, x.inputFor(p.widthOf(i), w))
		if d.Bias == "" {
			continue
		}
		if b.bias[i], err = x.vector(Param{Name: d.Bias, Rows: 1, Cols: d.Out, Vector: true}); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// Pooled writes one vector for each sequence of the last batch to dst [len(Seqs), PooledWidth()].
func (x *Exec) Pooled(dst []float32) error {
	p := x.pool
	if p == nil {
		return fmt.Errorf("nn: this model is a language model and has no pooled output")
	}
	n, width := len(x.batch.Seqs), p.Width()
	if len(dst) < n*width {
		return fmt.Errorf("nn: %d pooled vectors need %d floats, got %d", n, n*width, len(dst))
	}
	p.forward(n)
	copy(dst, p.acts[len(p.Head)][:n*width])
	if p.Normalize {
		for i := range n {
			normalize(dst[i*width : (i+1)*width])
		}
	}
	return nil
}

// forward pools the n sequences of the last batch and runs the head's layers, all sequences together.
func (p *boundPool) forward(n int) {
	for i := range p.acts {
		if need := n * p.widthOf(i); cap(p.acts[i]) < need {
			p.acts[i] = make([]float32, need)
		} else {
			p.acts[i] = p.acts[i][:need]
		}
	}
	for i, s := range p.x.batch.Seqs {
		p.pool(p.acts[0][i*p.width:(i+1)*p.width], s)
	}
	for i, d := range p.Head {
		y := p.acts[i+1]
		p.layers[i].Y = y
		p.inputs[i].Set(p.acts[i], p.widthOf(i), n)
		p.x.mult.Mul(p.inputs[i], p.layers[i])
		for r := range n {
			p.act(d.Act, y[r*d.Out:(r+1)*d.Out], p.bias[i])
		}
	}
}

// pool writes one sequence's vector.
func (p *boundPool) pool(y []float32, s Seq) {
	rows := p.x.value(p.x.p.Hidden)[s.Offset*p.width : (s.Offset+s.Len)*p.width]
	switch p.Kind {
	case PoolFirst:
		copy(y, rows)
	case PoolLast:
		copy(y, rows[len(rows)-p.width:])
	case PoolMax:
		copy(y, rows)
		for at := p.width; at < len(rows); at += p.width {
			for i, v := range rows[at : at+p.width] {
				y[i] = max(y[i], v)
			}
		}
	default:
		clear(y)
		for at := 0; at < len(rows); at += p.width {
			kernel.Add(y, y, rows[at:at+p.width])
		}
		kernel.Scale(y, y, 1/float32(s.Len))
	}
}

func (p *boundPool) act(kind string, y, bias []float32) {
	if bias != nil {
		kernel.Add(y, y, bias)
	}
	switch kind {
	case "tanh":
		for i, v := range y {
			y[i] = float32(math.Tanh(float64(v)))
		}
	case "relu":
		relu(y, y)
	}
}

// SetPooledGrad starts a backward pass from the gradient of the pooled vectors of the last batch [len(Seqs),
// PooledWidth()]: it sets the hidden value's gradient and adds to those of the head's parameters that are wanted.
func (x *Exec) SetPooledGrad(g []float32) error {
	if err := x.needKeep(); err != nil {
		return err
	}
	p := x.pool
	if p == nil {
		return fmt.Errorf("nn: this model is a language model and has no pooled output")
	}
	n := len(x.batch.Seqs)
	if want := n * p.Width(); len(g) != want {
		return fmt.Errorf("nn: the gradient of the pooled vectors has %d values, the last batch has %d", len(g), want)
	}
	x.zeroGrads()
	p.forward(n)
	d := append([]float32(nil), g...)
	if p.Normalize {
		w := p.Width()
		for i := range n {
			normalizeGrad(d[i*w:(i+1)*w], p.acts[len(p.Head)][i*w:(i+1)*w])
		}
	}
	for i := len(p.Head) - 1; i >= 0; i-- {
		d = p.backwardLayer(i, n, d)
	}
	for i, s := range x.batch.Seqs {
		p.spread(d[i*p.width:(i+1)*p.width], p.acts[0][i*p.width:(i+1)*p.width], s)
	}
	return nil
}

// backwardLayer turns the gradient of layer i's output, which it overwrites, into that of its input.
func (p *boundPool) backwardLayer(i, n int, d []float32) []float32 {
	layer, in, y := p.Head[i], p.widthOf(i), p.acts[i+1]
	for k, v := range y {
		switch {
		case layer.Act == "tanh":
			d[k] *= 1 - v*v
		case layer.Act == "relu" && v <= 0:
			d[k] = 0
		}
	}
	if g := p.x.paramGrad(layer.Name); g != nil {
		kernel.GemmTN(p.x.opt.Pool, layer.Out, in, n, d, layer.Out, p.acts[i], in, g, in, true)
	}
	if g := p.x.paramGrad(layer.Bias); g != nil {
		for r := range n {
			kernel.Add(g, g, d[r*layer.Out:(r+1)*layer.Out])
		}
	}
	dx := make([]float32, n*in)
	p.layers[i].W.MulT(dx, in, d, layer.Out, n)
	return dx
}

// spread gives a vector's gradient to the rows that it came from; of equal largest values the first row's.
func (p *boundPool) spread(d, y []float32, s Seq) {
	grad := p.x.grad(p.x.p.Hidden)[s.Offset*p.width : (s.Offset+s.Len)*p.width]
	switch p.Kind {
	case PoolFirst:
		copy(grad, d)
	case PoolLast:
		copy(grad[len(grad)-p.width:], d)
	case PoolMax:
		rows := p.x.value(p.x.p.Hidden)[s.Offset*p.width:]
		for i, v := range y {
			at := i
			for at < len(grad) && rows[at] != v {
				at += p.width
			}
			if at < len(grad) { // else it is no number
				grad[at] = d[i]
			}
		}
	default:
		for at := 0; at < len(grad); at += p.width {
			kernel.Scale(grad[at:at+p.width], d, 1/float32(s.Len))
		}
	}
}

func normalize(y []float32) {
	if n := sqrt32(kernel.SumSq(y)); n > 0 {
		kernel.Scale(y, y, 1/n)
	}
}

// normalizeGrad: of y = v/|v| the gradient by v is (d - y·(y·d)) / |v|.
func normalizeGrad(d, v []float32) {
	var sq, vd float64
	for i := range v {
		sq += float64(v[i]) * float64(v[i])
		vd += float64(v[i]) * float64(d[i])
	}
	if sq == 0 {
		return
	}
	for i := range d {
		d[i] = float32((float64(d[i]) - float64(v[i])*vd/sq) / math.Sqrt(sq))
	}
}

func sqrt32(x float32) float32 { return float32(math.Sqrt(float64(x))) }

// PooledWidth is the length of a pooled vector, 0 for language models.
func (x *Exec) PooledWidth() int {
	if x.p.Pool == nil {
		return 0
	}
	return x.p.Pool.Width()
}
