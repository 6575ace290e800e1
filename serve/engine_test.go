package serve

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"hone/engine"
	"hone/nn"
)

// hashModel is a model for the real engine: its logits are a hash of a row's token history, which it keeps per position
// in the blocks. Letters are far likelier than other bytes, so that texts look like texts.
type hashModel struct {
	kv     [][nn.BlockTokens]uint64 // hash of the history up to a position
	hashes []uint64
	delay  func(rows int) time.Duration
}

func newHashModel(blocks int) *hashModel {
	return &hashModel{kv: make([][nn.BlockTokens]uint64, blocks)}
}

func (m *hashModel) Vocab() int     { return byteTokenizer{}.VocabSize() }
func (m *hashModel) MaxTokens() int { return 512 }

func (m *hashModel) Forward(b *nn.Batch) error {
	if m.delay != nil {
		time.Sleep(m.delay(len(b.Tokens)))
	}
	m.hashes = m.hashes[:0]
	for _, s := range b.Seqs {
		h := uint64(1)
		if p := s.Pos - 1; p >= 0 {
			h = m.kv[s.Blocks[p/nn.BlockTokens]][p%nn.BlockTokens]
		}
		for i := range s.Len {
			h = scramble(h ^ uint64(b.Tokens[s.Offset+i]))
			p := s.Pos + i
			m.kv[s.Blocks[p/nn.BlockTokens]][p%nn.BlockTokens] = h
			m.hashes = append(m.hashes, h)
		}
	}
	return nil
}

func (m *hashModel) Logits(dst []float32, rows []int32) error {
	for i, r := range rows {
		h := m.hashes[r]
		for c := range 257 {
			x := float32(scramble(h+uint64(c))>>40) / (1 << 21)
			if c < 'a' || c > 'z' {
				x -= 6
			}
			dst[i*257+c] = x
		}
	}
	return nil
}

func scramble(h uint64) uint64 {
	h += 0x9e3779b97f4a7c15
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}

// byteDecoder holds bytes back until they are whole characters.
type byteDecoder struct{ held []byte }

func (byteTokenizer) NewDecoder(bool) *byteDecoder { return &byteDecoder{} }

func (d *byteDecoder) Add(id int32) string {
	if id > 255 {
		return ""
	}
	if d.held = append(d.held, byte(id)); len(d.held) < utf8.UTFMax && !utf8.FullRune(d.held) {
		return ""
	}
	return d.Flush()
}

func (d *byteDecoder) Flush() string {
	s := strings.ToValidUTF8(string(d.held), "\ufffd")
	d.held = d.held[:0]
	return s
}

func newEngine(t testing.TB, m *hashModel) *engine.Engine {
	t.Helper()
	e, err := engine.New(m, engine.Options{Blocks: len(m.kv), Context: 1024, Tokenizer: engine.Decoding(byteTokenizer{}), EOS: []int32{256}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

func realServer(t testing.TB, e *engine.Engine, change ...func(*Config)) *Server {
	return testServer(t, nil, append([]func(*Config){func(c *Config) {
		c.Generator, c.Context = FromEngine(e), e.Context()
		c.Embedder = embedder
	}}, change...)...)
}

// TestBatchEqualsAlone: the answers of 32 requests at once are those of the same requests alone, to the last digit.
func TestBatchEqualsAlone(t *testing.T) {
	m := newHashModel(2048)
	base, _ := start(t, realServer(t, newEngine(t, m)))
	body := func(i int) string {
		return fmt.Sprintf(`{"model":"tiny","messages":[{"role":"user","content":"question %d"}],"max_tokens":20,"temperature":%d,"seed":%d,"logprobs":true,"top_logprobs":3}`, i%16, i/16, i)
	}
	alone := make([]string, 32)
	for i := range alone {
		alone[i] = answer(t, base, body(i))
	}
	m.delay = func(int) time.Duration { return time.Millisecond }
	together := make([]string, 32)
	var wait sync.WaitGroup
	for i := range together {
		wait.Go(func() { together[i] = answer(t, base, body(i)) })
	}
	wait.Wait()
	for i := range alone {
		if alone[i] != together[i] || !strings.Contains(alone[i], `"top_logprobs"`) {
			t.Errorf("request %d:\n%s\n%s", i, alone[i], together[i])
		}
	}
}

// answer returns the choices of a reply.
func answer(t testing.TB, base, body string) string {
	r, err := http.Post(base+"/v1/chat/completions", "application/json", strings.NewReader(body))
	if err != nil {
		t.Error(err)
		return ""
	}
	defer r.Body.Close()
	var reply struct{ Choices json.RawMessage }
	if err := json.NewDecoder(r.Body).Decode(&reply); err != nil {
		t.Error(err)
	}
	return string(reply.Choices)
}

// TestGoneClientFreesBlocks: the real engine gives a gone client's blocks back.
func TestGoneClientFreesBlocks(t *testing.T) {
	m := newHashModel(64)
	m.delay = func(int) time.Duration { return time.Millisecond }
	e := newEngine(t, m)
	base, _ := start(t, realServer(t, e))
	ctx, cancel := context.WithCancel(context.Background())
	r, _ := http.NewRequestWithContext(ctx, "POST", base+"/v1/completions", strings.NewReader(`{"model":"tiny","prompt":"a","max_tokens":900,"ignore_eos":true,"stream":true}`))
	r.Header.Set("Content-Type", "application/json")
	reply, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Body.Close()
	reply.Body.Read(make([]byte, 10))
	if e.Stats().BlocksUsed == 0 {
		t.Fatal("no block is in use")
	}
	cancel()
	eventually(t, "the blocks are free", func() bool { s := e.Stats(); return s.BlocksUsed == 0 && s.Running == 0 })
}

// BenchmarkStreams32 compares 32 streams over TCP with the same requests to the engine alone. The model takes next to no
// time, so the difference is what the service costs for each token, the client's end included.
func BenchmarkStreams32(b *testing.B) {
	const streams, tokens = 32, 200
	e := newEngine(b, newHashModel(2048))
	base, _ := start(b, realServer(b, e))
	overHTTP := func() error { return streamOverTCP(base, 0, tokens) }
	direct := func() error {
		s, err := e.Submit(context.Background(), engine.Request{Prompt: []int32{256, 'a'}, N: 1, MaxTokens: tokens, IgnoreEOS: true, Sampling: engine.SamplingParams{Temperature: 1}})
		if err == nil {
			_, err = s.Collect(context.Background())
		}
		return err
	}
	for _, c := range []struct {
		name string
		run  func() error
	}{{"engine", direct}, {"http", overHTTP}} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				var wait sync.WaitGroup
				for range streams {
					wait.Go(func() {
						if err := c.run(); err != nil {
							b.Error(err)
						}
					})
				}
				wait.Wait()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*streams*tokens), "ns/token")
		})
	}
}

// streamOverTCP runs one stream with as little work at the client's end as can be.
func streamOverTCP(base string, i, tokens int) error {
	prompt, _ := json.Marshal(promptIDs(i))
	if i == 0 {
		prompt = []byte(`"a"`)
	}
	body := fmt.Sprintf(`{"model":"tiny","prompt":%s,"max_tokens":%d,"ignore_eos":true,"stream":true,"temperature":0}`, prompt, tokens)
	c, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
	if err != nil {
		return err
	}
	defer c.Close()
	fmt.Fprintf(c, "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	got, err := io.ReadAll(c)
	if err == nil && !bytes.Contains(got, []byte("[DONE]")) {
		err = fmt.Errorf("a stream is not whole: %.200s", got)
	}
	return err
}
