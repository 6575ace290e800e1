package tokenizer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// charsmap is SentencePiece's precompiled table of what characters and sequences become: a double-array trie whose
// values are places in a list of texts that end with a zero byte.
type charsmap struct {
	units []uint32
	texts string
}

// parseCharsmap reads the table: the size of the trie in bytes, its units, the texts. No bytes: no table.
func parseCharsmap(b []byte) (*charsmap, error) {
	if len(b) == 0 {
		return nil, nil
	}
	if len(b) < 4 {
		return nil, errors.New("tokenizer: the precompiled charsmap is cut short")
	}
	size := int64(binary.LittleEndian.Uint32(b))
	if size%4 != 0 || size > int64(len(b)-4) {
		return nil, fmt.Errorf("tokenizer: the precompiled charsmap says that its trie has %d bytes, but %d follow", size, len(b)-4)
	}
	c := &charsmap{units: make([]uint32, size/4), texts: string(b[4+size:])}
	for i := range c.units {
		c.units[i] = binary.LittleEndian.Uint32(b[4+4*i:])
	}
	return c, nil
}

// unit returns a node; a place outside the trie is a node that nothing matches.
func (c *charsmap) unit(at uint32) uint32 {
	if int64(at) < int64(len(c.units)) {
		return c.units[at]
	}
	return 1 << 31
}

// each calls yield for each key that s begins with, the shortest first, until it returns false.
func (c *charsmap) each(s string, yield func(size int, value uint32) bool) {
	offset := func(unit uint32) uint32 { return unit >> 10 << (unit & (1 << 9) >> 6) }
	at := offset(c.unit(0))
	for i := range len(s) {
		at ^= uint32(s[i])
		unit := c.unit(at)
		if unit&(1<<31|0xFF) != uint32(s[i]) {
			return
		}
		at ^= offset(unit)
		if unit>>8&1 != 0 && !yield(i+1, c.unit(at)&(1<<31-1)) {
			return
		}
	}
}

// text returns the text at a place of the list.
func (c *charsmap) text(at uint32) string {
	if int64(at) >= int64(len(c.texts)) {
		return ""
	}
	s := c.texts[at:]
	if end := strings.IndexByte(s, 0); end >= 0 {
		s = s[:end]
	}
	return s
}

// longest returns what the longest key that s begins with becomes, and the size of the key; 0: there is none.
func (c *charsmap) longest(s string) (text string, size int) { return c.key(s, true) }

// shortest is longest with the shortest key.
func (c *charsmap) shortest(s string) (text string, size int) { return c.key(s, false) }

// key finds the first key that s begins with, or goes on to the last.
func (c *charsmap) key(s string, on bool) (text string, size int) {
	var found uint32
	c.each(s, func(n int, value uint32) bool {
		size, found = n, value
		return on
	})
	if size == 0 {
		return "", 0
	}
	return c.text(found), size
}
