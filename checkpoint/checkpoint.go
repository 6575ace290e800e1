// Package checkpoint reads and writes the files that models are kept in: names to tensors, memory-mapped.
//
// It knows safetensors (one file, or shards with an index), Hugging Face directories, GGUF versions 2 and 3, and the
// compressed-tensors layout of quantized weights inside safetensors. Files are data from strangers: every count, length
// and offset is checked against the file's size before memory is taken, and a fault is an error that names the file,
// the tensor and what is wrong with it. Opening and checking takes at most 64 MB plus twice the file's size.
//
// Tensors of an open file alias its mapping: they are valid until Close. A file must not be truncated by others while
// it is open (replace files by renaming, as the writers here do).
package checkpoint

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"hone/quant"
)

// File is an open checkpoint. Its methods but Close may be called from many goroutines.
type File interface {
	// Kind is "gguf", "safetensors" or "hf" (a Hugging Face directory).
	Kind() string
	// Names lists the tensors in file order. The parts of a quantized weight (weight_packed, weight_scale, …) appear
	// as the one weight that they make up.
	Names() []string
	// Info describes a tensor without reading it.
	Info(name string) (Info, bool)
	// Matrix returns a tensor of two or more dimensions, flattened to rows of its last one. It aliases the file's mapping.
	Matrix(name string) (quant.Matrix, error)
	// Vector returns a tensor decoded to float32, flattened in row-major order. It is a copy.
	Vector(name string) ([]float32, error)
	// Config returns what the file says about the model.
	Config() Config
	// Release lets the system drop the pages that were read so far; they come back when read again.
	Release()
	// Close unmaps the file. Matrices that came from it must not be used any more.
	Close() error
}

// Noter is implemented by files that had to change something to serve it. Nothing is silent: whoever loads a model prints
// its notes.
type Noter interface {
	Notes() []string
}

// Info describes one tensor.
type Info struct {
	Format string // number format by quant's name where it has one ("f32", "q4_0", "int4-g32"), else the file's own name
	Shape  []int  // row-major, outermost first
	Bytes  int64  // stored bytes, scales and zero points included
}

// Elements returns the number of values.
func (i Info) Elements() int {
	n := 1
	for _, d := range i.Shape {
		n *= d
	}
	return n
}

// Config is what a file says about its model.
type Config struct {
	GGUF Metadata       // nil unless the file is GGUF
	HF   map[string]any // config.json, numbers as json.Number; nil if there is none
	Dir  string         // the folder of the file: tokenizer files lie there
}

// Open opens a model file or a Hugging Face directory. The content decides, not the name.
func Open(path string) (File, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	if st.IsDir() {
		return openDir(path)
	}
	m, err := mapFile(path)
	if err != nil {
		return nil, err
	}
	f, err := openMapped(m, path)
	if err != nil {
		m.Close()
		return nil, err
	}
	return f, nil
}

func openMapped(m *mapping, path string) (File, error) {
	head := m.data[:min(len(m.data), 64)]
	switch {
	case bytes.HasPrefix(head, []byte("GGUF")):
		return openGGUF(m, path)
	case len(head) > 8 && head[8] == '{':
		return openLone(m, path)
	}
	return nil, fault(path, "", "%s", strangerFault(head))
}

// strangerFault says what a file that is no checkpoint looks like, and what to do.
func strangerFault(head []byte) string {
	const want = "expected GGUF, safetensors or a Hugging Face directory"
	switch {
	case len(head) == 0:
		return "the file is empty; " + want
	case bytes.HasPrefix(head, []byte("FUGG")):
		return "a byte-swapped GGUF magic; only little-endian GGUF is read"
	case bytes.HasPrefix(head, []byte("PK\x03\x04")), head[0] == 0x80:
		return "a PyTorch pickle archive, which is code and is never loaded; convert it to safetensors"
	case bytes.HasPrefix(head, []byte("\x89HDF")):
		return "an HDF5 file, which is not read; convert it to safetensors"
	case bytes.HasPrefix(head, []byte("version https://git-lfs")):
		return "a Git LFS pointer, not the model itself; fetch the file with git lfs pull"
	case len(head) <= 8:
		return fmt.Sprintf("the file has only %d bytes; %s", len(head), want)
	}
	return fmt.Sprintf("unknown content (it begins with %q); %s", head[:min(8, len(head))], want)
}

// Error is a fault in a file: which file, which tensor ("" when it is none in particular), what is wrong.
type Error struct {
	Path   string
	Tensor string
	Err    error
}

func (e *Error) Error() string {
	if e.Tensor == "" {
		return fmt.Sprintf("checkpoint: %s: %v", e.Path, e.Err)
	}
	return fmt.Sprintf("checkpoint: %s: tensor %s: %v", e.Path, quoteName(e.Tensor), e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

// UnservedError is wrapped by the error of a file that is whole, but keeps its weights in a way that is not read.
type UnservedError struct{ text string }

func (e *UnservedError) Error() string { return e.text }

func unserved(format string, args ...any) error { return &UnservedError{fmt.Sprintf(format, args...)} }

// ErrNoTensor is wrapped by the error of a Matrix or Vector call for a name that the file does not have.
var ErrNoTensor = errors.New("not in the file")

func fault(path, tensor, format string, args ...any) error {
	return &Error{Path: path, Tensor: tensor, Err: fmt.Errorf(format, args...)}
}

// quoteName quotes a name that a stranger chose: escaped and of bounded length.
func quoteName(name string) string {
	const limit = 120
	if len(name) > limit {
		return fmt.Sprintf("%q… (%d bytes)", name[:limit], len(name))
	}
	return fmt.Sprintf("%q", name)
}

// regular refuses folders, pipes and devices, which would hang a reader or have no length.
func regular(path string) (int64, error) {
	st, err := os.Stat(path)
	if err != nil {
		return 0, fmt.Errorf("checkpoint: %w", err)
	}
	if !st.Mode().IsRegular() {
		return 0, fault(path, "", "not a regular file (%s)", st.Mode().Type())
	}
	return st.Size(), nil
}

// readSmall reads a side file (config.json and the like) of at most limit bytes.
func readSmall(path string, limit int64) ([]byte, error) {
	size, err := regular(path)
	if err != nil {
		return nil, err
	}
	if size > limit {
		return nil, fault(path, "", "%d bytes; at most %d are read", size, limit)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	defer f.Close()
	data := make([]byte, size)
	n, err := io.ReadFull(f, data)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	return data[:n], nil
}
