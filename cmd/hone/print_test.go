package main

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestBytesText(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 999: "999 B", 1000: "1 kB", 98362432: "98.4 MB", 999_600_000: "1 GB", 24e9: "24 GB"} {
		if got := bytesText(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}

func TestProgressLine(t *testing.T) {
	for _, c := range []struct {
		done int
		want string
	}{{0, "windows 0/10"}, {4, "windows 4/10, 12s left"}, {10, "windows 10/10"}} {
		if got := progressLine("windows", c.done, 10, 8*time.Second); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

func TestBytesLine(t *testing.T) {
	for _, c := range []struct {
		have  int64
		spent time.Duration
		want  string
	}{
		{1e9, 0, "m 1 GB of 4 GB"},
		{2e9, 10 * time.Second, "m 2 GB of 4 GB, 100 MB/s, 20s left"}, // what was there before counts for no rate
		{4e9, 30 * time.Second, "m 4 GB of 4 GB, 100 MB/s"},
	} {
		if got := bytesLine("m", 1e9, c.have, 4e9, c.spent); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

// TestTame: a model's text cannot steer the terminal that shows it.
func TestTame(t *testing.T) {
	var b strings.Builder
	text := "a\tb\n\x1b]0;title\x07\x9b é\r👩‍🚀"
	if n, err := fmt.Fprint(tame{&b}, text); err != nil || n != len(text) {
		t.Errorf("%d %v", n, err)
	}
	if want := "a\tb\n\ufffd]0;title\ufffd\ufffd é\ufffd👩‍🚀"; b.String() != want {
		t.Errorf("%q, want %q", b.String(), want)
	}
}
