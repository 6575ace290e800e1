package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

const (
	defaultEndpoint = "https://huggingface.co"
	maxListing      = 64 << 20 // bytes of a repository's description
	maxFiles        = 100_000
	maxSize         = 1 << 46 // bytes of a file: the sum of all stays a number
	maxHops         = 10
	maxTries        = 6 // in a row that bring nothing
	maxDials        = 3 // of the first request in a row that reach nobody
	shortWait       = 500 * time.Millisecond
	longWait        = 30 * time.Second
	mostWait        = 10 * time.Minute // that a hub may ask for
)

// Client reads one hub.
type Client struct {
	// Note, when set before use, is told in a line what is tried again and when.
	Note func(line string)

	endpoint *url.URL
	token    string
	http     *http.Client
	stall    time.Duration // without a byte: the connection is given up
	wait     func(ctx context.Context, d time.Duration) error
}

// FromEnv returns a client of the hub $HF_ENDPOINT, with the token $HF_TOKEN.
func FromEnv() (*Client, error) { return New(os.Getenv("HF_ENDPOINT"), os.Getenv("HF_TOKEN")) }

// New returns a client of the hub at an address; "" is huggingface.co. The token may be "".
func New(endpoint, token string) (*Client, error) {
	if endpoint == "" {
		endpoint = defaultEndpoint
	}
	u, err := url.Parse(strings.TrimRight(endpoint, "/"))
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("HF_ENDPOINT %q is no address of a hub: want https://HOST", endpoint)
	}
	if token = strings.TrimSpace(token); token != "" && u.Scheme == "http" && !isLoopback(u.Hostname()) {
		return nil, fmt.Errorf("HF_ENDPOINT %s is not encrypted: HF_TOKEN would travel in the clear; use https, or unset HF_TOKEN", endpoint)
	}
	if strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, errors.New("HF_TOKEN holds a sign that no token has: copy it again")
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DisableCompression = true
	return &Client{
		endpoint: u, token: token, stall: time.Minute, wait: sleep,
		http: &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
	}, nil
}

// Endpoint is the hub's address.
func (c *Client) Endpoint() string { return c.endpoint.String() }

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Listing is what a repository holds at one commit.
type Listing struct {
	Repo   string
	Commit string
	Files  []File
}

// File is one file of a repository. One of the digests is there.
type File struct {
	Path   string
	To     string // where it lies in the model's directory, set by Choose
	Size   int64
	SHA256 string // of the content, hexadecimal: files that the hub keeps apart (LFS, Xet)
	Git    string // else: SHA-1 of the content as Git names it
}

// Key names the content.
func (f File) Key() string {
	if f.SHA256 != "" {
		return "sha256-" + f.SHA256
	}
	return "git-" + f.Git
}

// reply is the part of the hub's description that is read.
type reply struct {
	SHA      string `json:"sha"`
	Siblings []struct {
		Name string `json:"rfilename"`
		Size int64  `json:"size"`
		Blob string `json:"blobId"`
		LFS  *struct {
			SHA256 string `json:"sha256"`
			Size   int64  `json:"size"`
		} `json:"lfs"`
	} `json:"siblings"`
}

// List asks what a repository holds at a source's revision.
func (c *Client) List(ctx context.Context, s Source) (*Listing, error) {
	u := c.at("api/models/"+s.Repo+"/revision", s.Revision)
	u.RawQuery = "blobs=true"
	var data []byte
	dials := 0
	err := c.insist(ctx, s.String(), func() (bool, error) {
		r, err := c.get(ctx, u, 0)
		if unreachable(err) {
			if dials++; dials == maxDials {
				err = fatal{err}
			}
		}
		if err != nil {
			return false, err
		}
		defer r.Body.Close()
		data, err = io.ReadAll(io.LimitReader(r.Body, maxListing+1))
		return false, err
	})
	if err != nil {
		return nil, c.explain(s, "", err)
	}
	if len(data) > maxListing {
		return nil, fmt.Errorf("%s: the hub's description has more than %d bytes", s, maxListing)
	}
	return listing(s, data)
}

func listing(s Source, data []byte) (*Listing, error) {
	var r reply
	if err := json.Unmarshal(data, &r); err != nil {
		return nil, fmt.Errorf("%s: the hub's description is not what a hub sends (is HF_ENDPOINT right?): %w", s, err)
	}
	if !isHex(r.SHA, 40) {
		return nil, fmt.Errorf("%s: the hub's description names no commit (is HF_ENDPOINT right?)", s)
	}
	if len(r.Siblings) > maxFiles {
		return nil, fmt.Errorf("%s: %d files; at most %d are taken", s, len(r.Siblings), maxFiles)
	}
	l := &Listing{Repo: s.Repo, Commit: r.SHA}
	for _, e := range r.Siblings {
		f := File{Path: e.Name, Size: e.Size, Git: e.Blob}
		if e.LFS != nil {
			f.SHA256, f.Git, f.Size = e.LFS.SHA256, "", e.LFS.Size
		}
		l.Files = append(l.Files, f)
	}
	return l, nil
}

// check refuses a file whose name or description cannot be trusted.
func (f File) check() error {
	if err := checkPath(f.Path); err != nil {
		return err
	}
	switch {
	case f.Size < 0 || f.Size > maxSize:
		return fmt.Errorf("%s: a size of %d bytes", f.Path, f.Size)
	case f.SHA256 != "" && !isHex(f.SHA256, 64), f.SHA256 == "" && !isHex(f.Git, 40):
		return fmt.Errorf("%s: the hub tells no digest of it, so that it cannot be verified", f.Path)
	}
	return nil
}

func isHex(s string, digits int) bool {
	return len(s) == digits && strings.Trim(s, "0123456789abcdef") == ""
}

// at is an address below the endpoint; each name stands for one part of its path, whatever signs it holds.
func (c *Client) at(path string, names ...string) *url.URL {
	u := *c.endpoint
	plain, escaped := u.Path+"/"+path, u.EscapedPath()+"/"+path
	for _, name := range names {
		plain, escaped = plain+"/"+name, escaped+"/"+url.PathEscape(name)
	}
	u.Path, u.RawPath = plain, escaped
	return &u
}

// get asks for the bytes from offset on. A connection that brings nothing for long, be it the header of a redirect or a piece
// of the body, is cut: the error says so.
func (c *Client) get(ctx context.Context, u *url.URL, offset int64) (*http.Response, error) {
	w := newWatch(ctx, c.stall)
	r, err := c.follow(w, u, offset)
	if err != nil {
		err = w.cause(err)
		w.end()
		return nil, err
	}
	r.Body = &watched{r.Body, w}
	return r, nil
}

// follow follows redirects by hand: the token goes to the hub's own host alone, and https never turns into http.
func (c *Client) follow(ctx *watch, u *url.URL, offset int64) (*http.Response, error) {
	for range maxHops {
		ctx.alive()
		r, err := c.ask(ctx, u, offset)
		if err != nil {
			return nil, err
		}
		next, err := r.Location()
		if r.StatusCode < 300 || r.StatusCode >= 400 || err != nil {
			return accept(r)
		}
		r.Body.Close()
		if next.Scheme != "https" && (next.Scheme != "http" || u.Scheme == "https") {
			return nil, fatal{fmt.Errorf("a redirect from %s to %s:, which is not encrypted: refused", u.Host, next.Scheme)}
		}
		u = next
	}
	return nil, fatal{fmt.Errorf("more than %d redirects: the hub sends requests in a circle", maxHops)}
}

func (c *Client) ask(ctx context.Context, u *url.URL, offset int64) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, fatal{err}
	}
	r.Header.Set("User-Agent", "hone")
	r.Header.Set("Accept-Encoding", "identity")
	if offset > 0 {
		r.Header.Set("Range", fmt.Sprintf("bytes=%d-", offset))
	}
	if c.token != "" && u.Scheme == c.endpoint.Scheme && u.Host == c.endpoint.Host {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	reply, err := c.http.Do(r)
	if full := (*url.Error)(nil); errors.As(err, &full) {
		err = fmt.Errorf("%s: %w", u.Host, full.Err) // without the address, which may be signed
	}
	return reply, err
}

// accept turns a status that is no success into an error.
func accept(r *http.Response) (*http.Response, error) {
	if r.StatusCode == http.StatusOK || r.StatusCode == http.StatusPartialContent {
		return r, nil
	}
	io.Copy(io.Discard, io.LimitReader(r.Body, 64<<10)) // so that the connection may be used again
	r.Body.Close()
	return nil, &statusError{status: r.StatusCode, code: r.Header.Get("X-Error-Code"), after: retryAfter(r.Header.Get("Retry-After"))}
}

// insist tries until it succeeds, the error is one that stays, or so many tries in a row brought nothing.
func (c *Client) insist(ctx context.Context, what string, try func() (progress bool, err error)) error {
	for vain := 0; ; {
		progress, err := try()
		if progress {
			vain = 0
		}
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		vain++
		pause, again := patience(err, vain)
		if !again {
			return err
		}
		if c.Note != nil {
			c.Note(fmt.Sprintf("%s: %v; trying again in %s", what, err, pause.Round(100*time.Millisecond)))
		}
		if err := c.wait(ctx, pause); err != nil {
			return err
		}
	}
}

// patience tells how long to wait after the error of the vain-th try, and whether to try again at all.
func patience(err error, vain int) (time.Duration, bool) {
	var stays fatal
	var status *statusError
	if errors.As(err, &stays) || vain >= maxTries {
		return 0, false
	}
	pause := min(shortWait<<(vain-1), longWait)
	pause += time.Duration(rand.Int64N(int64(pause) / 4)) // so that many clients do not come back at once
	if errors.As(err, &status) {
		return max(pause, status.after), status.passes() && status.after <= mostWait
	}
	return pause, true
}
