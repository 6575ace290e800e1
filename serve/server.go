// Package serve is the HTTP service: an OpenAI-compatible API over the engine.
//
// One file per endpoint registers one value; authorization, limits, errors, server-sent events and metrics are each in
// one file and hold for all of them. A request is decoded strictly: what is not served is refused by the name of its
// field, never left out silently.
package serve

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"hone/engine"
	"hone/tokenizer"
)

// Generator makes text. FromEngine makes one from an engine.
type Generator interface {
	// Submit queues a request that ends early when ctx ends. Its errors wrap those of package engine.
	Submit(ctx context.Context, r engine.Request) (Stream, error)
	Stats() engine.Stats
}

// Stream delivers the events of one request; see engine.Stream.
type Stream interface {
	Recv(ctx context.Context) (engine.Event, error) // io.EOF after the last event
	Close()
}

// FromEngine adapts an engine.
func FromEngine(e *engine.Engine) Generator { return fromEngine{e} }

type fromEngine struct{ *engine.Engine }

func (f fromEngine) Submit(ctx context.Context, r engine.Request) (Stream, error) {
	stream, err := f.Engine.Submit(ctx, r)
	if err != nil {
		return nil, err
	}
	return stream, nil
}

// Tokenizer is what the service needs of a tokenizer.
type Tokenizer interface {
	Encode(text string, opt tokenizer.EncodeOptions) ([]int32, error) // an error is the text's fault
	EncodePair(a, b string, opt tokenizer.EncodeOptions) (ids, types []int32, err error)
	Decode(ids []int32, skipSpecial bool) string
	TokenBytes(id int32) []byte
	VocabSize() int
}

// Message is one turn of a chat.
type Message = tokenizer.Message

// ChatTemplate writes a chat as the text that its model was trained on, up to the beginning of the next answer, with marks as
// tokenizer.ChatTemplate.Prompt sets them. An error is the request's fault: it is shown to the client.
type ChatTemplate func(messages []Message) (string, error)

// Text is what an encoder reads: ids, and their types where two texts were put together (nil: all 0).
type Text struct{ IDs, Types []int32 }

// Embedder returns the vectors of the first inputs, at least one and as many as it takes at once, all of one width. It is
// called by one goroutine at a time.
type Embedder func(inputs []Text) ([][]float32, error)

// Config says what is served, where, and to whom.
type Config struct {
	Models  []string  // names that requests may give; the first stands in replies
	Created time.Time // of the model; zero: now
	Owner   string    // owned_by of /v1/models; "": hone
	Context int       // most tokens of a sequence, prompt included

	Tokenizer Tokenizer
	Generator Generator    // nil: an encoder, which has no chat and no completions
	Template  ChatTemplate // nil: no chat
	Embedder  Embedder     // nil: no encoder
	Classes   *Classes     // what the encoder's vectors are the logits of; nil: they are embeddings
	// NoSpecial keeps the tokenizer from putting special tokens round a prompt or an input text.
	NoSpecial bool

	Listen       string   // HOST:PORT; "": 127.0.0.1:8080
	APIKeys      []string // any of them opens the API; none: open to all who reach the address
	TLSCert      string   // file, PEM
	TLSKey       string   // file, PEM
	InsecureHTTP bool     // a wider address than loopback without key or TLS is meant
	Hosts        []string // names in the Host header that are answered besides localhost and addresses

	MaxQueue int // embedding requests that wait; 0: 256. The engine bounds its own queue
	Limits   Limits

	// Ready returns why the service is not ready yet, nil when it is. nil: ready from the start.
	Ready func() error
	// Listening, if set, is called with the address once connections are taken.
	Listening func(net.Addr)
	Log       *slog.Logger // nil: slog.Default
}

// Server answers requests. It is an http.Handler; Run and Serve bring it to the network.
type Server struct {
	config  Config
	limits  Limits
	bodies  bodies
	keys    keyring
	hosts   hostList
	metrics *metrics
	drain   drain
	watch   progress
	embed   embedQueue
	longest func() int // bytes of the longest token, looked for at the first long prompt
	log     *slog.Logger
}

// New checks the settings. It refuses an address that other machines can reach unless there are API keys and TLS, or
// InsecureHTTP says that it is meant.
func New(c Config) (*Server, error) {
	set(&c.Listen, "127.0.0.1:8080")
	set(&c.Owner, "hone")
	set(&c.MaxQueue, 256)
	if c.Created.IsZero() {
		c.Created = time.Now()
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	switch {
	case len(c.Models) == 0 || c.Models[0] == "":
		return nil, errors.New("serve: no model name")
	case c.Tokenizer == nil:
		return nil, errors.New("serve: no tokenizer")
	case c.Generator == nil && c.Embedder == nil:
		return nil, errors.New("serve: neither a generator nor an embedder: there is nothing to serve")
	case c.Context < 1:
		return nil, fmt.Errorf("serve: context of %d tokens", c.Context)
	}
	if err := checkExposure(&c); err != nil {
		return nil, err
	}
	keys, err := newKeyring(c.APIKeys)
	if err != nil {
		return nil, err
	}
	s := &Server{config: c, limits: c.Limits.withDefaults(), keys: keys, hosts: newHostList(c.Listen, c.Hosts), log: c.Log}
	s.bodies.most = s.limits.BodiesBytes
	s.drain.done = make(chan struct{})
	s.embed = embedQueue{embed: c.Embedder, most: c.MaxQueue}
	s.longest = sync.OnceValue(func() int { return longestToken(c.Tokenizer) })
	s.metrics = newMetrics(s)
	return s, nil
}

// Run listens and serves until ctx ends, then drains: requests under way are finished, new ones get a 503. It returns
// nil after a clean drain.
func (s *Server) Run(ctx context.Context) error {
	l, err := net.Listen("tcp", s.config.Listen)
	if err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	return s.Serve(ctx, l)
}

// Serve is Run on a listener of the caller's, which it closes.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	streams, abort := context.WithCancelCause(context.Background())
	defer abort(nil)
	h := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: s.limits.HeaderTimeout,
		IdleTimeout:       s.limits.IdleTimeout,
		MaxHeaderBytes:    s.limits.HeaderBytes,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		BaseContext:       func(net.Listener) context.Context { return streams },
	}
	failed := make(chan error, 1)
	go func() { failed <- s.accept(h, newBoundedListener(l, s.limits.Connections)) }()
	if s.config.Listening != nil {
		s.config.Listening(l.Addr())
	}
	select {
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	return s.shutDown(h, abort)
}

func (s *Server) accept(h *http.Server, l net.Listener) error {
	if s.config.TLSCert != "" {
		return h.ServeTLS(l, s.config.TLSCert, s.config.TLSKey)
	}
	return h.Serve(l)
}

// shutDown keeps answering while the work under way ends, so that late requests learn why they are refused, and then
// closes the listener. Streams that outlast the drain are ended with an error event.
func (s *Server) shutDown(h *http.Server, abort context.CancelCauseFunc) error {
	timeout := time.NewTimer(s.limits.DrainTimeout)
	defer timeout.Stop()
	left := s.drain.start()
	if left > 0 {
		s.log.Info("draining", "requests", left)
	}
	var late error
	select {
	case <-s.drain.done:
	case <-timeout.C:
		late = fmt.Errorf("serve: the drain took longer than %s: requests under way were ended", s.limits.DrainTimeout)
		abort(draining())
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := h.Shutdown(ctx); err != nil {
		h.Close()
	}
	return late
}

// explain maps a handler's error to a reply. What is not for the client goes to the log alone.
func (s *Server) explain(x *exchange, err error) *apiError {
	var reply *apiError
	switch {
	case errors.As(err, &reply):
		return reply
	case errors.Is(err, engine.ErrQueueFull):
		stats := s.config.Generator.Stats()
		return overloaded(stats.Waiting, retryAfter(stats))
	case errors.Is(err, engine.ErrDraining), errors.Is(err, engine.ErrClosed):
		return draining()
	case errors.Is(err, engine.ErrTooLong):
		return invalid("", "context_length_exceeded", "the prompt is longer than this server can hold: shorten it")
	case errors.Is(err, engine.ErrInvalid):
		return invalid("", "invalid_value", "%v", err)
	}
	s.log.Error("a request failed", "request", x.id, "error", err)
	return internal()
}

// retryAfter guesses when the queue will have room: the mean life of a request, within 1 to 30 seconds.
func retryAfter(stats engine.Stats) time.Duration {
	mean := time.Duration(stats.E2E.Mean() * float64(time.Second))
	return max(time.Second, min(mean.Round(time.Second), 30*time.Second))
}

// drain counts the requests under way and refuses new ones once it has started.
type drain struct {
	mu      sync.Mutex
	active  int
	stopped bool
	done    chan struct{} // closed when it has started and nothing is under way
}

func (d *drain) begin() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stopped {
		return false
	}
	d.active++
	return true
}

func (d *drain) end() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.active--
	if d.stopped && d.active == 0 {
		close(d.done)
	}
}

// start returns the number of requests under way.
func (d *drain) start() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.stopped && d.active == 0 {
		close(d.done)
	}
	d.stopped = true
	return d.active
}

func (d *drain) started() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.stopped
}

// boundedListener takes no more than so many connections at once; others wait in the system's backlog.
type boundedListener struct {
	net.Listener
	slots  chan struct{}
	closed chan struct{}
	once   sync.Once
}

func newBoundedListener(l net.Listener, most int) *boundedListener {
	return &boundedListener{Listener: l, slots: make(chan struct{}, most), closed: make(chan struct{})}
}

func (l *boundedListener) Accept() (net.Conn, error) {
	select {
	case l.slots <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.slots
		return nil, err
	}
	return &boundedConn{Conn: c, release: sync.OnceFunc(func() { <-l.slots })}, nil
}

func (l *boundedListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

type boundedConn struct {
	net.Conn
	release func()
}

func (c *boundedConn) Close() error {
	defer c.release()
	return c.Conn.Close()
}
