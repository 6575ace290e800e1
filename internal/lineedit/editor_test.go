package lineedit

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

// typed returns what an editor makes of keys: messages, "^C" for one that was given up.
func typed(t *testing.T, in io.Reader, h *History) []string {
	t.Helper()
	e := newEditor(in, io.Discard, -1, "> ", h, []string{"/help", "/set temperature ", "/set top-p ", "/system "})
	var out []string
	for {
		line, err := e.Read()
		switch {
		case err == io.EOF:
			return out
		case errors.Is(err, ErrInterrupted):
			line = "^C"
		case err != nil:
			t.Fatal(err)
		}
		out = append(out, line)
	}
}

func memory(entries ...string) *History { return &History{entries: entries} }

func TestKeys(t *testing.T) {
	for _, c := range []struct {
		name, keys string
		want       []string
	}{
		{"plain", "hello\r", []string{"hello"}},
		{"typed ahead", "one\rtwo\rthree\r", []string{"one", "two", "three"}},
		{"arrows", "hello wrld\x1b[D\x1b[D\x1b[Do\r", []string{"hello world"}},
		{"other scripts", "héé日本\x7f語\r", []string{"héé日語"}},
		{"end of input", "half\x04\r\x04never\r", []string{"half"}},
		{"control-C", "half\x03whole\r", []string{"^C", "whole"}},
		{"control-C in the middle", "half\x1b[D\x1b[D\x03\x03x\r", []string{"^C", "^C", "x"}},
		{"line breaks", "a\nb\x1b\rc\r", []string{"a\nb\nc"}},
		{"paste", "see: \x1b[200~if x:\r\n\ty()\rz\n\x1b[201~ ok\r", []string{"see: if x:\n\ty()\nz\n ok"}},
		{"keys in a paste", "\x1b[200~a\x03\x04b\x1b[201~\r", []string{"ab"}},
		{"a paste is edited", "\x1b[200~a\nb\x1b[201~\x7f\x7fc\r", []string{"ac"}},
		{"history", "\x1b[A\r\x1b[A\x1b[A\r", []string{"newest", "older one"}},
		{"search", "one\x12\r", []string{"older one"}},
		{"search on", "o\x12\x12\r", []string{"oldest"}},
		{"nothing found", "zebra\x12\r", []string{"zebra"}},
		{"completion", "/h\t\r/set t\te\t0.5\r/q\t\r", []string{"/help", "/set temperature 0.5", "/q"}},
	} {
		for _, slow := range []bool{false, true} {
			var in io.Reader = strings.NewReader(c.keys)
			if slow {
				in = iotest.OneByteReader(in)
			}
			if got := typed(t, in, memory("oldest", "older one", "newest")); !slices.Equal(got, c.want) {
				t.Errorf("%s: %q, want %q", c.name, got, c.want)
			}
		}
	}
}

// A message as long as a document is not cut.
func TestLongPaste(t *testing.T) {
	text := strings.Repeat("line of text\n", 2000)
	got := typed(t, strings.NewReader("\x1b[200~"+text+"\x1b[201~\r"), memory())
	if len(got) != 1 || got[0] != text {
		t.Errorf("%d messages", len(got))
	}
}

func TestHistory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history")
	open := func() *History {
		h, err := OpenHistory(path)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	h := open()
	for _, line := range []string{"one", "", "two", "two", " private", givenUp, "three␤lines"} {
		h.Add(line)
	}
	if h = open(); h.Len() != 3 || h.At(0) != "three␤lines" || h.At(2) != "one" {
		t.Errorf("%q", h.entries)
	}
	if st, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && st.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", st.Mode(), err)
	}
	for i := range mostEntries + 5 {
		h.Add(fmt.Sprint("number ", i))
	}
	if h = open(); h.Len() != mostEntries || h.At(0) != fmt.Sprint("number ", mostEntries+4) {
		t.Errorf("%d entries, the newest %q", h.Len(), h.At(0))
	}
	for range mostBytes / 10_000 {
		h.Add(strings.Repeat("x", 10_000+h.Len()%2) + fmt.Sprint(len(h.entries)))
		h.Add("short")
	}
	open()
	if st, err := os.Stat(path); err != nil || st.Size() > 2*mostBytes {
		t.Errorf("%v bytes, %v", st.Size(), err)
	}
	if h, err := OpenHistory(""); err != nil || h.Len() != 0 {
		t.Error(err)
	}
}
