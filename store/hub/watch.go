package hub

import (
	"context"
	"fmt"
	"io"
	"time"
)

// watch is the context of one request; it ends when nothing was alive for long.
type watch struct {
	context.Context
	cancel context.CancelCauseFunc
	timer  *time.Timer
	most   time.Duration
}

func newWatch(ctx context.Context, most time.Duration) *watch {
	ctx, cancel := context.WithCancelCause(ctx)
	return &watch{ctx, cancel, time.AfterFunc(most, func() { cancel(fmt.Errorf("no byte for %s", most)) }), most}
}

// alive says that something came.
func (w *watch) alive() { w.timer.Reset(w.most) }

func (w *watch) end() {
	w.timer.Stop()
	w.cancel(nil)
}

// cause puts the reason in the place of the bare end of the context.
func (w *watch) cause(err error) error {
	if w.Err() != nil {
		return context.Cause(w)
	}
	return err
}

// watched is the body of a reply that is watched until it is closed.
type watched struct {
	io.ReadCloser
	watch *watch
}

func (b *watched) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if n > 0 {
		b.watch.alive()
	}
	if err != nil && err != io.EOF {
		err = b.watch.cause(err)
	}
	return n, err
}

func (b *watched) Close() error {
	defer b.watch.end()
	return b.ReadCloser.Close()
}
