package lineedit

import (
	"fmt"
	"os"
	"strings"
	"unicode/utf8"
)

const (
	mostEntries = 1000
	mostBytes   = 1 << 20 // of the file before it is shortened
)

// History is the lines that were entered, the newest first. It is kept in a file that its owner alone can read.
type History struct {
	path    string // "": not kept
	entries []string
}

// OpenHistory reads a history file, which need not be there; "" keeps nothing.
func OpenHistory(path string) (*History, error) {
	h := &History{path: path}
	if path == "" {
		return h, nil
	}
	f, err := os.OpenFile(path, os.O_RDONLY|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("history: %w", err)
	}
	f.Close()
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, fmt.Errorf("history: %w", err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("history: %w", err)
	}
	for line := range strings.SplitSeq(strings.ToValidUTF8(string(text), "?"), "\n") {
		if line != "" {
			h.entries = append(h.entries, line)
		}
	}
	h.entries = h.entries[max(0, len(h.entries)-mostEntries):]
	if len(text) > mostBytes {
		err = h.shorten()
	}
	return h, err
}

// shorten writes the file again with the newest entries alone.
func (h *History) shorten() error {
	beside := h.path + ".new"
	if err := os.WriteFile(beside, []byte(strings.Join(h.entries, "\n")+"\n"), 0o600); err != nil {
		return fmt.Errorf("history: %w", err)
	}
	if err := os.Rename(beside, h.path); err != nil {
		return fmt.Errorf("history: %w", err)
	}
	return nil
}

// Add keeps a line, unless it is empty, the same as the last one, longer than a screen, or begins with a space. A file that
// cannot be written loses the line for the next time, nothing else.
func (h *History) Add(line string) {
	const longest = 16 << 10
	n := len(h.entries)
	if line == "" || line == givenUp || line[0] == ' ' || len(line) > longest || !utf8.ValidString(line) || n > 0 && h.entries[n-1] == line {
		return
	}
	line = display(line)
	h.entries = append(h.entries, line)
	if len(h.entries) > mostEntries {
		h.entries = h.entries[1:]
	}
	if h.path == "" {
		return
	}
	f, err := os.OpenFile(h.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return
	}
	f.WriteString(line + "\n")
	f.Close()
}

// Len is the number of lines.
func (h *History) Len() int { return len(h.entries) }

// At returns a line, the newest for 0.
func (h *History) At(i int) string { return h.entries[len(h.entries)-1-i] }
