package engine

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
)

// blockKey names the content of a full block and of everything before it: SHA-256 over the key of the block before it
// and its tokens. The chain starts at a tenant's salt, so that no tenant can find (or time) another's blocks. A
// cryptographic hash, since equal keys mean shared memory and prompts come from strangers.
type blockKey [sha256.Size]byte

func rootKey(salt string) blockKey { return sha256.Sum256([]byte(salt)) }

// next returns the key of the block of these tokens that follows k. buf is scratch.
func (k blockKey) next(tokens []int32, buf []byte) (blockKey, []byte) {
	buf = append(buf[:0], k[:]...)
	for _, t := range tokens {
		buf = binary.LittleEndian.AppendUint32(buf, uint32(t))
	}
	return sha256.Sum256(buf), buf
}

const none = int32(-1)

// block is the state of one KV block. Either refs > 0, or it is in the free list; cached blocks are found by key in both.
type block struct {
	key        blockKey
	refs       int32
	parent     int32 // cached block before it in the chain; none at the root
	cached     bool
	prev, next int32 // free list
	chain      int32 // next block with the same bucket
}

// blocks allocates KV blocks and remembers the content of full ones. A block is shared by reference count. A free block
// keeps its content and key until it is taken for something else, least recently used first.
//
// A cached block's parent is cached, is older or held as long, and is freed after it: the prefix tree loses leaves first.
type blocks struct {
	all        []block
	buckets    []int32 // heads of the chains of cached blocks, by key
	head, tail int32   // free list: taken at the head; freed cached blocks go to the tail
	free       int
}

func newBlocks(n int) *blocks {
	size := 1
	for size < 2*n {
		size *= 2
	}
	p := &blocks{all: make([]block, n), buckets: make([]int32, size), head: none, tail: none}
	for i := range p.buckets {
		p.buckets[i] = none
	}
	for i := range p.all {
		p.all[i].parent, p.all[i].chain = none, none
		p.pushTail(int32(i))
	}
	return p
}

func (p *blocks) used() int { return len(p.all) - p.free }

// take returns a free block with one reference, forgetting what it held; ok is false when there is none.
func (p *blocks) take() (id int32, ok bool) {
	id = p.head
	if id == none {
		return none, false
	}
	p.unlink(id)
	p.forget(id)
	p.all[id].refs = 1
	return id, true
}

// hold adds a reference to a block that is cached or held.
func (p *blocks) hold(id int32) {
	b := &p.all[id]
	if b.refs == 0 {
		p.unlink(id)
	}
	b.refs++
}

// release drops a reference. Sequences release their last block first, so that leaves are taken before their parents.
func (p *blocks) release(id int32) {
	b := &p.all[id]
	if b.refs <= 0 {
		panic(fmt.Sprintf("engine: block %d released without a reference", id))
	}
	if b.refs--; b.refs > 0 {
		return
	}
	if b.cached {
		p.pushTail(id)
	} else {
		p.pushHead(id)
	}
}

// find returns the cached block with a key, or none.
func (p *blocks) find(key *blockKey) int32 {
	for id := *p.bucket(key); id != none; id = p.all[id].chain {
		if p.all[id].key == *key {
			return id
		}
	}
	return none
}

// keep caches a held block under its key and returns the block to use for that content from now on: the same one, or
// the one that already holds it, with the reference moved there. Both hold the same bits.
func (p *blocks) keep(id, parent int32, key *blockKey) int32 {
	if other := p.find(key); other != none {
		if other != id {
			p.hold(other)
			p.release(id)
		}
		return other
	}
	b, head := &p.all[id], p.bucket(key)
	b.key, b.parent, b.cached, b.chain = *key, parent, true, *head
	*head = id
	return id
}

// forget drops a block from the cache.
func (p *blocks) forget(id int32) {
	b := &p.all[id]
	if !b.cached {
		return
	}
	link := p.bucket(&b.key)
	for *link != id {
		link = &p.all[*link].chain
	}
	*link = b.chain
	b.cached, b.parent, b.chain = false, none, none
}

func (p *blocks) bucket(key *blockKey) *int32 {
	return &p.buckets[binary.LittleEndian.Uint64(key[:])&uint64(len(p.buckets)-1)]
}

func (p *blocks) pushTail(id int32) {
	b := &p.all[id]
	b.prev, b.next = p.tail, none
	if p.tail == none {
		p.head = id
	} else {
		p.all[p.tail].next = id
	}
	p.tail = id
	p.free++
}

func (p *blocks) pushHead(id int32) {
	b := &p.all[id]
	b.prev, b.next = none, p.head
	if p.head == none {
		p.tail = id
	} else {
		p.all[p.head].prev = id
	}
	p.head = id
	p.free++
}

func (p *blocks) unlink(id int32) {
	b := &p.all[id]
	if b.prev == none {
		p.head = b.next
	} else {
		p.all[b.prev].next = b.next
	}
	if b.next == none {
		p.tail = b.prev
	} else {
		p.all[b.next].prev = b.prev
	}
	p.free--
}

// check verifies every invariant above, given how many references the sequences hold to each block.
func (p *blocks) check(refs []int32) error {
	if err := p.checkFreeList(); err != nil {
		return err
	}
	if err := p.checkIndex(); err != nil {
		return err
	}
	for id := range p.all {
		b := &p.all[id]
		if b.refs != refs[id] {
			return fmt.Errorf("block %d counts %d references, sequences hold %d", id, b.refs, refs[id])
		}
		if !b.cached || b.parent == none {
			continue
		}
		up := &p.all[b.parent]
		if !up.cached {
			return fmt.Errorf("block %d is cached, its parent %d is not", id, b.parent)
		}
		if up.refs < b.refs {
			return fmt.Errorf("block %d has %d references, its parent %d only %d", id, b.refs, b.parent, up.refs)
		}
	}
	return nil
}

// checkFreeList: exactly the blocks without references, linked both ways, no parent before its child.
func (p *blocks) checkFreeList() error {
	at, prev := make(map[int32]int), none
	for id := p.head; id != none; id = p.all[id].next {
		if _, twice := at[id]; twice {
			return fmt.Errorf("free list: block %d is in it twice", id)
		}
		if p.all[id].refs != 0 || p.all[id].prev != prev {
			return fmt.Errorf("free list: block %d has %d references, previous %d, want 0 and %d", id, p.all[id].refs, p.all[id].prev, prev)
		}
		at[id], prev = len(at), id
	}
	if p.tail != prev || len(at) != p.free {
		return fmt.Errorf("free list: %d blocks to tail %d, want %d to %d", len(at), prev, p.free, p.tail)
	}
	for id := range p.all {
		b := &p.all[id]
		place, in := at[int32(id)]
		if in != (b.refs == 0) {
			return fmt.Errorf("block %d has %d references, in the free list: %v", id, b.refs, in)
		}
		if in && b.cached && b.parent != none && p.all[b.parent].refs == 0 && at[b.parent] < place {
			return fmt.Errorf("free list: parent %d would be taken before block %d", b.parent, id)
		}
	}
	return nil
}

// checkIndex: each cached block is found by its key, and nothing else is in the buckets.
func (p *blocks) checkIndex() error {
	cached, indexed := 0, 0
	for id := range p.all {
		if b := &p.all[id]; b.cached {
			if cached++; p.find(&b.key) != int32(id) {
				return fmt.Errorf("cached block %d is not found by its key", id)
			}
		}
	}
	for _, id := range p.buckets {
		for ; id != none; id = p.all[id].chain {
			indexed++
		}
	}
	if cached != indexed {
		return fmt.Errorf("%d blocks are cached, %d are in the index", cached, indexed)
	}
	return nil
}
