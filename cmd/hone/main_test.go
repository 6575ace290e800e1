package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// TestPatience: who interrupts hears after a second that the verb is ending, unless it has ended or answers Ctrl-C itself.
func TestPatience(t *testing.T) {
	for _, c := range []struct {
		name string
		act  func(ctx context.Context, end func())
		says bool
	}{
		{"slow", func(context.Context, func()) {}, true},
		{"quick", func(_ context.Context, end func()) { end() }, false},
		{"own way", func(ctx context.Context, _ func()) { takesSignals(ctx) }, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			var out bytes.Buffer
			ctx, interrupt := context.WithCancel(t.Context())
			ctx, end := withPatience(ctx, &out)
			interrupt()
			c.act(ctx, end)
			time.Sleep(2 * time.Second)
			synctest.Wait()
			if says := strings.Contains(out.String(), "Ctrl-C again ends at once"); says != c.says {
				t.Errorf("%s: %q", c.name, &out)
			}
			end()
		})
	}
}

// TestInterruptionNamesTheNextStep: an interruption says how to go on where the verb knows.
func TestInterruptionNamesTheNextStep(t *testing.T) {
	stopped := fmt.Errorf("loading: %w", context.Canceled)
	for _, c := range []struct {
		err  error
		want string
	}{
		{stopped, "hone: interrupted\n"},
		{interrupted(stopped, "run it again"), "hone: interrupted: run it again\n"},
		{interrupted(errors.New("no file"), "run it again"), "hone: no file\n"},
		{fmt.Errorf("write f: %w", syscall.ENOSPC), "hone: write f: " + syscall.ENOSPC.Error() + "; free some of that disk, or name a place on another one (HONE_HOME is the store's)\n"},
		{fmt.Errorf("%w: set HONE_HOME", syscall.ENOSPC), "hone: " + syscall.ENOSPC.Error() + ": set HONE_HOME\n"},
	} {
		var out bytes.Buffer
		if code := report(&out, c.err); code != exitFailed || out.String() != c.want {
			t.Errorf("%v: %d, %q", c.err, code, &out)
		}
	}
	if interrupted(nil, "x") != nil {
		t.Error("no error became one")
	}
}
