package checkpoint

import (
	"cmp"
	"errors"
	"fmt"
	"math/bits"
	"path/filepath"
	"slices"

	"hone/quant"
)

// gguf is an open GGUF file, version 2 or 3, little-endian
// (layout: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md), or all the parts of a split one.
type gguf struct {
	path     string
	mappings []*mapping // a part each
	meta     Metadata
	names    []string
	tensors  map[string]*ggufTensor
}

type ggufTensor struct {
	path   string
	kind   ggmlType
	shape  []int // outermost first; the file has it the other way round
	offset uint64
	size   int
	data   []byte
}

// minTensorInfo is the least number of bytes that a tensor's description takes: name length, a letter, rank, type, offset.
const minTensorInfo = 8 + 1 + 4 + 4 + 8

func openGGUF(m *mapping, path string) (File, error) {
	g, err := parseGGUF(m, path)
	if err != nil {
		return nil, err
	}
	if parts, ok := g.meta.Int(splitCount); ok && parts > 1 {
		err = g.join(parts)
	}
	if err != nil {
		for _, part := range g.mappings[1:] { // the caller closes the first
			part.Close()
		}
		return nil, err
	}
	for _, key := range []string{splitNo, splitCount, splitTensors} { // of a file, not of the model
		delete(g.meta, key)
	}
	return g, nil
}

// parseGGUF reads one file's header and places its tensors.
func parseGGUF(m *mapping, path string) (*gguf, error) {
	g := &gguf{path: path, mappings: []*mapping{m}}
	r := &ggufReader{data: m.data, pos: len("GGUF")}
	if string(m.data[:min(4, len(m.data))]) != "GGUF" {
		return nil, fault(path, "", "it does not begin with GGUF")
	}
	pairs, count := r.ggufCounts()
	if r.err != nil {
		return nil, fault(path, "", "%w", r.err)
	}
	if err := g.readPairs(r, pairs); err != nil {
		return nil, err
	}
	align, err := alignment(g.meta)
	if err != nil {
		return nil, fault(path, "", "%w", err)
	}
	if err := g.readTensors(r, count); err != nil {
		return nil, err
	}
	return g, g.place(uint64(r.pos), align)
}

// ggufCounts reads the fixed part of the header.
func (r *ggufReader) ggufCounts() (pairs, tensors uint64) {
	version := r.u32()
	switch {
	case r.err != nil:
	case version == 1:
		r.fail("GGUF version 1 is not read; convert the model again (versions 2 and 3 are read)")
	case version == bits.ReverseBytes32(2) || version == bits.ReverseBytes32(3):
		r.fail("big-endian GGUF is not read; convert it to little-endian")
	case version != 2 && version != 3:
		r.fail("GGUF version %d is unknown; versions 2 and 3 are read", version)
	}
	tensors, pairs = r.u64(), r.u64()
	rest := uint64(len(r.data) - r.pos)
	switch {
	case r.err != nil:
	case pairs > maxPairs || pairs > rest/13:
		r.fail("the header claims %d key-value pairs: the file is damaged", pairs)
	case tensors > maxTensors || tensors > rest/minTensorInfo:
		r.fail("the header claims %d tensors: the file is damaged", tensors)
	}
	return pairs, tensors
}

func (g *gguf) readPairs(r *ggufReader, n uint64) error {
	g.meta = make(Metadata, n)
	for range n {
		key := r.name()
		if _, twice := g.meta[key]; twice && r.err == nil {
			r.fail("the key stands twice")
		}
		value := r.value(r.u32(), 0)
		if r.err != nil {
			return fault(g.path, "", "key %s: %w", quoteName(key), r.err)
		}
		g.meta[key] = value
	}
	return nil
}

// alignment returns general.alignment, 32 when it is not given.
func alignment(m Metadata) (uint64, error) {
	v, there := m["general.alignment"]
	if !there {
		return 32, nil
	}
	a, ok := v.(uint32)
	if !ok || a == 0 || a&(a-1) != 0 || a > maxAlignment {
		return 0, fmt.Errorf("general.alignment is %v (%T); a power of two as uint32 is wanted", v, v)
	}
	return uint64(a), nil
}

func (g *gguf) readTensors(r *ggufReader, n uint64) error {
	g.tensors = make(map[string]*ggufTensor, n)
	g.names = make([]string, 0, n)
	for range n {
		name := r.name()
		t := r.tensor()
		if g.tensors[name] != nil {
			r.fail("the name stands twice")
		}
		if r.err != nil {
			return fault(g.path, name, "%w", r.err)
		}
		t.path = g.path
		g.tensors[name] = t
		g.names = append(g.names, name)
	}
	return nil
}

// tensor reads one tensor's description without its name.
func (r *ggufReader) tensor() *ggufTensor {
	rank := r.u32()
	if rank > maxGGUFRank {
		r.fail("%d dimensions; at most %d are read", rank, maxGGUFRank)
		return nil
	}
	t := &ggufTensor{shape: make([]int, rank)}
	for i := range t.shape {
		d := r.u64()
		if r.err == nil && (d == 0 || d > maxInt) {
			r.fail("dimension %d is %d", i, d)
		}
		t.shape[len(t.shape)-1-i] = int(d)
	}
	id := r.u32()
	t.offset = r.u64()
	if r.err != nil {
		return nil
	}
	if t.kind, r.err = ggmlTypeOf(id); r.err == nil {
		t.size, r.err = t.kind.size(t.shape)
	}
	return t
}

// place finds every tensor's bytes after the header, which ends at byte `end`, and checks that none lies outside the file
// or over another.
func (g *gguf) place(end, align uint64) error {
	start := (end + align - 1) &^ (align - 1)
	body := g.mappings[0].data
	if start > uint64(len(body)) {
		start = uint64(len(body))
	}
	body = body[start:]
	order := slices.Clone(g.names)
	slices.SortFunc(order, func(a, b string) int {
		x, y := g.tensors[a], g.tensors[b]
		return cmp.Or(cmp.Compare(x.offset, y.offset), cmp.Compare(x.size, y.size))
	})
	var at uint64
	for _, name := range order {
		t := g.tensors[name]
		switch {
		case t.offset%align != 0:
			return fault(g.path, name, "offset %d is no multiple of the alignment %d", t.offset, align)
		case t.offset > uint64(len(body)) || uint64(t.size) > uint64(len(body))-t.offset:
			return fault(g.path, name, "its %d bytes at offset %d lie outside the %d bytes of data: the file is truncated or damaged", t.size, t.offset, len(body))
		case t.offset < at:
			return fault(g.path, name, "offset %d overlaps the tensor before, which ends at %d", t.offset, at)
		}
		at = t.offset + uint64(t.size)
		t.data = body[t.offset:at:at]
	}
	return nil
}

func (g *gguf) Kind() string    { return "gguf" }
func (g *gguf) Names() []string { return slices.Clone(g.names) }
func (g *gguf) Config() Config  { return Config{GGUF: g.meta, Dir: filepath.Dir(g.path)} }

func (g *gguf) Release() {
	for _, m := range g.mappings {
		m.Release()
	}
}

func (g *gguf) Close() error {
	var errs []error
	for _, m := range g.mappings {
		errs = append(errs, m.Close())
	}
	return errors.Join(errs...)
}

func (g *gguf) Info(name string) (Info, bool) {
	t := g.tensors[name]
	if t == nil {
		return Info{}, false
	}
	return Info{Format: t.kind.name, Shape: slices.Clone(t.shape), Bytes: int64(t.size)}, true
}

func (g *gguf) Matrix(name string) (quant.Matrix, error) {
	t := g.tensors[name]
	if t == nil {
		return nil, fault(g.path, name, "%w", ErrNoTensor)
	}
	shape := t.shape
	if len(shape) == 1 { // converters cut dimensions of one
		shape = []int{1, shape[0]}
	}
	m, err := matrixOf(t.kind.name, shape, t.data)
	if err != nil {
		return nil, &Error{Path: t.path, Tensor: name, Err: err}
	}
	return m, nil
}

func (g *gguf) Vector(name string) ([]float32, error) {
	t := g.tensors[name]
	if t == nil {
		return nil, fault(g.path, name, "%w", ErrNoTensor)
	}
	v, err := vectorOf(t.kind.name, t.shape, t.data)
	if err != nil {
		return nil, &Error{Path: t.path, Tensor: name, Err: err}
	}
	return v, nil
}
