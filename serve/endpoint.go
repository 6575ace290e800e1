package serve

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

// endpoint is one thing that the server answers. Each file of the package registers its own; auth, limits, errors and
// metrics are applied to all of them alike.
type endpoint struct {
	pattern string // "METHOD /path", or "METHOD /path/{rest}" for everything below a path
	grant   grant
	work    bool // takes the model's time: refused while draining, waited for by the drain
	serve   func(*Server, *exchange) error
}

var endpoints []endpoint

// register adds an endpoint; it is called by init functions alone.
func register(e endpoint) {
	if slices.ContainsFunc(endpoints, func(o endpoint) bool { return o.pattern == e.pattern }) {
		panic("serve: endpoint registered twice: " + e.pattern)
	}
	endpoints = append(endpoints, e)
	slices.SortFunc(endpoints, func(a, b endpoint) int { return strings.Compare(a.pattern, b.pattern) })
}

// match tells whether the endpoint lies at a path and whether it takes a method; rest is what {rest} stands for.
func (e *endpoint) match(method, path string) (here, takes bool, rest string) {
	want, at, _ := strings.Cut(e.pattern, " ")
	takes = method == want || method == http.MethodHead && want == http.MethodGet
	if base, _, ok := strings.Cut(at, "{"); ok {
		rest, here = strings.CutPrefix(path, base)
		return here && rest != "", takes, rest
	}
	return path == at, takes, ""
}

// find returns the endpoint for a request, or an error reply: 404, or 405 with the methods that the path takes.
func find(method, path string) (*endpoint, string, error) {
	var allow []string
	for i := range endpoints {
		e := &endpoints[i]
		here, takes, rest := e.match(method, path)
		if here && takes {
			return e, rest, nil
		}
		if here {
			allow = append(allow, strings.SplitN(e.pattern, " ", 2)[0])
		}
	}
	if len(allow) > 0 {
		return nil, "", wrongMethod(method, path, allow)
	}
	return nil, "", notFound(path)
}

// exchange is one request and its reply.
type exchange struct {
	http.ResponseWriter
	r         *http.Request
	rest      string // of the pattern's {rest}
	principal string // short name of the API key, "" without keys
	id        string // 24 hexadecimal digits
	arrived   time.Time
	status    int           // sent so far, 0 for none
	patience  time.Duration // for one write to a client that does not read
	body      lease         // memory of its body
	seed      *uint64       // of a line of a batch file, whose reply takes nothing from clock, chance or cache; nil: a request
}

// created is the time that a reply carries.
func (x *exchange) created(s *Server) int64 {
	if x.seed != nil {
		return s.config.Created.Unix()
	}
	return x.arrived.Unix()
}

// limitWrite gives up on a client that does not read what is written next. Not every ResponseWriter can, and none the worse.
func (x *exchange) limitWrite() {
	http.NewResponseController(x.ResponseWriter).SetWriteDeadline(time.Now().Add(x.patience))
}

func (x *exchange) WriteHeader(status int) {
	if x.status == 0 {
		x.status = status
	}
	x.ResponseWriter.WriteHeader(status)
}

func (x *exchange) Write(b []byte) (int, error) {
	if x.status == 0 {
		x.status = http.StatusOK
	}
	return x.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (x *exchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }

func (x *exchange) context() context.Context { return x.r.Context() }

// json sends a whole reply.
func (x *exchange) json(status int, body any) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(body); err != nil {
		return fmt.Errorf("encoding a reply: %w", err)
	}
	x.Header().Set("Content-Type", "application/json")
	x.limitWrite()
	x.WriteHeader(status)
	x.Write(b.Bytes()) // an error means that the client has gone
	return nil
}

// ServeHTTP answers one request: Host, route, key, drain, handler, and one place for errors and panics.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := &exchange{ResponseWriter: w, r: r, arrived: time.Now(), id: newID(), patience: s.limits.WriteTimeout}
	x.Header().Set("X-Request-Id", "req-"+x.id)
	x.Header().Set("X-Content-Type-Options", "nosniff")
	route := "other"
	defer func() { s.metrics.requests.WithLabelValues(route, statusLabel(x)).Inc() }()
	defer s.recover(x)
	defer x.body.release()
	if err := s.hosts.check(r); err != nil {
		s.fail(x, err)
		return
	}
	e, rest, err := find(r.Method, r.URL.Path)
	if e != nil {
		route = e.pattern
	}
	x.rest = rest
	s.fail(x, s.answer(x, e, err))
}

// answer checks the key before anything that depends on the request, so that paths tell nothing without one.
func (s *Server) answer(x *exchange, e *endpoint, lookup error) error {
	if e == nil || e.grant != open {
		principal, err := s.keys.authorize(x.r)
		if err != nil {
			return err
		}
		x.principal = principal
	}
	if lookup != nil {
		return lookup
	}
	if e.work {
		if !s.drain.begin() {
			return draining()
		}
		defer s.drain.end()
	}
	return e.serve(s, x)
}

// fail turns a handler's error into the reply. Once a reply has begun nothing can be added to it, so the connection is
// cut: the client sees that it is not whole. A stream sends its own error event before.
func (s *Server) fail(x *exchange, err error) {
	if err == nil {
		return
	}
	var early *apiError // a body that does not arrive ends the context as well, but its client may still listen
	if gone(x.context()) && !(errors.As(err, &early) && early.hangUp) {
		s.log.Debug("request ended by its client", "request", x.id)
		return
	}
	reply := s.explain(x, err)
	if x.status != 0 {
		panic(http.ErrAbortHandler)
	}
	if s.drain.started() {
		x.Header().Set("Connection", "close")
	}
	reply.write(x)
	if reply.unread {
		linger(x)
	}
}

// recover ends a panicking request, and it alone.
func (s *Server) recover(x *exchange) {
	p := recover()
	if p == nil {
		return
	}
	if p == http.ErrAbortHandler {
		panic(p)
	}
	s.metrics.panics.Inc()
	s.log.Error("a request ended with a panic", "request", x.id, "panic", p, "stack", string(debug.Stack()))
	if x.status != 0 {
		panic(http.ErrAbortHandler)
	}
	internal().write(x)
}

func newID() string {
	var b [12]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

func statusLabel(x *exchange) string {
	switch {
	case x.status != 0:
		return fmt.Sprint(x.status)
	case x.context().Err() != nil:
		return "gone"
	}
	return "none"
}
