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
