package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hone/internal/testdata"
)

// TestBatchReal answers lines with a real model: the same bytes at any batch, the greedy ones equal to `hone run`.
func TestBatchReal(t *testing.T) {
	t.Setenv("HONE_HOME", t.TempDir())
	path := testdata.Models(t, smolLM2)
	dir := t.TempDir()
	in := filepath.Join(dir, "in.jsonl")
	var lines strings.Builder
	for i := range 12 {
		fmt.Fprintf(&lines, `{"custom_id":"c%d","method":"POST","url":"/v1/chat/completions","body":{"model":%q,"messages":[{"role":"user","content":"Count to %d."}],"max_tokens":8,"temperature":%d}}`+"\n",
			i, path, i+2, i%2)
	}
	lines.WriteString("no request\n")
	if err := os.WriteFile(in, []byte(lines.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	answers := func(size string) []byte {
		out := filepath.Join(dir, "out"+size)
		var r batchReport
		decode(t, &r, "batch", path, "--in", in, "--out", out, "--batch", size, "--ctx", "512", "--json")
		if r.Lines != 13 || r.Answered != 12 || r.Invalid != 1 || r.CompletionTokens == 0 {
			t.Errorf("%+v", r)
		}
		return []byte(read(t, out))
	}
	one := answers("1")
	if !bytes.Equal(one, answers("8")) {
		t.Error("other bytes with 8 lines at once")
	}
	var ran runReport
	decode(t, &ran, "run", path, "--max-tokens", "8", "--json", "Count to 2.")
	if text := fmt.Sprintf(`"content":%q`, ran.Text); !bytes.Contains(one, []byte(text)) {
		t.Errorf("hone run writes %s, the batch does not", text)
	}
}

// TestBatchEncoder answers lines with a real encoder, the same bytes at any batch.
func TestBatchEncoder(t *testing.T) {
	t.Setenv("HONE_HOME", t.TempDir())
	path := testdata.Models(t, "all-minilm-l6-v2")
	dir := t.TempDir()
	in := filepath.Join(dir, "in.jsonl")
	var lines strings.Builder
	for i := range 6 {
		fmt.Fprintf(&lines, `{"custom_id":"e%d","method":"POST","url":"/v1/embeddings","body":{"model":"m","input":["a text","%s"]}}`+"\n", i, strings.Repeat("longer ", i+1))
	}
	lines.WriteString(`{"custom_id":"c","method":"POST","url":"/v1/classify","body":{"model":"m","input":"a text"}}` + "\n") // it has no labels
	if err := os.WriteFile(in, []byte(lines.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	var outs [2]string
	for i, size := range []string{"1", "4"} {
		out := filepath.Join(dir, "out"+size)
		var r batchReport
		decode(t, &r, "batch", path, "--name", "m", "--in", in, "--out", out, "--batch", size, "--json")
		if r.Answered != 6 || r.Refused != 1 {
			t.Errorf("%+v", r)
		}
		outs[i] = read(t, out)
	}
	if outs[0] != outs[1] || !strings.Contains(outs[0], `"embedding":[`) {
		t.Error("other bytes with 4 lines at once, or no vectors")
	}
}
