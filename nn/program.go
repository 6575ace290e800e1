package nn

import (
	"fmt"
	"slices"
)

// Value names one activation of a program: rows of Width floats, one row a token.
type Value int

// valueInfo is what the builder knows of a value. A sharded value is cut into whole units (heads, channels) over the
// ranks of a tensor-parallel group; unit 0 means that every rank holds all of it.
type valueInfo struct {
	width, unit int
}

// Shard says how a parameter is cut over a tensor-parallel group.
type Shard int

const (
	Whole  Shard = iota // every rank holds all of it
	Column              // output features (rows of the matrix) are cut
	Row                 // input features (columns of the matrix) are cut; outputs are summed over the group
)

// Param is one weight that an op needs, by its canonical (Hugging Face) name.
type Param struct {
	Name       string
	Rows, Cols int   // a vector has Rows 1
	Shard      Shard // which side is cut
	Unit       int   // features that must stay together
	Vector     bool
	Embedding  bool // read by rows, never multiplied
	Head       bool // the output matrix
	Router     bool // picks experts: kept in the stored format, since a rounded one picks others
}

// Op is one step of a program. It is a description, shared by every executor: bind makes the part that runs.
type Op interface {
	Params() []Param  // the weights it needs
	Inputs() []Value  // the values it reads
	Outputs() []Value // the values it writes, each written by this op alone
	// Cost estimates one call over tokens rows whose sequences hold context positions each.
	Cost(p *Program, tokens, context int) Cost
	bind(x *Exec) (bound, error)
}

// Cost is the work of an op: floating-point operations, and the number of weights that are read.
type Cost struct{ Flops, WeightFloats int64 }

// bound is an op tied to one executor's weights and buffers.
type bound interface {
	forward()
	// backward adds to the gradients of the inputs and parameters, given those of the outputs.
	backward()
}

// Span is a half-open range of ops.
type Span struct{ From, To int }

// Program is a model's forward pass: built once from a config, with no batch, cache, shard, number format or gradient
// in it.
type Program struct {
	Ops    []Op
	Blocks []Span
	Hidden Value // the rows that Head or Pool read
	Head   *Head // nil for encoders
	Pool   *Pool // nil for language models
	values []valueInfo
	heads  []attentionShape // one for each Attend op, in order
}

// attentionShape is what the KV cache must know of one attention layer.
type attentionShape struct {
	kvHeads, headDim int
	group            int // query heads for each of them
}

// widestHeads is the largest of each size over all attention layers.
func (p *Program) widestHeads() attentionShape {
	var w attentionShape
	for _, h := range p.heads {
		w.kvHeads, w.headDim, w.group = max(w.kvHeads, h.kvHeads), max(w.headDim, h.headDim), max(w.group, h.group)
	}
	return w
}

// Width is the number of floats in a row of v, before sharding.
func (p *Program) Width(v Value) int { return p.values[v].width }

// BlockWidth is the number of floats in the rows that blocks hand on; embeddings and what the head reads may be narrower.
func (p *Program) BlockWidth() int {
	if len(p.Blocks) == 0 {
		return p.Width(p.Hidden)
	}
	return p.Width(p.Ops[p.Blocks[0].From].Inputs()[0])
}

// Params lists every parameter of the program once, in order of first use.
func (p *Program) Params() []Param {
	all := paramsOf(p.Ops)
	var ends []Param
	if p.Head != nil {
		ends = p.Head.Params()
	}
	if p.Pool != nil {
		ends = append(ends, p.Pool.Params()...)
	}
	for _, q := range ends {
		if !slices.ContainsFunc(all, func(a Param) bool { return a.Name == q.Name }) {
			all = append(all, q)
		}
	}
	return all
}

// paramsOf lists the parameters of some ops once, in order of first use.
func paramsOf(ops []Op) []Param {
	var all []Param
	seen := map[string]bool{}
	for _, op := range ops {
		for _, q := range op.Params() {
			if !seen[q.Name] {
				seen[q.Name] = true
				all = append(all, q)
			}
		}
	}
	return all
}

// positions is the number of positions of the shortest table of learned ones, or that rotary frequencies hold for; 0: any.
func (p *Program) positions() int {
	n := 0
	for _, op := range p.Ops {
		most := 0
		switch op := op.(type) {
		case *Lookup:
			if op.kind == byPosition {
				most = op.Rows - op.Offset
			}
		case *Attend:
			if op.spec.Rope != nil {
				most = op.spec.Rope.Most
			}
		}
		if most > 0 && (n == 0 || most < n) {
			n = most
		}
	}
	return n
}

// causal tells whether every attention reads only what came before: then keys and values may be cached.
func (p *Program) causal() bool {
	for _, op := range p.Ops {
		if a, ok := op.(*Attend); ok && !a.spec.Causal {
			return false
		}
	}
	return true
}

// checkRanks refuses to cut a program over more ranks than its parts have units.
func (p *Program) checkRanks(ranks int) error {
	for _, q := range p.Params() {
		total := q.Cols
		if q.Shard == Column && !q.Vector {
			total = q.Rows
		}
		if q.Shard == Whole || q.Unit < 1 {
			continue
		}
		if total%q.Unit != 0 {
			return fmt.Errorf("nn: %s has %d features, which cannot be cut in units of %d", q.Name, total, q.Unit)
		}
		if units := total / q.Unit; units < ranks {
			return fmt.Errorf("nn: %s can be cut into %d parts at most; use no more than %d ranks, not %d", q.Name, units, units, ranks)
		}
	}
	return nil
}

// Cost sums the cost of all ops for tokens rows with context positions each, the head for logitRows rows.
func (p *Program) Cost(tokens, context, logitRows int) Cost {
	var c Cost
	for _, op := range p.Ops {
		o := op.Cost(p, tokens, context)
		c.Flops += o.Flops
		c.WeightFloats += o.WeightFloats
	}
	if p.Head != nil {
		o := p.Head.cost(p, logitRows)
		c.Flops += o.Flops
		c.WeightFloats += o.WeightFloats
	}
	return c
}

// Builder collects the ops of a program. Names given to it are relative to the current block's prefix.
type Builder struct {
	p      *Program
	prefix string
}

// NewBuilder starts an empty program.
func NewBuilder() *Builder { return &Builder{p: &Program{}} }

// Program ends the building.
func (b *Builder) Program() *Program { return b.p }

// Block runs build with names prefixed by prefix and records its ops as one block: the unit of lazy loading,
// calibration and pipeline cuts.
func (b *Builder) Block(prefix string, build func()) {
	old := b.prefix
	b.prefix = old + prefix
	from := len(b.p.Ops)
	build()
	b.p.Blocks = append(b.p.Blocks, Span{from, len(b.p.Ops)})
	b.prefix = old
}

func (b *Builder) name(n string) string { return b.prefix + n }

func (b *Builder) value(width, unit int) Value {
	b.p.values = append(b.p.values, valueInfo{width, unit})
	return Value(len(b.p.values) - 1)
}

func (b *Builder) emit(op Op) { b.p.Ops = append(b.p.Ops, op) }

func (p *Program) mustMatch(what string, x, y Value) {
	if p.values[x] != p.values[y] {
		panic(fmt.Sprintf("nn: %s joins values of shapes %v and %v", what, p.values[x], p.values[y]))
	}
}

// split returns the half-open range of units that rank r of n holds when total features are cut in whole units.
func split(total, unit, r, n int) (from, to int) {
	units := total / unit
	return units * r / n * unit, units * (r + 1) / n * unit
}
