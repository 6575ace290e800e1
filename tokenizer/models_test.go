package tokenizer

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"testing"
)

// modelsFile is testdata/models.json: small vocabularies with the ids that sentencepiece and tokenizers gave for texts
// (internal/oracle/sentencepiece_models.py golden).
type modelsFile struct {
	Texts  []string
	Models map[string]struct {
		Model string
		IDs   [][]int32
	}
	Files map[string]struct {
		File    json.RawMessage
		IDs     [][2][]int32 // with special tokens added: their text read as tokens, as text
		Decoded [][2]string  // with special tokens, without
	}
}

func readModels(t testing.TB) modelsFile {
	t.Helper()
	var m modelsFile
	if err := json.Unmarshal([]byte(readText(t, "testdata/models.json")), &m); err != nil {
		t.Fatal(err)
	}
	if len(m.Texts) < 90 || len(m.Models) < 8 || len(m.Files) < 8 {
		t.Fatal("the oracle's file is too small")
	}
	return m
}

func spmModel(t testing.TB, base64Model string) []byte {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(base64Model)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestSentencePieceModels reads model files of SentencePiece.
func TestSentencePieceModels(t *testing.T) {
	f := readModels(t)
	for name, m := range f.Models {
		t.Run(name, func(t *testing.T) {
			tok, err := FromSentencePiece(spmModel(t, m.Model))
			if err != nil {
				t.Fatal(err)
			}
			for i, text := range f.Texts {
				got := encode(t, tok, text, EncodeOptions{})
				if !slices.Equal(got, m.IDs[i]) {
					t.Errorf("%q\n got %v\nwant %v", text, got, m.IDs[i])
				}
				checkStream(t, tok, got, tok.Decode(got, false))
			}
		})
	}
}

// TestTokenizerFiles reads tokenizer.json files whose parts are rarer than those of TestHardStrings.
func TestTokenizerFiles(t *testing.T) {
	f := readModels(t)
	for name, m := range f.Files {
		t.Run(name, func(t *testing.T) {
			tok := mustJSONTokenizer(t, string(m.File))
			for i, text := range f.Texts {
				for way, parse := range []bool{true, false} {
					if got := encode(t, tok, text, EncodeOptions{AddSpecial: true, ParseSpecial: parse}); !slices.Equal(got, m.IDs[i][way]) {
						t.Errorf("%q, special text read: %v\n got %v\nwant %v", text, parse, got, m.IDs[i][way])
					}
				}
				ids := encode(t, tok, text, EncodeOptions{ParseSpecial: true})
				if got := tok.Decode(ids, false); got != m.Decoded[i][0] {
					t.Errorf("%q decoded to %q, want %q", text, got, m.Decoded[i][0])
				}
				checkStream(t, tok, ids, m.Decoded[i][0])
				if got := tok.Decode(m.IDs[i][0], true); got != m.Decoded[i][1] {
					t.Errorf("%q decoded without special tokens to %q, want %q", text, got, m.Decoded[i][1])
				}
			}
		})
	}
}
