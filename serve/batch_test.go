package serve

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hone/engine"
)

// batchFile writes lines to a file and returns a batch over it.
func batchFile(t testing.TB, s *Server, lines ...string) *Batch {
	t.Helper()
	dir := t.TempDir()
	b := &Batch{Server: s, In: filepath.Join(dir, "in.jsonl"), Out: filepath.Join(dir, "out.jsonl"), Salt: "model"}
	writeLines(t, b.In, lines...)
	return b
}

func writeLines(t testing.TB, path string, lines ...string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

func runBatch(t testing.TB, b *Batch) ([]byte, BatchSummary) {
	t.Helper()
	summary, err := b.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	out, err := os.ReadFile(b.Out)
	if err != nil {
		t.Fatal(err)
	}
	return out, summary
}

func chatLine(i int) string {
	return fmt.Sprintf(`{"custom_id":"c%d","method":"POST","url":"/v1/chat/completions","body":{"model":"tiny","messages":[{"role":"user","content":"question %d"}],"max_tokens":%d,"temperature":%d,"n":%d}}`,
		i, i%7, 5+i%23, i%2, 1+i%2)
}

func chatLines(n int) []string {
	lines := make([]string, n)
	for i := range lines {
		lines[i] = chatLine(i)
	}
	return lines
}

// Every line is answered in its place: by its endpoint, or with what is wrong with it.
func TestBatchLines(t *testing.T) {
	s := testServer(t, &fakeEngine{})
	post := func(url, body string) string {
		return `{"custom_id":"x","method":"POST","url":"` + url + `","body":` + body + `}`
	}
	cases := []struct{ line, want string }{
		{post("/v1/chat/completions", chatBody+`}`), `"custom_id":"x","response":{"status_code":200,"request_id":"req-ID","body":{"id":"chatcmpl-ID","object":"chat.completion","created":1700000000,`},
		{post("/v1/completions", `{"model":"tiny","prompt":"a"}`), `"text":"hello"`},
		{post("/v1/chat/completions", chatBody+`}`), `"cached_tokens":0`},
		{post("/v1/chat/completions", chatBody+`,"stream":true}`), `"status_code":400,"request_id":"req-ID","body":{"error":{"message":"a line of a batch has one whole answer`},
		{post("/v1/chat/completions", `{"model":"gpt-4","messages":[{"role":"user","content":"hi"}]}`), `"status_code":404`},
		{post("/v1/embeddings", `{"model":"tiny","input":"a"}`), `"status_code":400`},
		{post("/v1/models", `{}`), `"response":null,"error":{"code":"invalid_url","message":"url is \"/v1/models\": a batch takes /classify, /rerank, /v1/chat/completions, `},
		{`{"custom_id":"y","method":"GET","url":"/v1/completions","body":{}}`, `"custom_id":"y","response":null,"error":{"code":"invalid_value","message":"method is \"GET\"`},
		{`{"custom_id":"y","method":"POST","url":"/v1/completions"}`, `"message":"body is missing`},
		{`{"method":"POST","url":"/v1/completions","body":{}}`, `"custom_id":null,"response":null,"error":{"code":"missing_required_parameter"`},
		{`{"custom_id":"z","custom":1}`, `"custom_id":"z","response":null,"error":{"code":"unknown_parameter"`},
		{`{"custom_id":7}`, `"error":{"code":"invalid_type"`},
		{`not JSON`, `"error":{"code":"invalid_json"`},
		{``, `"message":"the line is empty"`},
		{"\xff", `"error":{"code":"invalid_utf8"`},
		{post("/v1/completions", `{"model":"tiny","prompt":"`+strings.Repeat("a", 5<<20)+`"}`), `"error":{"code":"line_too_large"`},
		{post("/v1/completions", `{"model":"tiny","prompt":"last, and it has no line end"}`), `"text":"hello"`},
	}
	var lines []string
	for _, c := range cases {
		lines = append(lines, c.line)
	}
	b := batchFile(t, s, lines...)
	in, _ := os.ReadFile(b.In)
	os.WriteFile(b.In, bytes.TrimSuffix(in, []byte("\n")), 0o600)
	out, summary := runBatch(t, b)
	got := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	if len(got) != len(cases) {
		t.Fatalf("%d lines for %d", len(got), len(cases))
	}
	seen := map[string]bool{}
	for i, c := range cases {
		id := strings.TrimPrefix(got[i], `{"id":"batch_req_`)[:24]
		if text := strings.ReplaceAll(got[i], id, "ID"); !strings.Contains(text, c.want) || seen[id] || !json.Valid([]byte(got[i])) {
			t.Errorf("line %d: %s\nwant %s", i, text, c.want)
		}
		seen[id] = true
	}
	if want := (BatchSummary{Lines: 17, Answered: 4, Refused: 3, Invalid: 10, PromptTokens: 8 + 2 + 8 + 29, CompletionTokens: 20}); summary != want {
		t.Errorf("%+v, want %+v", summary, want)
	}
}

func TestBatchEmbeddings(t *testing.T) {
	s := testServer(t, nil, asEncoder)
	out, summary := runBatch(t, batchFile(t, s, `{"custom_id":"e","method":"POST","url":"/v1/embeddings","body":{"model":"tiny","input":["a","bc"]}}`))
	if summary.Answered != 1 || !strings.Contains(string(out), `"embedding":[3,0.1,-1e-07,256]`) {
		t.Errorf("%+v %s", summary, out)
	}
}

// The answers have the same bytes however many lines are under way, in a cold or a warm cache, and are those of the service.
func TestBatchSameBytes(t *testing.T) {
	e := newEngine(t, newHashModel(2048))
	s := realServer(t, e)
	lines := append(chatLines(60), chatLine(0)) // the last one is the first again, and draws for itself
	b := batchFile(t, s, lines...)
	b.Size = 1
	want, summary := runBatch(t, b)
	for _, size := range []int{3, 64} {
		b := batchFile(t, s, lines...)
		b.Size = size
		if got, _ := runBatch(t, b); !bytes.Equal(got, want) {
			t.Errorf("%d at once: other bytes", size)
		}
	}
	if summary.Answered != len(lines) {
		t.Fatalf("%+v", summary)
	}
	base, _ := start(t, s)
	var first struct {
		Response struct {
			Body struct{ Choices json.RawMessage }
		}
	}
	line, _, _ := bytes.Cut(want, []byte("\n"))
	if err := json.Unmarshal(line, &first); err != nil {
		t.Fatal(err)
	}
	var l batchLine
	if v, err := parseBody([]byte(chatLine(0))); err != nil || decode(&l, v, batchFields) != nil {
		t.Fatal(err)
	}
	if got := answer(t, base, string(l.body)); got != string(first.Response.Body.Choices) {
		t.Errorf("the service answers %s, the batch %s", got, first.Response.Body.Choices)
	}
}

// A busy engine delays lines and refuses none.
func TestBatchFullQueue(t *testing.T) {
	m := newHashModel(64)
	e, err := engine.New(m, engine.Options{Blocks: len(m.kv), Context: 256, MaxSeqs: 2, MaxQueue: 2, Tokenizer: engine.Decoding(byteTokenizer{}), EOS: []int32{256}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	b := batchFile(t, realServer(t, e), chatLines(12)...)
	if _, summary := runBatch(t, b); summary.Answered != 12 {
		t.Errorf("%+v", summary)
	}
}

// Ctrl-C leaves whole answers; the next run goes on behind them, and a finished one has nothing to do.
func TestBatchInterrupted(t *testing.T) {
	m := newHashModel(2048)
	s := realServer(t, newEngine(t, m))
	lines := chatLines(200)
	want, _ := runBatch(t, batchFile(t, s, lines...))
	b := batchFile(t, s, lines...)
	b.Size = 4
	ctx, cancel := context.WithCancel(t.Context())
	b.Progress = func(lines int, _, _ int64) {
		if lines == 10 {
			cancel()
		}
	}
	if _, err := b.Run(ctx); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if _, err := os.Stat(b.Out); err == nil {
		t.Error("half of the answers are there as if they were all")
	}
	b.Progress = nil
	got, summary := runBatch(t, b)
	if !bytes.Equal(got, want) || summary.Resumed < 10 || summary.Lines != 200 {
		t.Errorf("%+v, equal %v", summary, bytes.Equal(got, want))
	}
	if again, summary := runBatch(t, b); summary.Resumed != 200 || !bytes.Equal(again, want) {
		t.Errorf("a finished batch: %+v", summary)
	}
}

// Answers to another input, model or setting are noticed, and left alone.
func TestBatchNoticesChanges(t *testing.T) {
	s := realServer(t, newEngine(t, newHashModel(2048)))
	half := func() *Batch { // its first five lines are answered
		b := batchFile(t, s, chatLines(10)...)
		out, _ := runBatch(t, b)
		os.Remove(b.Out)
		if err := os.WriteFile(b.Out+".part", []byte(strings.Join(strings.SplitAfter(string(out), "\n")[:5], "")), 0o600); err != nil {
			t.Fatal(err)
		}
		return b
	}
	for name, change := range map[string]func(*Batch){
		"another line":  func(b *Batch) { lines := chatLines(10); lines[3] = chatLine(99); writeLines(t, b.In, lines...) },
		"a line less":   func(b *Batch) { writeLines(t, b.In, chatLines(10)[1:]...) },
		"fewer lines":   func(b *Batch) { writeLines(t, b.In, chatLines(4)...) },
		"another model": func(b *Batch) { b.Salt = "other" },
	} {
		b := half()
		change(b)
		if _, err := b.Run(t.Context()); !errors.Is(err, ErrOtherBatch) || !strings.Contains(err.Error(), "remove it") {
			t.Errorf("%s: %v", name, err)
		}
		if left, _ := os.ReadFile(b.Out + ".part"); bytes.Count(left, []byte("\n")) != 5 {
			t.Errorf("%s: the answers were touched", name)
		}
	}
	b := half()
	lines := chatLines(12) // later lines may change
	writeLines(t, b.In, lines...)
	if _, summary := runBatch(t, b); summary.Resumed != 5 || summary.Lines != 12 {
		t.Errorf("%+v", summary)
	}
	writeLines(t, b.In, chatLines(13)...)
	if _, err := b.Run(t.Context()); !errors.Is(err, ErrOtherBatch) {
		t.Errorf("more lines than a finished output answers: %v", err)
	}
	b.Out = b.In
	if _, err := b.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "overwritten") {
		t.Errorf("output over input: %v", err)
	}
}

const batchVariable = "HONE_TEST_BATCH"

// batchForKills runs a slow batch in a folder until it ends or is killed.
func batchForKills(dir string) {
	m := newHashModel(2048)
	m.delay = func(int) time.Duration { return 200 * time.Microsecond }
	e, err := engine.New(m, engine.Options{Blocks: len(m.kv), Context: 1024, Tokenizer: engine.Decoding(byteTokenizer{}), EOS: []int32{256}})
	if err != nil {
		panic(err)
	}
	defer e.Close()
	s, err := New(Config{Models: []string{"tiny"}, Created: time.Unix(1700000000, 0), Context: 1024, Tokenizer: byteTokenizer{}, Generator: FromEngine(e),
		Template: testTemplate, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		panic(err)
	}
	fmt.Println("running")
	b := Batch{Server: s, In: filepath.Join(dir, "in.jsonl"), Out: filepath.Join(dir, "out.jsonl"), Salt: "model", Size: 4}
	if _, err := b.Run(context.Background()); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// A batch that is killed 20 times at random, with torn lines besides, ends with the same bytes.
func TestBatchKilled(t *testing.T) {
	lines := chatLines(300)
	want, _ := runBatch(t, batchFile(t, realServer(t, newEngine(t, newHashModel(2048))), lines...))
	b := batchFile(t, nil, lines...)
	r := rand.New(rand.NewPCG(9, 9))
	kills := 0
	for range 100 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), batchVariable+"="+filepath.Dir(b.In))
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		io.ReadFull(out, make([]byte, len("running\n")))
		after := time.Minute
		if kills < 20 {
			after = time.Duration(r.IntN(30)) * time.Millisecond
		}
		timer := time.AfterFunc(after, func() { cmd.Process.Kill() })
		text, _ := io.ReadAll(out)
		err = cmd.Wait()
		timer.Stop()
		if err == nil {
			break
		}
		if len(text) > 0 {
			t.Fatalf("%s", text)
		}
		if kills++; kills%5 == 0 {
			tear(t, b.Out+".part", want, kills%10 == 0)
		}
	}
	got, err := os.ReadFile(b.Out)
	if err != nil || !bytes.Equal(got, want) || kills < 10 {
		t.Errorf("%d kills, %v, equal %v", kills, err, bytes.Equal(got, want))
	}
}

// tear appends a part of the next answer, as a kill in the middle of a write does, or blank bytes, as a crash of the system does.
func tear(t *testing.T, path string, whole []byte, blank bool) {
	have, err := os.ReadFile(path)
	if err != nil || len(have)+10 > len(whole) {
		return
	}
	torn := whole[:len(have)+10]
	if blank {
		torn = append(append(bytes.Clone(have), make([]byte, len(whole))...), "}\n"...)
	}
	if err := os.WriteFile(path, torn, 0o600); err != nil {
		t.Fatal(err)
	}
}

// Only one process writes a batch's answers.
func TestBatchTwice(t *testing.T) {
	m := newHashModel(2048)
	s := realServer(t, newEngine(t, m))
	b := batchFile(t, s, chatLines(3)...)
	second := *b
	var err error
	b.Progress = func(lines int, _, _ int64) {
		if lines == 1 {
			_, err = second.Run(t.Context())
		}
	}
	runBatch(t, b)
	if err == nil || !strings.Contains(err.Error(), "another process") {
		t.Error(err)
	}
}

func TestLineReader(t *testing.T) {
	long := strings.Repeat("x", 200_000)
	l := newLineReader(strings.NewReader("a\r\n\n"+long+"\nb"), 100)
	var got []int
	for {
		line, err := l.next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, len(line))
		if cap(l.line) > 1000 {
			t.Errorf("%d bytes are held", cap(l.line))
		}
	}
	if fmt.Sprint(got) != "[1 0 102 1]" || l.read != 200_006 {
		t.Errorf("%v, %d bytes", got, l.read)
	}
}
