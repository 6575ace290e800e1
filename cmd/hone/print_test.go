package main

import (
	"bytes"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestBrief(t *testing.T) {
	search := "up ppl=1.01 data=sampled:1 windows=20x512 candidates=w8a8,head=int8-row-a8"
	for recipe, want := range map[string]string{"int8-row": "int8-row", search: "up ppl=1.01 data=sampled:1 windows=20x5…"} {
		if got := brief(recipe); got != want {
			t.Errorf("%s: %q, want %q", recipe, got, want)
		}
	}
}

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

// full is a disk that takes no more.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

// TestOutputThatFails: a verb that could not print its result has failed, also where the verb itself does not look.
func TestOutputThatFails(t *testing.T) {
	t.Setenv("HONE_HOME", t.TempDir())
	for _, args := range [][]string{{"list"}, {"list", "--json"}, {"version"}, {"--help"}, {"help", "run"}} {
		var errs bytes.Buffer
		if code := run(args, strings.NewReader(""), full{}, &errs); code != exitFailed || !strings.Contains(errs.String(), syscall.ENOSPC.Error()) {
			t.Errorf("%v: exit code %d, %s", args, code, &errs)
		}
	}
}

// TestNarrowProgress: a line is never wider than the terminal, whose last column stays free.
func TestNarrowProgress(t *testing.T) {
	var out bytes.Buffer
	columns := 0
	p := &progress{w: &out, width: func() int { return columns }, label: "lädt", first: -1}
	for _, c := range []struct {
		columns int
		want    string
	}{{0, "lädt 1/2, 0s left"}, {80, "lädt 1/2, 0s left"}, {6, "lädt "}, {1, "lädt 1/2, 0s left"}} {
		columns, p.drawn, p.begun = c.columns, time.Time{}, time.Now()
		out.Reset()
		p.at(1, 2)
		if got := out.String(); got != "\r"+c.want+"\x1b[K" {
			t.Errorf("%d columns: %q", c.columns, got)
		}
	}
}
