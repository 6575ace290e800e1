package tokenizer

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hone/internal/testdata"
)

// The four ways that the oracle encodes a text, in its order.
var oracleWays = []EncodeOptions{{ParseSpecial: true}, {AddSpecial: true, ParseSpecial: true}, {}, {AddSpecial: true}}

type oracleFile struct {
	Texts     []string               `json:"texts"`
	IDs       map[string][][][]int32 `json:"ids"`
	Messages  []Message              `json:"messages"`
	Tools     json.RawMessage        `json:"tools"`
	Templates []struct{ Source, Text string }
}

func readOracle(t testing.TB) oracleFile {
	t.Helper()
	var o oracleFile
	if err := json.Unmarshal([]byte(readText(t, "testdata/oracle.json")), &o); err != nil {
		t.Fatal(err)
	}
	if len(o.Texts) < 30 || len(o.Templates) < 10 {
		t.Fatal("the oracle's file is too small")
	}
	return o
}

// TestHardStrings compares with ids of PyPI tokenizers (internal/oracle/tokenizers.py golden).
func TestHardStrings(t *testing.T) {
	o := readOracle(t)
	bert, err := FromJSON([]byte(readText(t, testdata.Data(t, "tokenizers/hf/bert-base-uncased.json"))), nil)
	if err != nil {
		t.Fatal(err)
	}
	gpt2 := vocabTokenizer(t, "gpt-2").(*pipeline)
	markSpecial(t, gpt2, "<|endoftext|>") // this file types it as an ordinary token
	for name, tok := range map[string]Tokenizer{"bert-base-uncased": bert, "gpt-2": gpt2} {
		for i, text := range o.Texts {
			for way, opt := range oracleWays {
				if got, want := encode(t, tok, text, opt), o.IDs[name][i][way]; !slices.Equal(got, want) {
					t.Errorf("%s %q %+v\n got %v\nwant %v", name, text, opt, got, want)
				}
			}
		}
	}
}

func markSpecial(t *testing.T, p *pipeline, token string) {
	t.Helper()
	id, ok := p.ID(token)
	if !ok {
		t.Fatal("no token " + token)
	}
	set, err := newAddedSet([]addedToken{{ID: id, Content: token, Special: true}}, func(s string) string { return s })
	if err != nil {
		t.Fatal(err)
	}
	p.raw, p.special = set, map[int32]bool{id: true}
}

// TestOracleFuzz compares with what internal/oracle/tokenizers.py left in $HONE_TOKENIZER_ORACLE: tokenizers as NAME.json,
// texts with ids as NAME.ids. The folder's tokenizers that come from GGUF are written by TestExportForOracle.
func TestOracleFuzz(t *testing.T) {
	files, _ := filepath.Glob(filepath.Join(oracleDir(t), "*.ids"))
	if len(files) == 0 {
		t.Fatal("no .ids files in the oracle's folder")
	}
	for _, path := range files {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".ids"), func(t *testing.T) { compareFuzz(t, path) })
	}
}

func oracleDir(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("HONE_TOKENIZER_ORACLE")
	if dir == "" {
		t.Skip("left out: HONE_TOKENIZER_ORACLE is not set (internal/oracle/tokenizers.py fills the folder)")
	}
	return dir
}

func compareFuzz(t *testing.T, path string) {
	tok, err := FromJSON([]byte(readText(t, strings.TrimSuffix(path, "ids")+"json")), nil)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	in := bufio.NewReader(f)
	bad, n := 0, 0
	report := func(text, what string, got, want any) {
		if bad++; bad <= 5 {
			t.Errorf("%q: %s\n got %v\nwant %v", text, what, got, want)
		}
	}
	for d := json.NewDecoder(in); d.More(); n++ {
		var line struct {
			Text             string
			IDs              [][]int32
			Decoded, Skipped string
		}
		if err := d.Decode(&line); err != nil {
			t.Fatal(err)
		}
		for way, opt := range oracleWays {
			if got := encode(t, tok, line.Text, opt); !slices.Equal(got, line.IDs[way]) {
				report(line.Text, "ids", got, line.IDs[way])
			}
		}
		if got := tok.Decode(line.IDs[0], false); got != line.Decoded {
			report(line.Text, "decoded", got, line.Decoded)
		}
		if got := tok.Decode(line.IDs[1], true); got != line.Skipped {
			report(line.Text, "decoded without specials", got, line.Skipped)
		}
	}
	t.Logf("%d texts, %d differences", n, bad)
}

// TestOracleSentencePiece compares with what internal/oracle/sentencepiece_models.py left in $HONE_TOKENIZER_ORACLE: models as
// NAME.model, texts with ids as NAME.spm.
func TestOracleSentencePiece(t *testing.T) {
	files, _ := filepath.Glob(filepath.Join(oracleDir(t), "*.spm"))
	for _, path := range files {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".spm"), func(t *testing.T) {
			tok, err := FromSentencePiece([]byte(readText(t, strings.TrimSuffix(path, "spm")+"model")))
			if err != nil {
				t.Fatal(err)
			}
			bad := 0
			lines := strings.Split(strings.TrimSpace(readText(t, path)), "\n")
			for _, line := range lines {
				var want struct {
					Text string
					IDs  []int32
				}
				if err := json.Unmarshal([]byte(line), &want); err != nil {
					t.Fatal(err)
				}
				if got := encode(t, tok, want.Text, EncodeOptions{}); !slices.Equal(got, want.IDs) {
					if bad++; bad <= 5 {
						t.Errorf("%q\n got %v\nwant %v", want.Text, got, want.IDs)
					}
				}
			}
			t.Logf("%d texts, %d differences", len(lines), bad)
		})
	}
}

// TestExportForOracle writes the GGUF tokenizers as tokenizer.json for the oracle to read.
func TestExportForOracle(t *testing.T) {
	dir := oracleDir(t)
	for _, name := range []string{"gpt-2", "starcoder", "mpt", "deepseek-llm", "bert-bge", "llama-spm", "phi-3"} {
		file, _ := vocabTokenizer(t, name).ToJSON()
		if err := os.WriteFile(filepath.Join(dir, "gguf-"+name+".json"), file, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	file, _ := smolLM2(t).ToJSON()
	if err := os.WriteFile(filepath.Join(dir, "gguf-smollm2.json"), file, 0o644); err != nil {
		t.Fatal(err)
	}
}
