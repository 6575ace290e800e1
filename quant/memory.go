package quant

import (
	"sync"
	"unsafe"
)

// alignedBytes is zeroed memory that begins on a cache line.
func alignedBytes(n int) []byte { return align(make([]byte, n+cacheLine), n, cacheLine) }

const (
	cacheLine = 64
	hugePage  = 2 << 20
	slabBytes = 16 << 20
)

// align cuts n bytes at the first multiple of unit out of b.
func align(b []byte, n, unit int) []byte {
	at := int(-uintptr(unsafe.Pointer(unsafe.SliceData(b))) & uintptr(unit-1))
	return b[at : at+n : at+n]
}

// slab is memory that packed weights are cut from, so that even small matrices lie on huge pages: reading weights in a
// line, a core would otherwise walk the page tables every 4 KB. A slab is freed with the last weight that lies in it.
var slab struct {
	sync.Mutex
	left []byte
}

// weightBytes is zeroed memory for a packed weight, on a cache line.
func weightBytes(n int) []byte {
	need := (n + cacheLine - 1) &^ (cacheLine - 1)
	if need > slabBytes/4 {
		return hugeBytes((need + hugePage - 1) &^ (hugePage - 1))[:n:n]
	}
	slab.Lock()
	defer slab.Unlock()
	if len(slab.left) < need {
		slab.left = hugeBytes(slabBytes)
	}
	b := slab.left[:n:n]
	slab.left = slab.left[need:]
	return b
}

// hugeBytes is zeroed memory on huge pages, where the system has them; n is a multiple of their size.
func hugeBytes(n int) []byte {
	b := align(make([]byte, n+hugePage), n, hugePage)
	adviseHuge(b)
	return b
}
