package serve

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// certificate writes a fresh self-signed certificate for 127.0.0.1 and its key.
func certificate(t *testing.T) (cert, key string, pool *x509.CertPool) {
	t.Helper()
	secret, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &secret.PublicKey, secret)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, bytes []byte) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: bytes}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	cert, key = write("cert.pem", "CERTIFICATE", der), write("key.pem", "PRIVATE KEY", raw)
	pool = x509.NewCertPool()
	text, _ := os.ReadFile(cert)
	pool.AppendCertsFromPEM(text)
	return cert, key, pool
}

// TestTLS: a stream over HTTP/2 with a key, the same one without, and plain HTTP on the same port.
func TestTLS(t *testing.T) {
	cert, key, pool := certificate(t)
	f := &fakeEngine{}
	s := testServer(t, f, func(c *Config) { c.TLSCert, c.TLSKey, c.APIKeys = cert, key, []string{testKey} })
	base, _ := start(t, s)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	ask := func(key, body string) (*http.Response, string) {
		t.Helper()
		r, _ := http.NewRequest("POST", strings.Replace(base, "http:", "https:", 1)+"/v1/chat/completions", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+key)
		reply, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer reply.Body.Close()
		text, _ := io.ReadAll(reply.Body)
		return reply, string(text)
	}
	reply, text := ask(testKey, chatBody+`,"stream":true}`)
	if reply.ProtoMajor != 2 || reply.StatusCode != 200 || !strings.HasSuffix(text, streamEnd) {
		t.Errorf("%s %s %s", reply.Proto, reply.Status, text)
	}
	if reply, _ = ask("another-key-"+testKey, chatBody+`}`); reply.StatusCode != 401 {
		t.Errorf("with a wrong key: %s", reply.Status)
	}
	if reply, text = ask(testKey, `{"x":"`+strings.Repeat("x", 5<<20)+`"}`); reply.StatusCode != 413 {
		t.Errorf("a large body: %s %s", reply.Status, text)
	}
	plain, err := http.Get(base + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Body.Close()
	if plain.StatusCode != 400 {
		t.Errorf("plain HTTP on the TLS port: %s", plain.Status)
	}
}
