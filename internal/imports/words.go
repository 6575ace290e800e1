package imports

import (
	"fmt"
	"regexp"
	"strings"
)

// forbidden are patterns that no text file of the repository may hold. They are written so that they do not match their
// own source.
var forbidden = []struct {
	pattern *regexp.Regexp
	why     string
}{
	{regexp.MustCompile(`(?:^|[^\w.~/})-])/(?:home|root|tmp|work|Users)(?:/|["'\x60\s]|$)`), "absolute path of one machine"},
	{regexp.MustCompile(`\b(?:TO` + `DO|FIX` + `ME)\b`), "an open end: do it, or write an issue"},
	{regexp.MustCompile(`\b(?:proxy|sum)\.golang\.org\b|\bgoproxy\.\w+\b|\b(?:files\.)?python` + `hosted\.org\b|\btest\.pypi\.org\b|\bpypi\.org\b` +
		`|\bregistry\.(?:npmjs\.org|yarnpkg\.com)\b|\bstatic\.crates\.io\b|\bindex\.crates\.io\b`), "registry host name: the user's own settings choose it"},
	{regexp.MustCompile(`[\w/.-]@lat` + `est\b`), "a version must be exact"},
	{regexp.MustCompile(`"resolved"\s*:\s*"https?:`), "registry address in a lock file: keep versions and digests only"},
	{regexp.MustCompile(`(?:--(?:extra-)?index-url|--registry|\bGOPROXY=|\bindex-url\s*=)[= ]*["']?https?:`), "registry address: the user's own settings choose it"},
}

// words checks every line of every text file. Files that sum up downloads (go.sum) hold no such words.
func words(t *Tree) []string {
	var out []string
	for name, text := range t.Texts {
		n := 0
		for line := range strings.Lines(text) {
			n++
			for _, f := range forbidden {
				if m := f.pattern.FindString(line); m != "" {
					out = append(out, fmt.Sprintf("%s:%d: %q: %s", name, n, strings.TrimSpace(m), f.why))
				}
			}
		}
	}
	return out
}
