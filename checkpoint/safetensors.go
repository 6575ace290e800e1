package checkpoint

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"slices"
)

// The limits of a safetensors file. The header limit is that of the reference reader; the others bound the memory that
// a crafted header can claim.
const (
	maxHeader    = 100_000_000
	maxTensors   = 1 << 17
	maxRank      = 8
	headerPrefix = 8 // little-endian u64: the header's length
)

// dtype is one of safetensors' element types.
type dtype struct {
	name   string // in the file
	bits   int    // an element
	format string // here
}

var dtypes = func() map[string]*dtype {
	m := map[string]*dtype{}
	for _, d := range []dtype{
		{"F64", 64, "f64"}, {"F32", 32, "f32"}, {"F16", 16, "f16"}, {"BF16", 16, "bf16"}, {"C64", 64, "c64"},
		{"I64", 64, "i64"}, {"I32", 32, "i32"}, {"I16", 16, "i16"}, {"I8", 8, "i8"},
		{"U64", 64, "u64"}, {"U32", 32, "u32"}, {"U16", 16, "u16"}, {"U8", 8, "u8"}, {"BOOL", 8, "bool"},
		{"F8_E5M2", 8, "f8_e5m2"}, {"F8_E4M3", 8, "f8_e4m3"}, {"F8_E8M0", 8, "f8_e8m0"},
		{"F8_E4M3FNUZ", 8, "f8_e4m3fnuz"}, {"F8_E5M2FNUZ", 8, "f8_e5m2fnuz"},
		{"F6_E2M3", 6, "f6_e2m3"}, {"F6_E3M2", 6, "f6_e3m2"}, {"F4", 4, "f4"},
	} {
		m[d.name] = &d
	}
	return m
}()

// slab is a tensor as it lies in one file.
type slab struct {
	name       string
	dtype      *dtype
	shape      []int
	begin, end int // in the shard's body
	shard      *shard
}

func (s *slab) format() string { return s.dtype.format }
func (s *slab) data() []byte   { return s.shard.body[s.begin:s.end:s.end] }
func (s *slab) elements() int  { return Info{Shape: s.shape}.Elements() }

func le32(b []byte) uint32       { return binary.LittleEndian.Uint32(b) }
func putLE32(b []byte, v uint32) { binary.LittleEndian.PutUint32(b, v) }

// shard is one safetensors file.
type shard struct {
	path    string
	mapping *mapping
	body    []byte // the mapping after the header
	slabs   []slab // by offset
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
	if head := m.data[:min(len(m.data), 64)]; len(head) <= headerPrefix || head[headerPrefix] != '{' {
		return nil, fault(path, "", "%s", strangerFault(head))
	}
	header, body, err := splitHeader(m.data)
	if err != nil {
		return nil, fault(path, "", "%w", err)
	}
	s.body = body
	if s.slabs, err = readHeader(header); err != nil {
		return nil, fault(path, "", "header: %w", err)
	}
	return s, s.place()
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

// readHeader parses {"name":{"dtype":…,"shape":[…],"data_offsets":[b,e]},…,"__metadata__":{…}}. A first pass counts the
// tensors, so that the second takes memory once.
func readHeader(header []byte) ([]slab, error) {
	n := 0
	count := &scanner{data: header}
	count.object(func(string) {
		if n++; n > maxTensors+1 {
			count.fail("more than %d tensors", maxTensors)
		}
		count.skip(maxDepth)
	})
	if count.end(); count.err != nil {
		return nil, count.err
	}
	slabs := make([]slab, 0, n)
	s := &scanner{data: header}
	s.object(func(key string) {
		if key == "__metadata__" {
			s.object(func(string) { s.rawString() })
			return
		}
		t := s.slab()
		if t.name = key; len(slabs) == maxTensors {
			s.fail("more than %d tensors", maxTensors)
		}
		if s.err != nil {
			s.err = fmt.Errorf("tensor %s: %w", quoteName(key), s.err)
		}
		slabs = append(slabs, t)
	})
	return slabs, s.err
}

// slab parses one tensor's description; each of its three keys must stand there once.
func (s *scanner) slab() slab {
	var t slab
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
			name := s.str()
			if t.dtype = dtypes[name]; t.dtype == nil {
				s.fail("unknown dtype %s", quoteName(name))
			}
		case "shape":
			once(1, key)
			t.shape = s.shape()
		case "data_offsets":
			once(2, key)
			t.begin, t.end = s.offsets()
		default:
			s.fail("unknown key %s", quoteName(key))
		}
	})
	if seen != [3]bool{true, true, true} {
		s.fail("dtype, shape and data_offsets are all needed")
	}
	return t
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

// place checks every tensor against the body and its neighbours. As the format demands, the tensors must fill the body
// without holes and overlaps.
func (s *shard) place() error {
	slices.SortStableFunc(s.slabs, func(a, b slab) int {
		return cmp.Or(cmp.Compare(a.begin, b.begin), cmp.Compare(a.end, b.end))
	})
	at := 0
	for i := range s.slabs {
		t := &s.slabs[i]
		if err := t.check(at, len(s.body)); err != nil {
			return fault(s.path, t.name, "%w", err)
		}
		t.shard = s
		at = t.end
	}
	if at != len(s.body) {
		return fault(s.path, "", "the header describes %d bytes of tensors, the file holds %d", at, len(s.body))
	}
	return nil
}

// check verifies a tensor that must begin at byte `at` of a body of `size` bytes.
func (s *slab) check(at, size int) error {
	switch {
	case s.begin > s.end:
		return fmt.Errorf("data_offsets [%d, %d] run backwards", s.begin, s.end)
	case s.end > size:
		return fmt.Errorf("data_offsets [%d, %d] lie outside the %d bytes of data: the file is truncated or damaged", s.begin, s.end, size)
	case s.begin < at:
		return fmt.Errorf("data_offsets [%d, %d] overlap the tensor before, which ends at %d", s.begin, s.end, at)
	case s.begin > at:
		return fmt.Errorf("data_offsets [%d, %d] leave a hole after byte %d", s.begin, s.end, at)
	}
	n, ok := byteLen(s.shape, s.dtype.bits)
	if !ok || n != s.end-s.begin {
		return fmt.Errorf("shape %v of %s does not make the %d bytes that data_offsets give it", s.shape, s.dtype.name, s.end-s.begin)
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
