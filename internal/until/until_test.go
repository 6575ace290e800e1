package until

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestReader(t *testing.T) {
	broken := errors.New("broken")
	ctx, cancel := context.WithCancelCause(t.Context())
	r := Reader(ctx, strings.NewReader("text"))
	var two [2]byte
	if _, err := io.ReadFull(r, two[:]); err != nil || string(two[:]) != "te" {
		t.Errorf("%q %v", two, err)
	}
	cancel(broken)
	if n, err := r.Read(two[:]); n != 0 || err != broken {
		t.Errorf("%d %v", n, err)
	}
}

func TestWriter(t *testing.T) {
	var out bytes.Buffer
	if w := Writer(&out, nil); w != io.Writer(&out) {
		t.Error("nothing can stop it, and it is wrapped")
	}
	left := 2
	w := Writer(&out, func() error {
		if left--; left < 0 {
			return context.Canceled
		}
		return nil
	})
	for range 3 {
		io.WriteString(w, "x")
	}
	if _, err := io.WriteString(w, "x"); err != context.Canceled || out.String() != "xx" {
		t.Errorf("%v %q", err, &out)
	}
}
