// Package hubtest is a stand-in of a model hub on the loopback address, for tests: the description of a repository, files
// by ranges, redirects to a second host for large ones, and every fault that a test asks for.
package hubtest

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Commit is the one commit of every repository.
const Commit = "0123456789abcdef0123456789abcdef01234567"

// Hub is the stand-in. Its fields are set before the first request.
type Hub struct {
	Repo  string
	Files map[string][]byte
	Large int // files of at least so many bytes are kept apart, on the second host
	// Token, when set, is what requests to the hub must bring.
	Token string
	// Fault, when set, may answer a request in the place of the hub; it returns whether it did.
	Fault func(w http.ResponseWriter, r *http.Request) bool
	// Cut, when set, says how many bytes of a reply from offset on are sent before the connection is cut; -1: all.
	Cut func(path string, offset int64) int64
	// Pace, when set, is how long the hub rests after each piece of a file.
	Pace func(path string) time.Duration
	// NoRanges makes the hub send whole files always.
	NoRanges bool

	URL string // the endpoint
	CDN string // the second host

	mu    sync.Mutex
	sent  []Span
	leaks int
	seen  []string
	hub   *httptest.Server
	store *httptest.Server
}

// Span is a reply with a part of a file.
type Span struct {
	Path      string
	From, End int64
}

// Start opens both hosts; the caller calls Close.
func (h *Hub) Start() *Hub {
	if h.Repo == "" {
		h.Repo = "owner/repo"
	}
	h.hub = httptest.NewUnstartedServer(http.HandlerFunc(h.serveHub))
	h.store = httptest.NewUnstartedServer(http.HandlerFunc(h.serveStore))
	h.URL, h.CDN = "http://"+h.hub.Listener.Addr().String(), "http://"+h.store.Listener.Addr().String()
	h.hub.Start()
	h.store.Start()
	return h
}

// Close ends both hosts.
func (h *Hub) Close() {
	h.hub.Close()
	h.store.Close()
}

// Sent lists the parts of files that were sent.
func (h *Hub) Sent() []Span {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]Span(nil), h.sent...)
}

// Seen lists the requests, as "METHOD path".
func (h *Hub) Seen() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]string(nil), h.seen...)
}

// Leaks counts the requests that brought a token to the second host.
func (h *Hub) Leaks() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.leaks
}

func (h *Hub) note(r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.seen = append(h.seen, r.Method+" "+r.URL.Path)
}

func (h *Hub) serveHub(w http.ResponseWriter, r *http.Request) {
	h.note(r)
	if h.Fault != nil && h.Fault(w, r) {
		return
	}
	if h.Token != "" && r.Header.Get("Authorization") != "Bearer "+h.Token {
		w.Header().Set("X-Error-Code", "GatedRepo")
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if rest, ok := strings.CutPrefix(r.URL.Path, "/api/models/"+h.Repo+"/revision/"); ok {
		h.describe(w, rest)
		return
	}
	path, ok := strings.CutPrefix(r.URL.Path, "/"+h.Repo+"/resolve/"+Commit+"/")
	body, there := h.Files[path]
	if !ok || !there {
		w.Header().Set("X-Error-Code", "EntryNotFound")
		w.WriteHeader(http.StatusNotFound)
		return
	}
	w.Header().Set("X-Repo-Commit", Commit)
	if len(body) >= h.Large {
		w.Header().Set("X-Linked-Size", strconv.Itoa(len(body)))
		http.Redirect(w, r, h.CDN+"/"+path+"?signature=1", http.StatusFound)
		return
	}
	h.send(w, r, path, body)
}

func (h *Hub) serveStore(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "" {
		h.mu.Lock()
		h.leaks++
		h.mu.Unlock()
	}
	if h.Fault != nil && h.Fault(w, r) {
		return
	}
	path := strings.TrimPrefix(r.URL.Path, "/")
	h.send(w, r, path, h.Files[path])
}

func (h *Hub) describe(w http.ResponseWriter, revision string) {
	if revision != "main" && revision != Commit {
		w.Header().Set("X-Error-Code", "RevisionNotFound")
		w.WriteHeader(http.StatusNotFound)
		return
	}
	var siblings []map[string]any
	for name, body := range h.Files {
		s := map[string]any{"rfilename": name, "size": len(body), "blobId": GitDigest(body)}
		if len(body) >= h.Large {
			sum := sha256.Sum256(body)
			s["lfs"] = map[string]any{"sha256": hex.EncodeToString(sum[:]), "size": len(body)}
		}
		siblings = append(siblings, s)
	}
	sort.Slice(siblings, func(a, b int) bool { return siblings[a]["rfilename"].(string) < siblings[b]["rfilename"].(string) })
	json.NewEncoder(w).Encode(map[string]any{"id": h.Repo, "sha": Commit, "siblings": siblings})
}

// GitDigest is the SHA-1 that Git gives a file's content.
func GitDigest(body []byte) string {
	sum := sha1.Sum(append(fmt.Appendf(nil, "blob %d\x00", len(body)), body...))
	return hex.EncodeToString(sum[:])
}

// send writes a file from the wanted offset on, and cuts the connection where it was asked to.
func (h *Hub) send(w http.ResponseWriter, r *http.Request, path string, body []byte) {
	from := int64(0)
	if span, ok := strings.CutPrefix(r.Header.Get("Range"), "bytes="); ok && !h.NoRanges {
		from, _ = strconv.ParseInt(strings.TrimSuffix(span, "-"), 10, 64)
		if from >= int64(len(body)) {
			w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
			return
		}
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(body)-1, len(body)))
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(body)-int(from)))
	if w.Header().Get("Content-Range") != "" {
		w.WriteHeader(http.StatusPartialContent)
	}
	end := int64(len(body))
	cut := int64(-1)
	if h.Cut != nil {
		cut = h.Cut(path, from)
	}
	if cut >= 0 {
		end = min(end, from+cut)
	}
	h.mu.Lock()
	h.sent = append(h.sent, Span{path, from, end})
	h.mu.Unlock()
	h.write(w, path, body[from:end])
	if cut >= 0 {
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}

// write sends bytes at the pace of the path.
func (h *Hub) write(w http.ResponseWriter, path string, body []byte) {
	if h.Pace == nil {
		w.Write(body)
		return
	}
	const piece = 16 << 10
	for len(body) > 0 {
		n := min(piece, len(body))
		if _, err := w.Write(body[:n]); err != nil {
			return
		}
		http.NewResponseController(w).Flush()
		time.Sleep(h.Pace(path))
		body = body[n:]
	}
}
