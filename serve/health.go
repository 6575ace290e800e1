package serve

import (
	"net/http"
	"sync"
	"time"

	"hone/engine"
)

func init() {
	for _, path := range []string{"/healthz", "/health"} { // the second is vLLM's and llama.cpp's name
		register(endpoint{pattern: "GET " + path, grant: open, serve: (*Server).serveHealth})
	}
	register(endpoint{pattern: "GET /readyz", grant: open, serve: (*Server).serveReady})
}

// serveHealth is liveness: 503 means that a restart is due, since work is waiting and the engine makes no progress.
func (s *Server) serveHealth(x *exchange) error {
	if age, stalled := s.stalled(); stalled {
		return x.json(http.StatusServiceUnavailable, map[string]any{"status": "stalled", "seconds_without_progress": int(age.Seconds())})
	}
	return x.json(http.StatusOK, map[string]string{"status": "ok"})
}

// serveReady tells whether to send requests here: not while loading, draining or stalled.
func (s *Server) serveReady(x *exchange) error {
	state := "ready"
	if s.drain.started() {
		state = "draining"
	} else if _, stalled := s.stalled(); stalled {
		state = "stalled"
	} else if s.config.Ready != nil {
		if err := s.config.Ready(); err != nil {
			s.log.Debug("not ready", "reason", err)
			state = "loading"
		}
	}
	status := http.StatusOK
	if state != "ready" {
		status = http.StatusServiceUnavailable
	}
	return x.json(status, map[string]string{"status": state})
}

func (s *Server) stalled() (time.Duration, bool) {
	if s.config.Generator == nil {
		return 0, false
	}
	age := s.watch.age(s.config.Generator.Stats(), time.Now())
	return age, age >= s.limits.StallTimeout
}

// progress watches an engine's steps between probes: how long has there been work without a step? The age of the last
// step alone does not tell, since an idle engine makes none.
type progress struct {
	mu    sync.Mutex
	steps uint64
	since time.Time // when work without a step was first seen; zero: idle, or a step was seen since
}

func (p *progress) age(stats engine.Stats, now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if stats.Waiting+stats.Running == 0 {
		p.since = time.Time{}
		return 0
	}
	if p.since.IsZero() || stats.Steps != p.steps {
		p.steps, p.since = stats.Steps, now
	}
	return now.Sub(p.since)
}
