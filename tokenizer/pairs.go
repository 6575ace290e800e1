package tokenizer

import "math"

const (
	noRank   = math.MaxInt32
	noSymbol = math.MinInt32 // no token and no character either
)

// merge is what a pair of tokens becomes and how early; rank noRank: not at all.
type merge struct{ rank, id int32 }

// pairTable maps pairs of symbols to merges: open addressing, at most half full, no deletion. A symbol is the id of a token
// or, below 0, a character without one (see unknownChar).
type pairTable struct {
	mask  uint64
	slots []pairSlot
}

type pairSlot struct {
	left, right int32 // left noSymbol: empty
	merge
}

func newPairTable(n int) pairTable {
	size := 16
	for size < 2*n {
		size *= 2
	}
	t := pairTable{mask: uint64(size - 1), slots: make([]pairSlot, size)}
	for i := range t.slots {
		t.slots[i].left = noSymbol
	}
	return t
}

func (t *pairTable) find(left, right int32) *pairSlot {
	h := (uint64(uint32(left))<<32 | uint64(uint32(right))) * 0x9E3779B97F4A7C15
	for i := (h >> 32) & t.mask; ; i = (i + 1) & t.mask {
		if s := &t.slots[i]; s.left == noSymbol || s.left == left && s.right == right {
			return s
		}
	}
}

func (t *pairTable) get(left, right int32) merge {
	if s := t.find(left, right); s.left != noSymbol {
		return s.merge
	}
	return merge{rank: noRank}
}

// put sets the merge of a pair; if it is there already, keepFirst tells which one stays.
func (t *pairTable) put(left, right, rank, id int32, keepFirst bool) {
	s := t.find(left, right)
	if s.left != noSymbol && keepFirst {
		return
	}
	*s = pairSlot{left, right, merge{rank, id}}
}

// candidates is a binary heap of possible merges, each packed as rank (high half) and position (low half), so that the
// leftmost of equal ranks comes first.
type candidates []uint64

// add appends without keeping the heap order: init must follow.
func (h *candidates) add(m merge, at int32) {
	if m.rank != noRank {
		*h = append(*h, uint64(uint32(m.rank))<<32|uint64(uint32(at)))
	}
}

func (h candidates) init() {
	for i := len(h)/2 - 1; i >= 0; i-- {
		h.down(i)
	}
}

func (h *candidates) push(m merge, at int32) {
	if m.rank == noRank {
		return
	}
	h.add(m, at)
	s := *h
	for i := len(s) - 1; i > 0; {
		up := (i - 1) / 2
		if s[up] <= s[i] {
			return
		}
		s[up], s[i] = s[i], s[up]
		i = up
	}
}

func (h *candidates) pop() (at, rank int32) {
	s := *h
	top := s[0]
	s[0] = s[len(s)-1]
	*h = s[:len(s)-1]
	h.down(0)
	return int32(uint32(top)), int32(top >> 32)
}

func (h candidates) down(i int) {
	for {
		child := 2*i + 1
		if child >= len(h) {
			return
		}
		if child+1 < len(h) && h[child+1] < h[child] {
			child++
		}
		if h[i] <= h[child] {
			return
		}
		h[i], h[child] = h[child], h[i]
		i = child
	}
}
