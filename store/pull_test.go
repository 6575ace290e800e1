package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"hone/internal/hubtest"
	"hone/store/hub"
)

const hubVariable = "HONE_STORE_HUB"

func init() {
	children["pull"] = childPull
	children["pull full"] = func(dir string) error {
		if err := limitFiles(300_000); err != nil {
			return err
		}
		return childPull(dir)
	}
}

// childPull pulls into a store as another process.
func childPull(dir string) error {
	s, err := Open(dir)
	if err != nil {
		return err
	}
	client, err := hub.New(os.Getenv(hubVariable), "")
	if err != nil {
		return err
	}
	fmt.Println("pulling")
	_, err = s.Pull(context.Background(), Pull{Client: client, Source: hub.Source{Repo: "owner/repo", Revision: "main"}})
	return err
}

func bytesOf(n int, seed uint64) []byte {
	b := make([]byte, n)
	r := rand.New(rand.NewPCG(seed, 7))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// model is a repository with two shards and side files.
func model() map[string][]byte {
	return map[string][]byte{
		"config.json": []byte(`{"a":1}`), "tokenizer.json": bytesOf(50_000, 1), "README.md": []byte("x"), "pytorch_model.bin": []byte("code"),
		"model.safetensors.index.json": []byte(`{"i":1}`), "model-00001-of-00002.safetensors": bytesOf(1_500_000, 2), "model-00002-of-00002.safetensors": bytesOf(900_000, 3),
		"1_Pooling/config.json": []byte("{}"),
	}
}

func startHub(t *testing.T, h *hubtest.Hub) *hubtest.Hub {
	t.Helper()
	h.Large = 100_000
	h.Start()
	t.Cleanup(h.Close)
	t.Setenv(hubVariable, h.URL)
	return h
}

func pull(t *testing.T, s *Store, h *hubtest.Hub, p Pull) (Pulled, error) {
	t.Helper()
	var err error
	if p.Client, err = hub.New(h.URL, ""); err != nil {
		t.Fatal(err)
	}
	if p.Source.Repo == "" {
		p.Source = hub.Source{Repo: "owner/repo", Revision: "main"}
	}
	return s.Pull(t.Context(), p)
}

// same compares a pulled model with the repository's files.
func same(t *testing.T, dir string, files map[string][]byte, names ...string) {
	t.Helper()
	for _, name := range names {
		got, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || !bytes.Equal(got, files[name]) {
			t.Errorf("%s differs: %v", name, err)
		}
	}
}

var taken = []string{"config.json", "tokenizer.json", "model.safetensors.index.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "1_Pooling/config.json"}

func TestPull(t *testing.T) {
	files := model()
	h := startHub(t, &hubtest.Hub{Files: files})
	s := open(t, t.TempDir())
	var last, all int64
	got, err := pull(t, s, h, Pull{Version: "v", Progress: func(have, of int64) { last, all = have, of }})
	if err != nil {
		t.Fatal(err)
	}
	same(t, got.Path, files, taken...)
	if got.Name != "repo" || got.Fetched != got.Bytes || last != all || all != got.Bytes || len(got.Lineage.Files) != len(taken) {
		t.Errorf("%+v; progress %d of %d", got, last, all)
	}
	if got.Lineage.Parent != "hf:owner/repo" || got.Origin.Commit != hubtest.Commit || got.Lineage.HoneVersion != "v" {
		t.Errorf("lineage %+v", got.Lineage)
	}
	if left := s.names(hubDir); len(left) != 0 {
		t.Errorf("left over: %v", left)
	}
	if err := s.Verify(t.Context(), "repo"); err != nil {
		t.Error(err)
	}
	sent := len(h.Sent())
	if again, err := pull(t, s, h, Pull{}); err != nil || again.Fetched != 0 || again.Path != got.Path || len(h.Sent()) != sent {
		t.Errorf("a second pull: %+v %v", again, err)
	}
	if copied, err := pull(t, s, h, Pull{Name: "other"}); err != nil || copied.Fetched >= 100_000 {
		t.Errorf("content of another model was fetched: %d %v", copied.Fetched, err)
	}
	if err := s.Verify(t.Context(), "other"); err != nil {
		t.Error(err)
	}
	e, found, err := s.FindPulled(hub.Source{Repo: "owner/repo", Revision: hubtest.Commit[:8]})
	if err != nil || !found || e.Lineage.Recipe != pullRecipe {
		t.Errorf("by commit: %v %v", found, err)
	}
	if _, found, _ := s.FindPulled(hub.Source{Repo: "owner/repo", Revision: "v2"}); found {
		t.Error("found by a revision that was not pulled")
	}
}

// A name that stands for something else is not replaced.
func TestPullTakenName(t *testing.T) {
	h := startHub(t, &hubtest.Hub{Files: model()})
	s := open(t, t.TempDir())
	put(t, s, "repo", small, Lineage{})
	if _, err := pull(t, s, h, Pull{}); !errors.Is(err, ErrExists) || !strings.Contains(err.Error(), "--name") {
		t.Error(err)
	}
}

func TestPullName(t *testing.T) {
	for word, want := range map[string]string{
		"hf:gpt2": "gpt2", "hf:Owner/My_Model": "my_model", "hf:o/m@v1": "m-v1", "hf:o/M-GGUF:M.Q4_0.gguf": "m.q4_0",
		"hf:o/M-GGUF:Q4_K_M": "m-q4_k_m", "hf:o/m:sub/other.gguf": "m-other",
	} {
		source, err := hub.Parse(word)
		if err != nil {
			t.Fatal(err)
		}
		if got := PullName(source); got != want {
			t.Errorf("%s: %s, want %s", word, got, want)
		}
	}
}

// What does not fit is refused before anything is fetched.
func TestPullNoRoom(t *testing.T) {
	h := startHub(t, &hubtest.Hub{Files: model()})
	s := open(t, t.TempDir())
	s.free = func(string) (int64, bool) { return 1 << 20, true }
	if _, err := pull(t, s, h, Pull{}); !errors.Is(err, errDiskFull) || !strings.Contains(err.Error(), "HONE_HOME") || len(h.Sent()) != 0 {
		t.Errorf("%v, sent %v", err, h.Sent())
	}
}

// A disk that fills up in the middle is an error; what came before it is kept and not fetched again.
func TestPullFullDisk(t *testing.T) {
	files := model()
	h := startHub(t, &hubtest.Hub{Files: files})
	dir := t.TempDir()
	cmd, out := child(t, "pull full", dir)
	text, _ := io.ReadAll(out)
	err := cmd.Wait()
	if strings.Contains(string(text), "left out:") {
		t.Skip(string(text))
	}
	if err == nil || !strings.Contains(string(text), "takes no more") || !strings.Contains(string(text), "is kept") {
		t.Fatalf("%v: %s", err, text)
	}
	h.Cut = nil
	s := open(t, dir)
	got, err := pull(t, s, h, Pull{})
	if err != nil {
		t.Fatal(err)
	}
	same(t, got.Path, files, taken...)
	for _, f := range []string{"tokenizer.json", "config.json"} {
		if n := sentOf(h, f); n > 1 {
			t.Errorf("%s was fetched %d times", f, n)
		}
	}
	if spans := spansOf(h, "model-00001-of-00002.safetensors"); len(spans) != 2 || spans[1].From == 0 {
		t.Errorf("what was written is fetched again: %v", spans)
	}
}

func spansOf(h *hubtest.Hub, path string) []hubtest.Span {
	var out []hubtest.Span
	for _, s := range h.Sent() {
		if s.Path == path {
			out = append(out, s)
		}
	}
	return out
}

func sentOf(h *hubtest.Hub, path string) int { return len(spansOf(h, path)) }

// A puller that is killed 20 times at random ends with the same bytes; what one of them wrote no later one asks for.
func TestPullKilled(t *testing.T) {
	files := model()
	r := rand.New(rand.NewPCG(5, 5))
	h := &hubtest.Hub{Files: files}
	h.Pace = func(string) time.Duration { return time.Duration(rand.IntN(3)) * time.Millisecond } // slow enough to be killed in the middle
	startHub(t, h)
	dir := t.TempDir()
	kills, ended := 0, false
	for range 200 {
		cmd, out := child(t, "pull", dir)
		var line [8]byte
		if _, err := io.ReadFull(out, line[:]); err != nil {
			t.Fatal(err)
		}
		after := 5 + r.IntN(40)
		if kills == 20 {
			after = 60_000
		}
		timer := time.AfterFunc(time.Duration(after)*time.Millisecond, func() { cmd.Process.Kill() })
		rest, _ := io.ReadAll(out)
		err := cmd.Wait()
		timer.Stop()
		if err == nil {
			ended = true
			break
		}
		if len(rest) > 0 {
			t.Fatalf("%s", rest)
		}
		kills++
	}
	if !ended || kills < 5 {
		t.Fatalf("ended %v after %d kills", ended, kills)
	}
	s := open(t, dir)
	e, err := s.Get("repo")
	if err != nil {
		t.Fatal(err)
	}
	same(t, e.Path, files, taken...)
	if left := s.names(tempDir); len(left) != 0 {
		t.Errorf("left over: %v", left)
	}
	for _, name := range taken {
		at := int64(0)
		for _, span := range spansOf(h, name) {
			if span.From < at {
				t.Errorf("%s: bytes from %d on again, %d were there", name, span.From, at)
			}
			at = span.From
		}
	}
}

// A hub that lies about the size of content that the store has cannot change it, though cache/hub holds a second name of it.
func TestPullSparesBlobs(t *testing.T) {
	h := startHub(t, &hubtest.Hub{Files: model()})
	s := open(t, t.TempDir())
	got, err := pull(t, s, h, Pull{})
	if err != nil {
		t.Fatal(err)
	}
	client, err := hub.New(h.URL, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range got.Lineage.Files {
		if f.Size < 100_000 {
			continue
		}
		for _, more := range []int64{-1, 1} {
			lie := hub.File{Path: f.Path, To: f.Path, Size: f.Size + more, SHA256: f.SHA256}
			if _, err := s.copyOf(blobsDir+"/"+f.SHA256, hubDir+"/"+lie.Key()); err != nil {
				t.Fatal(err)
			}
			w := &puller{Store: s, Pull: Pull{Client: client}, list: &hub.Listing{Repo: "owner/repo", Commit: hubtest.Commit}, files: []hub.File{lie}}
			if err := w.bring(t.Context(), lie, filepath.Join(s.dir, tempDir, "x")); err == nil {
				t.Errorf("%s of %d bytes was taken for %d", f.Path, f.Size, lie.Size)
			}
			if err := s.Verify(t.Context(), "repo"); err != nil {
				t.Errorf("%+d bytes: %v", more, err)
			}
			if err := s.root.Remove(hubDir + "/" + lie.Key()); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// listed serves files from a hub of the test's and lists them.
func listed(t *testing.T, files map[string][]byte) (*hub.Client, *hub.Listing) {
	t.Helper()
	client, err := hub.New(startHub(t, &hubtest.Hub{Files: files}).URL, "")
	if err != nil {
		t.Fatal(err)
	}
	list, err := client.List(t.Context(), hub.Source{Repo: "owner/repo", Revision: "main"})
	if err != nil {
		t.Fatal(err)
	}
	return client, list
}

// What was verified when it came is not read again for its digest.
func TestPullHashesOnce(t *testing.T) {
	files := model()
	client, list := listed(t, files)
	s := open(t, t.TempDir())
	chosen, err := hub.Choose(list, "")
	if err != nil {
		t.Fatal(err)
	}
	w := &puller{Store: s, Pull: Pull{Client: client}, list: list, files: chosen, known: map[string]string{}}
	e, err := s.put(t.Context(), "repo", func(dir string) error { return w.build(t.Context(), dir) }, w.known, Lineage{})
	if err != nil || len(w.known) != 2 {
		t.Fatalf("%v, known %v", err, w.known)
	}
	same(t, e.Path, files, taken...)
	if err := s.Verify(t.Context(), "repo"); err != nil {
		t.Error(err)
	}
	smallFiles := func(dir string) error { return os.WriteFile(filepath.Join(dir, "config.json"), []byte("{}"), 0o600) }
	told := map[string]string{"config.json": strings.Repeat("0", 64)}
	if e, err = s.put(t.Context(), "told", smallFiles, told, Lineage{}); err != nil || !slices.ContainsFunc(e.Lineage.Files, func(f File) bool { return f.SHA256 == told["config.json"] }) {
		t.Errorf("a known digest was made again: %v %+v", err, e.Lineage.Files)
	}
}

// A pull that is interrupted while a whole file is verified keeps it, also one that a broken-off Put made read-only.
func TestPullInterruptedVerify(t *testing.T) {
	files := model()
	client, list := listed(t, files)
	s := open(t, t.TempDir())
	for _, f := range list.Files {
		if f.Path != "model-00001-of-00002.safetensors" {
			continue
		}
		path := filepath.Join(s.dir, hubDir, f.Key())
		if err := os.WriteFile(path, files[f.Path], 0o400); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		w := &puller{Store: s, Pull: Pull{Client: client}, list: list, files: []hub.File{f}}
		if err := w.complete(ctx, f); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if st, err := os.Stat(path); err != nil || st.Size() != f.Size {
			t.Errorf("what was fetched is gone: %v", err)
		}
	}
}

// Two processes and two names at once: each file comes over the network once.
func TestPullTogether(t *testing.T) {
	files := model()
	h := startHub(t, &hubtest.Hub{Files: files})
	h.Pace = func(string) time.Duration { return time.Millisecond }
	dir := t.TempDir()
	a, outA := child(t, "pull", dir)
	b, outB := child(t, "pull", dir)
	s := open(t, dir)
	_, err := pull(t, s, h, Pull{Name: "mine"})
	textA, _ := io.ReadAll(outA)
	textB, _ := io.ReadAll(outB)
	if a, b := a.Wait(), b.Wait(); a != nil || b != nil || err != nil {
		t.Fatalf("%v %s, %v %s, %v", a, textA, b, textB, err)
	}
	for _, name := range []string{"repo", "mine"} {
		if err := s.Verify(t.Context(), name); err != nil {
			t.Error(err)
		}
	}
	for _, name := range []string{"model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"} {
		if n := sentOf(h, name); n != 1 {
			t.Errorf("%s was fetched %d times", name, n)
		}
	}
}
