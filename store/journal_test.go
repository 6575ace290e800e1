package store

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func journal(t *testing.T, s *Store, key string) (*Journal, []string) {
	t.Helper()
	j, records, err := s.Journal(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	for _, r := range records {
		texts = append(texts, string(r))
	}
	return j, texts
}

// TestJournal: records survive, a line that a crash cut off does not, and what is added then stands after the whole ones.
func TestJournal(t *testing.T) {
	s, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	j, had := journal(t, s, "a")
	if len(had) != 0 {
		t.Errorf("a new journal holds %q", had)
	}
	for _, r := range []any{1, "two"} {
		if err := j.Add(r); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(s.Dir(), filepath.FromSlash(j.path))
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	for _, torn := range []string{`{"thr`, "{\"three\":\n4\n", "\x00\x00\x00"} {
		f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		f.WriteString(torn)
		f.Close()
		j, had := journal(t, s, "a")
		if len(had) != 2 || had[0] != "1" || had[1] != `"two"` {
			t.Errorf("after %q: %q", torn, had)
		}
		j.Close()
	}
	j, _ = journal(t, s, "a")
	if err := j.Add(json.RawMessage(`{"three":3}`)); err != nil {
		t.Fatal(err)
	}
	j.Close()
	j, had = journal(t, s, "a")
	if len(had) != 3 || had[2] != `{"three":3}` {
		t.Errorf("%q", had)
	}
	if err := j.Remove(); err != nil {
		t.Fatal(err)
	}
	j, had = journal(t, s, "a")
	defer j.Close()
	if len(had) != 0 {
		t.Errorf("a removed journal holds %q", had)
	}
	other, _ := journal(t, s, "b")
	other.Close()
}

// TestJournalWaits: one run at a time; who waits can be told to stop.
func TestJournalWaits(t *testing.T) {
	s, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	waits := 0
	s.OnWait = func(string) { waits++ }
	j, _ := journal(t, s, "a")
	ctx, cancel := context.WithTimeout(t.Context(), 150*time.Millisecond)
	defer cancel()
	if _, _, err := s.Journal(ctx, "a"); !errors.Is(err, context.DeadlineExceeded) || waits != 1 {
		t.Errorf("%v after %d waits", err, waits)
	}
	j.Close()
	again, _ := journal(t, s, "a")
	again.Close()
}

// TestOldJournals: what nobody takes up again goes.
func TestOldJournals(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	j, _ := journal(t, s, "a")
	j.Add(1)
	j.Close()
	path := filepath.Join(dir, filepath.FromSlash(j.path))
	for _, age := range []time.Duration{journalAge / 2, 2 * journalAge} {
		then := time.Now().Add(-age)
		if err := os.Chtimes(path, then, then); err != nil {
			t.Fatal(err)
		}
		again, err := Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		again.Close()
		if _, err := os.Stat(path); (err == nil) != (age < journalAge) {
			t.Errorf("after %s: %v", age, err)
		}
	}
	s.Close()
}
