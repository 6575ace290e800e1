// Package hub reads models from a Hugging Face-compatible hub over its HTTP API: what a repository holds at one commit,
// which of its files a model needs, and those files themselves, resumed where they were cut and checked by digest.
//
// Model files are data: pickles, which are code, are refused by name. The token goes to the hub's own host alone.
package hub

import (
	"fmt"
	"strings"
)

// Scheme begins the name of a model on a hub.
const Scheme = "hf:"

// Usage is the grammar of such a name.
const Usage = "hf:OWNER/REPO[@REVISION][:FILE]"

// Source names a model on a hub.
type Source struct {
	Repo     string // OWNER/REPO, or REPO alone for the oldest models
	Revision string // branch, tag or commit; "main" unless it is given
	File     string // path in the repository, or the tag of a GGUF file such as Q4_K_M; "": what Choose finds
}

// Is tells whether a word is the name of a model on a hub.
func Is(word string) bool { return strings.HasPrefix(word, Scheme) }

// Parse reads a name.
func Parse(word string) (Source, error) {
	rest, ok := strings.CutPrefix(word, Scheme)
	if !ok {
		return Source{}, fmt.Errorf("%q is no name of a model on a hub: want %s", word, Usage)
	}
	rest, file, hasFile := strings.Cut(rest, ":")
	repo, revision, hasRevision := strings.Cut(rest, "@")
	s := Source{Repo: repo, Revision: revision, File: file}
	if !hasRevision {
		s.Revision = "main"
	}
	parts := strings.Split(repo, "/")
	fault := ""
	switch {
	case len(parts) > 2:
		fault = "more than one slash before the file: a file stands behind a colon"
	case !allOf(parts, isWord):
		fault = "OWNER and REPO are letters, digits, '.', '_' and '-'"
	case !allOf(strings.Split(s.Revision, "/"), isWord):
		fault = "a revision is a branch, a tag or a commit"
	case hasFile && checkPath(file) != nil:
		fault = checkPath(file).Error()
	}
	if fault != "" {
		return Source{}, fmt.Errorf("%q: %s; want %s", word, fault, Usage)
	}
	return s, nil
}

// String is the name that Parse reads.
func (s Source) String() string {
	text := Scheme + s.Repo
	if s.Revision != "main" {
		text += "@" + s.Revision
	}
	if s.File != "" {
		text += ":" + s.File
	}
	return text
}

func allOf(words []string, ok func(string) bool) bool {
	for _, w := range words {
		if !ok(w) {
			return false
		}
	}
	return true
}

// isWord tells whether a text is a part of a name: no path, option or device.
func isWord(s string) bool {
	if s == "" || len(s) > 200 || s[0] == '.' || s[0] == '-' {
		return false
	}
	for _, c := range []byte(s) {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-') {
			return false
		}
	}
	return true
}

const maxPath = 512

// checkPath refuses a file's path that could lead outside of a folder or means something else on another system.
func checkPath(path string) error {
	if len(path) > maxPath {
		return fmt.Errorf("a path of %d bytes; at most %d are taken", len(path), maxPath)
	}
	for part := range strings.SplitSeq(path, "/") {
		if part == "" || part[0] == '.' || part[0] == '-' || part[len(part)-1] == '.' || part[len(part)-1] == ' ' {
			return fmt.Errorf("the path %.140q is not taken: a part is empty, or begins or ends with a sign that is no letter or digit", path)
		}
	}
	for _, c := range path {
		if c < ' ' || c == 0x7f || strings.ContainsRune(`\:*?"<>|`, c) {
			return fmt.Errorf("the path %.140q is not taken: it holds %q", path, c)
		}
	}
	return nil
}
