package main

import (
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
