package engine

import (
	"fmt"
	"slices"
)

// tokenRoom is how much room for generated tokens is made ahead, so that decode steps seldom move the tokens.
const tokenRoom = 1024

// displace pushes out lower priorities when that is what the first in line needs to run.
func (s *Scheduler) displace() {
	q := s.first(s.waiting)
	if q == nil {
		return
	}
	for _, fits := s.fits(q); !fits; _, fits = s.fits(q) {
		victim := s.below(q)
		if victim == nil {
			return
		}
		s.preempt(victim)
	}
}

// admit gives a waiting sequence blocks for all its tokens, cached ones first. It keeps one block back for each running
// sequence that can still grow.
func (s *Scheduler) admit(q *Sequence) bool {
	hits, fits := s.fits(q)
	if !fits {
		return false
	}
	s.waiting = remove(s.waiting, q)
	s.start(q, hits)
	return true
}

// fits counts the cached blocks that a waiting sequence can use, and says whether the others it needs are free.
func (s *Scheduler) fits(q *Sequence) (hits int, ok bool) {
	hits, idle := s.match(q)
	need := s.blocksFor(len(q.tokens)) - hits
	return hits, len(s.running) < s.cfg.MaxSeqs && need+s.reserve() <= s.blocks.free-idle
}

// match counts the leading blocks that are cached, and how many of these are in the free list. The last token is always
// left to compute: its logits are wanted.
func (s *Scheduler) match(q *Sequence) (hits, idle int) {
	for hits < (len(q.tokens)-1)/s.cfg.BlockTokens {
		id := s.blocks.find(s.key(q, hits))
		if id == none {
			break
		}
		if s.blocks.all[id].refs == 0 {
			idle++
		}
		hits++
	}
	return hits, idle
}

// reserve counts running sequences that may still ask for a block.
func (s *Scheduler) reserve() int {
	n := 0
	for _, q := range s.running {
		if len(q.table) < s.blocksFor(q.MaxLen-1) {
			n++
		}
	}
	return n
}

// below returns the sequence that a waiting one of higher priority pushes out next; nil if there is none, or if pushing
// out all of them would not make enough room.
func (s *Scheduler) below(q *Sequence) *Sequence {
	var victim *Sequence
	room := s.blocks.free
	for _, v := range slices.Backward(s.running) {
		if v.Priority >= q.Priority {
			break
		}
		if s.movable(v) {
			if victim == nil {
				victim = v
			}
			room += len(v.table)
		}
	}
	if room < s.blocksFor(len(q.tokens)) {
		return nil
	}
	return victim
}

// movable: neither in this step's batch nor in one that still runs.
func (s *Scheduler) movable(q *Sequence) bool { return q.flights == 0 && q.mark != s.steps }

// start makes a sequence run on its cached blocks and fresh ones.
func (s *Scheduler) start(q *Sequence, hits int) {
	q.table = slices.Grow(q.table, s.blocksFor(q.MaxLen))
	for i := range hits {
		id := s.blocks.find(s.key(q, i))
		s.blocks.hold(id)
		q.table = append(q.table, id)
	}
	for len(q.table) < s.blocksFor(len(q.tokens)) {
		id, _ := s.blocks.take() // fits counted them
		q.table = append(q.table, id)
	}
	room := min(q.MaxLen-len(q.tokens), tokenRoom)
	q.tokens = slices.Grow(q.tokens, room)
	q.keys = slices.Grow(q.keys, s.blocksFor(len(q.tokens)+room)-len(q.keys))
	q.computed, q.scheduled, q.state = hits*s.cfg.BlockTokens, hits*s.cfg.BlockTokens, running
	i, _ := slices.BinarySearchFunc(s.running, q, func(a, b *Sequence) int {
		if a.before(b) {
			return -1
		}
		return 1
	})
	s.running = slices.Insert(s.running, i, q)
	if !q.admitted {
		q.admitted, q.Cached = true, q.computed
		s.counts.PromptTokens += uint64(q.prompt)
		s.counts.CachedTokens += uint64(q.computed)
	}
}

// cover gives a running sequence blocks for its first n positions, pushing out those that run behind it. It returns
// false when the sequence has to wait; it keeps what it has, since the first that runs always gets on.
func (s *Scheduler) cover(q *Sequence, n int) bool {
	for len(q.table) < s.blocksFor(n) {
		id, ok := s.blocks.take()
		if ok {
			q.table = append(q.table, id)
		} else if !s.makeRoom(q) {
			return false
		}
	}
	return true
}

// makeRoom pushes out the last sequence behind q; false when there is none that can be.
func (s *Scheduler) makeRoom(q *Sequence) bool {
	for _, v := range slices.Backward(s.running) {
		if v == q {
			break
		}
		if s.movable(v) {
			s.preempt(v)
			return true
		}
	}
	return false
}

// preempt takes a sequence's blocks away. Its tokens stay, and it runs again from what is cached of them by then.
func (s *Scheduler) preempt(q *Sequence) {
	s.running = remove(s.running, q)
	s.giveBack(q)
	q.state, q.computed, q.scheduled = waiting, 0, 0
	s.waiting = append(s.waiting, q)
	s.counts.Preemptions++
}

// CheckIntegrity verifies all invariants between sequences and blocks; tests call it after each transition.
func (s *Scheduler) CheckIntegrity() error {
	refs := make([]int32, s.cfg.Blocks)
	for i, q := range s.running {
		if err := s.checkRunning(q); err != nil {
			return fmt.Errorf("sequence %q: %w", q.Name, err)
		}
		if i > 0 && !s.running[i-1].before(q) {
			return fmt.Errorf("sequence %q runs behind %q", s.running[i-1].Name, q.Name)
		}
		for _, id := range q.table {
			refs[id]++
		}
	}
	for _, q := range s.waiting {
		if q.state != waiting || len(q.table) != 0 || q.computed != 0 || q.scheduled != 0 || q.flights != 0 {
			return fmt.Errorf("sequence %q waits with state %d, %d blocks, %d of %d rows", q.Name, q.state, len(q.table), q.computed, q.scheduled)
		}
	}
	if len(s.running) > s.cfg.MaxSeqs {
		return fmt.Errorf("%d sequences run, at most %d may", len(s.running), s.cfg.MaxSeqs)
	}
	return s.blocks.check(refs)
}

func (s *Scheduler) checkRunning(q *Sequence) error {
	switch {
	case q.state != running:
		return fmt.Errorf("state %d among the running", q.state)
	case q.computed < 0 || q.computed > q.scheduled || q.scheduled > len(q.tokens):
		return fmt.Errorf("computed %d, scheduled %d of %d tokens", q.computed, q.scheduled, len(q.tokens))
	case q.flights == 0 && q.computed != q.scheduled:
		return fmt.Errorf("rows %d..%d are planned in no batch", q.computed, q.scheduled)
	case len(q.table) < s.blocksFor(q.scheduled):
		return fmt.Errorf("%d blocks for %d positions", len(q.table), q.scheduled)
	}
	for i := range q.computed / s.cfg.BlockTokens {
		if b := &s.blocks.all[q.table[i]]; !b.cached || b.key != *s.key(q, i) {
			return fmt.Errorf("block %d (%d in its table) does not hold its tokens", q.table[i], i)
		}
	}
	return nil
}
