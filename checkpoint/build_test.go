package checkpoint

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// rawTensor is one tensor of a safetensors file under construction.
type rawTensor struct {
	name, dtype string
	shape       []int
	data        []byte
}

// buildSafetensors writes a well-formed file; tests then break it.
func buildSafetensors(tensors ...rawTensor) []byte {
	var header bytes.Buffer
	var body []byte
	header.WriteString(`{"__metadata__":{"format":"pt"}`)
	for _, t := range tensors {
		name, _ := json.Marshal(t.name)
		shape, _ := json.Marshal(t.shape)
		if t.shape == nil {
			shape = []byte("[]")
		}
		fmt.Fprintf(&header, `,%s:{"dtype":%q,"shape":%s,"data_offsets":[%d,%d]}`, name, t.dtype, shape, len(body), len(body)+len(t.data))
		body = append(body, t.data...)
	}
	header.WriteString("}")
	return joinSafetensors(header.String(), body)
}

func joinSafetensors(header string, body []byte) []byte {
	out := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(out, header...), body...)
}

func f32Bytes(values ...float32) []byte {
	var out []byte
	for _, v := range values {
		out = binary.LittleEndian.AppendUint32(out, math.Float32bits(v))
	}
	return out
}

// ggufBuilder assembles a GGUF file, well-formed unless told otherwise.
type ggufBuilder struct {
	version uint32
	pairs   []byte
	infos   []byte
	body    []byte
	nPairs  uint64
	nInfos  uint64
	align   int
}

func newGGUF() *ggufBuilder { return &ggufBuilder{version: 3, align: 32} }

func ggufString(s string) []byte {
	return append(binary.LittleEndian.AppendUint64(nil, uint64(len(s))), s...)
}

// pair appends a key with a value given as type number and bytes.
func (b *ggufBuilder) pair(key string, kind uint32, value []byte) *ggufBuilder {
	b.pairs = append(b.pairs, ggufString(key)...)
	b.pairs = binary.LittleEndian.AppendUint32(b.pairs, kind)
	b.pairs = append(b.pairs, value...)
	b.nPairs++
	return b
}

func (b *ggufBuilder) text(key, value string) *ggufBuilder {
	return b.pair(key, typeString, ggufString(value))
}

// array returns the value of an array of n elements.
func ggufArray(kind uint32, n uint64, elements []byte) []byte {
	out := binary.LittleEndian.AppendUint32(nil, kind)
	return append(binary.LittleEndian.AppendUint64(out, n), elements...)
}

// tensor appends a tensor; shape is outermost first.
func (b *ggufBuilder) tensor(name string, kind uint32, shape []int, data []byte) *ggufBuilder {
	for len(b.body)%b.align != 0 {
		b.body = append(b.body, 0)
	}
	b.info(name, kind, shape, uint64(len(b.body)))
	b.body = append(b.body, data...)
	return b
}

func (b *ggufBuilder) info(name string, kind uint32, shape []int, offset uint64) *ggufBuilder {
	b.infos = append(b.infos, ggufString(name)...)
	b.infos = binary.LittleEndian.AppendUint32(b.infos, uint32(len(shape)))
	for _, d := range slices.Backward(shape) {
		b.infos = binary.LittleEndian.AppendUint64(b.infos, uint64(d))
	}
	b.infos = binary.LittleEndian.AppendUint32(b.infos, kind)
	b.infos = binary.LittleEndian.AppendUint64(b.infos, offset)
	b.nInfos++
	return b
}

func (b *ggufBuilder) bytes() []byte {
	out := binary.LittleEndian.AppendUint32([]byte("GGUF"), b.version)
	out = binary.LittleEndian.AppendUint64(out, b.nInfos)
	out = binary.LittleEndian.AppendUint64(out, b.nPairs)
	out = append(append(out, b.pairs...), b.infos...)
	for len(out)%b.align != 0 {
		out = append(out, 0)
	}
	return append(out, b.body...)
}

func writeTemp(t testing.TB, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func mustOpen(t testing.TB, path string) File {
	t.Helper()
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func globFiles(t testing.TB, dir, pattern string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no %s in %s: %v", pattern, dir, err)
	}
	return paths
}

// refusesFormat tells whether an error is the refusal of a number format by name.
func refusesFormat(err error, format string) bool {
	return strings.Contains(err.Error(), strconv.Quote(format))
}
