package serve

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"hone/engine"
)

// start serves on a free port until the test ends. stop drains and returns what Serve returned.
func start(t testing.TB, s *Server) (base string, stop func() error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	stop = sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() { stop() })
	return "http://" + l.Addr().String(), stop
}

func send(t testing.TB, base, body string) *http.Response {
	t.Helper()
	r, err := http.Post(base+"/v1/chat/completions", "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Body.Close() })
	return r
}

func status(t testing.TB, base, path string) int {
	t.Helper()
	r, err := http.Get(base + path)
	if err != nil {
		return 0
	}
	defer r.Body.Close()
	io.Copy(io.Discard, r.Body)
	return r.StatusCode
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for range 500 {
		if ok() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("never happened: %s", what)
}

// TestDrain: the signal arrives with 8 streams open. All end complete; new requests are told why they are refused.
func TestDrain(t *testing.T) {
	f := &fakeEngine{hold: make(chan struct{})}
	s := testServer(t, f)
	base, stop := start(t, s)
	var streams []*bufio.Reader
	for range 8 {
		in := bufio.NewReader(send(t, base, chatBody+`,"stream":true}`).Body)
		if line, err := in.ReadString('\n'); err != nil || !strings.HasPrefix(line, "data: ") {
			t.Fatalf("%q %v", line, err)
		}
		streams = append(streams, in)
	}
	if got := status(t, base, "/readyz"); got != 200 {
		t.Errorf("ready: %d", got)
	}
	result := make(chan error, 1)
	go func() { result <- stop() }()
	eventually(t, "readyz says 503", func() bool { return status(t, base, "/readyz") == 503 })
	if got := status(t, base, "/healthz"); got != 200 {
		t.Errorf("a draining server is alive, but healthz says %d", got)
	}
	r := send(t, base, chatBody+`}`)
	if body, _ := io.ReadAll(r.Body); r.StatusCode != 503 || r.Header.Get("Retry-After") == "" || !strings.Contains(string(body), `"code":"draining"`) {
		t.Errorf("a request while draining: %d %s", r.StatusCode, body)
	}
	close(f.hold)
	for i, in := range streams {
		rest, err := io.ReadAll(in)
		if err != nil || !strings.Contains(string(rest), `"content":"lo"`) || !strings.HasSuffix(string(rest), streamEnd) {
			t.Errorf("stream %d is not whole: %v %s", i, err, rest)
		}
	}
	if err := <-result; err != nil {
		t.Error(err)
	}
	if status(t, base, "/healthz") != 0 {
		t.Error("the server still answers after the drain")
	}
}

// TestDeafClient: a client that does not read its whole reply is given up, and does not hold up the drain.
func TestDeafClient(t *testing.T) {
	wrote := make(chan struct{})
	s := testServer(t, &fakeEngine{}, asEncoder, func(c *Config) {
		c.Limits.WriteTimeout, c.Limits.DrainTimeout = 100*time.Millisecond, 20*time.Second
		c.Embedder = func(inputs []Text) ([][]float32, error) {
			defer close(wrote)
			out := make([][]float32, 64)
			for i := range out {
				out[i] = slices.Repeat([]float32{0.123456789}, 32<<10)
			}
			return out[:len(inputs)], nil
		}
	})
	base, stop := start(t, s)
	c, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	body := `{"model":"tiny","input":[` + strings.Repeat(`"x",`, 63) + `"x"]}`
	fmt.Fprintf(c, "POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	<-wrote
	begun := time.Now()
	if err := stop(); err != nil || time.Since(begun) > 15*time.Second {
		t.Errorf("the drain took %v: %v", time.Since(begun), err)
	}
}

// TestDrainTimeout: what does not end in time is ended with an error event, and Serve says so.
func TestDrainTimeout(t *testing.T) {
	f := &fakeEngine{hold: make(chan struct{})}
	s := testServer(t, f, func(c *Config) { c.Limits.DrainTimeout = 50 * time.Millisecond })
	base, stop := start(t, s)
	in := bufio.NewReader(send(t, base, chatBody+`,"stream":true}`).Body)
	in.ReadString('\n')
	if err := stop(); err == nil || !strings.Contains(err.Error(), "drain") {
		t.Errorf("error %v", err)
	}
	rest, _ := io.ReadAll(in)
	if !strings.Contains(string(rest), `"code":"draining"`) || strings.Contains(string(rest), "[DONE]") {
		t.Errorf("%s", rest)
	}
}

// TestClientGone: the engine's request ends with its client, streaming or not.
func TestClientGone(t *testing.T) {
	f := &fakeEngine{hold: make(chan struct{})}
	base, _ := start(t, testServer(t, f))
	for _, body := range []string{chatBody + `,"stream":true}`, chatBody + `}`, `{"model":"tiny","messages":[{"role":"user","content":"x"}],"n":3,"stream":true}`} {
		ctx, cancel := context.WithCancel(context.Background())
		r, _ := http.NewRequestWithContext(ctx, "POST", base+"/v1/chat/completions", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		go func() {
			if r, err := http.DefaultClient.Do(r); err == nil {
				io.Copy(io.Discard, r.Body)
				r.Body.Close()
			}
		}()
		eventually(t, "the request reaches the engine", func() bool { return f.opened() == 1 })
		cancel()
		eventually(t, "the engine's request ends", func() bool { return f.opened() == 0 })
	}
}

// TestPromptsMerge: the streams of several prompts interleave, and all end.
func TestPromptsMerge(t *testing.T) {
	s := testServer(t, &fakeEngine{})
	w := post(s, "/v1/completions", `{"model":"tiny","prompt":["a","b","c"],"n":2,"stream":true}`)
	body := w.Body.String()
	for i := range 6 {
		if n := strings.Count(body, fmt.Sprintf(`{"index":%d,`, i)); n != 2 {
			t.Errorf("choice %d has %d events", i, n)
		}
	}
	if strings.Count(body, `"finish_reason":"length"`) != 6 || !strings.HasSuffix(body, streamEnd) {
		t.Error(body)
	}
}

// TestPanic: a panic ends its own request and no other.
func TestPanic(t *testing.T) {
	f := &fakeEngine{panics: true}
	s := testServer(t, f)
	base, _ := start(t, s)
	r := send(t, base, chatBody+`}`)
	if body, _ := io.ReadAll(r.Body); r.StatusCode != 500 || !strings.Contains(string(body), `"code":"internal_error"`) || strings.Contains(string(body), "bug") {
		t.Errorf("%d %s", r.StatusCode, body)
	}
	f.panics = false
	f.script = func(engine.Request) []engine.Event {
		return []engine.Event{{Text: "A", Tokens: []int32{65}}, {Choice: 7, Text: "there is no choice 7"}}
	}
	r = send(t, base, chatBody+`,"stream":true}`)
	if body, err := io.ReadAll(r.Body); !errors.Is(err, io.ErrUnexpectedEOF) || strings.Contains(string(body), "[DONE]") {
		t.Errorf("a stream with a panic in it looks whole: %v %s", err, body)
	}
	f.script = nil
	if r = send(t, base, chatBody+`}`); r.StatusCode != 200 {
		t.Errorf("the next request: %d", r.StatusCode)
	}
	if got := scrape(t, s)["hone:handler_panics_total"]; got != 2 {
		t.Errorf("%v panics counted", got)
	}
}

func TestBodyTooLarge(t *testing.T) {
	s := testServer(t, &fakeEngine{}, func(c *Config) { c.Limits.BodyBytes = 1000 })
	base, _ := start(t, s)
	const size = 100 << 20
	for name, length := range map[string]int64{"declared": size, "chunked": -1} {
		body := io.LimitReader(zeros{}, size)
		r, _ := http.NewRequest("POST", base+"/v1/chat/completions", body)
		r.ContentLength = length
		r.Header.Set("Content-Type", "application/json")
		reply, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		text, _ := io.ReadAll(reply.Body)
		reply.Body.Close()
		if reply.StatusCode != 413 || !strings.Contains(string(text), "1000 bytes") {
			t.Errorf("%s: %d %s", name, reply.StatusCode, text)
		}
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// TestSlowClients: neither headers nor a body may take for ever, and a header may not grow for ever.
func TestSlowClients(t *testing.T) {
	s := testServer(t, &fakeEngine{}, func(c *Config) {
		c.Limits.HeaderTimeout, c.Limits.BodyTimeout = 100*time.Millisecond, 100*time.Millisecond
	})
	base, _ := start(t, s)
	const head = "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
	for name, c := range map[string]struct{ sent, want string }{
		"headers":      {head, ""},
		"body":         {head + "Content-Length: 50\r\n\r\n{", "HTTP/1.1 408"},
		"large header": {head + "X: " + strings.Repeat("x", 64<<10) + "\r\n\r\n", "HTTP/1.1 431"},
	} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(5 * time.Second))
		io.WriteString(conn, c.sent)
		got, err := io.ReadAll(conn)
		if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() || !strings.HasPrefix(string(got), c.want) {
			t.Errorf("%s: %v %q", name, err, got)
		}
	}
}

// The deadline of a body ends with it: a stream may last longer.
func TestStreamOutlastsBodyTimeout(t *testing.T) {
	f := &fakeEngine{hold: make(chan struct{})}
	s := testServer(t, f, func(c *Config) { c.Limits.BodyTimeout = 30 * time.Millisecond })
	base, _ := start(t, s)
	time.AfterFunc(150*time.Millisecond, func() { close(f.hold) })
	r := send(t, base, chatBody+`,"stream":true}`)
	if body, err := io.ReadAll(r.Body); err != nil || !strings.HasSuffix(string(body), streamEnd) {
		t.Errorf("%v %s", err, body)
	}
}

func TestConnectionsBounded(t *testing.T) {
	s := testServer(t, &fakeEngine{}, func(c *Config) { c.Limits.Connections = 1 })
	base, _ := start(t, s)
	address := strings.TrimPrefix(base, "http://")
	first, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	ask := func(c net.Conn) {
		fmt.Fprintf(c, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
	}
	ask(first)
	first.Read(make([]byte, 1))
	second, _ := net.Dial("tcp", address)
	defer second.Close()
	ask(second)
	second.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if _, err := second.Read(make([]byte, 1)); err == nil {
		t.Error("a second connection was served")
	}
	first.Close()
	second.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := second.Read(make([]byte, 1)); err != nil {
		t.Errorf("the second connection was not served after the first: %v", err)
	}
}

func TestHealth(t *testing.T) {
	f := &fakeEngine{}
	var loading error
	s := testServer(t, f, func(c *Config) {
		c.Limits.StallTimeout = 50 * time.Millisecond
		c.Ready = func() error { return loading }
	})
	check := func(health, ready int) {
		t.Helper()
		h, r := call(s, "GET", "/healthz", ""), call(s, "GET", "/readyz", "")
		if h.Code != health || r.Code != ready {
			t.Errorf("healthz %d readyz %d, want %d %d: %s %s", h.Code, r.Code, health, ready, h.Body, r.Body)
		}
		if other := call(s, "GET", "/health", ""); other.Code != health {
			t.Errorf("health %d, healthz %d: %s", other.Code, h.Code, other.Body)
		}
	}
	check(200, 200)
	loading = errors.New("weights")
	check(200, 503)
	loading = nil
	// An engine that was idle for long and has work now is no stalled one.
	f.setStats(engine.Stats{Running: 1, Steps: 5, LastStep: time.Now().Add(-time.Hour)})
	check(200, 200)
	time.Sleep(60 * time.Millisecond)
	check(503, 503)
	f.setStats(engine.Stats{Running: 1, Steps: 6})
	check(200, 200)
	time.Sleep(60 * time.Millisecond)
	f.setStats(engine.Stats{Steps: 6})
	check(200, 200)
}

func TestEmbeddingQueue(t *testing.T) {
	hold, entered := make(chan struct{}), make(chan struct{}, 8)
	s := testServer(t, nil, asEncoder, func(c *Config) {
		c.MaxQueue = 1
		c.Embedder = func(in []Text) ([][]float32, error) {
			entered <- struct{}{}
			<-hold
			return embedder(in)
		}
	})
	const body = `{"model":"tiny","input":"a"}`
	codes := make(chan int, 2)
	ask := func() { codes <- post(s, "/v1/embeddings", body).Code }
	go ask()
	<-entered
	go ask()
	eventually(t, "one request waits", func() bool { return s.embed.waits(1) })
	w := post(s, "/v1/embeddings", body)
	checkError(t, w, 429, "", "queue_full")
	if w.Header().Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	close(hold)
	if a, b := <-codes, <-codes; a != 200 || b != 200 {
		t.Errorf("status %d %d", a, b)
	}
}
