package main

import (
	"strings"
	"testing"
)

// TestNoteBytes: a text that is not all UTF-8 is read, and the reader is told.
func TestNoteBytes(t *testing.T) {
	for text, noted := range map[string]bool{"": false, "Ünïcödé 你好\n": false, "\ufffd": false, "a\xffb": true, "cut \xe4\xbd": true} {
		var b strings.Builder
		noteBytes(&b, "f.txt", text)
		if got := strings.Contains(b.String(), "note: f.txt holds bytes that are no UTF-8"); got != noted || noted == (b.Len() == 0) {
			t.Errorf("%q: %q", text, b.String())
		}
	}
}
