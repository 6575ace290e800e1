package serve

import (
	"io"
	"sync/atomic"
	"time"
)

// bodies bounds the memory of all request bodies together, from the first byte that is read until the request has been
// handed to the engine. Who finds it full is told to come again; the others go on.
type bodies struct {
	most int64
	held atomic.Int64
}

// lease is one request's share. Its zero value holds nothing.
type lease struct {
	of   *bodies
	held int64
}

// grow takes more bytes, or none.
func (l *lease) grow(n int64) bool {
	if l.of.held.Add(n) > l.of.most {
		l.of.held.Add(-n)
		return false
	}
	l.held += n
	return true
}

// release gives the share back; a second call does nothing.
func (l *lease) release() {
	if l.of != nil {
		l.of.held.Add(-l.held)
		l.held = 0
	}
}

// firstBody is the share that a body begins with.
const firstBody = 4 << 10

// readBody reads a body whose length is expected, or -1 when it is not known. Memory is taken as the bytes come, so that a
// client that announces much and sends nothing holds little.
func (l *lease) readBody(r io.Reader, length int64) ([]byte, error) {
	var b []byte
	for {
		if len(b) == cap(b) {
			size := int64(max(2*cap(b), firstBody))
			if left := length + 1; left > int64(len(b)) && left < size { // the last byte too many finds the end
				size = left
			}
			if !l.grow(size - int64(cap(b))) {
				return nil, bodiesFull()
			}
			b = append(make([]byte, 0, size), b...)
		}
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if err == io.EOF {
			return b, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

func bodiesFull() *apiError {
	e := unavailable("too_many_bodies", "this server is reading as many request bodies as it has memory for: try again in a moment", time.Second)
	e.hangUp, e.unread = true, true
	return e
}
