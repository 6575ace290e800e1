package durable

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

var errStop = errors.New("stop")

func write(text string) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := io.WriteString(w, text)
		return err
	}
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

func TestWriteFileReplaces(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	for _, text := range []string{"old", "new and longer", ""} {
		if err := WriteFile(path, write(text)); err != nil {
			t.Fatal(err)
		}
		if got, _ := os.ReadFile(path); string(got) != text {
			t.Errorf("%q, want %q", got, text)
		}
	}
}

func TestWriteFileFailureLeavesOld(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := WriteFile(path, write("old")); err != nil {
		t.Fatal(err)
	}
	err := WriteFile(path, func(w io.Writer) error {
		fmt.Fprint(w, "half")
		return errStop
	})
	if got, _ := os.ReadFile(path); !errors.Is(err, errStop) || string(got) != "old" {
		t.Errorf("%v, content %q", err, got)
	}
	if got := names(t, filepath.Dir(path)); len(got) != 1 {
		t.Errorf("left over: %v", got)
	}
}

func TestWriteDir(t *testing.T) {
	path := filepath.Join(t.TempDir(), "d")
	fill := func(dir string) error {
		if _, err := os.Stat(path); err == nil {
			t.Error("the folder is visible before it is whole")
		}
		return os.WriteFile(filepath.Join(dir, "a"), []byte("x"), 0o666)
	}
	if err := WriteDir(path, fill); err != nil {
		t.Fatal(err)
	}
	if got := names(t, path); len(got) != 1 || got[0] != "a" {
		t.Errorf("content %v", got)
	}
	if err := WriteDir(path, fill); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a second write: %v", err)
	}
	slash := path + "2" + string(filepath.Separator)
	if err := WriteDir(slash, fillEmpty); err != nil {
		t.Errorf("a name that ends in a slash: %v", err)
	}
}

func fillEmpty(dir string) error { return os.WriteFile(filepath.Join(dir, "a"), nil, 0o666) }

func TestWriteDirFailureLeavesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "d")
	err := WriteDir(path, func(dir string) error {
		if !IsTemp(filepath.Base(dir)) {
			t.Errorf("%s is not a temporary name", dir)
		}
		os.WriteFile(filepath.Join(dir, "a"), []byte("x"), 0o666)
		return errStop
	})
	if !errors.Is(err, errStop) {
		t.Error(err)
	}
	if got := names(t, filepath.Dir(path)); len(got) != 0 {
		t.Errorf("left over: %v", got)
	}
}

// TestPieces: files larger than what is synced at once are whole.
func TestPieces(t *testing.T) {
	dir := t.TempDir()
	path, body := filepath.Join(dir, "a"), bytes.Repeat([]byte("hone"), (syncPiece+syncPiece/2)/4)
	err := WriteFile(path, func(w io.Writer) error {
		_, err := w.Write(body)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := CopyFile(t.Context(), path+"2", path); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{path, path + "2"} {
		if got, err := os.ReadFile(p); err != nil || !bytes.Equal(got, body) {
			t.Errorf("%s: %d bytes of %d, %v", p, len(got), len(body), err)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := CopyFile(ended, path+"3", path); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if err := CopyFile(t.Context(), path, path+"2"); !errors.Is(err, fs.ErrExist) {
		t.Error(err)
	}
}
