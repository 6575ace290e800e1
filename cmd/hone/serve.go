package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"hone/engine"
	"hone/model"
	"hone/serve"
	"hone/tokenizer"
)

func init() { register(serveCommand) }

// serving are the settings of a service; addServing gives them to a verb.
type serving struct {
	listen, name, keyFile, cert, key string
	keys, hosts                      []string
	insecure                         bool
	ctx, queue                       int
	kvMemory                         sizeFlag
	kv                               *kvFlag
	threads                          *int
	json                             *bool
}

func addServing(cmd *cobra.Command, threads *int, asJSON *bool) *serving {
	s := &serving{threads: threads, json: asJSON}
	f := cmd.Flags()
	f.StringVar(&s.listen, "listen", "127.0.0.1:8080", "address to serve on, `HOST:PORT`; port 0 takes a free one")
	f.StringVar(&s.name, "name", "", "`NAME` of the model in requests (default: that of its file)")
	addCount(cmd, &s.ctx, "ctx", 0, "longest sequence in tokens, prompt included; 0: what the model takes")
	s.kv = addKV(cmd)
	f.Var(&s.kvMemory, "kv-memory", "memory for keys and values (default: 16 full contexts, at most a quarter of what is free)")
	addCount(cmd, &s.queue, "max-queue", 0, "choices that may wait; 0: 1024")
	f.StringArrayVar(&s.keys, "api-key", nil, "`KEY` that requests must bring; may be given again. Others on this machine can see it: prefer --api-key-file")
	f.StringVar(&s.keyFile, "api-key-file", "", "`FILE` of API keys, one a line")
	f.StringVar(&s.cert, "tls-cert", "", "certificate `FILE`, PEM")
	f.StringVar(&s.key, "tls-key", "", "`FILE` of its key, PEM")
	f.BoolVar(&s.insecure, "insecure-http", false, "serve a wider address than loopback without a key or TLS")
	f.StringArrayVar(&s.hosts, "host", nil, "`NAME` in the Host header to answer to, besides localhost and addresses; may be given again")
	return s
}

func serveCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "serve MODEL",
		Short:   "Serve a model over an OpenAI-compatible API",
		GroupID: groupUse,
		Long: `Serve a model over an OpenAI-compatible API: /v1/chat/completions, /v1/completions, /v1/embeddings, /v1/models. An encoder
with a classification head answers /v1/classify, a cross-encoder or an embedding model /v1/rerank; these two take a request
without "model", which OpenAI's own endpoints want.

/healthz (also /health) says whether the process should live, /readyz whether to send requests to it, /metrics how it does.

The address is this machine's alone unless told otherwise; a wider one needs an API key and TLS, or --insecure-http.
SIGTERM or Ctrl-C finishes the requests under way and ends; a second one ends at once.`,
		Example: `  hone serve model.gguf
  hone serve model.gguf --weights q4 --ctx 4096 --kv bf16 --kv-memory 2GB
  hone serve model.gguf --listen 0.0.0.0:8443 --api-key-file keys --tls-cert cert.pem --tls-key key.pem`,
		Args: takes(1, 1),
	}
	weights := addWeights(cmd)
	s := addServing(cmd, addThreads(cmd), addJSON(cmd))
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := s.check(); err != nil {
			return err
		}
		name, err := fetched(cmd, args[0])
		if err != nil {
			return err
		}
		m, err := openModel(name)
		if err != nil {
			return err
		}
		return s.run(cmd, m, weights.Weights)
	}
	return cmd
}

// run serves m until the command's context ends, then drains. It closes m.
func (s *serving) run(cmd *cobra.Command, m *model.Model, w model.Weights) error {
	b, err := s.prepare(cmd, m, w)
	if err != nil {
		m.File.Close()
		return err
	}
	return b.run(cmd.Context())
}

// backend is a service whose weights come while it already listens.
type backend struct {
	*serving
	cmd     *cobra.Command
	model   *model.Model
	weights model.Weights
	plan    model.Plan
	cache   kvPlan // of a language model
	begun   time.Time

	listener  net.Listener
	announced chan struct{} // closed when the address was printed
	words     words
	late      *late
}

// check reads the keys and refuses settings and an address that cannot be served on, before anything takes long.
func (s *serving) check() error {
	if s.keyFile != "" {
		keys, err := readKeys(s.keyFile)
		if err != nil {
			return err
		}
		s.keys = append(s.keys, keys...)
	}
	c := serve.Config{Listen: s.listen, APIKeys: s.keys, TLSCert: s.cert, TLSKey: s.key, InsecureHTTP: s.insecure}
	if err := c.Check(); err != nil {
		return &usageError{err.Error()}
	}
	l, err := s.open()
	if err != nil {
		return err
	}
	return l.Close()
}

// open takes the address.
func (s *serving) open() (net.Listener, error) {
	l, err := net.Listen("tcp", s.listen)
	if err != nil {
		return nil, fmt.Errorf("--listen %s: %w; choose another address, port 0 takes a free one", s.listen, err)
	}
	return l, nil
}

// prepare does what can fail quickly: memory, tokenizer.
func (s *serving) prepare(cmd *cobra.Command, m *model.Model, w model.Weights) (*backend, error) {
	b := &backend{serving: s, cmd: cmd, model: m, weights: w, begun: time.Now(), announced: make(chan struct{}), late: newLate()}
	tokens := readTokenizer(m, true)
	var err error
	if b.plan, err = m.Plan(w); err != nil {
		return nil, err
	}
	if err := textFlags(cmd, m); err != nil {
		return nil, err
	}
	if !m.Encoder() {
		if b.cache, err = planKV(m, string(*s.kv), s.ctx, int64(s.kvMemory), b.plan.Loading()); err != nil {
			return nil, err
		}
	}
	if err := fits(m.Path, b.plan, b.cache.bytes, rowsOfStep); err != nil {
		return nil, err
	}
	if b.words = <-tokens; b.words.err != nil {
		return nil, b.words.err
	}
	return b, nil
}

func readKeys(path string) ([]string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("--api-key-file: %w; write one key a line into it", err)
	}
	keys := strings.Fields(string(text))
	if len(keys) == 0 {
		return nil, fmt.Errorf("%s: no API key in it; write one a line", path)
	}
	return keys, nil
}

// run listens, loads the weights meanwhile, and serves until ctx ends.
func (b *backend) run(ctx context.Context) error {
	server, err := serve.New(b.config())
	if err != nil {
		b.model.File.Close()
		return &usageError{err.Error()}
	}
	if b.listener, err = b.open(); err != nil {
		b.model.File.Close()
		return err
	}
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	loaded := make(chan *session, 1)
	go func() {
		session, err := b.load(ctx)
		if err != nil {
			b.late.fail(err)
			fail(err)
		}
		loaded <- session
	}()
	err = server.Serve(ctx, b.listener)
	if session := <-loaded; session != nil {
		b.late.close()
		session.close()
	}
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return err
}

func (b *backend) config() serve.Config {
	c := serve.Config{
		Models: []string{b.modelName()}, Context: b.cache.context, Tokenizer: b.words.tok, Listen: b.listen,
		APIKeys: b.keys, TLSCert: b.cert, TLSKey: b.key, InsecureHTTP: b.insecure, Hosts: b.hosts, MaxQueue: b.queue,
		Ready: b.late.check, Listening: b.announce,
	}
	if b.model.Encoder() {
		c.Context, c.Embedder, c.Classes = b.model.Design.Context, b.late.embed, classesOf(b.model)
		return c
	}
	c.Generator = b.late
	if t := b.words.template; t != nil {
		c.Template = func(messages []serve.Message) (string, error) { return t.Prompt(messages, true, nil) }
	}
	return c
}

// modelName is what requests call the model.
func (b *backend) modelName() string {
	if b.name != "" {
		return b.name
	}
	return fileName(b.model)
}

// fileName is a model's name unless it is given another.
func fileName(m *model.Model) string {
	return strings.TrimSuffix(filepath.Base(filepath.Clean(m.Path)), ".gguf")
}

// encoderSizes is room for the longest text of an encoder.
func encoderSizes(m *model.Model) sizes {
	return sizes{rows: max(rowsOfStep, m.Design.Context), context: m.Design.Context}
}

// rowsOfStep is the most rows of one step of a service.
const rowsOfStep = 512

// load brings the weights and starts the engine, then lets waiting requests through.
func (b *backend) load(ctx context.Context) (*session, error) {
	size := sizes{rows: rowsOfStep, context: b.cache.context, kv: b.cache.kv}
	if b.model.Encoder() {
		size = encoderSizes(b.model)
	}
	s, err := load(ctx, b.model, b.weights, *b.threads, size, b.cmd.ErrOrStderr())
	if err != nil {
		return nil, err
	}
	if b.model.Encoder() {
		b.late.set(nil, embedder(s))
	} else {
		e, err := engine.New(s.exec, engine.Options{Blocks: b.cache.kv.Blocks, Context: b.cache.context, MaxQueue: b.queue, Pool: s.pool,
			Tokenizer: engine.Decoding[*tokenizer.StreamDecoder](b.words.tok), EOS: b.words.tok.EOS()})
		if err != nil {
			s.close()
			return nil, err
		}
		b.late.set(e, nil)
	}
	b.sayReady()
	boundGarbage()
	return s, nil
}

// garbage is what the heap may grow by between two collections.
const garbage = 48 << 20

// boundGarbage keeps resident memory near weights and cache: what loading left over is given back, and from then on the
// heap grows by garbage only, not by its own size.
func boundGarbage() {
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	debug.SetGCPercent(int(min(100, max(1, 100*garbage/max(m.HeapAlloc, 1)))))
}

// listening is the line of --json once the address is open.
type listening struct {
	URL           string  `json:"url"`
	Model         string  `json:"model"`
	Weights       string  `json:"weights"`
	WeightBytes   int64   `json:"weight_bytes"`
	BitsPerWeight float64 `json:"bits_per_weight"`
	Context       int     `json:"context"`
	KV            string  `json:"kv,omitempty"`
	KVBytes       int64   `json:"kv_bytes,omitempty"`
	KVTokens      int     `json:"kv_tokens,omitempty"`
	Threads       int     `json:"threads"`
	Note          string  `json:"note,omitempty"`
}

// announce prints the address, and what was chosen.
func (b *backend) announce(address net.Addr) {
	defer close(b.announced)
	scheme := "http"
	if b.cert != "" {
		scheme = "https"
	}
	formats := weightsFlag{b.weights}
	l := listening{URL: fmt.Sprintf("%s://%s/v1", scheme, address), Model: b.modelName(), Weights: formats.String(),
		WeightBytes: b.plan.Weights(), BitsPerWeight: b.plan.BitsPerWeight(), Context: b.cache.context, Threads: *b.threads,
		KV: b.cache.kv.Type, KVBytes: b.cache.bytes, KVTokens: b.cache.tokens(), Note: b.cache.note}
	if b.model.Encoder() {
		l.Context = b.model.Design.Context
	}
	if *b.json {
		printJSON(b.cmd, l)
		return
	}
	w := b.cmd.OutOrStdout()
	fmt.Fprintf(w, "serving %s at %s, %d threads\nweights  %s, %.3f bits each, %s\ncontext  %d tokens\n", l.Model, l.URL, l.Threads,
		l.Weights, l.BitsPerWeight, bytesText(l.WeightBytes), l.Context)
	if l.KVBytes > 0 {
		fmt.Fprintf(w, "KV cache %s, %s for %d tokens\n", l.KV, bytesText(l.KVBytes), l.KVTokens)
	}
	if l.Note != "" {
		fmt.Fprintln(w, "note:", l.Note)
	}
}

func (b *backend) sayReady() {
	<-b.announced
	seconds := time.Since(b.begun).Seconds()
	if *b.json {
		printJSON(b.cmd, map[string]any{"ready": true, "seconds": seconds})
		return
	}
	fmt.Fprintf(b.cmd.OutOrStdout(), "ready after %.2f s\n", seconds)
}
