package hub

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hone/internal/hubtest"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]Source{
		"hf:a/b":                       {"a/b", "main", ""},
		"hf:gpt2":                      {"gpt2", "main", ""},
		"hf:a/b@v1.0":                  {"a/b", "v1.0", ""},
		"hf:a/b@refs/pr/7:x.gguf":      {"a/b", "refs/pr/7", "x.gguf"},
		"hf:a/b:sub/x y+z.Q4_0.gguf":   {"a/b", "main", "sub/x y+z.Q4_0.gguf"},
		"hf:TheBloke/x_y-7B.v2:Q4_K_M": {"TheBloke/x_y-7B.v2", "main", "Q4_K_M"},
	} {
		got, err := Parse(text)
		if err != nil || got != want || got.String() != text {
			t.Errorf("%s: %+v %v, again %s", text, got, err, got)
		}
	}
	for _, bad := range []string{"a/b", "hf:", "hf:a/", "hf:/b", "hf:a/b/c", "hf:a/..", "hf:../b", "hf:a/b@", "hf:a/b@../x", "hf:a/b:", "hf:a/b:/etc/passwd",
		"hf:a/b:../x", "hf:a/b:x/../y", "hf:a/b:x\\y", "hf:a/b:c:d", "hf:a b/c", "hf:a/b@-x", "hf:a/b:.hidden", "hf:a/b:x\x00"} {
		if _, err := Parse(bad); err == nil || !strings.Contains(err.Error(), Usage) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// client returns one that does not wait, and what it noted.
func client(t *testing.T, h *hubtest.Hub, token string) (*Client, *[]string) {
	t.Helper()
	c, err := New(h.URL, token)
	if err != nil {
		t.Fatal(err)
	}
	notes := &[]string{}
	c.Note = func(line string) { *notes = append(*notes, line) }
	c.wait = func(ctx context.Context, d time.Duration) error { return ctx.Err() }
	t.Cleanup(c.http.CloseIdleConnections)
	return c, notes
}

func start(t *testing.T, h *hubtest.Hub) *hubtest.Hub {
	t.Helper()
	h.Start()
	t.Cleanup(h.Close)
	return h
}

func random(n int, seed uint64) []byte {
	b := make([]byte, n)
	r := rand.New(rand.NewPCG(seed, 1))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

var source = Source{Repo: "owner/repo", Revision: "main"}

// fetch brings one file of a hub and returns its path.
func fetch(t *testing.T, c *Client, name string) (string, error) {
	t.Helper()
	l, err := c.List(t.Context(), source)
	if err != nil {
		return "", err
	}
	path := filepath.Join(t.TempDir(), "part")
	for _, f := range l.Files {
		if f.Path == name {
			return path, c.Fetch(t.Context(), l, f, path, func(int64) {})
		}
	}
	t.Fatalf("no file %s", name)
	return "", nil
}

// A connection that is cut 20 times at random gives the same bytes, and no byte is asked for twice.
func TestCuts(t *testing.T) {
	body := random(3<<20, 1)
	h := start(t, &hubtest.Hub{Files: map[string][]byte{"model.safetensors": body}, Large: 1 << 20})
	r := rand.New(rand.NewPCG(2, 2))
	cuts := 0
	h.Cut = func(string, int64) int64 {
		if cuts++; cuts <= 20 {
			return r.Int64N(200_000)
		}
		return -1
	}
	c, _ := client(t, h, "secret-token")
	path, err := fetch(t, c, "model.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(path); !bytes.Equal(got, body) {
		t.Error("the bytes differ")
	}
	at := int64(0)
	for _, s := range h.Sent() {
		if s.From != at {
			t.Errorf("asked for bytes from %d on, had %d", s.From, at)
		}
		at = s.End
	}
	if cuts != 21 {
		t.Errorf("%d replies", cuts)
	}
	if h.Leaks() != 0 {
		t.Error("the token went to the second host")
	}
}

// A hub that knows no ranges costs time, nothing else.
func TestNoRanges(t *testing.T) {
	body := random(1<<20, 3)
	h := start(t, &hubtest.Hub{Files: map[string][]byte{"config.json": body}, Large: 1 << 30, NoRanges: true})
	first := true
	h.Cut = func(string, int64) int64 {
		if first {
			first = false
			return 300_000
		}
		return -1
	}
	c, notes := client(t, h, "")
	path, err := fetch(t, c, "config.json")
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(path); !bytes.Equal(got, body) || len(*notes) != 1 {
		t.Errorf("the bytes differ, or notes %v", *notes)
	}
}

func TestAnswers(t *testing.T) {
	answer := func(status int, header ...string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			for i := 0; i < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			w.WriteHeader(status)
			return true
		}
	}
	for _, c := range []struct {
		name   string
		fault  func(http.ResponseWriter, *http.Request) bool
		token  string
		source Source
		want   string
		tries  int
	}{
		{"no token", answer(401), "", source, "set HF_TOKEN", 1},
		{"gated", answer(403, "X-Error-Code", "GatedRepo"), "a-token", source, "HF_TOKEN may not read it: accept its terms", 1},
		{"no repository", answer(404), "", source, "no such repository", 1},
		{"no revision", nil, "", Source{Repo: "owner/repo", Revision: "v9"}, `no revision "v9"`, 1},
		{"busy", answer(429), "", source, "limits how often", maxTries},
		{"busy for long", answer(429, "Retry-After", "86400"), "", source, "come back in 24h", 1},
		{"broken", answer(503), "", source, "try again later", maxTries},
		{"circle", answer(302, "Location", "/owner/repo"), "", source, "in a circle", maxHops},
		{"elsewhere", answer(302, "Location", "file:///etc/passwd"), "", source, "not encrypted: refused", 1},
		{"nowhere", answer(302), "", source, "302", 1},
		{"no hub", func(w http.ResponseWriter, r *http.Request) bool { w.Write([]byte("<html>")); return true }, "", source, "HF_ENDPOINT", 1},
		{"no commit", func(w http.ResponseWriter, r *http.Request) bool { w.Write([]byte(`{"sha":"../x"}`)); return true }, "", source, "no commit", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := start(t, &hubtest.Hub{Fault: c.fault})
			client, _ := client(t, h, c.token)
			_, err := client.List(t.Context(), c.source)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
			if n := len(h.Seen()); n != c.tries {
				t.Errorf("%d requests, want %d", n, c.tries)
			}
		})
	}
}

// A busy hub says when to come back; the client does, and not sooner.
func TestRetryAfter(t *testing.T) {
	n := 0
	h := start(t, &hubtest.Hub{Files: map[string][]byte{}, Fault: func(w http.ResponseWriter, r *http.Request) bool {
		if n++; n > 2 {
			return false
		}
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(http.StatusTooManyRequests)
		return true
	}})
	c, _ := client(t, h, "")
	var waits []time.Duration
	c.wait = func(_ context.Context, d time.Duration) error { waits = append(waits, d); return nil }
	if _, err := c.List(t.Context(), source); err != nil {
		t.Fatal(err)
	}
	if len(waits) != 2 || waits[0] != 7*time.Second || waits[1] != 7*time.Second {
		t.Errorf("waited %v", waits)
	}
}

// A file that comes with wrong bytes is kept aside and fetched once more.
func TestWrongDigest(t *testing.T) {
	body := random(1000, 4)
	for _, times := range []int{1, 2} {
		left := times
		h := start(t, &hubtest.Hub{Files: map[string][]byte{"config.json": body}, Large: 1 << 20, Fault: func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.Contains(r.URL.Path, "resolve") || left == 0 {
				return false
			}
			left--
			w.Write(bytes.Repeat([]byte{7}, len(body)))
			return true
		}})
		c, notes := client(t, h, "")
		path, err := fetch(t, c, "config.json")
		if aside, _ := os.ReadFile(path + ".bad"); len(aside) != len(body) || aside[0] != 7 {
			t.Errorf("%d times: nothing was kept aside", times)
		}
		if times == 1 && (err != nil || len(*notes) != 1) {
			t.Errorf("%v, notes %v", err, *notes)
		}
		if times == 2 && (!errors.Is(err, ErrDigest) || !strings.Contains(err.Error(), "config.json")) {
			t.Errorf("wrong twice: %v", err)
		}
	}
}

// A hub that sends another number of bytes than it lists is not believed.
func TestWrongSize(t *testing.T) {
	h := start(t, &hubtest.Hub{Files: map[string][]byte{"config.json": random(1000, 4)}, Large: 1 << 20, Fault: func(w http.ResponseWriter, r *http.Request) bool {
		if strings.Contains(r.URL.Path, "resolve") {
			w.Write(make([]byte, 1500))
			return true
		}
		return false
	}})
	c, _ := client(t, h, "")
	if _, err := fetch(t, c, "config.json"); err == nil || !strings.Contains(err.Error(), "lists 1000 bytes and sends 1500") {
		t.Error(err)
	}
}

// A connection that brings nothing more is given up, and the rest fetched by another one.
func TestStall(t *testing.T) {
	body := random(500_000, 5)
	stalls := 0
	h := &hubtest.Hub{Files: map[string][]byte{"w.gguf": body}, Large: 1 << 20}
	h.Fault = func(w http.ResponseWriter, r *http.Request) bool {
		if stalls++; stalls != 2 || !strings.Contains(r.URL.Path, "resolve") {
			return false
		}
		w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		w.Write(body[:100_000])
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
		return true
	}
	start(t, h)
	c, notes := client(t, h, "")
	c.stall = 200 * time.Millisecond
	path, err := fetch(t, c, "w.gguf")
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(path); !bytes.Equal(got, body) {
		t.Error("the bytes differ")
	}
	if spans := h.Sent(); len(spans) != 1 || spans[0].From != 100_000 || len(*notes) != 1 || !strings.Contains((*notes)[0], "no byte for") {
		t.Errorf("%v, notes %v", spans, *notes)
	}
}

// A listing, a redirect or a file that does not come, or stops coming, is asked for again after a while.
func TestStallAnywhere(t *testing.T) {
	body := random(50_000, 6)
	for _, c := range []struct {
		name, path string // of the request that stalls, by a part of its address
		begin      string // of its reply
	}{
		{"listing", "/api/models/", ""},
		{"body of the listing", "/api/models/", `{"id":`},
		{"redirect", "/resolve/", ""},
		{"second host", "signature=1", ""},
	} {
		stalls := 0
		h := &hubtest.Hub{Files: map[string][]byte{"w.gguf": body}, Large: 1}
		h.Fault = func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.Contains(r.URL.String(), c.path) || stalls > 0 {
				return false
			}
			stalls++
			if c.begin != "" {
				fmt.Fprint(w, c.begin)
				http.NewResponseController(w).Flush()
			}
			<-r.Context().Done()
			return true
		}
		start(t, h)
		client, notes := client(t, h, "")
		client.stall = 200 * time.Millisecond
		path, err := fetch(t, client, "w.gguf")
		if got, _ := os.ReadFile(path); err != nil || !bytes.Equal(got, body) {
			t.Errorf("%s: %v", c.name, err)
		}
		if len(*notes) != 1 || !strings.Contains((*notes)[0], "no byte for 200ms") {
			t.Errorf("%s: notes %v", c.name, *notes)
		}
	}
}

// A hub that is not there is given up soon, with what to look at.
func TestUnreachable(t *testing.T) {
	h := start(t, &hubtest.Hub{})
	c, notes := client(t, h, "")
	h.Close()
	if _, err := c.List(t.Context(), source); err == nil || !strings.Contains(err.Error(), "is this machine online, and HF_ENDPOINT ("+h.URL+") right?") || len(*notes) != maxDials-1 {
		t.Errorf("%v, notes %v", err, *notes)
	}
}

func TestInterrupted(t *testing.T) {
	h := start(t, &hubtest.Hub{Fault: func(w http.ResponseWriter, r *http.Request) bool { w.WriteHeader(503); return true }})
	c, _ := client(t, h, "")
	ctx, cancel := context.WithCancel(t.Context())
	c.wait = func(context.Context, time.Duration) error { cancel(); return ctx.Err() }
	if _, err := c.List(ctx, source); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestEndpoint(t *testing.T) {
	for _, bad := range []string{"hub", "ftp://hub", "https://", "https://hub?x=1", "://"} {
		if _, err := New(bad, ""); err == nil || !strings.Contains(err.Error(), "HF_ENDPOINT") {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if _, err := New("http://hub.example", "token"); err == nil || !strings.Contains(err.Error(), "in the clear") {
		t.Error(err)
	}
	if _, err := New("", "to ken"); err == nil || strings.Contains(err.Error(), "to ken") {
		t.Error(err)
	}
	c, err := New("https://hub.example/mirror/", "token")
	if err != nil {
		t.Fatal(err)
	}
	if u := c.at("api/models/a/b/revision", "refs/pr/1").String(); u != "https://hub.example/mirror/api/models/a/b/revision/refs%2Fpr%2F1" {
		t.Error(u)
	}
}
