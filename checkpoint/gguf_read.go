package checkpoint

import (
	"encoding/binary"
	"fmt"
	"math"
	"unicode/utf8"
	"unsafe"
)

const maxInt = math.MaxInt

// The limits of a GGUF header: they bound the memory that a crafted one can claim, and lie far above any real file.
const (
	maxPairs      = 1 << 16
	maxGGUFName   = 4096
	maxArrayDepth = 4
	maxNested     = 1 << 16 // arrays inside arrays, over the whole file
	maxGGUFRank   = 4
	maxAlignment  = 1 << 20
)

// The value types of GGUF metadata.
const (
	typeU8 = iota
	typeI8
	typeU16
	typeI16
	typeU32
	typeI32
	typeF32
	typeBool
	typeString
	typeArray
	typeU64
	typeI64
	typeF64
)

// valueSize is the least number of bytes that a value of a type takes: a count of values beyond the rest of the file is
// refused before memory is taken. 0 marks an unknown type.
func valueSize(kind uint32) int {
	switch kind {
	case typeU8, typeI8, typeBool:
		return 1
	case typeU16, typeI16:
		return 2
	case typeU32, typeI32, typeF32:
		return 4
	case typeU64, typeI64, typeF64, typeString:
		return 8
	case typeArray:
		return 12
	}
	return 0
}

// ggufReader walks a GGUF header. It remembers the first error; after one, every read returns zero.
type ggufReader struct {
	data   []byte
	pos    int
	nested int
	err    error
}

func (r *ggufReader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf(format, args...)
	}
}

// take returns the next n bytes, nil after an error.
func (r *ggufReader) take(n uint64) []byte {
	if r.err != nil {
		return nil
	}
	if n > uint64(len(r.data)-r.pos) {
		r.fail("%d bytes are wanted at byte %d, but the file ends after %d more: it is truncated or damaged", n, r.pos, len(r.data)-r.pos)
		return nil
	}
	b := r.data[r.pos : r.pos+int(n)]
	r.pos += int(n)
	return b
}

func (r *ggufReader) u32() uint32 {
	if b := r.take(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (r *ggufReader) u64() uint64 {
	if b := r.take(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

// name reads a key or a tensor's name.
func (r *ggufReader) name() string {
	n := r.u64()
	if r.err == nil && (n == 0 || n > maxGGUFName) {
		r.fail("a name of %d bytes at byte %d", n, r.pos)
	}
	b := r.take(n)
	if !utf8.Valid(b) {
		r.fail("name %q is not valid UTF-8", b[:min(len(b), 40)])
	}
	return string(b)
}

// value reads a value of a type.
func (r *ggufReader) value(kind uint32, depth int) any {
	switch kind {
	case typeString:
		return string(r.take(r.u64()))
	case typeArray:
		return r.array(depth)
	}
	b := r.take(uint64(valueSize(kind)))
	if r.err != nil {
		return nil
	}
	switch kind {
	case typeU8:
		return b[0]
	case typeI8:
		return int8(b[0])
	case typeBool:
		return r.boolean(b[0])
	case typeU16:
		return binary.LittleEndian.Uint16(b)
	case typeI16:
		return int16(binary.LittleEndian.Uint16(b))
	case typeU32:
		return binary.LittleEndian.Uint32(b)
	case typeI32:
		return int32(binary.LittleEndian.Uint32(b))
	case typeF32:
		return math.Float32frombits(binary.LittleEndian.Uint32(b))
	case typeU64:
		return binary.LittleEndian.Uint64(b)
	case typeI64:
		return int64(binary.LittleEndian.Uint64(b))
	case typeF64:
		return math.Float64frombits(binary.LittleEndian.Uint64(b))
	}
	r.fail("value type %d is unknown", kind)
	return nil
}

func (r *ggufReader) boolean(b byte) bool {
	if b > 1 {
		r.fail("a boolean of %d at byte %d", b, r.pos-1)
	}
	return b == 1
}

// array reads an array; its elements are checked to fit the file before memory is taken.
func (r *ggufReader) array(depth int) any {
	kind, n := r.u32(), r.u64()
	size := valueSize(kind)
	switch {
	case r.err != nil:
		return nil
	case size == 0:
		r.fail("array element type %d is unknown", kind)
		return nil
	case n > uint64((len(r.data)-r.pos)/size):
		r.fail("an array of %d values at byte %d cannot fit the %d bytes that follow: the file is truncated or damaged", n, r.pos, len(r.data)-r.pos)
		return nil
	}
	switch kind {
	case typeString:
		return r.strings(int(n))
	case typeArray:
		return r.arrays(int(n), depth)
	case typeBool:
		return numbers(r, int(n), 1, func(b []byte) bool { return r.boolean(b[0]) })
	case typeU8:
		return numbers(r, int(n), 1, func(b []byte) uint8 { return b[0] })
	case typeI8:
		return numbers(r, int(n), 1, func(b []byte) int8 { return int8(b[0]) })
	case typeU16:
		return numbers(r, int(n), 2, binary.LittleEndian.Uint16)
	case typeI16:
		return numbers(r, int(n), 2, func(b []byte) int16 { return int16(binary.LittleEndian.Uint16(b)) })
	case typeU32:
		return numbers(r, int(n), 4, binary.LittleEndian.Uint32)
	case typeI32:
		return numbers(r, int(n), 4, func(b []byte) int32 { return int32(binary.LittleEndian.Uint32(b)) })
	case typeF32:
		return numbers(r, int(n), 4, func(b []byte) float32 { return math.Float32frombits(binary.LittleEndian.Uint32(b)) })
	case typeU64:
		return numbers(r, int(n), 8, binary.LittleEndian.Uint64)
	case typeI64:
		return numbers(r, int(n), 8, func(b []byte) int64 { return int64(binary.LittleEndian.Uint64(b)) })
	default:
		return numbers(r, int(n), 8, func(b []byte) float64 { return math.Float64frombits(binary.LittleEndian.Uint64(b)) })
	}
}

func numbers[T any](r *ggufReader, n, size int, decode func([]byte) T) []T {
	b := r.take(uint64(n) * uint64(size))
	out := make([]T, len(b)/size)
	for i := range out {
		out[i] = decode(b[i*size:])
	}
	return out
}

// strings reads n strings in two passes, so that all of them share one allocation: a vocabulary has 50,000 and more.
func (r *ggufReader) strings(n int) []string {
	start, total := r.pos, 0
	for range n {
		total += len(r.take(r.u64()))
	}
	if r.err != nil {
		return nil
	}
	end := r.pos
	text := make([]byte, 0, total)
	for r.pos = start; r.pos < end; {
		text = append(text, r.take(r.u64())...)
	}
	whole := unsafe.String(unsafe.SliceData(text), len(text)) // text is not written again
	out := make([]string, n)
	r.pos = start
	for i := range out {
		size := int(r.u64())
		r.pos += size
		out[i], whole = whole[:size], whole[size:]
	}
	return out
}

// arrays reads n arrays.
func (r *ggufReader) arrays(n, depth int) []any {
	if r.nested += n; r.nested > maxNested || depth >= maxArrayDepth {
		r.fail("arrays inside arrays: more than %d, or deeper than %d", maxNested, maxArrayDepth)
		return nil
	}
	out := make([]any, n)
	for i := range out {
		out[i] = r.array(depth + 1)
	}
	return out
}
