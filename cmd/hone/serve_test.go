package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"math"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"hone/internal/testdata"
)

// served is a service that runs in this process.
type served struct {
	listening
	lines *bufio.Scanner
	stop  func() error
}

// begin runs `hone serve` until stop; the address is known when it returns, the weights may still be on their way.
func begin(t *testing.T, args ...string) *served {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	root := newRoot()
	root.SetArgs(append([]string{"serve", "--json", "--listen", "127.0.0.1:0"}, args...))
	root.SetOut(w)
	root.SetErr(io.Discard)
	ended := make(chan error, 1)
	go func() { ended <- root.ExecuteContext(ctx); w.Close() }()
	s := &served{lines: bufio.NewScanner(r)}
	if !s.lines.Scan() {
		t.Fatalf("hone serve %s: %v", strings.Join(args, " "), <-ended)
	}
	if err := json.Unmarshal(s.lines.Bytes(), &s.listening); err != nil {
		t.Fatal(err)
	}
	s.stop = func() error {
		cancel()
		go io.Copy(io.Discard, r)
		return <-ended
	}
	return s
}

// post sends a JSON request and reads the reply.
func (s *served) post(t *testing.T, path, key string, body, reply any) int {
	t.Helper()
	b, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequest("POST", s.URL+path, bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+key)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(reply); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode
}

// TestServeCompletion: a request that arrives before the weights waits for them; the text is the one of `hone run`.
func TestServeCompletion(t *testing.T) {
	model := testdata.Models(t, smolLM2)
	keys := t.TempDir() + "/keys"
	if err := os.WriteFile(keys, []byte("first-key\nsecond-key\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const prompt = "The capital of France is"
	s := begin(t, model, "--ctx", "256", "--kv-memory", "50MB", "--name", "small", "--api-key-file", keys)
	if s.Model != "small" || s.Context != 256 || s.KV != "f32" || s.KVBytes > 50e6 || s.KVBytes < 45e6 || s.KVTokens < 256 {
		t.Errorf("%+v", s.listening)
	}
	var got struct{ Choices []struct{ Text string } }
	body := map[string]any{"model": "small", "prompt": prompt, "max_tokens": 8, "temperature": 0}
	if code := s.post(t, "/completions", "second-key", body, &got); code != http.StatusOK || len(got.Choices) != 1 {
		t.Fatalf("status %d, %+v", code, got)
	}
	var want answered
	decode(t, &want, "run", model, "--raw", prompt, "--max-tokens", "8", "--json")
	if got.Choices[0].Text != want.Text {
		t.Errorf("served %q, run %q", got.Choices[0].Text, want.Text)
	}
	if code := s.post(t, "/completions", "third-key", body, &got); code != http.StatusUnauthorized {
		t.Errorf("status %d with a wrong key", code)
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}

// TestServeEmbeddings: vectors are the reference's.
func TestServeEmbeddings(t *testing.T) {
	s := begin(t, testdata.Models(t, "all-minilm-l6-v2"))
	type embedded struct {
		Text      string
		Embedding []float64
	}
	var g struct{ Cases []embedded }
	if err := json.Unmarshal([]byte(read(t, testdata.Data(t, "models/golden/minilm_golden.json"))), &g); err != nil {
		t.Fatal(err)
	}
	g.Cases = slices.DeleteFunc(g.Cases, func(c embedded) bool { return c.Text == "" }) // refused, as by OpenAI
	var texts []string
	for _, c := range g.Cases {
		texts = append(texts, c.Text)
	}
	var got struct {
		Data []struct{ Embedding []float64 }
	}
	if code := s.post(t, "/embeddings", "", map[string]any{"model": s.Model, "input": texts}, &got); code != http.StatusOK || len(got.Data) != len(texts) {
		t.Fatalf("status %d, %d vectors", code, len(got.Data))
	}
	for i, c := range g.Cases {
		var dot, a, b float64
		for k, x := range got.Data[i].Embedding {
			y := c.Embedding[k]
			dot, a, b = dot+x*y, a+x*x, b+y*y
		}
		if cos := dot / math.Sqrt(a*b); cos < 0.99999 {
			t.Errorf("%q: cosine %v", c.Text, cos)
		}
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}

// TestServeRefusals: settings that cannot be served end before anything is loaded.
func TestServeRefusals(t *testing.T) {
	model := testdata.Models(t, smolLM2)
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"--listen", "0.0.0.0:0"}, exitUsage, "can be reached from other machines, so it needs API keys"},
		{[]string{"--kv-memory", "1MB", "--ctx", "2048"}, exitFailed, "a context of 2048 tokens needs a KV cache of"},
		{[]string{"--kv-memory", "100B"}, exitFailed, "take --kv bf16 or int8"},
		{[]string{"--ctx", "99999999"}, exitUsage, "tokens that"},
		{[]string{"--kv-memory", "900GB"}, exitFailed, "are available"},
		{[]string{"--api-key", "short"}, exitUsage, "API key 1 is shorter"},
	} {
		_, errs, code := call(t, append([]string{"serve", model, "--listen", "127.0.0.1:0"}, c.args...)...)
		if code != c.code || !strings.Contains(errs, c.want) {
			t.Errorf("%v: exit code %d, %q; want %q", c.args, code, errs, c.want)
		}
	}
}

func TestSizeFlag(t *testing.T) {
	for text, want := range map[string]int64{"512MB": 512e6, "1.5GB": 15e8, "2GiB": 2 << 30, "4 kB": 4000, "100B": 100, "7": 7, "2TB": 2e12, "1TiB": 1 << 40} {
		var s sizeFlag
		if err := s.Set(text); err != nil || int64(s) != want {
			t.Errorf("%s: %d, %v", text, s, err)
		}
	}
	for _, text := range []string{"", "MB", "-1MB", "0", "1e30GB", "NaNGB", "twoGB"} {
		var s sizeFlag
		if s.Set(text) == nil {
			t.Errorf("%q was taken as %d", text, s)
		}
	}
}
