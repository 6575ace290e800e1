package tokenizer

import (
	"hash/maphash"
	"strings"
	"sync/atomic"
)

const (
	cacheSlots   = 1 << 14
	cacheMaxWord = 48 // longer pieces are rare and not kept
)

// wordCache remembers the ids of pieces. It is a fixed number of slots without locks: a piece has one slot, a newer piece
// evicts an older one, so memory is bounded (about 3 MB) and a hostile text costs misses only.
type wordCache struct {
	seed  maphash.Seed
	slots []atomic.Pointer[cacheEntry]
}

type cacheEntry struct {
	word string
	ids  []int32
}

func newWordCache() *wordCache {
	return &wordCache{seed: maphash.MakeSeed(), slots: make([]atomic.Pointer[cacheEntry], cacheSlots)}
}

// slot returns the place of word, or nil if words of this length are not kept.
func (c *wordCache) slot(word string) *atomic.Pointer[cacheEntry] {
	if len(word) > cacheMaxWord {
		return nil
	}
	return &c.slots[maphash.String(c.seed, word)%cacheSlots]
}

// remember stores the ids of word; both are copied.
func remember(slot *atomic.Pointer[cacheEntry], word string, ids []int32) {
	slot.Store(&cacheEntry{word: strings.Clone(word), ids: append([]int32(nil), ids...)})
}
