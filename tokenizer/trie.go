package tokenizer

import (
	"cmp"
	"slices"
)

// trie finds the pieces that a text begins with. It is a double array: the child of node n by byte c is base[n]+c+1 if
// that node's parent is n.
type trie struct{ nodes []trieNode }

type trieNode struct {
	base, parent int32
	value        int32 // of the piece that ends here, -1: none
}

type trieKey struct {
	text  string
	value int32
}

// newTrie builds the trie of keys, which it sorts; of equal keys the last counts, empty ones are left out.
func newTrie(keys []trieKey) *trie {
	slices.SortStableFunc(keys, func(a, b trieKey) int { return cmp.Compare(a.text, b.text) })
	b := trieBuilder{free: 1}
	b.grow(512)
	b.nodes[0].parent = 0
	b.fill(keys)
	return &trie{b.nodes}
}

// trieBuilder places nodes; a free node has parent -1.
type trieBuilder struct {
	nodes []trieNode
	free  int // no node below is free
}

// trieRange is a node whose children are to be placed: keys with the same first depth bytes.
type trieRange struct {
	node  int32
	keys  []trieKey
	depth int
}

func (b *trieBuilder) grow(size int) {
	for len(b.nodes) < size {
		b.nodes = append(b.nodes, trieNode{parent: -1, value: -1})
	}
}

func (b *trieBuilder) fill(keys []trieKey) {
	var labels []byte
	var groups [][]trieKey
	for queue := []trieRange{{0, keys, 0}}; len(queue) > 0; {
		r := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		for len(r.keys) > 0 && len(r.keys[0].text) == r.depth {
			if r.depth > 0 {
				b.nodes[r.node].value = r.keys[0].value
			}
			r.keys = r.keys[1:]
		}
		labels, groups = labels[:0], groups[:0]
		for len(r.keys) > 0 {
			c, n := r.keys[0].text[r.depth], 1
			for n < len(r.keys) && r.keys[n].text[r.depth] == c {
				n++
			}
			labels, groups = append(labels, c), append(groups, r.keys[:n])
			r.keys = r.keys[n:]
		}
		if len(labels) == 0 {
			continue
		}
		base := b.place(r.node, labels)
		for i, c := range labels {
			queue = append(queue, trieRange{base + int32(c) + 1, groups[i], r.depth + 1})
		}
	}
}

// place finds room for a node's children and takes it.
func (b *trieBuilder) place(node int32, labels []byte) (base int32) {
	for b.free < len(b.nodes) && b.nodes[b.free].parent != -1 {
		b.free++
	}
	tried := 0
	for at := max(b.free, int(labels[0])+1); ; at++ {
		b.grow(at + 512)
		if b.nodes[at].parent != -1 {
			continue
		}
		if base = int32(at) - int32(labels[0]) - 1; b.fits(base, labels) {
			break
		}
		if tried++; tried == 64 && len(labels) > 1 { // nearly full up to here: leave the holes to only children
			at = max(at, len(b.nodes)-512)
		}
	}
	b.nodes[node].base = base
	for _, c := range labels {
		b.nodes[base+int32(c)+1].parent = node
	}
	return base
}

func (b *trieBuilder) fits(base int32, labels []byte) bool {
	for _, c := range labels {
		if b.nodes[base+int32(c)+1].parent != -1 {
			return false
		}
	}
	return true
}

// child returns the child of a node by a byte, -1: none.
func (t *trie) child(node int32, c byte) int32 {
	next := t.nodes[node].base + int32(c) + 1
	if int(next) < len(t.nodes) && t.nodes[next].parent == node {
		return next
	}
	return -1
}
