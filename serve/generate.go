package serve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"hone/engine"
	"hone/nn"
)

const blockTokens = nn.BlockTokens

// format writes the replies of one endpoint. Both the whole reply and the stream print numbers and strings with the
// same functions, so that they agree to the last digit.
type format interface {
	// event appends the server-sent events for what happened to one choice; finish is "" while it runs.
	event(b []byte, e *engine.Event, finish string) []byte
	// usage appends the event that ends a stream when its usage was asked for.
	usage(b []byte, u usage) []byte
	// whole is the reply to a request that does not stream.
	whole(choices []choice, u usage) any
}

// choice is one whole answer.
type choice struct {
	text     strings.Builder
	logprobs []engine.TokenLogprob
	finish   string
}

// usage is OpenAI's count of tokens: a prompt counts once for all of its choices.
type usage struct {
	PromptTokens     int           `json:"prompt_tokens"`
	CompletionTokens int           `json:"completion_tokens"`
	TotalTokens      int           `json:"total_tokens"`
	PromptDetails    promptDetails `json:"prompt_tokens_details"`
}

type promptDetails struct {
	CachedTokens int `json:"cached_tokens"`
}

// add counts the end of a choice; first says that it is the first choice of its prompt.
func (u *usage) add(e engine.Usage, first bool) {
	if first {
		u.PromptTokens += e.PromptTokens
		u.PromptDetails.CachedTokens += e.CachedTokens
	}
	u.CompletionTokens += e.GeneratedTokens
	u.TotalTokens = u.PromptTokens + u.CompletionTokens
}

// generate runs the requests of one exchange, one for each prompt, and sends the reply.
func (s *Server) generate(x *exchange, g *generation, requests []engine.Request, f format) error {
	if g.stream && x.seed != nil {
		return invalid("stream", "unsupported_parameter", "a line of a batch has one whole answer: leave stream out")
	}
	j, err := s.submit(x.context(), requests)
	if err != nil {
		return err
	}
	defer j.close()
	g.messages, g.prompts = nil, nil // what the body held is not needed any more
	x.body.release()
	if g.stream {
		return s.stream(x, g, j, f)
	}
	choices, u, err := s.collect(x, g, j)
	if err != nil {
		return err
	}
	if x.seed != nil {
		u.PromptDetails = promptDetails{} // what the cache held depends on the other lines
	}
	s.metrics.finished(x.arrived, g, u)
	return x.json(http.StatusOK, f.whole(choices, u))
}

func (s *Server) collect(x *exchange, g *generation, j *job) ([]choice, usage, error) {
	choices := make([]choice, len(j.streams)*g.n)
	var u usage
	for first := true; ; first = false {
		e, err := j.recv()
		if err == io.EOF {
			return choices, u, nil
		}
		if err == nil {
			err = s.failure(x, &e)
		}
		if err != nil {
			return nil, u, err
		}
		if first {
			s.metrics.firstToken(x.arrived)
		}
		c := &choices[e.Choice]
		c.text.WriteString(e.Text)
		c.logprobs = append(c.logprobs, e.Logprobs...)
		if e.Finish != "" {
			c.finish = string(e.Finish)
			u.add(e.Usage, e.Choice%g.n == 0)
		}
	}
}

// stream sends each event as it comes. Its headers leave with the first one, so that a request which fails before has
// a status of its own; later errors are an event.
func (s *Server) stream(x *exchange, g *generation, j *job, f format) error {
	out := newEventStream(x)
	var u usage
	var b []byte
	for {
		e, err := j.recv()
		if err == io.EOF {
			break
		}
		if err == nil {
			err = s.failure(x, &e)
		}
		if err != nil {
			return s.endStream(out, x, err)
		}
		if !out.started {
			s.metrics.firstToken(x.arrived)
		}
		if e.Finish != "" {
			u.add(e.Usage, e.Choice%g.n == 0)
		}
		if b = f.event(b[:0], &e, string(e.Finish)); len(b) > 0 {
			if err := out.send(b); err != nil {
				return err
			}
		}
	}
	s.metrics.finished(x.arrived, g, u)
	b = b[:0]
	if g.usage {
		b = f.usage(b, u)
	}
	return out.send(append(b, streamEnd...))
}

// endStream tells the client of an error in the middle of a stream.
func (s *Server) endStream(out *eventStream, x *exchange, err error) error {
	if !out.started || gone(x.context()) {
		return err
	}
	out.send(appendEvent(nil, s.explain(x, err).body()))
	return nil
}

// failure is the error that an event carries, if any. The token that ended a choice is no part of its text, so its
// log-probability is left out as well.
func (s *Server) failure(x *exchange, e *engine.Event) error {
	switch e.Finish {
	case engine.FinishStop:
		if n := len(e.Logprobs); n > 0 && e.StopText == "" {
			e.Logprobs = e.Logprobs[:n-1]
		}
	case engine.FinishAbort:
		if err := context.Cause(x.context()); err != nil {
			return err
		}
		return draining()
	case engine.FinishError:
		return fmt.Errorf("the engine ended a choice: %w", e.Err)
	}
	return nil
}

// gone tells whether the client left. A drain that takes too long ends contexts too, with an error for the client.
func gone(ctx context.Context) bool {
	var reply *apiError
	return ctx.Err() != nil && !errors.As(context.Cause(ctx), &reply)
}

// job is the running streams of one exchange: choice c of prompt p has the index p*n + c.
type job struct {
	ctx     context.Context
	cancel  context.CancelFunc
	streams []Stream
	n       int
	merged  chan received // with more than one stream
	open    int           // of the merged streams
}

type received struct {
	event engine.Event
	err   error
}

// submit queues all requests or none.
func (s *Server) submit(parent context.Context, requests []engine.Request) (*job, error) {
	ctx, cancel := context.WithCancel(parent)
	j := &job{ctx: ctx, cancel: cancel, n: requests[0].N}
	for _, r := range requests {
		stream, err := s.config.Generator.Submit(ctx, r)
		if err != nil {
			j.close()
			return nil, err
		}
		j.streams = append(j.streams, stream)
	}
	if j.open = len(j.streams); j.open > 1 {
		j.merged = make(chan received)
		for p := range j.streams {
			go j.forward(p)
		}
	}
	return j, nil
}

// recv returns the next event of any choice, and io.EOF after the last.
func (j *job) recv() (engine.Event, error) {
	if j.merged == nil {
		e, err := j.streams[0].Recv(j.ctx)
		return e, j.cause(err)
	}
	for j.open > 0 {
		select {
		case r := <-j.merged:
			if r.err != io.EOF {
				return r.event, j.cause(r.err)
			}
			j.open--
		case <-j.ctx.Done():
			return engine.Event{}, j.cause(j.ctx.Err())
		}
	}
	return engine.Event{}, io.EOF
}

// cause puts the reason of a context's end in the place of the bare error.
func (j *job) cause(err error) error {
	if err != nil && err != io.EOF && j.ctx.Err() != nil {
		return context.Cause(j.ctx)
	}
	return err
}

func (j *job) forward(p int) {
	for {
		e, err := j.streams[p].Recv(j.ctx)
		e.Choice += p * j.n
		select {
		case j.merged <- received{e, err}:
		case <-j.ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

// close ends what still runs; it may be called at any time.
func (j *job) close() {
	j.cancel()
	for _, stream := range j.streams {
		stream.Close()
	}
}
