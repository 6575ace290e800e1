package serve

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"hone/engine"
	"hone/tokenizer"
)

// TestMain also turns the test binary into a server for the client tests, whose address HONE_TEST_LISTEN names, and into
// the process that TestBatchKilled kills.
func TestMain(m *testing.M) {
	if dir := os.Getenv(batchVariable); dir != "" {
		batchForKills(dir)
		return
	}
	if listen := os.Getenv("HONE_TEST_LISTEN"); listen != "" {
		serveForClients(listen, os.Getenv("HONE_TEST_KIND"))
		return
	}
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"), goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"))
}

// slowText is a text that the tokenizer cannot cut in time.
const slowText = "slow"

// byteTokenizer has one token for each byte, and 256 for the beginning of a text.
type byteTokenizer struct{}

func (byteTokenizer) Encode(text string, opt tokenizer.EncodeOptions) ([]int32, error) {
	if text == slowText {
		return nil, &tokenizer.PatternError{Pattern: "(a+)+$", Bytes: len(text)}
	}
	var ids []int32
	if opt.AddSpecial {
		ids = append(ids, 256)
	}
	for _, c := range []byte(text) {
		ids = append(ids, int32(c))
	}
	return ids, nil
}

// EncodePair puts 256 before both texts; the second has type 1.
func (t byteTokenizer) EncodePair(a, b string, opt tokenizer.EncodeOptions) (ids, types []int32, err error) {
	ids, err = t.Encode(a, opt)
	second, err2 := t.Encode(b, opt)
	types = append(make([]int32, len(ids)), slices.Repeat([]int32{1}, len(second))...)
	return append(ids, second...), types, errors.Join(err, err2)
}

func (byteTokenizer) Decode(ids []int32, skipSpecial bool) string {
	var b []byte
	for _, id := range ids {
		if id < 256 {
			b = append(b, byte(id))
		} else if !skipSpecial {
			b = append(b, "<s>"...)
		}
	}
	return string(b)
}

func (byteTokenizer) TokenBytes(id int32) []byte {
	if id < 256 {
		return []byte{byte(id)}
	}
	return []byte("<s>")
}

func (byteTokenizer) VocabSize() int { return 257 }

func testTemplate(messages []Message) (string, error) {
	var b strings.Builder
	for _, m := range messages {
		if m.Content == "refuse me" {
			return "", errors.New("this turn is not taken")
		}
		b.WriteString("[" + m.Role + "]" + m.Content)
	}
	return b.String(), nil
}

// fakeEngine answers with scripted events.
type fakeEngine struct {
	script func(r engine.Request) []engine.Event // nil: answers "hello" with the length 5
	hold   chan struct{}                         // if set, a stream waits here before its last event
	refuse error
	panics bool

	mu    sync.Mutex
	got   []engine.Request
	stats engine.Stats
	open  int // streams whose context has not ended
}

func (f *fakeEngine) Stats() engine.Stats { f.mu.Lock(); defer f.mu.Unlock(); return f.stats }

func (f *fakeEngine) setStats(s engine.Stats) { f.mu.Lock(); f.stats = s; f.mu.Unlock() }

func (f *fakeEngine) opened() int { f.mu.Lock(); defer f.mu.Unlock(); return f.open }

func (f *fakeEngine) last() engine.Request {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.got[len(f.got)-1]
}

func (f *fakeEngine) Submit(ctx context.Context, r engine.Request) (Stream, error) {
	if f.panics {
		panic("a bug in the engine")
	}
	if f.refuse != nil {
		return nil, f.refuse
	}
	script := f.script
	if script == nil {
		script = hello
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.got = append(f.got, r)
	f.open++
	context.AfterFunc(ctx, func() { f.mu.Lock(); f.open--; f.mu.Unlock() })
	return &fakeStream{events: script(r), hold: f.hold}, nil
}

type fakeStream struct {
	events []engine.Event
	hold   chan struct{}
}

func (s *fakeStream) Recv(ctx context.Context) (engine.Event, error) {
	if len(s.events) == 0 {
		return engine.Event{}, io.EOF
	}
	if len(s.events) == 1 && s.hold != nil {
		select {
		case <-s.hold:
		case <-ctx.Done():
			return engine.Event{}, ctx.Err()
		}
	}
	e := s.events[0]
	s.events = s.events[1:]
	return e, nil
}

func (s *fakeStream) Close() {}

// hello is five tokens in two events for each choice.
func hello(r engine.Request) []engine.Event {
	var events []engine.Event
	for c := range max(r.N, 1) {
		use := engine.Usage{PromptTokens: len(r.Prompt), CachedTokens: 1, GeneratedTokens: 5}
		events = append(events,
			engine.Event{Choice: c, Tokens: []int32("hel"), Text: "hel", Logprobs: chances(r, "hel")},
			engine.Event{Choice: c, Tokens: []int32("lo"), Text: "lo", Logprobs: chances(r, "lo"), Finish: engine.FinishLength, Usage: use})
	}
	return events
}

// chances are made-up log-probabilities: -0.1 for the token, and those asked for below it.
func chances(r engine.Request, text string) []engine.TokenLogprob {
	if !r.Logprobs {
		return nil
	}
	var out []engine.TokenLogprob
	for _, c := range []byte(text) {
		t := engine.TokenLogprob{Token: int32(c), Logprob: -0.1}
		for k := range r.TopLogprobs {
			t.Top = append(t.Top, engine.TokenChance{Token: int32(c) + int32(k), Logprob: -0.1 - float32(k)})
		}
		out = append(out, t)
	}
	return out
}

func testConfig(f *fakeEngine) Config {
	return Config{
		Models: []string{"tiny", "tiny:latest"}, Created: time.Unix(1700000000, 0), Context: 100,
		Tokenizer: byteTokenizer{}, Generator: f, Template: testTemplate,
		Log: slog.New(slog.DiscardHandler),
	}
}

func testServer(t testing.TB, f *fakeEngine, change ...func(*Config)) *Server {
	t.Helper()
	c := testConfig(f)
	for _, ch := range change {
		ch(&c)
	}
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func embedder(inputs []Text) ([][]float32, error) {
	var out [][]float32
	for _, in := range inputs {
		ids := in.IDs
		out = append(out, []float32{float32(len(ids)), 0.1, -1e-7, float32(ids[0])})
	}
	return out, nil
}

func asEncoder(c *Config) { c.Generator, c.Template, c.Embedder = nil, nil, embedder }

// call sends one request to the handler and returns the reply.
func call(s *Server, method, path, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Host = "localhost:8080"
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			r.Host = header[i+1]
		}
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

func post(s *Server, path, body string) *httptest.ResponseRecorder {
	return call(s, http.MethodPost, path, body)
}

var changing = regexp.MustCompile(`(chatcmpl|cmpl)-[0-9a-f]{24}|"created":1[0-9]{9}`)

// stable takes ids and times out of a reply.
func stable(b *bytes.Buffer) string {
	return changing.ReplaceAllStringFunc(b.String(), func(s string) string {
		if strings.HasPrefix(s, `"created"`) {
			return `"created":1`
		}
		return s[:strings.IndexByte(s, '-')] + "-x"
	})
}

// serveForClients serves the hash model, or a made-up encoder, until SIGTERM.
func serveForClients(listen, kind string) {
	m := newHashModel(2048)
	m.delay = func(rows int) time.Duration { return 2*time.Millisecond + time.Duration(rows)*20*time.Microsecond }
	e, err := engine.New(m, engine.Options{Blocks: len(m.kv), Context: 1024, Tokenizer: engine.Decoding(byteTokenizer{}), EOS: []int32{256}})
	if err != nil {
		panic(err)
	}
	defer e.Close()
	c := Config{Models: []string{"hash"}, Context: 1024, Tokenizer: byteTokenizer{}, Generator: FromEngine(e), Template: testTemplate, Listen: listen}
	if kind == "encoder" {
		asEncoder(&c)
	}
	s, err := New(c)
	if err != nil {
		panic(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err := s.Run(ctx); err != nil {
		panic(err)
	}
}
