package serve

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// apiError is a reply in OpenAI's error shape. Handlers return it (or any error, which becomes a 500 without its text)
// and one place turns it into a reply.
type apiError struct {
	status  int
	message string        // for the client: names the field, the value and the next step, never an internal detail
	kind    string        // "type" in the reply
	param   string        // the field at fault, "" for none
	code    string        // machine-readable reason, "" for none
	retry   time.Duration // > 0: a Retry-After header
	allow   []string      // methods of a 405
	hangUp  bool          // close the connection after the reply
	unread  bool          // the body was left unread
}

func (e *apiError) Error() string { return e.message }

const (
	kindInvalid = "invalid_request_error"
	kindServer  = "server_error"
)

// invalid is a 400 about one field.
func invalid(param, code, format string, args ...any) *apiError {
	return &apiError{status: http.StatusBadRequest, kind: kindInvalid, param: param, code: code, message: fmt.Sprintf(format, args...)}
}

// wrongType is a 400 about a field that holds the wrong kind of JSON value.
func wrongType(v value, want string) *apiError {
	return invalid(v.path, "invalid_type", "%s must be %s, not %s", v.name(), want, v.show())
}

// outOfRange is a 400 about a field whose value is not among those served.
func outOfRange(v value, want string) *apiError {
	return invalid(v.path, "invalid_value", "%s is %s, but must be %s", v.name(), v.show(), want)
}

func missing(param string) *apiError {
	return invalid(param, "missing_required_parameter", "%s is missing", param)
}

func contextExceeded(param string, limit, prompt, completion int) *apiError {
	if completion == 0 || prompt >= limit {
		return invalid(param, "context_length_exceeded",
			"the prompt has %d tokens, but this server's context is %d tokens: shorten the prompt (nothing is cut off silently)", prompt, limit)
	}
	return invalid(param, "context_length_exceeded",
		"the prompt has %d tokens and %d are to be generated, %d in all, but this server's context is %d tokens: shorten the prompt or ask for at most %d tokens",
		prompt, completion, prompt+completion, limit, max(limit-prompt, 0))
}

func modelNotFound(name string, served []string) *apiError {
	return &apiError{status: http.StatusNotFound, kind: kindInvalid, param: "model", code: "model_not_found",
		message: fmt.Sprintf("the model %s is not served here; this server has %s", quote(name), strings.Join(served, ", "))}
}

func notFound(path string) *apiError {
	return &apiError{status: http.StatusNotFound, kind: kindInvalid, code: "unknown_url",
		message: fmt.Sprintf("nothing is served at %s", quote(path))}
}

func wrongMethod(method, path string, allow []string) *apiError {
	return &apiError{status: http.StatusMethodNotAllowed, kind: kindInvalid, code: "method_not_allowed", allow: allow,
		message: fmt.Sprintf("%s does not take %s, but %s", quote(path), quote(method), strings.Join(allow, ", "))}
}

func bodyTooLarge(limit int64) *apiError {
	return &apiError{status: http.StatusRequestEntityTooLarge, kind: kindInvalid, code: "request_too_large", hangUp: true, unread: true,
		message: fmt.Sprintf("the request body is larger than %d bytes, the most that this server takes", limit)}
}

func wrongMedia(got string) *apiError {
	return &apiError{status: http.StatusUnsupportedMediaType, kind: kindInvalid, code: "unsupported_media_type",
		message: fmt.Sprintf("the Content-Type is %s, but must be application/json", quote(got))}
}

func unauthorized(message string) *apiError {
	return &apiError{status: http.StatusUnauthorized, kind: "authentication_error", code: "invalid_api_key", message: message}
}

func hostRefused(host string) *apiError {
	return &apiError{status: http.StatusForbidden, kind: "permission_error", code: "host_not_allowed",
		message: fmt.Sprintf("the Host %s is not among those that this server answers to: use its address, or have its operator allow that name", quote(host))}
}

func overloaded(waiting int, retry time.Duration) *apiError {
	return &apiError{status: http.StatusTooManyRequests, kind: "rate_limit_error", code: "queue_full", retry: retry,
		message: fmt.Sprintf("the queue is full (%d requests wait): try again in %s", waiting, retry)}
}

func unavailable(code, message string, retry time.Duration) *apiError {
	return &apiError{status: http.StatusServiceUnavailable, kind: kindServer, code: code, message: message, retry: retry}
}

func draining() *apiError {
	return unavailable("draining", "this server is shutting down and takes no new requests: try another replica, or again later", 5*time.Second)
}

func internal() *apiError {
	return &apiError{status: http.StatusInternalServerError, kind: kindServer, code: "internal_error",
		message: "an internal error ended this request; the server's log has the cause"}
}

// body is the JSON form. param and code are null, not absent, when there is none: some clients index them.
func (e *apiError) body() []byte {
	orNull := func(s string) *string {
		if s == "" {
			return nil
		}
		return &s
	}
	type detail struct {
		Message string  `json:"message"`
		Type    string  `json:"type"`
		Param   *string `json:"param"`
		Code    *string `json:"code"`
	}
	out, err := json.Marshal(struct {
		Error detail `json:"error"`
	}{detail{e.message, e.kind, orNull(e.param), orNull(e.code)}})
	if err != nil {
		panic(err) // strings always marshal
	}
	return out
}

// write sends the error as the whole reply.
func (e *apiError) write(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	if e.retry > 0 {
		h.Set("Retry-After", strconv.Itoa(int((e.retry+time.Second-1)/time.Second)))
	}
	if len(e.allow) > 0 {
		h.Set("Allow", strings.Join(e.allow, ", "))
	}
	if e.status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", "Bearer")
	}
	if e.hangUp {
		h.Set("Connection", "close")
	}
	w.WriteHeader(e.status)
	w.Write(e.body())
}

// quote shows a client's text in a message: quoted, escaped and cut, so that an error never grows with its cause.
func quote(s string) string {
	const most = 60
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return strconv.Quote(s)
}
