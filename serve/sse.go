package serve

import "net/http"

const streamEnd = "data: [DONE]\n\n"

// eventStream sends server-sent events, each call in one write and one flush.
type eventStream struct {
	x       *exchange
	control *http.ResponseController
	started bool
}

func newEventStream(x *exchange) *eventStream {
	return &eventStream{x: x, control: http.NewResponseController(x)}
}

// send writes events that are already framed. A client that does not read within the timeout is given up.
func (s *eventStream) send(events []byte) error {
	if !s.started {
		s.started = true
		h := s.x.Header()
		h.Set("Content-Type", "text/event-stream; charset=utf-8")
		h.Set("Cache-Control", "no-cache")
		h.Set("X-Accel-Buffering", "no")
		s.x.WriteHeader(http.StatusOK)
	}
	s.x.limitWrite()
	if _, err := s.x.Write(events); err != nil {
		return err
	}
	return s.control.Flush()
}

// appendEvent frames one JSON document, which has no line breaks, as an event.
func appendEvent(b, json []byte) []byte {
	b = append(b, "data: "...)
	b = append(b, json...)
	return append(b, "\n\n"...)
}
