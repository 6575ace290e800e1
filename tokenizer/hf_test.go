package tokenizer

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestEndlessFile: a link to a device in a model's directory is an error, not a wait without end.
func TestEndlessFile(t *testing.T) {
	const device = "/dev/zero"
	if _, err := os.Stat(device); err != nil {
		t.Skip(device + " is not here")
	}
	for _, name := range []string{"tokenizer.json", "tokenizer_config.json", "generation_config.json", "chat_template.jinja"} {
		dir := t.TempDir()
		if name != "tokenizer.json" {
			if err := os.WriteFile(filepath.Join(dir, "tokenizer.json"), []byte(tinyBPE), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Symlink(device, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		if _, err := FromHF(dir); err == nil || !strings.Contains(err.Error(), name+" is not a regular file") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestInferredModels: without a type the fields decide, in the reference's order.
func TestInferredModels(t *testing.T) {
	const vocab = `"vocab":{"<unk>":0,"a":1,"b":2,"ab":3,"##b":4}`
	for _, c := range []struct{ model, want string }{
		{vocab + `,"merges":["a b"]`, "3 0"},
		{vocab + `,"merges":[]`, "1 2 0"},
		{vocab + `,"unk_token":"<unk>"`, "3 0"},
		{vocab + `,"unk_token":"<unk>","continuing_subword_prefix":"##"`, "3 0"},
		{`"vocab":{"<unk>":0,"a":1,"##b":4},"unk_token":"<unk>","continuing_subword_prefix":"##","max_input_chars_per_word":9`, "1 4 0"},
		{`"vocab":[["<unk>",0],["a",-1.0],["ab",-1.0]],"unk_id":0`, "2 0"},
		{`"vocab":[["<unk>",0],["a",-1.0],["ab",-1.0]]`, `tokenizer: no token for "c", and the vocabulary has no unknown token`},
		{vocab, `tokenizer: model "" is not supported (` + modelHint + `)`},
	} {
		model := c.model
		if strings.Contains(model, "merges") {
			model += `,"unk_token":"<unk>"`
		}
		got := ""
		tok, err := FromJSON([]byte(`{"pre_tokenizer":{"type":"Whitespace"},"model":{`+model+`}}`), nil)
		if err == nil {
			var ids []int32
			if ids, err = tok.Encode("ab c", EncodeOptions{}); err == nil {
				got = joinIDs(ids)
			}
		}
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", c.model, got, c.want)
		}
	}
}
