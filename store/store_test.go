package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func open(t testing.TB, dir string) *Store {
	t.Helper()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// files returns a build that writes these files.
func files(content map[string]string) func(dir string) error {
	return func(dir string) error {
		for name, text := range content {
			path := filepath.Join(dir, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				return err
			}
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				return err
			}
		}
		return nil
	}
}

func put(t testing.TB, s *Store, name string, content map[string]string, l Lineage) Entry {
	t.Helper()
	e, err := s.Put(t.Context(), name, files(content), l)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

var small = map[string]string{"model.safetensors": "weights", "config.json": "{}", "sub/a": "x"}

func TestPutGetListRemove(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "home"))
	l := Lineage{ParentDigest: "sha256:p", Recipe: "int4-g32", HoneVersion: "v", Seeds: map[string]uint64{"sample": 7},
		Evidence: json.RawMessage(`{"ppl_ratio":1.0030000}`), Parent: "file.gguf", DataDigest: "sha256:d"}
	e := put(t, s, "m-int4", small, l)
	got, err := s.Get("m-int4")
	if err != nil || got.Lineage.Digest != e.Lineage.Digest || got.Bytes != 10 {
		t.Fatalf("%+v %v", got, err)
	}
	if data, err := os.ReadFile(filepath.Join(e.Path, "model.safetensors")); err != nil || string(data) != "weights" {
		t.Errorf("%q %v", data, err)
	}
	if g := got.Lineage; g.Recipe != l.Recipe || g.Seeds["sample"] != 7 || g.Created.IsZero() || g.Name != "m-int4" ||
		!strings.Contains(string(g.Evidence), "1.0030000") {
		t.Errorf("lineage %+v", g)
	}
	put(t, s, "another", map[string]string{"a": "b"}, Lineage{})
	if all, err := s.List(); err != nil || len(all) != 2 || all[0].Name != "another" {
		t.Errorf("%v %v", all, err)
	}
	if err := s.Verify(t.Context(), "m-int4"); err != nil {
		t.Error(err)
	}
	if err := s.Remove(t.Context(), "m-int4"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get("m-int4"); !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "another") {
		t.Errorf("after Remove: %v", err)
	}
	if err := s.Remove(t.Context(), "m-int4"); !errors.Is(err, ErrNotFound) {
		t.Errorf("second Remove: %v", err)
	}
	if left := s.names(blobsDir); len(left) != 1 {
		t.Errorf("blobs %v", left)
	}
}

func TestPutTwice(t *testing.T) {
	s := open(t, t.TempDir())
	l := Lineage{ParentDigest: "p", Recipe: "r"}
	put(t, s, "m", small, l)
	calls := 0
	again := func(dir string) error { calls++; return nil }
	if _, err := s.Put(t.Context(), "m", again, l); err != nil || calls != 0 {
		t.Errorf("the same variant: %v, built %d times", err, calls)
	}
	if _, err := s.Put(t.Context(), "m", again, Lineage{ParentDigest: "p", Recipe: "other"}); !errors.Is(err, ErrExists) || calls != 0 {
		t.Errorf("another variant: %v", err)
	}
}

func TestFindVariant(t *testing.T) {
	s := open(t, t.TempDir())
	at := func(day int) time.Time { return time.Date(2026, 1, day, 0, 0, 0, 0, time.UTC) }
	put(t, s, "new", small, Lineage{ParentDigest: "p", Recipe: "r", Created: at(2)})
	put(t, s, "old", small, Lineage{ParentDigest: "p", Recipe: "r", Created: at(1)})
	put(t, s, "other", small, Lineage{ParentDigest: "q", Recipe: "r", Created: at(3)})
	e, ok, err := s.FindVariant("p", "r")
	if err != nil || !ok || e.Name != "new" {
		t.Errorf("%v %v %v", e.Name, ok, err)
	}
	if _, ok, _ := s.FindVariant("p", "s"); ok {
		t.Error("a recipe that nobody used was found")
	}
	os.Remove(filepath.Join(e.Path, "config.json"))
	if e, ok, err = s.FindVariant("p", "r"); err != nil || !ok || e.Name != "old" {
		t.Errorf("a damaged variant: %v %v %v", e.Name, ok, err)
	}
}

// Equal files of two models are one file; removing one model leaves the other whole.
func TestBlobsAreShared(t *testing.T) {
	s := open(t, t.TempDir())
	a := put(t, s, "a", map[string]string{"tokenizer.json": "same", "w": "1"}, Lineage{})
	b := put(t, s, "b", map[string]string{"tokenizer.json": "same", "w": "2"}, Lineage{})
	x, err := os.Stat(filepath.Join(a.Path, "tokenizer.json"))
	if err != nil {
		t.Fatal(err)
	}
	y, err := os.Stat(filepath.Join(b.Path, "tokenizer.json"))
	if err != nil {
		t.Fatal(err)
	}
	if !os.SameFile(x, y) {
		t.Error("the files are two")
	}
	if got := len(s.names(blobsDir)); got != 3 {
		t.Errorf("%d blobs", got)
	}
	if err := s.Remove(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if err := s.Verify(t.Context(), "b"); err != nil {
		t.Error(err)
	}
}

// A blob that was damaged on the disk must not be linked into a new model.
func TestDamagedBlobDoesNotSpread(t *testing.T) {
	s := open(t, t.TempDir())
	a := put(t, s, "a", map[string]string{"t": "same"}, Lineage{})
	path := filepath.Join(a.Path, "t")
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("evil"), 0o600); err != nil { // the same inode as the blob
		t.Fatal(err)
	}
	put(t, s, "b", map[string]string{"t": "same"}, Lineage{})
	if err := s.Verify(t.Context(), "b"); err != nil {
		t.Error(err)
	}
	if err := s.Verify(t.Context(), "a"); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("the damaged one: %v", err)
	}
}

func TestNames(t *testing.T) {
	s := open(t, t.TempDir())
	for _, name := range []string{"", ".", "..", "../x", "a/b", `a\b`, "-rf", ".hidden", "a b", "a\x00", "é", "nul", "COM1.txt", "a.", strings.Repeat("x", 129)} {
		_, err := s.Get(name)
		_, putErr := s.Put(t.Context(), name, files(small), Lineage{})
		if err == nil || putErr == nil || s.Remove(t.Context(), name) == nil || errors.Is(err, ErrNotFound) {
			t.Errorf("%q passed: %v, %v", name, err, putErr)
		}
	}
	for _, name := range []string{"a", "SmolLM2-135M-Instruct_int4.g32", "0", "console"} {
		if err := CheckName(name); err != nil {
			t.Error(err)
		}
	}
}

func TestSafeName(t *testing.T) {
	for text, want := range map[string]string{
		"SmolLM2-135M.gguf-int4": "smollm2-135m.gguf-int4", "../..": "model", "": "model", "-rf /": "rf", "con": "model-con",
		"Ünï": "n", "a b/c": "a-b-c", strings.Repeat("x", 300): strings.Repeat("x", 128), "trailing.": "trailing",
	} {
		if got := SafeName(text); got != want || CheckName(got) != nil {
			t.Errorf("%q became %q, want %q (%v)", text, got, want, CheckName(got))
		}
	}
}

func TestPutFailureLeavesNothing(t *testing.T) {
	s := open(t, t.TempDir())
	stop := errors.New("stop")
	for name, build := range map[string]func(dir string) error{
		"error": func(dir string) error { return errors.Join(files(small)(dir), stop) },
		"empty": func(string) error { return nil },
		"link":  func(dir string) error { return os.Symlink("/etc/passwd", filepath.Join(dir, "a")) },
		"own":   files(map[string]string{lineageName: "{}"}),
	} {
		if _, err := s.Put(t.Context(), "m", build, Lineage{}); err == nil || name == "error" && !errors.Is(err, stop) {
			t.Errorf("%s: %v", name, err)
		}
		if left := append(s.names(tempDir), s.names(modelsDir)...); len(left) != 0 {
			t.Errorf("%s: left over %v", name, left)
		}
	}
	if _, err := s.Put(t.Context(), "m", files(small), Lineage{Evidence: json.RawMessage("{")}); err == nil {
		t.Error("evidence that is no JSON was kept")
	}
	put(t, s, "m", small, Lineage{})
}

// Work on a store ends with its context, be it hashing or waiting for another process, and leaves the store as it was.
func TestEndsWithContext(t *testing.T) {
	s := open(t, t.TempDir())
	e := put(t, s, "m", small, Lineage{})
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	held, err := s.lock(t.Context(), "m")
	if err != nil {
		t.Fatal(err)
	}
	defer held.release()
	waits := 0
	s.OnWait = func(string) { waits++ }
	soon, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	building, stop := context.WithCancel(t.Context())
	for _, c := range []struct {
		name string
		want error
		act  func() error
	}{
		{"digest", context.Canceled, func() error { _, err := s.Digest(ended, e.Path); return err }},
		{"verify", context.Canceled, func() error { return s.Verify(ended, "m") }},
		{"put waits", context.DeadlineExceeded, func() error { _, err := s.Put(soon, "m", files(small), Lineage{}); return err }},
		{"remove waits", context.DeadlineExceeded, func() error { return s.Remove(soon, "m") }},
		{"put hashes", context.Canceled, func() error {
			_, err := s.Put(building, "other", func(dir string) error { stop(); return files(small)(dir) }, Lineage{})
			return err
		}},
	} {
		if err := c.act(); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if left := append(s.names(tempDir), s.names(modelsDir)...); waits != 2 || len(left) != 1 {
		t.Errorf("waited %d times, there are %v", waits, left)
	}
}

func TestDamagedEntries(t *testing.T) {
	s := open(t, t.TempDir())
	for name, damage := range map[string]func(dir string) error{
		"short":    func(dir string) error { return os.Truncate(filepath.Join(dir, "model.safetensors"), 3) },
		"missing":  func(dir string) error { return os.Remove(filepath.Join(dir, "sub", "a")) },
		"lineage":  func(dir string) error { return os.Remove(filepath.Join(dir, lineageName)) },
		"not-json": func(dir string) error { return os.WriteFile(filepath.Join(dir, lineageName), []byte("{"), 0o600) },
		"escape": func(dir string) error {
			return os.WriteFile(filepath.Join(dir, lineageName), []byte(`{"files":[{"path":"../../../etc/passwd","size":1}]}`), 0o600)
		},
	} {
		e := put(t, s, name, map[string]string{"model.safetensors": "weights of " + name, "sub/a": name}, Lineage{})
		os.Chmod(filepath.Join(e.Path, "model.safetensors"), 0o600)
		if err := damage(e.Path); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Get(name); err == nil || !strings.Contains(err.Error(), "damaged") || errors.Is(err, ErrNotFound) {
			t.Errorf("%s: Get: %v", name, err)
		}
		all, err := s.List()
		if err != nil || !slices.ContainsFunc(all, func(e Entry) bool { return e.Name == name && e.Err != nil }) {
			t.Errorf("%s: not listed as damaged: %v", name, err)
		}
		if _, err := s.Put(t.Context(), name, files(small), Lineage{}); err == nil {
			t.Errorf("%s: a damaged model was taken for whole", name)
		}
		if err := s.Remove(t.Context(), name); err != nil {
			t.Errorf("%s: Remove: %v", name, err)
		}
	}
}

// Links planted in the store lead nowhere outside it.
func TestRooted(t *testing.T) {
	outside := t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, lineageName), []byte(`{"files":[]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, t.TempDir())
	if err := os.Symlink(outside, filepath.Join(s.Dir(), modelsDir, "evil")); err != nil {
		t.Skipf("left out: no symbolic links here: %v", err)
	}
	if _, err := s.Get("evil"); err == nil {
		t.Error("a linked model was read")
	}
	if err := os.Symlink(outside, filepath.Join(s.Dir(), tempDir, "evil2")); err != nil {
		t.Fatal(err)
	}
	open(t, s.Dir())
	if _, err := os.Stat(filepath.Join(outside, lineageName)); err != nil {
		t.Error("sweeping followed a link")
	}
}

func TestDigest(t *testing.T) {
	s := open(t, t.TempDir())
	dir := t.TempDir()
	path := filepath.Join(dir, "a")
	write := func(text string, age time.Duration) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		when := time.Now().Add(-age)
		if err := os.Chtimes(path, when, when); err != nil {
			t.Fatal(err)
		}
	}
	digest := func(p string) string {
		t.Helper()
		d, err := s.Digest(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	write("abc", time.Hour)
	const abc = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" // FIPS 180-4's example
	if got := digest(path); got != abc {
		t.Errorf("digest %s", got)
	}
	if n := len(s.names(digestsDir)); n != 1 {
		t.Errorf("%d digests are remembered", n)
	}
	write("abd", time.Minute)
	if got := digest(path); got == abc {
		t.Error("a changed file has the old digest")
	}
	whole := digest(dir)
	write("abc", 0)
	if got := digest(path); got != abc {
		t.Errorf("digest %s", got)
	}
	if digest(dir) == whole {
		t.Error("a changed directory has the old digest")
	}
	if _, err := s.Digest(t.Context(), filepath.Join(dir, "absent")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("absent: %v", err)
	}
}

// The digest in a lineage is the digest of the directory, wherever it is copied.
func TestDigestOfEntry(t *testing.T) {
	s := open(t, t.TempDir())
	e := put(t, s, "m", small, Lineage{})
	got, err := s.Digest(t.Context(), e.Path)
	if err != nil || got != e.Lineage.Digest {
		t.Errorf("%s %v, want %s", got, err, e.Lineage.Digest)
	}
}

func TestDigestUsesCache(t *testing.T) {
	s := open(t, t.TempDir())
	path := filepath.Join(t.TempDir(), "a")
	when := time.Now().Add(-time.Hour)
	for _, text := range []string{"abc", "xyz"} { // same size, same time: the cache cannot see the change
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, when, when); err != nil {
			t.Fatal(err)
		}
		if d, err := s.Digest(t.Context(), path); err != nil || !strings.HasPrefix(d, "sha256:ba7816bf") {
			t.Errorf("%s %v", d, err)
		}
	}
}

func TestDefaultDir(t *testing.T) {
	t.Setenv("HONE_HOME", filepath.Join(t.TempDir(), "h"))
	s := open(t, "")
	if s.Dir() != os.Getenv("HONE_HOME") {
		t.Errorf("dir %s", s.Dir())
	}
	t.Setenv("HONE_HOME", "")
	t.Setenv("XDG_DATA_HOME", "")
	if dir, err := DefaultDir(); err == nil && (!filepath.IsAbs(dir) || filepath.Base(dir) != "hone") {
		t.Errorf("dir %s", dir)
	}
}

func TestConcurrentPut(t *testing.T) {
	s := open(t, t.TempDir())
	errs := make(chan error)
	for i := range 12 {
		go func() {
			_, err := s.Put(t.Context(), fmt.Sprintf("m%d", i%3), files(small), Lineage{ParentDigest: "p", Recipe: "r"})
			errs <- err
		}()
	}
	for range 12 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if all, _ := s.List(); len(all) != 3 {
		t.Errorf("%d models", len(all))
	}
}
