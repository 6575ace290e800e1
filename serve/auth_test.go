package serve

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
)

const testKey = "a-key-of-the-test"

// routes is every route there is and what it needs. A new endpoint is added here by a person, not by default.
var routes = map[string]grant{
	"GET /health":               open,
	"GET /healthz":              open,
	"GET /metrics":              needsKey,
	"GET /readyz":               open,
	"GET /v1/models":            needsKey,
	"GET /v1/models/{model}":    needsKey,
	"POST /classify":            needsKey,
	"POST /rerank":              needsKey,
	"POST /v1/chat/completions": needsKey,
	"POST /v1/classify":         needsKey,
	"POST /v1/completions":      needsKey,
	"POST /v1/embeddings":       needsKey,
	"POST /v1/rerank":           needsKey,
	"POST /v2/rerank":           needsKey,
}

func TestRouteTable(t *testing.T) {
	left := maps.Clone(routes)
	for _, e := range endpoints {
		want, ok := routes[e.pattern]
		if !ok || want != e.grant {
			t.Errorf("%s has the grant %s, the table says %s (listed: %v)", e.pattern, e.grant, want, ok)
		}
		delete(left, e.pattern)
	}
	for pattern := range left {
		t.Errorf("%s is in the table but not served", pattern)
	}
}

// TestScanWithoutKey: whatever is asked for without a key gets the same 401, whether it exists or not, save health.
func TestScanWithoutKey(t *testing.T) {
	f := &fakeEngine{}
	s := testServer(t, f, func(c *Config) { c.APIKeys = []string{testKey, "another-key"} })
	paths := []string{"/", "/v1", "/v1/", "//v1/models", "/v1/models/../../metrics", "/debug/pprof/", "/v1/responses", "/admin"}
	for _, e := range endpoints {
		paths = append(paths, strings.ReplaceAll(strings.SplitN(e.pattern, " ", 2)[1], "{model}", "tiny"))
	}
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "BREW"} {
		for _, path := range paths {
			health := slices.Contains([]string{"/health", "/healthz", "/readyz"}, path) && (method == "GET" || method == "HEAD")
			for _, header := range []string{"", "Bearer", "Bearer wrong-key-is-wrong", "Basic " + testKey, "Bearer " + testKey + "x", testKey} {
				w := call(s, method, path, "", "Authorization", header)
				if want := http.StatusUnauthorized; !health && w.Code != want || health && w.Code != http.StatusOK {
					t.Errorf("%s %s with %q: status %d", method, path, header, w.Code)
				}
				if !health && w.Header().Get("WWW-Authenticate") != "Bearer" {
					t.Errorf("%s %s: no WWW-Authenticate", method, path)
				}
			}
		}
	}
	for _, header := range []string{"Bearer " + testKey, "bearer another-key"} {
		if w := call(s, "GET", "/v1/models", "", "Authorization", header); w.Code != 200 {
			t.Errorf("%q: status %d", header, w.Code)
		}
	}
	checkError(t, call(s, "GET", "/v1/models", ""), 401, "", "invalid_api_key")
}

// Requests of one key share a tenant of the prefix cache; those of two keys do not.
func TestPrincipal(t *testing.T) {
	f := &fakeEngine{}
	s := testServer(t, f, func(c *Config) { c.APIKeys = []string{testKey, "another-key"} })
	for _, key := range []string{testKey, "another-key", testKey} {
		call(s, "POST", "/v1/chat/completions", chatBody+`}`, "Authorization", "Bearer "+key)
	}
	a, b, c := f.got[0], f.got[1], f.got[2]
	if a.Principal == "" || a.Principal == b.Principal || a.Principal != c.Principal || a.Salt != a.Principal || strings.Contains(a.Principal, testKey) {
		t.Errorf("principals %q %q %q, salt %q", a.Principal, b.Principal, c.Principal, a.Salt)
	}
}

func TestExposure(t *testing.T) {
	key := []string{testKey}
	cert, secret, _ := certificate(t)
	cases := []struct {
		name string
		c    Config
		say  string // "": taken
	}{
		{"default", Config{}, ""},
		{"loopback", Config{Listen: "127.0.0.1:1"}, ""},
		{"loopback, IPv6", Config{Listen: "[::1]:1"}, ""},
		{"localhost", Config{Listen: "localhost:1"}, ""},
		{"all addresses", Config{Listen: ":1"}, "API key"},
		{"all addresses, IPv4", Config{Listen: "0.0.0.0:1"}, "API key"},
		{"a name", Config{Listen: "localhost.example.com:1"}, "API key"},
		{"key without TLS", Config{Listen: ":1", APIKeys: key}, "TLS"},
		{"TLS without key", Config{Listen: ":1", TLSCert: cert, TLSKey: secret}, "API key"},
		{"half of TLS", Config{TLSCert: cert}, "both"},
		{"a key for a certificate", Config{TLSCert: secret, TLSKey: secret}, "TLS"},
		{"no such certificate", Config{TLSCert: "none.pem", TLSKey: secret}, "none.pem"},
		{"key and TLS", Config{Listen: ":1", APIKeys: key, TLSCert: cert, TLSKey: secret}, ""},
		{"meant", Config{Listen: ":1", InsecureHTTP: true}, ""},
		{"no port", Config{Listen: "127.0.0.1"}, "HOST:PORT"},
		{"short key", Config{APIKeys: []string{"short"}}, "shorter"},
		{"key with a line break", Config{APIKeys: []string{testKey + "\n"}}, "spaces"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			base := testConfig(&fakeEngine{})
			base.Listen, base.APIKeys, base.TLSCert, base.TLSKey, base.InsecureHTTP = c.c.Listen, c.c.APIKeys, c.c.TLSCert, c.c.TLSKey, c.c.InsecureHTTP
			_, err := New(base)
			if c.say == "" && err != nil || c.say != "" && (err == nil || !strings.Contains(err.Error(), c.say)) {
				t.Errorf("error %v, want one that says %q", err, c.say)
			}
		})
	}
}

// TestHost: a page that rebinds its own name to this address sends that name.
func TestHost(t *testing.T) {
	s := testServer(t, &fakeEngine{}, func(c *Config) { c.Hosts = []string{"Model.Example.com"} })
	for host, want := range map[string]int{
		"localhost": 200, "LOCALHOST:8080": 200, "127.0.0.1:8080": 200, "[::1]:8080": 200, "[::1]": 200, "192.0.2.1": 200,
		"model.example.com": 200, "model.example.com.:443": 200,
		"evil.example.com": 403, "127.0.0.1.example.com": 403, "localhost.example.com:8080": 403, "": 403, "[::1": 403, "a b": 403,
	} {
		if w := call(s, "GET", "/v1/models", "", "Host", host); w.Code != want {
			t.Errorf("Host %q: status %d, want %d", host, w.Code, want)
		}
	}
	checkError(t, call(s, "GET", "/healthz", "", "Host", "evil.example.com"), 403, "", "host_not_allowed")
}

func TestNoCORS(t *testing.T) {
	s := testServer(t, &fakeEngine{})
	for _, method := range []string{"OPTIONS", "POST", "GET"} {
		w := call(s, method, "/v1/chat/completions", chatBody+`}`, "Origin", "http://evil.example.com", "Access-Control-Request-Method", "POST")
		for name := range w.Header() {
			if strings.HasPrefix(name, "Access-Control") {
				t.Errorf("%s: header %s", method, name)
			}
		}
	}
	// What a page may send to another site without asking first has no JSON content type.
	for _, media := range []string{"text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "", "application/json-seq", ";"} {
		checkError(t, call(s, "POST", "/v1/chat/completions", chatBody+`}`, "Content-Type", media), 415, "", "unsupported_media_type")
	}
	if w := call(s, "POST", "/v1/chat/completions", chatBody+`}`, "Content-Type", "Application/JSON; charset=utf-8"); w.Code != 200 {
		t.Error(w.Code)
	}
}

func TestRouting(t *testing.T) {
	s := testServer(t, &fakeEngine{})
	w := call(s, "GET", "/v1/chat/completions", "")
	checkError(t, w, 405, "", "method_not_allowed")
	if w.Header().Get("Allow") != "POST" {
		t.Errorf("Allow %q", w.Header().Get("Allow"))
	}
	checkError(t, call(s, "DELETE", "/v1/models/tiny", ""), 405, "", "method_not_allowed")
	for _, path := range []string{"/", "/v1/responses", "/v1/models/", "/V1/models", "/v1//models", "/healthz/"} {
		checkError(t, call(s, "GET", path, ""), 404, "", "unknown_url")
	}
	if w := call(s, "HEAD", "/v1/models", ""); w.Code != 200 {
		t.Errorf("HEAD: %d", w.Code)
	}
}
