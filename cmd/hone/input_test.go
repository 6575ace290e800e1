package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestReadingEndsWithContext: a text that does not come keeps nobody.
func TestReadingEndsWithContext(t *testing.T) {
	r, w := io.Pipe()
	defer w.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := readText(ctx, "standard input", r); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	if text, err := readText(t.Context(), "standard input", strings.NewReader("text")); err != nil || text != "text" {
		t.Errorf("%q %v", text, err)
	}
}

// TestReadFile: a file that is none, or more than any text, is refused by the flag's name before it is read.
func TestReadFile(t *testing.T) {
	dir := t.TempDir()
	huge := filepath.Join(dir, "huge")
	if err := os.WriteFile(huge, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(huge, maxText+1); err != nil {
		t.Fatal(err)
	}
	for path, says := range map[string]string{dir: "is a folder", huge: "1.07 GB of text are taken", filepath.Join(dir, "absent"): "open"} {
		if _, err := readFile(t.Context(), "ppl", path); err == nil || !strings.HasPrefix(err.Error(), "--ppl: ") || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", path, err)
		}
	}
}
