package nn

import (
	"fmt"
	"slices"
	"sync/atomic"

	"hone/kernel"
	"hone/parallel"
	"hone/quant"
)

// Options of an executor. The zero value of each field is a sensible default save MaxTokens and Pool.
type Options struct {
	MaxTokens  int // most rows in one batch
	MaxContext int // most positions in one sequence, 0: MaxTokens; at most those that the program has
	KV         KVConfig
	Pool       *kernel.Pool
	Group      parallel.Group // nil: one rank
	// Formats names the number format that a matrix is converted to while loading; "" keeps the stored one.
	Formats func(Param) string
	// Tap hears the input of every linear by the linear's name: rows [rows, width], valid during the call.
	Tap func(name string, x []float32, rows, width int)
	// Keep holds every value until the next Forward and gives each a gradient: training.
	Keep bool
	// Stream loads a block's weights when it runs and drops them after it: models larger than memory, calibration.
	Stream bool
	// Stop, if set, is asked again and again while weights are loaded and rounded, by several goroutines at once; its
	// error ends the load. A context's Err is one.
	Stop func() error
}

// Memory counts what an executor holds, in bytes: packed weights (with Stream, those outside of blocks), the paged cache,
// and the buffers of values.
type Memory struct{ Weights, KV, Activations int64 }

// Exec runs a program over loaded weights. It is used by one goroutine at a time; a Forward in steady state allocates
// nothing.
type Exec struct {
	p   *Program
	src Source
	opt Options

	ops    []bound
	head   *boundHead
	pool   *boundPool
	store  kvStore // paged cache, or the one-layer scratch of the batch's own rows
	own    *kvF32
	paged  kvStore
	values [][]float32
	grads  [][]float32
	params map[string][]float32 // gradients of parameters that were asked for

	batch  *Batch
	rows   int
	rowPos []int
	runs   []blockRun
	chunks []chunk
	ownAt  []int // first own block of each sequence

	inputs        map[int]*quant.Input // by width
	mult          *quant.Multiplier
	rowTask       rowTask
	attendScratch []*attendScratch
	attendTasks   []attendTask
	tilesLeft     []atomic.Int32 // by chunk and head
	partials      []float32
	ropes         []*ropeTable
	moe           []*moeScratch
	converted     conversions
	memory        Memory
}

// New binds a program to weights. Shapes are checked against the program before memory is taken for them.
func New(p *Program, src Source, opt Options) (*Exec, error) {
	if opt.MaxTokens < 1 || opt.Pool == nil {
		return nil, fmt.Errorf("nn: an executor needs MaxTokens and a Pool")
	}
	if opt.Stream && opt.Keep {
		return nil, fmt.Errorf("nn: Stream drops weights that Keep's backward pass needs; choose one")
	}
	if opt.MaxContext < 1 {
		opt.MaxContext = opt.MaxTokens
	}
	if n := p.positions(); n > 0 {
		opt.MaxContext = min(opt.MaxContext, n)
	}
	x := &Exec{p: p, src: src, opt: opt, ops: make([]bound, len(p.Ops)), batch: &Batch{}, params: map[string][]float32{}}
	if err := p.checkRanks(x.ranks()); err != nil {
		return nil, err
	}
	x.converted.done = map[string]converted{}
	x.inputs = map[int]*quant.Input{}
	x.planValues()
	if err := x.bindAll(); err != nil {
		return nil, err
	}
	if err := x.planKV(); err != nil {
		return nil, err
	}
	x.planRows()
	return x, nil
}

func (x *Exec) bindAll() error {
	if !x.opt.Stream {
		x.converted.prepare(x, x.p.Params())
		if err := x.bindSpan(Span{0, len(x.p.Ops)}); err != nil {
			return err
		}
	} else if err := x.bindOutside(); err != nil {
		return err
	}
	defer x.converted.forget()
	var err error
	if x.p.Head != nil {
		x.head, err = x.p.Head.bindHead(x)
	}
	if x.p.Pool != nil && err == nil {
		x.pool, err = x.p.Pool.bindPool(x)
	}
	return err
}

func (x *Exec) bindSpan(s Span) error {
	for i := s.From; i < s.To; i++ {
		b, err := x.p.Ops[i].bind(x)
		if err != nil {
			return err
		}
		x.ops[i] = b
	}
	return nil
}

// bindOutside binds the ops that stand in no block: they stay loaded.
func (x *Exec) bindOutside() error {
	at := 0
	for _, s := range append(x.p.Blocks, Span{len(x.p.Ops), len(x.p.Ops)}) {
		if err := x.bindSpan(Span{at, s.From}); err != nil {
			return err
		}
		at = s.To
	}
	return nil
}

// planValues gives every value a buffer. Without Keep a buffer is reused as soon as its value has been read last.
func (x *Exec) planValues() {
	p := x.p
	last := make([]int, len(p.values))
	for i, op := range p.Ops {
		for _, v := range op.Inputs() {
			last[v] = i
		}
	}
	last[p.Hidden] = len(p.Ops)
	free := map[int][][]float32{}
	x.values = make([][]float32, len(p.values))
	for i, op := range p.Ops {
		for _, v := range op.Outputs() {
			x.values[v] = x.buffer(free, x.width(v))
		}
		if x.opt.Keep {
			continue
		}
		for _, v := range op.Inputs() {
			if last[v] == i {
				free[x.width(v)] = append(free[x.width(v)], x.values[v])
				last[v] = -1 // an op may read a value twice
			}
		}
	}
	if x.opt.Keep {
		x.grads = make([][]float32, len(p.values))
		for v := range p.values {
			x.grads[v] = x.buffer(free, x.width(Value(v)))
		}
	}
}

func (x *Exec) buffer(free map[int][][]float32, width int) []float32 {
	if n := len(free[width]); n > 0 {
		b := free[width][n-1]
		free[width] = free[width][:n-1]
		return b
	}
	x.memory.Activations += int64(x.opt.MaxTokens) * int64(width) * 4
	return make([]float32, x.opt.MaxTokens*width)
}

// localHeads is the shape of each attention layer on this rank.
func (x *Exec) localHeads() []attentionShape {
	local := make([]attentionShape, len(x.p.heads))
	for i, h := range x.p.heads {
		from, to := 0, h.kvHeads
		if x.ranks() > 1 {
			from, to = split(h.kvHeads, 1, x.opt.Group.Rank(), x.ranks())
		}
		local[i] = attentionShape{to - from, h.headDim, h.group}
	}
	return local
}

// maxKVBytes keeps the cache's size within what an int and the runtime can count.
const maxKVBytes = 1 << 46

// planKV makes the paged cache. A program whose rows see later rows has none: its sequences are run whole.
func (x *Exec) planKV() error {
	kv := x.opt.KV
	if !slices.Contains([]string{"", "f32", "bf16", "int8"}, kv.Type) {
		return fmt.Errorf("nn: KV cache type %q is not known; use f32, bf16 or int8", kv.Type)
	}
	if kv.Blocks < 1 || !x.p.causal() {
		return nil
	}
	heads := x.localHeads()
	if block := blockBytes(heads, kv.Type); int64(kv.Blocks) > maxKVBytes/max(block, 1) {
		return fmt.Errorf("nn: a KV cache of %d blocks of %d bytes is larger than any machine", kv.Blocks, block)
	}
	x.paged = newKVStore(kv.Type, newKVShape(heads, kv.Blocks))
	x.memory.KV = int64(kv.Blocks) * blockBytes(heads, kv.Type)
	return nil
}

// ownStore is the one-layer store of a batch whose sequences have no block tables.
func (x *Exec) ownStore(blocks int) kvStore {
	if x.own != nil && x.own.blocks >= blocks {
		return x.own
	}
	shape := newKVShape([]attentionShape{x.p.widestHeads()}, blocks)
	if x.own != nil {
		x.memory.Activations -= 4 * int64(x.own.floats())
	}
	x.memory.Activations += 4 * int64(shape.floats())
	x.own = &kvF32{shape, make([]float32, shape.floats())}
	return x.own
}

func (x *Exec) planRows() {
	n := x.opt.MaxTokens
	x.mult = quant.NewMultiplier(x.opt.Pool)
	x.rowPos, x.runs = make([]int, n), make([]blockRun, 0, n)
	if len(x.p.heads) > 0 {
		x.planAttention()
	}
	for _, t := range x.ropes {
		t.grow(x.opt.MaxContext)
	}
}

// inputFor is the encoder of inputs of a width, shared by all linears that read such inputs, with room for what w wants.
func (x *Exec) inputFor(width int, w quant.Packed) *quant.Input {
	in := x.inputs[width]
	if in == nil {
		in = quant.NewInput(max(x.opt.MaxTokens, headChunk), width)
		x.inputs[width] = in
	}
	in.Reserve(w.Encoding())
	return in
}

func (x *Exec) ranks() int {
	if x.opt.Group == nil {
		return 1
	}
	return x.opt.Group.Size()
}

func (x *Exec) allReduce(v []float32) {
	if x.ranks() > 1 {
		x.opt.Group.AllReduce(v)
	}
}

// width is the number of floats in this rank's row of v.
func (x *Exec) width(v Value) int {
	info := x.p.values[v]
	if info.unit == 0 || x.ranks() == 1 {
		return info.width
	}
	from, to := split(info.width, info.unit, x.opt.Group.Rank(), x.ranks())
	return to - from
}

// value returns the rows of v in the current batch.
func (x *Exec) value(v Value) []float32 { return x.values[v][:x.rows*x.width(v)] }

// MaxTokens is the most rows that one batch may have.
func (x *Exec) MaxTokens() int { return x.opt.MaxTokens }

// Vocab is the number of logits, 0 for encoders.
func (x *Exec) Vocab() int {
	if x.p.Head == nil {
		return 0
	}
	return x.p.Head.Vocab
}

// Encoding is the form of activations that most of the weights read: it says which of the machine's limits bounds the
// products.
func (x *Exec) Encoding() quant.Encoding {
	count := map[quant.Encoding]int{}
	most := quant.F32
	for _, op := range x.ops {
		var weights []quant.Packed
		switch op := op.(type) {
		case *boundLinears:
			for _, p := range op.products {
				weights = append(weights, p.W)
			}
		case *boundMoE:
			for _, e := range op.experts {
				weights = append(weights, e.gate, e.up, e.down)
			}
		}
		for _, w := range weights {
			e := w.Encoding()
			if count[e]++; count[e] > count[most] {
				most = e
			}
		}
	}
	return most
}

// Memory tells what the executor holds.
func (x *Exec) Memory() Memory { return x.memory }

// Program is the program that the executor runs.
func (x *Exec) Program() *Program { return x.p }
