package nn

import (
	"fmt"
	"slices"

	"hone/kernel"
	"hone/quant"
)

// Experts is a mixture of experts (Shazeer et al. 2017): a router picks Active of Count gated MLPs for each row and
// weighs their outputs. Names are relative to the current prefix.
type Experts struct {
	Router               string // the linear [Count, width] of the router, with suffix
	RouterBias           string // "": none
	Prefix               string // of the linears of expert i: Prefix + i + "." + Gate + ".weight"
	Gate, Up, Down       string
	Bias                 bool // of the experts' linears
	Count, Active, Width int  // Width: features between up and down
	// Normalize makes the weights of a row's experts the softmax over those alone, which is also what a softmax over all
	// gives when it is divided by its sum; else they are the softmax over all.
	Normalize bool
	// Limit 0: silu(gate)·up. Else gate is at most Limit and up within it, and the product is
	// gate·sigmoid(Alpha·gate)·(up + 1) (gpt-oss).
	Alpha, Limit float64
}

// MoE is the op. A row's experts are summed in the order of their numbers, whatever the other rows do. Over ranks each
// expert's features are cut; the router is whole on all of them.
type MoE struct {
	spec    Experts
	in, out Value
	width   int
}

// Experts emits a mixture of experts of x [rows, width]; the value has x's shape.
func (b *Builder) Experts(x Value, spec Experts) Value {
	spec.Router, spec.Prefix = b.name(spec.Router), b.name(spec.Prefix)
	if spec.RouterBias != "" {
		spec.RouterBias = b.name(spec.RouterBias)
	}
	width := b.p.Width(x)
	out := b.value(width, 0)
	b.emit(&MoE{spec, x, out, width})
	return out
}

func (m *MoE) Inputs() []Value  { return []Value{m.in} }
func (m *MoE) Outputs() []Value { return []Value{m.out} }

func (m *MoE) Params() []Param {
	ps := m.routerParams()
	for i := range m.spec.Count {
		for _, l := range m.linears(i) {
			ps = append(ps, l.weight)
			if m.spec.Bias {
				ps = append(ps, l.bias)
			}
		}
	}
	return ps
}

func (m *MoE) routerParams() []Param {
	s := &m.spec
	ps := []Param{{Name: s.Router, Rows: s.Count, Cols: m.width, Router: true}}
	if s.RouterBias != "" {
		ps = append(ps, Param{Name: s.RouterBias, Rows: 1, Cols: s.Count, Vector: true})
	}
	return ps
}

// expertLinear is the matrix of an expert and its bias.
type expertLinear struct{ weight, bias Param }

// linears are gate, up and down of expert i.
func (m *MoE) linears(i int) [3]expertLinear {
	s := &m.spec
	lin := func(name string, rows, cols int, cut Shard) expertLinear {
		name = fmt.Sprintf("%s%d.%s", s.Prefix, i, name)
		bias := Param{Name: name + ".bias", Rows: 1, Cols: rows, Vector: true}
		if cut == Column {
			bias.Shard, bias.Unit = Column, 1
		}
		return expertLinear{Param{Name: name + ".weight", Rows: rows, Cols: cols, Shard: cut, Unit: 1}, bias}
	}
	return [3]expertLinear{lin(s.Gate, s.Width, m.width, Column), lin(s.Up, s.Width, m.width, Column), lin(s.Down, m.width, s.Width, Row)}
}

func (m *MoE) Cost(_ *Program, tokens, _ int) Cost {
	s := &m.spec
	router, expert := int64(s.Count)*int64(m.width), 3*int64(s.Width)*int64(m.width)
	return Cost{
		Flops:        2 * int64(tokens) * (router + int64(s.Active)*expert),
		WeightFloats: router + int64(min(s.Count, tokens*s.Active))*expert,
	}
}

// moeRows bounds the rows that are routed at once, and with them the memory between gate and down.
const moeRows = 512

// moeScratch holds what some rows need on their way through the experts; layers of equal sizes share one. Pairs of a row
// and an expert are kept in two orders: by row, and grouped by expert.
type moeScratch struct {
	key            moeKey
	logits         []float32 // [rows, Count]
	pick           []int32   // [rows, Active]: experts, in order of their numbers
	weight         []float32 // [rows, Active]
	at             []int32   // [rows, Active]: place among the grouped pairs
	row            []int32   // of each grouped pair
	first          []int32   // grouped pairs of expert i are [first[i], first[i+1])
	gate, up, down []float32 // of grouped pairs
	input, hidden  *quant.Input
	products       []quant.RangeProduct
}

type moeKey struct{ width, local, count, active int }

func (x *Exec) moeScratch(k moeKey) *moeScratch {
	for _, s := range x.moe {
		if s.key == k {
			return s
		}
	}
	rows := min(x.opt.MaxTokens, moeRows)
	pairs := rows * k.active
	s := &moeScratch{
		key: k, logits: make([]float32, rows*k.count), pick: make([]int32, pairs), weight: make([]float32, pairs),
		at: make([]int32, pairs), row: make([]int32, pairs), first: make([]int32, k.count+1),
		gate: make([]float32, pairs*k.local), up: make([]float32, pairs*k.local), down: make([]float32, pairs*k.width),
		input: quant.NewInput(pairs, k.width), hidden: quant.NewInput(pairs, k.local), products: make([]quant.RangeProduct, 0, 2*k.count),
	}
	x.memory.Activations += 4 * int64(pairs) * int64(2*k.local+k.width)
	x.moe = append(x.moe, s)
	return s
}

type boundExpert struct {
	gate, up, down             quant.Packed
	gateBias, upBias, downBias []float32
}

type boundMoE struct {
	*MoE
	x          *Exec
	s          *moeScratch
	local      int // features between up and down on this rank
	router     quant.Packed
	routerBias []float32
	experts    []boundExpert
	input      *quant.Input
	one        []quant.Product
	lo, n      int // rows at work
	runs       [3]func(lo, hi int)
}

func (m *MoE) bind(x *Exec) (bound, error) {
	b := &boundMoE{MoE: m, x: x, experts: make([]boundExpert, m.spec.Count), one: make([]quant.Product, 1)}
	ps := m.routerParams()
	var err error
	if b.router, err = x.packed(ps[0]); err != nil {
		return nil, err
	}
	if len(ps) > 1 {
		if b.routerBias, err = x.vector(ps[1]); err != nil {
			return nil, err
		}
	}
	for i := range b.experts {
		if err := b.bindExpert(i); err != nil {
			return nil, err
		}
	}
	b.input = x.inputFor(m.width, b.router)
	_, b.local = b.experts[0].down.Dims()
	b.s = x.moeScratch(moeKey{m.width, b.local, m.spec.Count, m.spec.Active})
	for _, e := range b.experts {
		b.input.Reserve(e.gate.Encoding(), e.up.Encoding())
		b.s.input.Reserve(e.gate.Encoding(), e.up.Encoding())
		b.s.hidden.Reserve(e.down.Encoding())
	}
	b.runs = [3]func(lo, hi int){b.pickRows, b.activatePairs, b.combineRows}
	return b, nil
}

func (b *boundMoE) bindExpert(i int) (err error) {
	e := &b.experts[i]
	packed := [3]*quant.Packed{&e.gate, &e.up, &e.down}
	biases := [3]*[]float32{&e.gateBias, &e.upBias, &e.downBias}
	for k, l := range b.linears(i) {
		if *packed[k], err = b.x.packed(l.weight); err != nil {
			return err
		}
		if b.spec.Bias {
			if *biases[k], err = b.x.vector(l.bias); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *boundMoE) forward() {
	for lo := 0; lo < b.x.rows; lo += moeRows {
		b.lo, b.n = lo, min(moeRows, b.x.rows-lo)
		b.route()
		b.widen()
		b.x.forRange(b.pairs(), b.local*12, b.runs[1])
		b.narrow()
		b.x.forRange(b.n, b.spec.Active*b.width, b.runs[2])
		if b.x.ranks() > 1 {
			b.x.allReduce(b.rows(b.x.value(b.out)))
			b.addDownBiases()
		}
	}
}

// rows are the rows at work of a value or gradient.
func (b *boundMoE) rows(v []float32) []float32 { return v[b.lo*b.width : (b.lo+b.n)*b.width] }

func (b *boundMoE) pairs() int { return b.n * b.spec.Active }

// route picks each row's experts and groups the pairs by expert.
func (b *boundMoE) route() {
	x, s := b.x, b.s
	in := b.rows(x.value(b.in))
	if x.opt.Tap != nil {
		x.opt.Tap(b.spec.Router, in, b.n, b.width)
	}
	b.input.Set(in, b.width, b.n)
	b.one[0] = quant.Product{W: b.router, Y: s.logits, LdY: b.spec.Count}
	x.mult.Mul(b.input, b.one...)
	x.forRange(b.n, b.spec.Count*(b.spec.Active+4), b.runs[0])
	clear(s.first)
	for _, e := range s.pick[:b.pairs()] {
		s.first[e+1]++
	}
	for i := range b.spec.Count {
		s.first[i+1] += s.first[i]
	}
	for i, e := range s.pick[:b.pairs()] {
		at := s.first[e]
		s.first[e]++
		s.at[i], s.row[at] = at, int32(i/b.spec.Active)
	}
	copy(s.first[1:], s.first[:b.spec.Count]) // each had moved to the next one's beginning
	s.first[0] = 0
}

// pickRows routes rows [lo, hi) of those at work: the largest logits, the lower number where two are equal.
func (b *boundMoE) pickRows(lo, hi int) {
	s, count, active := b.s, b.spec.Count, b.spec.Active
	for r := lo; r < hi; r++ {
		logits := s.logits[r*count : (r+1)*count]
		pick, weight := s.pick[r*active:(r+1)*active], s.weight[r*active:(r+1)*active]
		if b.routerBias != nil {
			kernel.Add(logits, logits, b.routerBias)
		}
		all := float32(0)
		if !b.spec.Normalize {
			all = kernel.LogSumExp(logits)
		}
		for k := range pick {
			e := kernel.ArgMax(logits)
			pick[k], weight[k], logits[e] = int32(e), logits[e], negInf
		}
		if b.spec.Normalize {
			all = kernel.LogSumExp(weight)
		}
		for k := range weight {
			weight[k] -= all
		}
		kernel.Exp(weight, weight)
		sortPairs(pick, weight)
	}
}

// sortPairs orders a row's experts by their numbers.
func sortPairs(pick []int32, weight []float32) {
	for i := 1; i < len(pick); i++ {
		for j := i; j > 0 && pick[j-1] > pick[j]; j-- {
			pick[j-1], pick[j] = pick[j], pick[j-1]
			weight[j-1], weight[j] = weight[j], weight[j-1]
		}
	}
}

// widen computes gate and up of all pairs.
func (b *boundMoE) widen() {
	s, n := b.s, b.pairs()
	s.input.Gather(b.input, s.row[:n])
	s.products = s.products[:0]
	for i := range b.experts {
		e := &b.experts[i]
		from, to := int(s.first[i]), int(s.first[i+1])
		if from == to {
			continue
		}
		s.products = append(s.products,
			quant.RangeProduct{Product: quant.Product{W: e.gate, Y: s.gate, LdY: b.local}, From: from, To: to},
			quant.RangeProduct{Product: quant.Product{W: e.up, Y: s.up, LdY: b.local}, From: from, To: to})
	}
	if b.x.opt.Tap != nil {
		b.tapWide()
	}
	b.x.mult.MulRanges(s.input, s.products)
	if b.spec.Bias {
		for i := range b.experts {
			e := &b.experts[i]
			for at := int(s.first[i]) * b.local; at < int(s.first[i+1])*b.local; at += b.local {
				kernel.Add(s.gate[at:at+b.local], s.gate[at:at+b.local], e.gateBias)
				kernel.Add(s.up[at:at+b.local], s.up[at:at+b.local], e.upBias)
			}
		}
	}
}

// activatePairs makes gate the features between up and down, for pairs [lo, hi).
func (b *boundMoE) activatePairs(lo, hi int) {
	lo, hi = lo*b.local, hi*b.local
	gate, up := b.s.gate[lo:hi], b.s.up[lo:hi]
	if b.spec.Limit == 0 {
		kernel.SiLUMul(gate, gate, up)
		return
	}
	clampedMul(gate, up, float32(b.spec.Alpha), float32(b.spec.Limit))
}

// clampedMul sets gate to g·sigmoid(alpha·g)·(u + 1), g being gate up to limit and u up within ±limit.
func clampedMul(gate, up []float32, alpha, limit float32) {
	var e [256]float32
	for len(gate) > 0 {
		n := min(len(gate), len(e))
		for i, g := range gate[:n] {
			gate[i] = min(g, limit)
			e[i] = -alpha * gate[i]
		}
		kernel.Exp(e[:n], e[:n])
		for i, g := range gate[:n] {
			gate[i] = g / (1 + e[i]) * (max(min(up[i], limit), -limit) + 1)
		}
		gate, up = gate[n:], up[n:]
	}
}

// narrow computes down of all pairs.
func (b *boundMoE) narrow() {
	s := b.s
	s.hidden.Set(s.gate, b.local, b.pairs())
	s.products = s.products[:0]
	for i := range b.experts {
		if from, to := int(s.first[i]), int(s.first[i+1]); from < to {
			s.products = append(s.products, quant.RangeProduct{
				Product: quant.Product{W: b.experts[i].down, Y: s.down, LdY: b.width}, From: from, To: to})
			if b.x.opt.Tap != nil {
				b.x.opt.Tap(b.linears(i)[2].weight.Name, s.gate[from*b.local:to*b.local], to-from, b.local)
			}
		}
	}
	b.x.mult.MulRanges(s.hidden, s.products)
}

// combineRows sums the experts of rows [lo, hi) of those at work.
func (b *boundMoE) combineRows(lo, hi int) {
	s, out := b.s, b.rows(b.x.value(b.out))
	for r := lo; r < hi; r++ {
		y := out[r*b.width : (r+1)*b.width]
		for k := r * b.spec.Active; k < (r+1)*b.spec.Active; k++ {
			at := int(s.at[k]) * b.width
			d := s.down[at : at+b.width]
			if b.spec.Bias && b.x.ranks() == 1 {
				kernel.Add(d, d, b.experts[s.pick[k]].downBias)
			}
			if k == r*b.spec.Active {
				kernel.Scale(y, d, s.weight[k])
			} else {
				kernel.Axpy(y, s.weight[k], d)
			}
		}
	}
}

// addDownBiases adds the biases of down once, after the sum over ranks.
func (b *boundMoE) addDownBiases() {
	if !b.spec.Bias {
		return
	}
	out := b.rows(b.x.value(b.out))
	for k, e := range b.s.pick[:b.pairs()] {
		r := k / b.spec.Active
		kernel.Axpy(out[r*b.width:(r+1)*b.width], b.s.weight[k], b.experts[e].downBias)
	}
}

// tapWide lets a listener hear the rows that each expert's gate and up read.
func (b *boundMoE) tapWide() {
	s, in := b.s, b.rows(b.x.value(b.in))
	for i := range b.experts {
		rows := s.row[s.first[i]:s.first[i+1]]
		if len(rows) == 0 {
			continue
		}
		var x []float32
		for _, r := range rows {
			x = slices.Concat(x, in[int(r)*b.width:(int(r)+1)*b.width])
		}
		l := b.linears(i)
		b.x.opt.Tap(l[0].weight.Name, x, len(rows), b.width)
		b.x.opt.Tap(l[1].weight.Name, x, len(rows), b.width)
	}
}
