package serve

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// A line of a batch file is a request to one of the endpoints, in OpenAI's format. It is answered by the endpoint itself,
// so that a batch and the service cannot differ; only what would come from clock, chance or cache is taken from the line.

// batchLine is a line of a batch file.
type batchLine struct {
	custom       string
	hasCustom    bool
	method, path string
	body         json.RawMessage
}

var batchFields = fields[batchLine]{
	"custom_id": func(l *batchLine, v value) (err error) { l.custom, err = v.text(); l.hasCustom = err == nil; return },
	"method":    func(l *batchLine, v value) (err error) { l.method, err = v.text(); return },
	"url":       func(l *batchLine, v value) (err error) { l.path, err = v.text(); return },
	"body":      func(l *batchLine, v value) error { l.body = v.raw; return nil },
}

// batchReply is a line of a batch's output.
type batchReply struct {
	ID       string         `json:"id"`
	Custom   *string        `json:"custom_id"`
	Response *batchResponse `json:"response"`
	Error    *batchError    `json:"error"` // of a line that is no request
}

type batchResponse struct {
	Status  int             `json:"status_code"`
	Request string          `json:"request_id"`
	Body    json.RawMessage `json:"body"`
}

type batchError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// batchKey is what a line's answer is known by: of the line, its place, and whatever else its answer depends on.
type batchKey [sha256.Size]byte

func keyOf(salt string, index int, line []byte) batchKey {
	h := sha256.New()
	var head [16]byte
	binary.LittleEndian.PutUint64(head[:], uint64(len(salt)))
	binary.LittleEndian.PutUint64(head[8:], uint64(index))
	h.Write(head[:])
	h.Write([]byte(salt))
	h.Write(line)
	return batchKey(h.Sum(nil))
}

func (k batchKey) id() string   { return hex.EncodeToString(k[:12]) }
func (k batchKey) seed() uint64 { return binary.LittleEndian.Uint64(k[16:]) }

// head is what the output line of a key begins with.
func (k batchKey) head() string { return `{"id":"batch_req_` + k.id() + `",` }

// answerLine answers one line, whatever is wrong with it; an error means that ctx ended before.
func (s *Server) answerLine(ctx context.Context, line []byte, key batchKey) (batchReply, error) {
	out := batchReply{ID: "batch_req_" + key.id()}
	l, err := s.parseLine(line)
	if l.hasCustom {
		out.Custom = &l.custom
	}
	if reply := (*apiError)(nil); errors.As(err, &reply) {
		out.Error = &batchError{reply.code, reply.message}
		return out, nil
	}
	r, err := s.insist(ctx, l, key)
	if err != nil {
		return out, err
	}
	out.Response = &batchResponse{Status: r.status, Request: "req-" + key.id(), Body: bytes.TrimSpace(r.body.Bytes())}
	return out, nil
}

func (s *Server) parseLine(line []byte) (batchLine, error) {
	var l batchLine
	if len(line) == 0 {
		return l, invalid("", "invalid_json", "the line is empty")
	}
	if most := maxLine(s.limits.BodyBytes); int64(len(line)) > most {
		return l, invalid("", "line_too_large", "the line has more than %d bytes", most)
	}
	v, err := parseBody(line)
	if err == nil {
		err = decode(&l, v, batchFields)
	}
	switch {
	case err != nil:
		return l, err
	case !l.hasCustom:
		return l, missing("custom_id")
	case l.method != http.MethodPost:
		return l, invalid("method", "invalid_value", "method is %s: the requests of a batch are POST", quote(l.method))
	case l.body == nil:
		return l, missing("body")
	}
	if e, _, err := find(l.method, l.path); err != nil || !e.work {
		return l, invalid("url", "invalid_url", "url is %s: a batch takes %s", quote(l.path), strings.Join(batchPaths(), ", "))
	}
	return l, nil
}

// maxLine is the most bytes of a line: its body, and what stands around it.
func maxLine(body int64) int64 { return body + 64<<10 }

// batchPaths are the endpoints that answer lines.
func batchPaths() []string {
	var out []string
	for _, e := range endpoints {
		if path, ok := strings.CutPrefix(e.pattern, http.MethodPost+" "); ok && e.work {
			out = append(out, path)
		}
	}
	return out
}

// memoryReply is a reply that is kept.
type memoryReply struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *memoryReply) Header() http.Header { return r.header }

func (r *memoryReply) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
}

func (r *memoryReply) Write(b []byte) (int, error) { return r.body.Write(b) }

// insist asks until there is room for the request.
func (s *Server) insist(ctx context.Context, l batchLine, key batchKey) (*memoryReply, error) {
	for {
		r := s.exchangeLine(ctx, l, key)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if r.status != http.StatusTooManyRequests && r.status != http.StatusServiceUnavailable {
			return r, nil
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// exchangeLine lets the endpoint of a line answer it.
func (s *Server) exchangeLine(ctx context.Context, l batchLine, key batchKey) *memoryReply {
	w := &memoryReply{header: http.Header{}}
	r := (&http.Request{
		Method: l.method, URL: &url.URL{Path: l.path}, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(bytes.NewReader(l.body)), ContentLength: int64(len(l.body)),
	}).WithContext(ctx)
	seed := key.seed()
	x := &exchange{ResponseWriter: w, r: r, arrived: time.Now(), id: key.id(), patience: s.limits.WriteTimeout, seed: &seed}
	defer func() {
		if recover() != nil { // in the middle of a reply; there is no connection to cut
			w.status = http.StatusInternalServerError
			w.body = *bytes.NewBuffer(internal().body())
		}
	}()
	defer s.recover(x)
	defer x.body.release()
	e, rest, err := find(l.method, l.path)
	x.rest = rest
	s.fail(x, s.answer(x, e, err))
	return w
}
