package engine

import (
	"fmt"
	"slices"

	"hone/nn"
)

// SchedulerConfig sizes a scheduler.
type SchedulerConfig struct {
	Blocks      int // KV blocks
	BlockTokens int // positions of a block; 0: nn.BlockTokens
	StepTokens  int // most rows of a step
	MaxSeqs     int // most sequences that hold blocks
}

// Scheduler decides which rows each step computes and where their keys and values live. It is a pure state machine: no
// goroutine, clock or lock, and the same calls give the same batches.
//
// Each step first takes one row for every sequence that decodes, then fills up with prompts, in chunks, by priority, then
// for the principal that was given least, then by arrival. A sequence that needs a block when none is free pushes out the
// youngest of the lowest priority, which is computed again later from its tokens.
//
// Step may be called again before Done, as long as batches run, and are Done, in the order of their steps.
type Scheduler struct {
	cfg      SchedulerConfig
	blocks   *blocks
	running  []*Sequence // by Sequence.before
	waiting  []*Sequence // in no order
	accounts map[string]*account
	spare    []*Batch
	steps    uint64
	arrivals uint64
	flying   int // batches not Done yet
	buf      []byte
	counts   Counts
}

// Counts are running sums.
type Counts struct {
	PromptTokens uint64 // of admitted sequences, without recomputing
	CachedTokens uint64 // of these, found in the prefix cache
	Preemptions  uint64
}

// Batch is one step: the model's input and whose rows they are. It is valid until its Done.
type Batch struct {
	Items []Item
	Input nn.Batch
	Rows  []int32 // rows whose logits are wanted: one for each item with Sample, in order

	tables []int32
}

// Item is one sequence's share of a batch: positions [From, To).
type Item struct {
	Seq      *Sequence
	From, To int
	Sample   bool // To is the end of the sequence: Done brings what comes next
}

// Prefill returns how many rows of the batch are not decode steps.
func (b *Batch) Prefill() int {
	n := 0
	for _, it := range b.Items {
		if it.To-it.From > 1 {
			n += it.To - it.From
		}
	}
	return n
}

// Outcome is what a step brought for one item: 0 to k tokens to append, and whether the sequence ends with them.
type Outcome struct {
	Tokens []int32
	End    bool
}

// NewScheduler returns an empty scheduler.
func NewScheduler(cfg SchedulerConfig) *Scheduler {
	if cfg.BlockTokens == 0 {
		cfg.BlockTokens = nn.BlockTokens
	}
	if cfg.Blocks < 1 || cfg.StepTokens < 1 || cfg.MaxSeqs < 1 {
		panic(fmt.Sprintf("engine: scheduler needs at least one block, row and sequence: %+v", cfg))
	}
	cfg.MaxSeqs = min(cfg.MaxSeqs, cfg.StepTokens) // a step has a row for each
	return &Scheduler{cfg: cfg, blocks: newBlocks(cfg.Blocks), accounts: map[string]*account{}}
}

// Capacity returns the most tokens that one sequence can have. The last token needs no block: nothing comes after it.
func (s *Scheduler) Capacity() int { return s.cfg.Blocks*s.cfg.BlockTokens + 1 }

// Add queues a sequence. It fails when MaxLen could never fit.
func (s *Scheduler) Add(q *Sequence) error {
	switch {
	case q.state != idle:
		return fmt.Errorf("engine: sequence %q was added before", q.Name)
	case len(q.tokens) == 0 || q.MaxLen <= len(q.tokens):
		return fmt.Errorf("engine: sequence %q: %d tokens leave no room below %d", q.Name, len(q.tokens), q.MaxLen)
	case q.MaxLen > s.Capacity():
		return fmt.Errorf("engine: sequence %q: %d tokens do not fit into %d KV blocks (%d tokens)", q.Name, q.MaxLen, s.cfg.Blocks, s.Capacity())
	}
	s.arrivals++
	q.state, q.order, q.root, q.burst = waiting, s.arrivals, rootKey(q.Salt), 1
	q.owner = s.account(q.Principal)
	q.owner.active++
	s.waiting = append(s.waiting, q)
	return nil
}

// account finds a principal's account, or opens one at the least of those present: who was away saves up nothing.
func (s *Scheduler) account(name string) *account {
	if a := s.accounts[name]; a != nil {
		return a
	}
	a := &account{name: name}
	first := true
	for _, o := range s.accounts {
		if first || o.served < a.served {
			a.served, first = o.served, false
		}
	}
	s.accounts[name] = a
	return a
}

// Abort ends a sequence in any state; its blocks are free at once. Batches that hold it still run, their outcome for it
// is dropped.
func (s *Scheduler) Abort(q *Sequence) {
	switch q.state {
	case waiting:
		s.waiting = remove(s.waiting, q)
	case running:
		s.running = remove(s.running, q)
		s.giveBack(q)
	default:
		return
	}
	s.end(q)
}

func (s *Scheduler) end(q *Sequence) {
	q.state = ended
	if q.owner.active--; q.owner.active == 0 {
		delete(s.accounts, q.owner.name)
	}
}

// giveBack releases all blocks, the last first.
func (s *Scheduler) giveBack(q *Sequence) {
	for _, id := range slices.Backward(q.table) {
		s.blocks.release(id)
	}
	q.table = q.table[:0]
}

func remove(list []*Sequence, q *Sequence) []*Sequence {
	i := slices.Index(list, q)
	return slices.Delete(list, i, i+1)
}

// Step plans the next batch; nil when there is nothing to run until a Done, an Add or an Abort. While sequences decode,
// at most chunk rows of the batch are prefill.
func (s *Scheduler) Step(chunk int) *Batch {
	s.steps++
	b := s.fresh()
	s.displace()
	s.decode(b)
	s.prefill(b, chunk)
	if len(b.Items) == 0 {
		s.spare = append(s.spare, b)
		return nil
	}
	s.flying++
	return b
}

func (s *Scheduler) fresh() *Batch {
	if len(s.spare) == 0 {
		s.spare = append(s.spare, &Batch{})
	}
	last := len(s.spare) - 1
	b := s.spare[last]
	s.spare = s.spare[:last]
	b.Items, b.Rows, b.tables = b.Items[:0], b.Rows[:0], b.tables[:0]
	b.Input.Tokens, b.Input.Seqs = b.Input.Tokens[:0], b.Input.Seqs[:0]
	b.Items = slices.Grow(b.Items, s.cfg.MaxSeqs)
	b.Input.Seqs = slices.Grow(b.Input.Seqs, s.cfg.MaxSeqs)
	b.Rows = slices.Grow(b.Rows, s.cfg.MaxSeqs)
	return b
}

// decode takes the rows of sequences that go on from their last Done.
func (s *Scheduler) decode(b *Batch) {
	for i := 0; i < len(s.running); i++ { // cover may cut off the end of the list
		q := s.running[i]
		n := q.rest()
		if n == 0 || n > q.burst {
			continue
		}
		q.mark = s.steps // also when it has to wait: prefill does not try it again
		n = min(n, s.cfg.StepTokens-len(b.Input.Tokens))
		if n > 0 && s.cover(q, q.scheduled+n) {
			s.place(b, q, n)
		}
	}
}

// prefill fills the batch with chunks of prompts.
func (s *Scheduler) prefill(b *Batch, chunk int) {
	left := s.cfg.StepTokens - len(b.Input.Tokens)
	if s.decoding() > 0 {
		left = min(left, chunk)
	}
	admit := true
	for left > 0 {
		q := s.pick(admit)
		if q == nil {
			return
		}
		if q.state == waiting && !s.admit(q) {
			admit = false // nobody overtakes: a large prompt would starve
			continue
		}
		q.mark = s.steps
		n := min(q.rest(), left)
		if s.cover(q, q.scheduled+n) {
			s.place(b, q, n)
			left -= n
		}
	}
}

// pick returns the next sequence to prefill: running and not in this batch, or waiting if admit.
func (s *Scheduler) pick(admit bool) *Sequence {
	best := s.first(s.running)
	if admit {
		if q := s.first(s.waiting); q != nil && (best == nil || ahead(q, best)) {
			return q
		}
	}
	return best
}

// first returns the sequence of a list that prefill takes next, nil if none can go on.
func (s *Scheduler) first(list []*Sequence) *Sequence {
	var best *Sequence
	for _, q := range list {
		if q.rest() > 0 && (q.state == waiting || q.mark != s.steps) && !q.follows() && (best == nil || ahead(q, best)) {
			best = q
		}
	}
	return best
}

// ahead orders sequences for prefill: priority, then the principal that was given less, then arrival.
func ahead(a, b *Sequence) bool {
	if a.Priority == b.Priority && a.owner != b.owner && a.owner.served != b.owner.served {
		return a.owner.served < b.owner.served
	}
	return a.before(b)
}

// place adds the next n rows of a sequence to a batch.
func (s *Scheduler) place(b *Batch, q *Sequence, n int) {
	from, to := q.scheduled, q.scheduled+n
	offset, start := len(b.Input.Tokens), len(b.tables)
	b.Input.Tokens = append(b.Input.Tokens, q.tokens[from:to]...)
	b.tables = append(b.tables, q.table[:s.blocksFor(to)]...)
	b.Input.Seqs = append(b.Input.Seqs, nn.Seq{Offset: offset, Len: n, Pos: from, Blocks: b.tables[start:len(b.tables):len(b.tables)]})
	sample := to == len(q.tokens)
	if sample {
		b.Rows = append(b.Rows, int32(offset+n-1))
	}
	b.Items = append(b.Items, Item{q, from, to, sample})
	q.scheduled = to
	q.flights++
	q.owner.served += float64(n)
}

func (s *Scheduler) blocksFor(tokens int) int {
	return (tokens + s.cfg.BlockTokens - 1) / s.cfg.BlockTokens
}

// Done ends a step: outcomes stand in the order of the batch's items.
func (s *Scheduler) Done(b *Batch, outcomes []Outcome) {
	if len(outcomes) != len(b.Items) {
		panic(fmt.Sprintf("engine: %d outcomes for a batch of %d", len(outcomes), len(b.Items)))
	}
	s.flying--
	for i, it := range b.Items {
		q := it.Seq
		if q.flights--; q.state == running {
			s.advance(q, it, outcomes[i])
		}
		b.Items[i].Seq = nil
	}
	s.spare = append(s.spare, b)
}

// advance appends an outcome's tokens. The last token is never computed already, so that its logits can be asked for: an
// empty outcome at the end runs the last row once more.
func (s *Scheduler) advance(q *Sequence, it Item, o Outcome) {
	if it.Sample {
		q.tokens = append(q.tokens, o.Tokens...)
		q.burst = max(1, len(o.Tokens))
	}
	before := q.computed
	q.computed = min(it.To, len(q.tokens)-1)
	if q.flights == 0 {
		q.scheduled = q.computed
	}
	if it.To >= q.prompt {
		q.primed = true
	}
	s.share(q, before/s.cfg.BlockTokens, q.computed/s.cfg.BlockTokens)
	if o.End {
		s.running = remove(s.running, q)
		s.giveBack(q)
		s.end(q)
	}
}

// share caches full blocks [from, to) of a sequence, or moves it onto blocks that hold the same.
func (s *Scheduler) share(q *Sequence, from, to int) {
	for i := from; i < to; i++ {
		parent := none
		if i > 0 {
			parent = q.table[i-1]
		}
		q.table[i] = s.blocks.keep(q.table[i], parent, s.key(q, i))
	}
}

// key returns the key of a sequence's full block i.
func (s *Scheduler) key(q *Sequence, i int) *blockKey {
	for n := len(q.keys); n <= i; n++ {
		last := q.root
		if n > 0 {
			last = q.keys[n-1]
		}
		var k blockKey
		k, s.buf = last.next(q.tokens[n*s.cfg.BlockTokens:(n+1)*s.cfg.BlockTokens], s.buf)
		q.keys = append(q.keys, k)
	}
	return &q.keys[i]
}

// Load describes what the scheduler has to do.
type Load struct {
	Running, Waiting, Decoding int // sequences
	Pending                    int // rows of prompts not planned yet
	BlocksUsed                 int
}

// Load counts.
func (s *Scheduler) Load() Load {
	l := Load{Running: len(s.running), Waiting: len(s.waiting), Decoding: s.decoding(), BlocksUsed: s.blocks.used()}
	for _, q := range s.waiting {
		l.Pending += len(q.tokens)
	}
	for _, q := range s.running {
		if !q.decodes() {
			l.Pending += q.rest()
		}
	}
	return l
}

func (s *Scheduler) decoding() int {
	n := 0
	for _, q := range s.running {
		if q.decodes() {
			n++
		}
	}
	return n
}

// Counts returns the running sums.
func (s *Scheduler) Counts() Counts { return s.counts }
