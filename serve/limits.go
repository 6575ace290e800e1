package serve

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"time"
)

// Limits bound what one request, and all of them together, may take. A zero field takes its default.
type Limits struct {
	BodyBytes       int64         // request body; 4 MiB
	BodiesBytes     int64         // all request bodies that are being read and decoded; 64 MiB
	HeaderBytes     int           // request line and headers; 32 KiB
	Choices         int           // n times the prompts of a request; 64
	Prompts         int           // prompts of a completion request; 64
	Stops           int           // stop strings; 16
	StopBytes       int           // length of one stop string; 256
	LogitBias       int           // entries of logit_bias; 1024
	Messages        int           // messages of a chat; 4096
	EmbeddingInputs int           // inputs of an embedding request; 2048
	Connections     int           // open connections; 1024
	HeaderTimeout   time.Duration // to receive the headers; 10 s
	BodyTimeout     time.Duration // to receive the whole request; 60 s
	WriteTimeout    time.Duration // for one write to a client that does not read; 30 s
	IdleTimeout     time.Duration // between requests of a connection; 120 s
	StallTimeout    time.Duration // work is waiting but no step ends: the server reports itself unhealthy; 60 s
	DrainTimeout    time.Duration // from the signal to the end of the last stream; 120 s
}

func (l Limits) withDefaults() Limits {
	set(&l.BodyBytes, 4<<20)
	set(&l.BodiesBytes, 64<<20)
	set(&l.HeaderBytes, 32<<10)
	set(&l.Choices, 64)
	set(&l.Prompts, 64)
	set(&l.Stops, 16)
	set(&l.StopBytes, 256)
	set(&l.LogitBias, 1024)
	set(&l.Messages, 4096)
	set(&l.EmbeddingInputs, 2048)
	set(&l.Connections, 1024)
	set(&l.HeaderTimeout, 10*time.Second)
	set(&l.BodyTimeout, 60*time.Second)
	set(&l.WriteTimeout, 30*time.Second)
	set(&l.IdleTimeout, 120*time.Second)
	set(&l.StallTimeout, 60*time.Second)
	set(&l.DrainTimeout, 120*time.Second)
	return l
}

func set[T comparable](field *T, fallback T) {
	var zero T
	if *field == zero {
		*field = fallback
	}
}

// body reads and parses a JSON body. Its deadline ends with it, since streams may last longer; after an
// error it stands, so that nobody waits for the rest.
func (s *Server) body(x *exchange) (value, error) {
	media, _, err := mime.ParseMediaType(x.r.Header.Get("Content-Type"))
	if err != nil || media != "application/json" {
		return value{}, wrongMedia(x.r.Header.Get("Content-Type"))
	}
	limit := s.limits.BodyBytes
	if x.r.ContentLength > limit {
		return value{}, bodyTooLarge(limit)
	}
	control := http.NewResponseController(x)
	control.SetReadDeadline(time.Now().Add(s.limits.BodyTimeout))
	x.body.of = &s.bodies
	body, err := x.body.readBody(http.MaxBytesReader(x, x.r.Body, limit), x.r.ContentLength)
	var tooLarge *http.MaxBytesError
	var full *apiError
	switch {
	case errors.As(err, &tooLarge):
		return value{}, bodyTooLarge(limit)
	case errors.As(err, &full):
		return value{}, full
	case err != nil:
		return value{}, &apiError{status: http.StatusRequestTimeout, kind: kindInvalid, code: "body_not_received", hangUp: true,
			message: "the request body did not arrive whole"}
	}
	control.SetReadDeadline(time.Time{})
	return parseBody(body)
}

// linger reads on for a moment after a reply that left a body unread: closing at once would reset the connection, and
// many clients then report the reset and never see the reply.
func linger(x *exchange) {
	const most, patience = 256 << 20, 2 * time.Second
	control := http.NewResponseController(x)
	if control.Flush() != nil || control.SetReadDeadline(time.Now().Add(patience)) != nil {
		return
	}
	io.Copy(io.Discard, io.LimitReader(x.r.Body, most))
}

// checkSize refuses a text that is certainly too long before it costs the time to tokenize it. A token stands for at
// most s.longest() bytes; normalization may have dropped some, hence the margin of four.
func (s *Server) checkSize(param string, bytes int) error {
	if s.config.Generator == nil { // an encoder may map a long word to one token
		return nil
	}
	if bytes/4 <= s.config.Context { // fits even if every token is one byte: no need to look at the vocabulary
		return nil
	}
	if least := bytes / (4 * s.longest()); least > s.config.Context {
		return invalid(param, "context_length_exceeded",
			"%s has %d bytes, which are more than %d tokens, but this server's context is %d tokens: shorten it", param, bytes, least, s.config.Context)
	}
	return nil
}

// longestToken returns the number of bytes of a vocabulary's longest token, at least 1.
func longestToken(t Tokenizer) int {
	longest := 1
	for id := range t.VocabSize() {
		longest = max(longest, len(t.TokenBytes(int32(id))))
	}
	return longest
}
