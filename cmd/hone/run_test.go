package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// tinyTalker writes a language model of zeros, whose words are letters, with a chat template.
func tinyTalker(t *testing.T, template string) string {
	t.Helper()
	dir := tinyModels(t)[0].write(t, nil, nil)
	vocab := map[string]int{"<unk>": 0, "<s>": 1, "</s>": 2}
	for i := range 58 {
		vocab[string(rune('A'+i))] = 3 + i
	}
	writeJSONFile(t, filepath.Join(dir, "tokenizer.json"), map[string]any{"pre_tokenizer": map[string]any{"type": "Whitespace"},
		"model": map[string]any{"type": "WordLevel", "unk_token": "<unk>", "vocab": vocab}})
	writeJSONFile(t, filepath.Join(dir, "tokenizer_config.json"), map[string]any{"chat_template": template, "eos_token": "</s>"})
	return dir
}

// TestRunBesideTemplate: where a chat template cannot be used the error names --raw, which does without it.
func TestRunBesideTemplate(t *testing.T) {
	for _, c := range []struct{ name, template, says string }{
		{"raises", "{{ raise_exception('no users here') }}", "no users here"},
		{"no template language", "{% if %}", "chat template"},
	} {
		dir := tinyTalker(t, c.template)
		_, errs, code := call(t, "run", dir, "a b", "--max-tokens", "2")
		if code != exitFailed || !strings.Contains(errs, c.says) || !strings.Contains(errs, dir) || !strings.Contains(errs, "hone run with --raw and a PROMPT") {
			t.Errorf("%s: exit code %d, %s", c.name, code, errs)
		}
		var got runReport
		decode(t, &got, "run", dir, "a b", "--max-tokens", "2", "--raw", "--json")
		if got.Prompt != 2 || len(got.IDs) != 2 {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
}

// TestInspectMapped: rows that are read from the file count in what inspect says of memory, in words and in its table.
func TestInspectMapped(t *testing.T) {
	dir := tinyTalker(t, "")
	var got inspection
	got.shape = &shape{}
	if err := json.Unmarshal([]byte(must(t, "inspect", dir, "--json")), &got); err != nil {
		t.Fatal(err)
	}
	const rows = 61 * 24 * 4 // of the embedding, f32
	if got.MappedBytes != rows || got.WeightBytes+got.MappedBytes < got.Bytes || len(got.Runs) != 1 || got.Runs[0].Mapped != rows {
		t.Errorf("mapped %d, weights %d, tensors %d, %+v", got.MappedBytes, got.WeightBytes, got.Bytes, got.Runs)
	}
	sum := bytesText(got.WeightBytes + got.MappedBytes)
	text := must(t, "inspect", dir)
	_, runs, _ := strings.Cut(text, "RUNS AS")
	if !strings.Contains(text, fmt.Sprintf("%s: %s of weights, and %s of rows", sum, bytesText(got.WeightBytes), bytesText(rows))) || !strings.Contains(runs, sum) {
		t.Errorf("want %s twice in\n%s", sum, text)
	}
}
