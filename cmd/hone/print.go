package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"sync"
	"text/tabwriter"
	"unicode"

	"golang.org/x/term"
)

// bytesText writes a size in the unit that fits: 98.4 MB.
func bytesText(n int64) string {
	x, units := float64(n), []string{"B", "kB", "MB", "GB", "TB"}
	i := 0
	for x >= 999.5 && i < len(units)-1 {
		x, i = x/1000, i+1
	}
	if i == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.3g %s", x, units[i])
}

// table writes rows of cells in aligned columns.
func table(w io.Writer, rows [][]string) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		for i, cell := range row {
			if i > 0 {
				fmt.Fprint(t, "\t")
			}
			fmt.Fprint(t, cell)
		}
		fmt.Fprintln(t)
	}
	return t.Flush()
}

// output is standard output; it remembers the first write that failed, so that what was not printed is never a success.
type output struct {
	w   io.Writer
	mu  sync.Mutex
	err error
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n, err := o.w.Write(p)
	if err != nil && o.err == nil {
		o.err = err
	}
	return n, err
}

func (o *output) failed() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err
}

// terminal is a writer of a model's text to w: where w is a terminal, characters that would steer it (escape sequences)
// are shown as U+FFFD. A pipe or a file gets the text as it is.
func terminal(w io.Writer) io.Writer {
	below := w
	if o, ok := w.(*output); ok {
		below = o.w
	}
	if f, ok := below.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return tame{w}
	}
	return w
}

// tame replaces control characters but line feed and tab.
type tame struct{ w io.Writer }

func (t tame) Write(p []byte) (int, error) {
	shown := bytes.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return unicode.ReplacementChar
		}
		return r
	}, p)
	if _, err := t.w.Write(shown); err != nil {
		return 0, err
	}
	return len(p), nil
}
