// Package until bounds reading and writing by a context: work on a large file ends soon after its context does.
package until

import (
	"context"
	"io"
)

// Reader reads from r as long as ctx lasts; then its error is the context's cause.
func Reader(ctx context.Context, r io.Reader) io.Reader { return reader{ctx, r} }

type reader struct {
	ctx context.Context
	r   io.Reader
}

func (r reader) Read(p []byte) (int, error) {
	if r.ctx.Err() != nil {
		return 0, context.Cause(r.ctx)
	}
	return r.r.Read(p)
}

// Writer writes to w until stop returns an error, which ends the write; nil never ends it.
func Writer(w io.Writer, stop func() error) io.Writer {
	if stop == nil {
		return w
	}
	return writer{w, stop}
}

type writer struct {
	w    io.Writer
	stop func() error
}

func (w writer) Write(p []byte) (int, error) {
	if err := w.stop(); err != nil {
		return 0, err
	}
	return w.w.Write(p)
}
