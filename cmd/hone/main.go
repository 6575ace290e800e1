// Command hone measures, compresses and serves transformer language models on CPUs.
//
// Each verb is one file that registers itself. A verb reads its flags, calls the packages that do the work and prints
// what they return; nothing is decided here that a package could decide. Exit codes: 0 done, 1 failed, 2 wrong usage.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"
)

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// patienceKey is where withPatience keeps what ends it.
type patienceKey struct{}

// withPatience says, a second after the first signal, that what is under way is being brought to an end, unless end was
// called before.
func withPatience(ctx context.Context, w io.Writer) (_ context.Context, end func()) {
	ended := make(chan struct{})
	end = sync.OnceFunc(func() { close(ended) })
	context.AfterFunc(ctx, func() {
		select {
		case <-ended:
		case <-time.After(time.Second):
			fmt.Fprintln(w, "hone: ending what is under way; Ctrl-C again ends at once")
		}
	})
	return context.WithValue(ctx, patienceKey{}, end), end
}

// takesSignals says that a verb answers Ctrl-C in its own way from now on.
func takesSignals(ctx context.Context) {
	if end, ok := ctx.Value(patienceKey{}).(func()); ok {
		end()
	}
}

// Exit codes.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

// run is the whole program. The first SIGINT or SIGTERM asks the verb to stop, a second one ends the process.
func run(args []string, in io.Reader, out, errs io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	ctx, end := withPatience(ctx, errs)
	defer end()

	root := newRoot()
	root.SetArgs(args)
	root.SetIn(in)
	printed := &output{w: out}
	root.SetOut(printed)
	addCompletion(root)
	root.SetErr(errs)
	err := root.ExecuteContext(ctx)
	if err == nil {
		err = printed.failed()
	}
	return report(errs, err)
}

// interruption says what an interrupted verb leaves behind and how to go on.
type interruption struct {
	error
	next string
}

func (i *interruption) Unwrap() error { return i.error }

// interrupted adds the next step to an error that is an interruption; others stay as they are.
func interrupted(err error, next string) error {
	if errors.Is(err, context.Canceled) {
		return &interruption{err, next}
	}
	return err
}

func nextStep(err error) string {
	var i *interruption
	if errors.As(err, &i) {
		return ": " + i.next
	}
	return ""
}

// report prints an error and returns the exit code that it means.
func report(w io.Writer, err error) int {
	var wrong *usageError
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &wrong):
		fmt.Fprintf(w, "hone: %v\n", wrong)
		return exitUsage
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(w, "hone: interrupted"+nextStep(err))
		return exitFailed
	}
	fmt.Fprintf(w, "hone: %v%s\n", err, moreRoom(err))
	return exitFailed
}

// moreRoom is the next step after an error of a full disk that names none.
func moreRoom(err error) string {
	full := errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
	if !full || strings.Contains(err.Error(), "HONE_HOME") {
		return ""
	}
	return "; free some of that disk, or name a place on another one (HONE_HOME is the store's)"
}
