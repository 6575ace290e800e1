package checkpoint

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"hone/internal/durable"
)

// Tensor is one tensor of a safetensors file to be written.
type Tensor struct {
	Name  string
	DType string // safetensors' name: F32, BF16, I32, …
	Shape []int
	Write func(w io.Writer) error // writes exactly the bytes that DType and Shape make
}

// WriteSafetensors writes a safetensors file: beside path, synced, then renamed into place. Tensors are streamed in the
// order given; metadata becomes the header's __metadata__.
func WriteSafetensors(path string, tensors []Tensor, metadata map[string]string) error {
	header, sizes, err := safetensorsHeader(tensors, metadata)
	if err != nil {
		return fmt.Errorf("checkpoint: %s: %w", path, err)
	}
	err = durable.WriteFile(path, func(w io.Writer) error {
		if _, err := w.Write(header); err != nil {
			return err
		}
		for i, t := range tensors {
			if err := writeTensor(w, t, sizes[i]); err != nil {
				return fmt.Errorf("tensor %s: %w", quoteName(t.Name), err)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("checkpoint: writing %s: %w", path, err)
	}
	return nil
}

// writeTensor streams one tensor and checks that it is as long as it said.
func writeTensor(w io.Writer, t Tensor, size int) error {
	c := &counter{w: w, left: size}
	if err := t.Write(c); err != nil {
		return err
	}
	if c.left != 0 {
		return fmt.Errorf("%d of %d bytes were not written", c.left, size)
	}
	return nil
}

// counter refuses to write more than it was told.
type counter struct {
	w    io.Writer
	left int
}

var errTooLong = errors.New("more bytes than its type and shape make")

func (c *counter) Write(p []byte) (int, error) {
	if len(p) > c.left {
		return 0, errTooLong
	}
	n, err := c.w.Write(p)
	c.left -= n
	return n, err
}

// safetensorsHeader returns the file's beginning up to the first tensor's bytes, padded to 8, and each tensor's size.
func safetensorsHeader(tensors []Tensor, metadata map[string]string) ([]byte, []int, error) {
	out := append(make([]byte, headerPrefix), '{')
	if len(metadata) > 0 {
		text, err := json.Marshal(metadata)
		if err != nil {
			return nil, nil, err
		}
		out = append(append(append(out, `"__metadata__":`...), text...), ',')
	}
	sizes := make([]int, len(tensors))
	seen := make(map[string]bool, len(tensors))
	at := 0
	for i, t := range tensors {
		size, ok := t.size()
		if !ok || seen[t.Name] || t.Name == "__metadata__" {
			return nil, nil, fmt.Errorf("tensor %s of type %q and shape %v cannot be written (type, size or a name that stands twice)",
				quoteName(t.Name), t.DType, t.Shape)
		}
		seen[t.Name] = true
		out = appendEntry(out, t, at, at+size)
		sizes[i] = size
		at += size
	}
	if out[len(out)-1] == ',' {
		out = out[:len(out)-1]
	}
	out = append(out, '}')
	for len(out)%8 != 0 {
		out = append(out, ' ')
	}
	binary.LittleEndian.PutUint64(out, uint64(len(out)-headerPrefix))
	return out, sizes, nil
}

func (t Tensor) size() (int, bool) {
	d := dtypes[t.DType]
	if d == nil {
		return 0, false
	}
	return byteLen(t.Shape, d.bits)
}

func appendEntry(out []byte, t Tensor, begin, end int) []byte {
	name, _ := json.Marshal(t.Name) // a string always can be
	shape := "[]"
	if len(t.Shape) > 0 {
		b, _ := json.Marshal(t.Shape)
		shape = string(b)
	}
	return fmt.Appendf(out, `%s:{"dtype":"%s","shape":%s,"data_offsets":[%d,%d]},`, name, t.DType, shape, begin, end)
}
