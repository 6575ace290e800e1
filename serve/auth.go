package serve

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
)

// grant is what a request needs to reach an endpoint. Its zero value is the strictest.
type grant int

const (
	needsKey grant = iota // one of the API keys, when any are set
	open                  // nothing: probes of orchestrators carry no credentials
)

func (g grant) String() string {
	if g == open {
		return "open"
	}
	return "key"
}

// keyring holds hashes of the API keys. All of them are compared in full every time, so that the time taken tells
// nothing about any of them, and hashes have one length, so that not even the key's length shows.
type keyring [][sha256.Size]byte

func newKeyring(keys []string) (keyring, error) {
	var ring keyring
	for i, k := range keys {
		if strings.TrimSpace(k) != k || len(k) < minKeyBytes {
			return nil, fmt.Errorf("serve: API key %d is shorter than %d bytes or has spaces around it", i+1, minKeyBytes)
		}
		ring = append(ring, sha256.Sum256([]byte(k)))
	}
	return ring, nil
}

const minKeyBytes = 8

// authorize returns the principal of a request: a short name of its key, "" when the server has no keys.
func (k keyring) authorize(r *http.Request) (string, error) {
	if len(k) == 0 {
		return "", nil
	}
	header := r.Header.Get("Authorization")
	scheme, key, _ := strings.Cut(header, " ")
	if header == "" || !strings.EqualFold(scheme, "Bearer") {
		return "", unauthorized("this server wants an API key: send it as Authorization: Bearer KEY")
	}
	sum := sha256.Sum256([]byte(strings.TrimSpace(key)))
	found := 0
	for i := range k {
		found |= subtle.ConstantTimeCompare(sum[:], k[i][:])
	}
	if found == 0 {
		return "", unauthorized("the API key is not one of this server's")
	}
	return hex.EncodeToString(sum[:8]), nil
}

// Check refuses what New would refuse of an address, its keys and its TLS files: it costs nothing and can be asked long
// before there is a model.
func (c Config) Check() error {
	set(&c.Listen, "127.0.0.1:8080")
	if err := checkExposure(&c); err != nil {
		return err
	}
	_, err := newKeyring(c.APIKeys)
	return err
}

// checkExposure refuses settings under which others on the network could use, or listen in on, the server, and TLS files
// that cannot be used.
func checkExposure(c *Config) error {
	if (c.TLSCert == "") != (c.TLSKey == "") {
		return errors.New("serve: TLS needs both a certificate and a key")
	}
	if c.TLSCert != "" {
		if _, err := tls.LoadX509KeyPair(c.TLSCert, c.TLSKey); err != nil {
			return fmt.Errorf("serve: TLS certificate and key: %w", err)
		}
	}
	loopback, err := isLoopback(c.Listen)
	if err != nil {
		return err
	}
	if loopback || c.InsecureHTTP {
		return nil
	}
	if len(c.APIKeys) == 0 {
		return fmt.Errorf("serve: %s can be reached from other machines, so it needs API keys (--api-key-file), or --insecure-http where everyone may use it; 127.0.0.1 needs neither", c.Listen)
	}
	if c.TLSCert == "" {
		return fmt.Errorf("serve: %s can be reached from other machines, so it needs TLS (--tls-cert and --tls-key), or --insecure-http where keys and prompts may travel in the clear", c.Listen)
	}
	return nil
}

// isLoopback tells whether an address host:port can only be reached from this machine. Names are not resolved:
// localhost is the one that counts.
func isLoopback(address string) (bool, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false, fmt.Errorf("serve: listen address %q: want HOST:PORT, such as 127.0.0.1:8080 or [::1]:8080: %w", address, err)
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback(), nil
}

// hostList decides which Host headers are answered. DNS rebinding makes a browser send an attacker's name to this
// server, so addresses always pass, and names only when they are known.
type hostList map[string]bool

func newHostList(listen string, allowed []string) hostList {
	hosts := hostList{"localhost": true}
	if host, _, err := net.SplitHostPort(listen); err == nil && host != "" {
		hosts[strings.ToLower(host)] = true
	}
	for _, h := range allowed {
		hosts[strings.ToLower(strings.TrimSuffix(h, "."))] = true
	}
	return hosts
}

func (l hostList) check(r *http.Request) error {
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if inner, ok := strings.CutPrefix(host, "["); ok && strings.HasSuffix(inner, "]") {
		host = strings.TrimSuffix(inner, "]")
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if l[host] || net.ParseIP(host) != nil {
		return nil
	}
	return hostRefused(r.Host)
}
