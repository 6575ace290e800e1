package serve

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
)

// TestReadBody: the body comes whole whatever the announced length and the pieces are, and what is held covers it.
func TestReadBody(t *testing.T) {
	for _, n := range []int{0, 1, firstBody - 1, firstBody, firstBody + 1, 100_000} {
		want := bytes.Repeat([]byte("x"), n)
		for _, length := range []int64{-1, int64(n), int64(n) / 2, 1 << 40} {
			for _, r := range []io.Reader{bytes.NewReader(want), iotest.HalfReader(bytes.NewReader(want)), iotest.DataErrReader(bytes.NewReader(want))} {
				all := &bodies{most: 1 << 20}
				l := lease{of: all}
				got, err := l.readBody(r, length)
				if err != nil || !bytes.Equal(got, want) || l.held != int64(cap(got)) || all.held.Load() != l.held {
					t.Errorf("%d bytes announced as %d: %d, %d held in all, %d by it, %v", n, length, len(got), all.held.Load(), l.held, err)
				}
				if length == int64(n) && l.held > max(int64(n)+1, firstBody) && n < firstBody {
					t.Errorf("%d bytes hold %d", n, l.held)
				}
				l.release()
				l.release()
				if all.held.Load() != 0 {
					t.Errorf("%d bytes are held after all", all.held.Load())
				}
			}
		}
	}
}

// upload begins a chat whose body is as long as it says and comes through the writer.
func upload(t *testing.T, base string, bytes int) (body *io.PipeWriter, rest string, reply chan *http.Response) {
	t.Helper()
	text := chatBody + `,"metadata":{"a":"`
	text += strings.Repeat("x", bytes-len(text)-3) + `"}}`
	r, w := io.Pipe()
	req, err := http.NewRequest("POST", base+"/v1/chat/completions", r)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.ContentLength = int64(bytes)
	reply = make(chan *http.Response, 1)
	go func() {
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Error(err)
		}
		reply <- resp
	}()
	half := len(text) * 3 / 4
	if _, err := io.WriteString(w, text[:half]); err != nil {
		t.Fatal(err)
	}
	return w, text[half:], reply
}

// TestBodiesInAll: bodies under way fill the memory for bodies; a further one is refused with the time to come again, and
// those under way are answered. A stream that runs holds nothing of its body.
func TestBodiesInAll(t *testing.T) {
	f := &fakeEngine{hold: make(chan struct{})}
	s := testServer(t, f, func(c *Config) { c.Limits.BodiesBytes = 40 << 10 })
	base, _ := start(t, s)
	a, restA, replyA := upload(t, base, 16<<10)
	b, restB, replyB := upload(t, base, 16<<10)
	eventually(t, "two bodies are held", func() bool { return s.bodies.held.Load() >= 24<<10 })

	r, err := http.Post(base+"/v1/chat/completions", "application/json", strings.NewReader(chatBody+`,"user":"`+strings.Repeat("x", 30<<10)+`"}`))
	if err != nil {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(r.Body)
	r.Body.Close()
	if r.StatusCode != 503 || r.Header.Get("Retry-After") == "" || !strings.Contains(string(text), `"code":"too_many_bodies"`) {
		t.Errorf("a third body: %d %s", r.StatusCode, text)
	}
	for _, up := range []struct {
		w    *io.PipeWriter
		rest string
	}{{a, restA}, {b, restB}} {
		if _, err := io.WriteString(up.w, up.rest); err != nil {
			t.Fatal(err)
		}
		up.w.Close()
	}
	eventually(t, "both run", func() bool { return f.opened() == 2 })
	eventually(t, "running requests hold no body", func() bool { return s.bodies.held.Load() == 0 })
	close(f.hold)
	for _, reply := range []chan *http.Response{replyA, replyB} {
		r := <-reply
		if r == nil {
			continue
		}
		io.Copy(io.Discard, r.Body)
		r.Body.Close()
		if r.StatusCode != 200 {
			t.Error(fmt.Errorf("a request under way: %s", r.Status))
		}
	}
}
