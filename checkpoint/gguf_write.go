package checkpoint

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"slices"

	"hone/internal/durable"
)

// GGUFValue is one entry of the metadata. Value is what Metadata holds for it: a number of a fixed width, a bool, a string,
// a slice of these, or []any of slices.
type GGUFValue struct {
	Key   string
	Value any
}

// GGUFTensor is one tensor to write. Write streams its bytes in the number format of that name when its turn comes, so
// that a file larger than memory can be written; Read, where Write is nil, gives them at once.
type GGUFTensor struct {
	Name   string
	Format string
	Shape  []int // row-major, outermost first
	Read   func() ([]byte, error)
	Write  func(w io.Writer) error
}

// maxTensorName is the longest name that ggml keeps, in bytes.
const maxTensorName = 63

// WriteGGUF writes a GGUF version 3 file in place of path, which appears whole or not at all. Metadata and tensors stand
// in the order given; tensors begin at multiples of general.alignment, 32 where meta does not give it.
func WriteGGUF(path string, meta []GGUFValue, tensors []GGUFTensor) error {
	head, align, err := ggufHead(meta, tensors)
	if err != nil {
		return fmt.Errorf("checkpoint: writing %s: %w", path, err)
	}
	return durable.WriteFile(path, func(w io.Writer) error {
		if _, err := w.Write(head); err != nil {
			return err
		}
		for _, t := range tensors {
			if err := writeGGUFTensor(w, t, align); err != nil {
				return fmt.Errorf("checkpoint: writing %s: tensor %s: %w", path, quoteName(t.Name), err)
			}
		}
		return nil
	})
}

func ggufPadding(n, align int) []byte { return make([]byte, -n&(align-1)) }

func writeGGUFTensor(w io.Writer, t GGUFTensor, align int) error {
	_, size, err := ggufSize(t)
	if err != nil {
		return err
	}
	c := &counter{w: w, left: size}
	if t.Write != nil {
		err = t.Write(c)
	} else {
		var data []byte
		if data, err = t.Read(); err == nil {
			_, err = c.Write(data)
		}
	}
	switch {
	case errors.Is(err, errTooLong):
		return fmt.Errorf("more bytes than the %d that shape %v takes as %s", size, t.Shape, t.Format)
	case err != nil:
		return err
	case c.left != 0:
		return fmt.Errorf("%d bytes given, shape %v as %s takes %d", size-c.left, t.Shape, t.Format, size)
	}
	_, err = w.Write(ggufPadding(size, align))
	return err
}

// ggufSize finds the type's number and the tensor's size in bytes.
func ggufSize(t GGUFTensor) (id uint32, size int, err error) {
	if len(t.Shape) == 0 || len(t.Shape) > maxGGUFRank || slices.ContainsFunc(t.Shape, func(d int) bool { return d <= 0 }) {
		return 0, 0, fmt.Errorf("shape %v; 1 to %d dimensions above 0 are wanted", t.Shape, maxGGUFRank)
	}
	if t.Name == "" || len(t.Name) > maxTensorName {
		return 0, 0, fmt.Errorf("a name of %d bytes; 1 to %d are wanted", len(t.Name), maxTensorName)
	}
	for id, kind := range ggmlTypes {
		if kind.name == t.Format {
			size, err := kind.size(t.Shape)
			return id, size, err
		}
	}
	return 0, 0, fmt.Errorf("GGUF has no type %q", t.Format)
}

// ggufHead is all that stands before the first tensor's data.
func ggufHead(meta []GGUFValue, tensors []GGUFTensor) (head []byte, align int, err error) {
	var b bytes.Buffer
	b.WriteString("GGUF")
	put(&b, uint32(3), uint64(len(tensors)), uint64(len(meta)))
	keys := Metadata{}
	for _, v := range meta {
		if _, twice := keys[v.Key]; twice || v.Key == "" || len(v.Key) > maxGGUFName {
			return nil, 0, fmt.Errorf("metadata %s: an empty or overlong key, or one that stands twice", quoteName(v.Key))
		}
		keys[v.Key] = v.Value
		putText(&b, v.Key)
		if err := putValue(&b, v.Value); err != nil {
			return nil, 0, fmt.Errorf("metadata %s: %w", quoteName(v.Key), err)
		}
	}
	a, err := alignment(keys)
	if err != nil {
		return nil, 0, err
	}
	align = int(a)
	if err := putTensors(&b, tensors, align); err != nil {
		return nil, 0, err
	}
	b.Write(ggufPadding(b.Len(), align))
	return b.Bytes(), align, nil
}

// putTensors writes the descriptions of the tensors.
func putTensors(b *bytes.Buffer, tensors []GGUFTensor, align int) error {
	seen := map[string]bool{}
	offset := uint64(0)
	for _, t := range tensors {
		id, size, err := ggufSize(t)
		if err == nil && seen[t.Name] {
			err = errors.New("the name stands twice")
		}
		if err != nil {
			return fmt.Errorf("tensor %s: %w", quoteName(t.Name), err)
		}
		seen[t.Name] = true
		putText(b, t.Name)
		put(b, uint32(len(t.Shape)))
		for _, d := range slices.Backward(t.Shape) { // GGUF names the innermost dimension first
			put(b, uint64(d))
		}
		put(b, id, offset)
		var carry uint64
		if offset, carry = bits.Add64(offset, uint64(size+len(ggufPadding(size, align))), 0); carry != 0 {
			return fmt.Errorf("tensor %s: the file would be larger than 2^64 bytes", quoteName(t.Name))
		}
	}
	return nil
}

func put(b *bytes.Buffer, values ...any) {
	for _, v := range values {
		binary.Write(b, binary.LittleEndian, v) // a buffer never fails
	}
}

func putText(b *bytes.Buffer, s string) {
	put(b, uint64(len(s)))
	b.WriteString(s)
}

// putValue writes a value with its type.
func putValue(b *bytes.Buffer, v any) error {
	kind, ok := scalarKind(v)
	switch {
	case ok && kind == typeString:
		put(b, kind)
		putText(b, v.(string))
		return nil
	case ok:
		put(b, kind, v)
		return nil
	}
	put(b, uint32(typeArray))
	return putArray(b, v)
}

// putArray writes an array: the type of its elements, their number, and they.
func putArray(b *bytes.Buffer, v any) error {
	if kind, n := sliceKind(v); n >= 0 {
		put(b, kind, uint64(n), v)
		return nil
	}
	switch v := v.(type) {
	case []string:
		put(b, uint32(typeString), uint64(len(v)))
		for _, s := range v {
			putText(b, s)
		}
	case []any:
		put(b, uint32(typeArray), uint64(len(v)))
		for _, x := range v {
			if err := putArray(b, x); err != nil {
				return err
			}
		}
	default:
		return fmt.Errorf("a %T cannot be written", v)
	}
	return nil
}

func scalarKind(v any) (uint32, bool) {
	switch v.(type) {
	case uint8:
		return typeU8, true
	case int8:
		return typeI8, true
	case uint16:
		return typeU16, true
	case int16:
		return typeI16, true
	case uint32:
		return typeU32, true
	case int32:
		return typeI32, true
	case uint64:
		return typeU64, true
	case int64:
		return typeI64, true
	case float32:
		return typeF32, true
	case float64:
		return typeF64, true
	case bool:
		return typeBool, true
	case string:
		return typeString, true
	}
	return 0, false
}

// sliceKind gives the element type and length of a slice of numbers or booleans, -1 for anything else.
func sliceKind(v any) (kind uint32, n int) {
	switch v := v.(type) {
	case []uint8:
		return typeU8, len(v)
	case []int8:
		return typeI8, len(v)
	case []uint16:
		return typeU16, len(v)
	case []int16:
		return typeI16, len(v)
	case []uint32:
		return typeU32, len(v)
	case []int32:
		return typeI32, len(v)
	case []uint64:
		return typeU64, len(v)
	case []int64:
		return typeI64, len(v)
	case []float32:
		return typeF32, len(v)
	case []float64:
		return typeF64, len(v)
	case []bool:
		return typeBool, len(v)
	}
	return 0, -1
}
