package tokenizer

import (
	"bufio"
	"encoding/binary"
	"io"
	"maps"
	"math"
	"os"
	"strings"
	"testing"

	"hone/internal/testdata"
)

// ggufMeta is the metadata of a GGUF file, read without the checks that package checkpoint makes.
type ggufMeta map[string]any

func (m ggufMeta) String(k string) (string, bool)    { v, ok := m[k].(string); return v, ok }
func (m ggufMeta) Bool(k string) (bool, bool)        { v, ok := m[k].(bool); return v, ok }
func (m ggufMeta) Int(k string) (int, bool)          { v, ok := m[k].(int); return v, ok }
func (m ggufMeta) Strings(k string) ([]string, bool) { v, ok := m[k].([]string); return v, ok }
func (m ggufMeta) Ints(k string) ([]int, bool)       { v, ok := m[k].([]int); return v, ok }

func (m ggufMeta) Floats(k string) ([]float32, bool) { v, ok := m[k].([]float32); return v, ok }

type ggufScan struct{ r io.Reader }

func (s ggufScan) uint(n int) uint64 {
	var b [8]byte
	if _, err := io.ReadFull(s.r, b[:n]); err != nil {
		panic(err)
	}
	return binary.LittleEndian.Uint64(b[:])
}

func (s ggufScan) string() string {
	b := make([]byte, s.uint(8))
	if _, err := io.ReadFull(s.r, b); err != nil {
		panic(err)
	}
	return string(b)
}

func (s ggufScan) value(kind uint64) any {
	switch kind {
	case 0:
		return int(s.uint(1))
	case 1:
		return int(int8(s.uint(1)))
	case 2, 3:
		return int(s.uint(2))
	case 4:
		return int(s.uint(4))
	case 5:
		return int(int32(s.uint(4)))
	case 6:
		return math.Float32frombits(uint32(s.uint(4)))
	case 7:
		return s.uint(1) != 0
	case 8:
		return s.string()
	case 9:
		return s.array(s.uint(4), int(s.uint(8)))
	}
	return int(s.uint(8))
}

func (s ggufScan) array(kind uint64, n int) any {
	var texts []string
	var ints []int
	var floats []float32
	for range n {
		switch v := s.value(kind).(type) {
		case string:
			texts = append(texts, v)
		case int:
			ints = append(ints, v)
		case float32:
			floats = append(floats, v)
		}
	}
	if floats != nil {
		return floats
	}
	if texts != nil {
		return texts
	}
	return ints
}

func readGGUF(t testing.TB, path string) ggufMeta {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s := ggufScan{bufio.NewReaderSize(f, 1<<20)}
	s.uint(8)
	s.uint(8)
	meta := ggufMeta{}
	for range s.uint(8) {
		key := s.string()
		meta[key] = s.value(s.uint(4))
	}
	return meta
}

const vocabDir = "tokenizers/llama.cpp-vocab/"

func vocabTokenizer(t testing.TB, name string) Tokenizer {
	t.Helper()
	return fromGGUF(t, readGGUF(t, testdata.Data(t, vocabDir+"ggml-vocab-"+name+".gguf")))
}

func fromGGUF(t testing.TB, meta ggufMeta) Tokenizer {
	t.Helper()
	tok, err := FromGGUF(meta)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func smolLM2(t testing.TB) Tokenizer {
	t.Helper()
	return fromGGUF(t, readGGUF(t, testdata.Models(t, "smollm2-135m-instruct.Q4_1.gguf")))
}

func readText(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestVectors compares with the ids that the reference gave for the texts of llama.cpp's vocabulary tests.
func TestVectors(t *testing.T) {
	for _, name := range []string{"gpt-2", "starcoder", "mpt", "deepseek-llm", "bert-bge", "llama-spm", "phi-3"} {
		t.Run(name, func(t *testing.T) {
			tok := vocabTokenizer(t, name)
			base := testdata.Data(t, vocabDir+"ggml-vocab-"+name+".gguf.inp")
			texts := strings.Split(strings.TrimSuffix(readText(t, base), "\n__ggml_vocab_test__\n"), "\n__ggml_vocab_test__\n")
			wants := strings.Split(strings.TrimSuffix(readText(t, strings.TrimSuffix(base, "inp")+"out"), "\n"), "\n")
			if len(texts) != len(wants) {
				t.Fatalf("%d texts, %d lines of ids", len(texts), len(wants))
			}
			for i, text := range texts {
				if got := joinIDs(encode(t, tok, text, EncodeOptions{})); got != strings.TrimSpace(wants[i]) {
					t.Errorf("text %d %q\n got %s\nwant %s", i, text, got, wants[i])
				}
			}
		})
	}
}

// TestWordPieceEnds: a file of BERT's vocabulary that does not name the ends of a text has those that are always spelt so; what it
// names goes before.
func TestWordPieceEnds(t *testing.T) {
	meta := ggufMeta{"tokenizer.ggml.model": "bert", "tokenizer.ggml.tokens": []string{"[PAD]", "[UNK]", "[CLS]", "[SEP]", "▁a", "b"}}
	for _, c := range []struct {
		key  string
		id   int
		want string
	}{{"", 0, "2 4 5 3"}, {"cls_token_id", 0, "0 4 5 3"}, {"bos_token_id", 1, "1 4 5 3"}, {"eos_token_id", 1, "2 4 5 1"}} {
		m := maps.Clone(meta)
		if c.key != "" {
			m["tokenizer.ggml."+c.key] = c.id
		}
		tok, err := FromGGUF(m)
		if err != nil {
			t.Fatal(err)
		}
		if got := joinIDs(encode(t, tok, "ab", EncodeOptions{AddSpecial: true})); got != c.want {
			t.Errorf("%s: %s, want %s", c.key, got, c.want)
		}
	}
}
