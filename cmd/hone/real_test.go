package main

import (
	"encoding/json"
	"os"
	"strconv"
	"strings"
	"testing"

	"hone/internal/testdata"
)

// smolLM2 is the small real model.
const smolLM2 = "smollm2-135m-instruct.Q4_1.gguf"

// read returns the text of a file.
func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// decode runs a verb and reads its JSON.
func decode(t *testing.T, v any, args ...string) {
	t.Helper()
	out := must(t, args...)
	if err := json.Unmarshal([]byte(out), v); err != nil {
		t.Fatalf("hone %s: %v in %q", strings.Join(args, " "), err, out)
	}
}

// TestTokenizeVectors compares with the ids that the reference gave.
func TestTokenizeVectors(t *testing.T) {
	for _, name := range []string{"gpt-2", "starcoder", "mpt", "deepseek-llm", "bert-bge"} {
		vocab := testdata.Data(t, "tokenizers/llama.cpp-vocab/ggml-vocab-"+name+".gguf")
		const border = "\n__ggml_vocab_test__\n"
		texts := strings.Split(strings.TrimSuffix(read(t, vocab+".inp"), border), border)
		wants := strings.Split(strings.TrimSuffix(read(t, vocab+".out"), "\n"), "\n")
		if len(texts) != len(wants) {
			t.Fatalf("%s: %d texts, %d lines of ids", name, len(texts), len(wants))
		}
		for i, text := range texts {
			if i%8 != 0 && testing.Short() {
				continue // package tokenizer tests them all
			}
			file := t.TempDir() + "/text"
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			var got struct{ IDs []int32 }
			decode(t, &got, "tokenize", vocab, "--file", file, "--no-special", "--json")
			if s := joinIDs(got.IDs); s != strings.TrimSpace(wants[i]) {
				t.Errorf("%s, text %d %q\n got %s\nwant %s", name, i, text, s, wants[i])
			}
		}
	}
}

func joinIDs(ids []int32) string {
	var words []string
	for _, id := range ids {
		words = append(words, strconv.Itoa(int(id)))
	}
	return strings.Join(words, " ")
}

func TestTokenizeWikiText(t *testing.T) {
	var got struct{ IDs []int32 }
	decode(t, &got, "tokenize", testdata.Models(t, smolLM2), "--no-special", "--json",
		"--file", testdata.Data(t, "text/wikitext-2/wiki.test.raw"))
	if len(got.IDs) != 303415 {
		t.Errorf("%d ids, want 303415", len(got.IDs))
	}
}
