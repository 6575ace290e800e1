package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// progress shows how far long work is, on one line of a terminal: what, how much, time left. It writes nothing when
// standard error is no terminal. Its methods may be called from any goroutine.
type progress struct {
	mu    sync.Mutex
	w     io.Writer  // nil: silent
	width func() int // of the terminal in columns, 0: not known
	notes io.Writer
	label string
	begun time.Time
	drawn time.Time
	first int64 // bytes that were there when they were first counted; -1: not yet
}

// newProgress begins a piece of work.
func newProgress(cmd *cobra.Command, label string) *progress {
	p := &progress{label: label, begun: time.Now(), first: -1, notes: cmd.ErrOrStderr()}
	if f, ok := cmd.ErrOrStderr().(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		p.w = f
		p.width = func() int {
			columns, _, _ := term.GetSize(int(f.Fd()))
			return columns
		}
	}
	return p
}

// redraw is the least time between two drawings.
const redraw = 100 * time.Millisecond

// at says that done of all parts are done.
func (p *progress) at(done, all int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if p.w == nil || now.Sub(p.drawn) < redraw && done < all {
		return
	}
	p.drawn = now
	p.draw(progressLine(p.label, done, all, now.Sub(p.begun)))
}

// draw puts a line in the place of the one before. It is cut to the terminal's width: a line that wraps could not be taken
// away again.
func (p *progress) draw(line string) {
	if runes, room := []rune(line), p.width()-1; room > 0 && len(runes) > room {
		line = string(runes[:room])
	}
	fmt.Fprintf(p.w, "\r%s\x1b[K", line)
}

// bytes says that have of all bytes are there.
func (p *progress) bytes(have, all int64) {
	p.counted(have, all, func(spent time.Duration) string { return bytesLine(p.label, p.first, have, all, spent) })
}

// lines says that so many lines are done, which are so many of all bytes of a file.
func (p *progress) lines(n int, bytes, all int64) {
	p.counted(bytes, all, func(spent time.Duration) string {
		line := fmt.Sprintf("%s %d lines, %d %%", p.label, n, 100*bytes/max(all, 1))
		if came := bytes - p.first; came > 0 && bytes < all && spent > time.Second {
			left := time.Duration(float64(spent) * float64(all-bytes) / float64(came))
			line += ", " + left.Round(time.Second).String() + " left"
		}
		return line
	})
}

// counted draws line, which is told the time since bytes were first counted.
func (p *progress) counted(have, all int64, line func(spent time.Duration) string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if p.first < 0 {
		p.first, p.begun = have, now
	}
	if p.w == nil || now.Sub(p.drawn) < redraw && have < all {
		return
	}
	p.drawn = now
	p.draw(line(now.Sub(p.begun)))
}

// note writes a line of its own, on a terminal or not.
func (p *progress) note(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	start := ""
	if p.w != nil {
		start = "\r\x1b[K"
	}
	fmt.Fprintf(p.notes, "%snote: %s\n", start, line)
}

// phase names what is being done now when its parts cannot be counted.
func (p *progress) phase(label string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.label, p.begun = label, time.Now()
	if p.w != nil {
		p.draw(label + " …")
	}
}

// end takes the line away.
func (p *progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.w != nil {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}

// progressLine is the text of the line. The time left supposes that all parts take equally long.
func progressLine(label string, done, all int, spent time.Duration) string {
	line := fmt.Sprintf("%s %d/%d", label, done, all)
	if done > 0 && done < all {
		left := spent * time.Duration(all-done) / time.Duration(done)
		line += ", " + left.Round(time.Second).String() + " left"
	}
	return line
}

// bytesLine is the text of the line for bytes: the rate since the first ones were counted, and the time left at that rate.
func bytesLine(label string, first, have, all int64, spent time.Duration) string {
	line := fmt.Sprintf("%s %s of %s", label, bytesText(have), bytesText(all))
	came := have - first
	if came <= 0 || spent < time.Second {
		return line
	}
	rate := float64(came) / spent.Seconds()
	line += fmt.Sprintf(", %s/s", bytesText(int64(rate)))
	if have < all {
		left := time.Duration(float64(all-have) / rate * float64(time.Second))
		line += ", " + left.Round(time.Second).String() + " left"
	}
	return line
}
