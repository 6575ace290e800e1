package nn

import (
	"fmt"
	"math"

	"hone/kernel"
	"hone/quant"
)

// Head is the output matrix [Vocab, width] of a language model, cut by vocabulary over a group. It runs only for the
// rows that are asked for.
type Head struct {
	Name         string
	Vocab, width int
	Scale        float64 // of the logits; 0: 1
	Softcap      float64 // 0: none; else scaled logits become c·tanh(logit/c) (Gemma 2)
}

// Head ends a language model: its input is the program's hidden value. Name is the output matrix's own, or the
// embedding's when the two are tied. Scale and Softcap of the result may be set.
func (b *Builder) Head(x Value, name string, vocab int) *Head {
	b.p.Hidden = x
	b.p.Head = &Head{Name: b.name(name), Vocab: vocab, width: b.p.Width(x)}
	return b.p.Head
}

// Params lists the output matrix.
func (h *Head) Params() []Param {
	return []Param{{Name: h.Name, Rows: h.Vocab, Cols: h.width, Shard: Column, Unit: 1, Head: true}}
}

func (h *Head) cost(p *Program, rows int) Cost {
	n := int64(h.Vocab) * int64(h.width)
	return Cost{Flops: 2 * int64(rows) * n, WeightFloats: n}
}

// headChunk bounds the rows of hidden states that are multiplied by the head at once.
const headChunk = 64

type boundHead struct {
	*Head
	input *quant.Input
	x     *Exec
	w     quant.Packed
	local int // this rank's share of the vocabulary
	rows  []float32
	part  []float32 // this rank's logits, only in a group
	one   []quant.Product
}

func (h *Head) bindHead(x *Exec) (*boundHead, error) {
	w, err := x.packed(h.Params()[0])
	if err != nil {
		return nil, err
	}
	b := &boundHead{Head: h, x: x, w: w, input: x.inputFor(h.width, w), rows: make([]float32, headChunk*h.width), one: make([]quant.Product, 1)}
	b.local, _ = w.Dims()
	if x.ranks() > 1 {
		b.part = make([]float32, headChunk*b.local)
	}
	return b, nil
}

// Logits writes the logits of the given rows of the last batch to dst [len(rows), vocab].
func (x *Exec) Logits(dst []float32, rows []int32) error {
	h := x.head
	if h == nil {
		return fmt.Errorf("nn: this model is an encoder and has no logits")
	}
	if len(dst) < len(rows)*h.Vocab {
		return fmt.Errorf("nn: logits of %d rows need %d floats, got %d", len(rows), len(rows)*h.Vocab, len(dst))
	}
	hidden := x.value(x.p.Hidden)
	for from := 0; from < len(rows); from += headChunk {
		chunk := rows[from:min(from+headChunk, len(rows))]
		for i, r := range chunk {
			if int(r) >= x.rows || r < 0 {
				return fmt.Errorf("nn: logits of row %d asked, the batch has %d rows", r, x.rows)
			}
			copy(h.rows[i*h.width:(i+1)*h.width], hidden[int(r)*h.width:])
		}
		h.multiply(dst[from*h.Vocab:], len(chunk))
	}
	return nil
}

// multiply computes logits of the n gathered rows into dst, whole vocabulary on every rank.
func (h *boundHead) multiply(dst []float32, n int) {
	h.project(dst, n)
	for r := range n {
		row := dst[r*h.Vocab : (r+1)*h.Vocab]
		if h.Scale != 0 {
			kernel.Scale(row, row, float32(h.Scale))
		}
		if h.Softcap != 0 {
			softcap(row, float32(h.Softcap))
		}
	}
}

// slopes are the derivatives of logits by the products that they were made of; nil: all 1.
func (h *boundHead) slopes(logits []float32) []float32 {
	if h.Scale == 0 && h.Softcap == 0 {
		return nil
	}
	slopes := make([]float32, len(logits))
	for i, l := range logits {
		slope := 1.0
		if h.Scale != 0 {
			slope = h.Scale
		}
		if h.Softcap != 0 {
			slope *= 1 - math.Pow(float64(l)/h.Softcap, 2)
		}
		slopes[i] = float32(slope)
	}
	return slopes
}

func (h *boundHead) project(dst []float32, n int) {
	x := h.x
	if x.opt.Tap != nil {
		x.opt.Tap(h.Name, h.rows, n, h.width)
	}
	y, ld := dst, h.Vocab
	if x.ranks() > 1 {
		y, ld = h.part, h.local
	}
	h.one[0] = quant.Product{W: h.w, Y: y, LdY: ld}
	h.input.Set(h.rows, h.width, n)
	x.mult.Mul(h.input, h.one...)
	if x.ranks() == 1 {
		return
	}
	for rank, part := range x.opt.Group.AllGather(h.part[:n*h.local]) {
		from, to := split(h.Vocab, 1, rank, x.ranks())
		for r := range n {
			copy(dst[r*h.Vocab+from:r*h.Vocab+to], part[r*(to-from):])
		}
	}
}

// CrossEntropy is the mean negative log-likelihood of targets (one for each row, negative: not scored) fused with the head:
// logits live only a chunk of rows at a time. It starts the backward pass by setting the hidden value's gradient.
func (x *Exec) CrossEntropy(targets []int32) (loss float64, err error) {
	scored, err := x.checkTargets(targets)
	if err != nil {
		return 0, err
	}
	x.zeroGrads()
	h := x.head
	logits := make([]float32, headChunk*h.Vocab)
	for from := 0; from < x.rows; from += headChunk {
		n := min(headChunk, x.rows-from)
		copy(h.rows, x.value(x.p.Hidden)[from*h.width:(from+n)*h.width])
		h.multiply(logits, n)
		slopes := h.slopes(logits[:n*h.Vocab])
		for r := range n {
			loss += logitGrad(logits[r*h.Vocab:(r+1)*h.Vocab], targets[from+r], scored)
		}
		if slopes != nil {
			kernel.Mul(logits[:n*h.Vocab], logits, slopes)
		}
		h.backward(logits, from, n)
	}
	return loss / float64(scored), nil
}

// checkTargets counts the scored targets.
func (x *Exec) checkTargets(targets []int32) (scored int, err error) {
	if x.head == nil || !x.opt.Keep {
		return 0, fmt.Errorf("nn: cross-entropy needs a language model run with Keep")
	}
	if len(targets) != x.rows {
		return 0, fmt.Errorf("nn: %d targets for a batch of %d rows", len(targets), x.rows)
	}
	for i, t := range targets {
		switch {
		case int(t) >= x.head.Vocab:
			return 0, fmt.Errorf("nn: target %d at row %d is outside the vocabulary of %d", t, i, x.head.Vocab)
		case t >= 0:
			scored++
		}
	}
	if scored == 0 {
		return 0, fmt.Errorf("nn: cross-entropy of no scored target")
	}
	return scored, nil
}

// logitGrad turns a row of logits into the gradient of the mean loss and returns the row's own loss.
func logitGrad(row []float32, target int32, scored int) float64 {
	if target < 0 {
		clear(row)
		return 0
	}
	lse := kernel.LogSumExp(row)
	loss := float64(lse) - float64(row[target])
	for i := range row {
		row[i] -= lse
	}
	kernel.Exp(row, row)
	row[target]--
	kernel.Scale(row, row, 1/float32(scored))
	return loss
}

// backward: the hidden gradient of rows [from, from+n) and the head's own, from the logits' gradient.
func (h *boundHead) backward(dlogits []float32, from, n int) {
	x := h.x
	lo, hi := 0, h.Vocab
	if x.ranks() > 1 {
		lo, hi = split(h.Vocab, 1, x.opt.Group.Rank(), x.ranks())
	}
	local := make([]float32, n*(hi-lo))
	for r := range n {
		copy(local[r*(hi-lo):], dlogits[r*h.Vocab+lo:r*h.Vocab+hi])
	}
	dx := x.grad(x.p.Hidden)[from*h.width : (from+n)*h.width]
	h.w.MulT(dx, h.width, local, hi-lo, n)
	x.allReduce(dx)
	if g := x.paramGrad(h.Name); g != nil {
		// Whole on every rank: a tied matrix shares its gradient with the embedding, which any rank's tokens read.
		kernel.GemmTN(x.opt.Pool, h.Vocab, h.width, n, dlogits, h.Vocab, h.rows, h.width, g, h.width, true)
	}
}
