package checkpoint

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"strings"
)

// The limits of a safetensors file. The header limit is that of the reference reader; the others bound the memory that
// a crafted header can claim.
const (
	maxHeader    = 100_000_000
	maxTensors   = 1 << 17
	maxRank      = 8
	headerPrefix = 8 // little-endian u64: the header's length
)

// dtypes are safetensors' element types: bits an element, and the name used here.
var dtypes = map[string]struct {
	bits   int
	format string
}{
	"F64": {64, "f64"}, "F32": {32, "f32"}, "F16": {16, "f16"}, "BF16": {16, "bf16"},
	"I64": {64, "i64"}, "I32": {32, "i32"}, "I16": {16, "i16"}, "I8": {8, "i8"},
	"U64": {64, "u64"}, "U32": {32, "u32"}, "U16": {16, "u16"}, "U8": {8, "u8"}, "BOOL": {8, "bool"},
	"F8_E5M2": {8, "f8_e5m2"}, "F8_E4M3": {8, "f8_e4m3"}, "F8_E8M0": {8, "f8_e8m0"},
	"F8_E4M3FNUZ": {8, "f8_e4m3fnuz"}, "F8_E5M2FNUZ": {8, "f8_e5m2fnuz"},
	"F6_E2M3": {6, "f6_e2m3"}, "F6_E3M2": {6, "f6_e3m2"}, "F4": {4, "f4"}, "C64": {64, "c64"},
}

// slab is a tensor as it lies in one file.
type slab struct {
	format string
	shape  []int
	data   []byte // aliases the mapping
	shard  *shard
}

// shard is one safetensors file.
type shard struct {
	path    string
	mapping *mapping
	names   []string // by offset
	slabs   map[string]*slab
}

// openShard maps a safetensors file and checks its header whole.
func openShard(path string) (*shard, error) {
	m, err := mapFile(path)
	if err != nil {
		return nil, err
	}
	s, err := readShard(m, path)
	if err != nil {
		m.Close()
		return nil, err
	}
	return s, nil
}

func readShard(m *mapping, path string) (*shard, error) {
	s := &shard{path: path, mapping: m}
	header, body, err := splitHeader(m.data)
	if err != nil {
		return nil, fault(path, "", "%w", err)
	}
	entries, err := readHeader(header)
	if err != nil {
		return nil, fault(path, "", "header: %w", err)
	}
	return s, s.place(entries, body)
}

// splitHeader cuts the file into the JSON header and the tensors' bytes.
func splitHeader(data []byte) (header, body []byte, err error) {
	if len(data) < headerPrefix {
		return nil, nil, fmt.Errorf("%d bytes are too few for a safetensors file", len(data))
	}
	n := binary.LittleEndian.Uint64(data)
	rest := data[headerPrefix:]
	switch {
	case n > uint64(len(rest)):
		return nil, nil, fmt.Errorf("the header claims %d bytes, but only %d follow: the file is truncated or damaged", n, len(rest))
	case n > maxHeader:
		return nil, nil, fmt.Errorf("the header claims %d bytes; at most %d are read", n, maxHeader)
	}
	return rest[:n], rest[n:], nil
}

// entry is one tensor of the header, not yet checked against the file.
type entry struct {
	name       string
	dtype      string
	shape      []int
	begin, end int
}

// readHeader parses {"name":{"dtype":…,"shape":[…],"data_offsets":[b,e]},…,"__metadata__":{…}}.
func readHeader(header []byte) ([]entry, error) {
	var entries []entry
	s := &scanner{data: header}
	s.object(func(key string) {
		if key == "__metadata__" {
			s.object(func(string) { s.rawString() })
			return
		}
		if len(entries) == maxTensors {
			s.fail("more than %d tensors", maxTensors)
			return
		}
		e := s.entry()
		e.name = key
		if s.err != nil {
			s.err = fmt.Errorf("tensor %s: %w", quoteName(key), s.err)
		}
		entries = append(entries, e)
	})
	s.end()
	return entries, s.err
}

// entry parses one tensor's description; each of its three keys must stand there once.
func (s *scanner) entry() entry {
	var e entry
	var seen [3]bool
	once := func(i int, key string) {
		if seen[i] {
			s.fail("%s stands twice", key)
		}
		seen[i] = true
	}
	s.object(func(key string) {
		switch key {
		case "dtype":
			once(0, key)
			e.dtype = dtypeName(s.str())
		case "shape":
			once(1, key)
			e.shape = s.shape()
		case "data_offsets":
			once(2, key)
			e.begin, e.end = s.offsets()
		default:
			s.fail("unknown key %s", quoteName(key))
		}
	})
	if seen != [3]bool{true, true, true} {
		s.fail("dtype, shape and data_offsets are all needed")
	}
	return e
}

// dtypeName keeps one copy of each known name instead of a string a tensor.
func dtypeName(name string) string {
	for known := range dtypes {
		if known == name {
			return known
		}
	}
	return strings.Clone(name[:min(len(name), 40)])
}

func (s *scanner) shape() []int {
	var buf [maxRank]int
	n := 0
	s.array(func() {
		if n == maxRank {
			s.fail("more than %d dimensions", maxRank)
			return
		}
		buf[n] = s.count()
		n++
	})
	return slices.Clone(buf[:n])
}

func (s *scanner) offsets() (begin, end int) {
	var at [2]int
	n := 0
	s.array(func() {
		v := s.count()
		if n < 2 {
			at[n] = v
		}
		n++
	})
	if s.err == nil && n != 2 {
		s.fail("data_offsets has %d numbers, not 2", n)
	}
	return at[0], at[1]
}

// place checks every entry against the body and the other entries. As the format demands, the tensors must fill the
// body without holes and overlaps.
func (s *shard) place(entries []entry, body []byte) error {
	slices.SortStableFunc(entries, func(a, b entry) int {
		if a.begin != b.begin {
			return cmp.Compare(a.begin, b.begin)
		}
		return cmp.Compare(a.end, b.end)
	})
	s.slabs = make(map[string]*slab, len(entries))
	s.names = make([]string, 0, len(entries))
	at := 0
	for _, e := range entries {
		if err := e.check(at, len(body)); err != nil {
			return fault(s.path, e.name, "%w", err)
		}
		if s.slabs[e.name] != nil {
			return fault(s.path, e.name, "the name stands twice in the header")
		}
		at = e.end
		s.slabs[e.name] = &slab{format: dtypes[e.dtype].format, shape: e.shape, data: body[e.begin:e.end:e.end], shard: s}
		s.names = append(s.names, e.name)
	}
	if at != len(body) {
		return fault(s.path, "", "the header describes %d bytes of tensors, the file holds %d", at, len(body))
	}
	return nil
}

// check verifies an entry that must begin at byte `at` of a body of `size` bytes.
func (e *entry) check(at, size int) error {
	t, ok := dtypes[e.dtype]
	switch {
	case !ok:
		return fmt.Errorf("unknown dtype %q", e.dtype)
	case e.begin > e.end:
		return fmt.Errorf("data_offsets [%d, %d] run backwards", e.begin, e.end)
	case e.end > size:
		return fmt.Errorf("data_offsets [%d, %d] lie outside the %d bytes of data: the file is truncated or damaged", e.begin, e.end, size)
	case e.begin < at:
		return fmt.Errorf("data_offsets [%d, %d] overlap the tensor before, which ends at %d", e.begin, e.end, at)
	case e.begin > at:
		return fmt.Errorf("data_offsets [%d, %d] leave a hole after byte %d", e.begin, e.end, at)
	}
	n, ok := byteLen(e.shape, t.bits)
	if !ok || n != e.end-e.begin {
		return fmt.Errorf("shape %v of %s does not make the %d bytes that data_offsets give it", e.shape, e.dtype, e.end-e.begin)
	}
	return nil
}

// byteLen returns the bytes of a shape; not ok when the product overflows or is no whole number of bytes.
func byteLen(shape []int, bitsEach int) (int, bool) {
	n := uint64(bitsEach)
	for _, d := range shape {
		hi, lo := bits.Mul64(n, uint64(d))
		if hi != 0 {
			return 0, false
		}
		n = lo
	}
	if n%8 != 0 || n/8 > math.MaxInt {
		return 0, false
	}
	return int(n / 8), true
}
