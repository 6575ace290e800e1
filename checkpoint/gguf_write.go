package checkpoint

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"slices"

	"hone/internal/durable"
)

// GGUFValue is one entry of the metadata. Value is a bool, int32, uint32, uint64, float32, string, or a slice of int32,
// float32 or string.
type GGUFValue struct {
	Key   string
	Value any
}

// GGUFTensor is one tensor to write. Read gives its bytes in the number format of that name when its turn comes, so that
// a file larger than memory can be written.
type GGUFTensor struct {
	Name   string
	Format string
	Shape  []int // row-major, outermost first
	Read   func() ([]byte, error)
}

// WriteGGUF writes a GGUF version 3 file in place of path, which appears whole or not at all.
func WriteGGUF(path string, meta []GGUFValue, tensors []GGUFTensor) error {
	head, err := ggufHead(meta, tensors)
	if err != nil {
		return fmt.Errorf("checkpoint: writing %s: %w", path, err)
	}
	return durable.WriteFile(path, func(w io.Writer) error {
		if _, err := w.Write(head); err != nil {
			return err
		}
		for _, t := range tensors {
			if err := writeGGUFTensor(w, t); err != nil {
				return fmt.Errorf("checkpoint: writing %s: tensor %s: %w", path, t.Name, err)
			}
		}
		return nil
	})
}

const ggufAlignment = 32

func ggufPadding(n int) []byte { return make([]byte, -n&(ggufAlignment-1)) }

func writeGGUFTensor(w io.Writer, t GGUFTensor) error {
	_, size, err := ggufSize(t)
	if err != nil {
		return err
	}
	data, err := t.Read()
	if err != nil {
		return err
	}
	if len(data) != size {
		return fmt.Errorf("%d bytes given, shape %v as %s takes %d", len(data), t.Shape, t.Format, size)
	}
	if _, err := w.Write(data); err != nil {
		return err
	}
	_, err = w.Write(ggufPadding(size))
	return err
}

// ggufSize finds the type's number and the tensor's size in bytes.
func ggufSize(t GGUFTensor) (id uint32, size int, err error) {
	for id, kind := range ggmlTypes {
		if kind.name == t.Format {
			size, err := kind.size(t.Shape)
			return id, size, err
		}
	}
	return 0, 0, fmt.Errorf("GGUF has no type %q", t.Format)
}

// ggufHead is all that stands before the first tensor's data.
func ggufHead(meta []GGUFValue, tensors []GGUFTensor) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString("GGUF")
	put(&b, uint32(3), uint64(len(tensors)), uint64(len(meta)))
	for _, v := range meta {
		putText(&b, v.Key)
		if err := putValue(&b, v.Value); err != nil {
			return nil, fmt.Errorf("metadata %s: %w", v.Key, err)
		}
	}
	offset := 0
	for _, t := range tensors {
		id, size, err := ggufSize(t)
		if err != nil {
			return nil, fmt.Errorf("tensor %s: %w", t.Name, err)
		}
		putText(&b, t.Name)
		put(&b, uint32(len(t.Shape)))
		for _, d := range slices.Backward(t.Shape) { // GGUF names the innermost dimension first
			put(&b, uint64(d))
		}
		put(&b, id, uint64(offset))
		offset += size + len(ggufPadding(size))
	}
	b.Write(ggufPadding(b.Len()))
	return b.Bytes(), nil
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

func putValue(b *bytes.Buffer, v any) error {
	switch v := v.(type) {
	case string:
		put(b, uint32(typeString))
		putText(b, v)
	case []string:
		put(b, uint32(typeArray), uint32(typeString), uint64(len(v)))
		for _, s := range v {
			putText(b, s)
		}
	case []int32:
		put(b, uint32(typeArray), uint32(typeI32), uint64(len(v)), v)
	case []float32:
		put(b, uint32(typeArray), uint32(typeF32), uint64(len(v)), v)
	case bool:
		put(b, uint32(typeBool), v)
	case int32:
		put(b, uint32(typeI32), v)
	case uint32:
		put(b, uint32(typeU32), v)
	case uint64:
		put(b, uint32(typeU64), v)
	case float32:
		put(b, uint32(typeF32), v)
	default:
		return fmt.Errorf("a %T cannot be written", v)
	}
	return nil
}
