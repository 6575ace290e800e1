package hub

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"
)

// fatal marks an error that another try would meet again.
type fatal struct{ error }

func (f fatal) Unwrap() error { return f.error }

// statusError is a reply that is no success.
type statusError struct {
	status int
	code   string        // X-Error-Code
	after  time.Duration // Retry-After
}

func (e *statusError) Error() string {
	text := fmt.Sprintf("the hub answered %d %s", e.status, http.StatusText(e.status))
	if e.after > mostWait {
		text += fmt.Sprintf(" and asks to come back in %s", e.after.Round(time.Second))
	}
	return text
}

// unreachable tells an error of making a connection.
func unreachable(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// passes tells whether the same request may succeed later.
func (e *statusError) passes() bool {
	return e.status >= 500 && e.status != http.StatusNotImplemented || e.status == http.StatusTooManyRequests || e.status == http.StatusRequestTimeout
}

// retryAfter reads the header of that name: seconds, or a date.
func retryAfter(text string) time.Duration {
	if n, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(n) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(0, time.Until(at))
	}
	return 0
}

// explain names what was asked for and what can be done about an error.
func (c *Client) explain(s Source, file string, err error) error {
	what := s.String()
	if file != "" {
		what = Scheme + s.Repo + ":" + file
	}
	var status *statusError
	if unreachable(err) {
		return fmt.Errorf("%s: %w: is this machine online, and HF_ENDPOINT (%s) right?", what, err, c.Endpoint())
	}
	if !errors.As(err, &status) {
		return fmt.Errorf("%s: %w", what, err)
	}
	hint := ""
	switch status.status {
	case http.StatusUnauthorized, http.StatusForbidden:
		page := c.Endpoint() + "/" + s.Repo
		if c.token == "" {
			hint = fmt.Sprintf("it is not there, private, or gated: accept its terms at %s if it has any, and set HF_TOKEN to a token that may read it", page)
		} else {
			hint = fmt.Sprintf("HF_TOKEN may not read it: accept its terms at %s if it has any, or use another token", page)
		}
	case http.StatusNotFound:
		hint = "there is no such repository"
		if status.code == "RevisionNotFound" {
			hint = fmt.Sprintf("the repository has no revision %q", s.Revision)
		} else if file != "" {
			hint = "the repository has no such file"
		}
	case http.StatusTooManyRequests:
		hint = "it limits how often it is asked; try again later, or set HF_TOKEN, which allows more"
	default:
		if status.passes() {
			hint = "try again later; what was fetched is kept"
		}
	}
	if hint != "" {
		return fmt.Errorf("%s: %w: %s", what, err, hint)
	}
	return fmt.Errorf("%s: %w", what, err)
}
