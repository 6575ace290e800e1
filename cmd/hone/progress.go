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
	w     io.Writer // nil: silent
	label string
	begun time.Time
	drawn time.Time
}

// newProgress begins a piece of work.
func newProgress(cmd *cobra.Command, label string) *progress {
	p := &progress{label: label, begun: time.Now()}
	if f, ok := cmd.ErrOrStderr().(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		p.w = f
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
	fmt.Fprintf(p.w, "\r%s\x1b[K", progressLine(p.label, done, all, now.Sub(p.begun)))
}

// phase names what is being done now when its parts cannot be counted.
func (p *progress) phase(label string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.label, p.begun = label, time.Now()
	if p.w != nil {
		fmt.Fprintf(p.w, "\r%s …\x1b[K", label)
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
