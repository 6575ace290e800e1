// Package durable writes files and folders so that a crash at any moment leaves the old state or the new one, never a
// part: what is new is written beside, synced, and renamed into place, and the folder that holds the name is synced too.
package durable

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const tempMark = ".tmp-"

// IsTemp tells whether a file name is that of an unfinished write; such leftovers of a crash may be removed.
func IsTemp(name string) bool {
	return strings.HasPrefix(name, ".") && strings.Contains(name, tempMark)
}

// tempName returns a name beside path that nobody else has.
func tempName(path string) string {
	return filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+tempMark+rand.Text())
}

// WriteFile writes a file through write and puts it in place of path, which may exist. When write fails, path is as
// before and nothing is left over.
func WriteFile(path string, write func(w io.Writer) error) error {
	temp := tempName(path)
	if err := writeSynced(temp, write); err != nil {
		return errors.Join(err, removeIfThere(temp))
	}
	if err := os.Rename(temp, path); err != nil {
		return errors.Join(err, removeIfThere(temp))
	}
	return SyncDir(filepath.Dir(path))
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func writeSynced(path string, write func(w io.Writer) error) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	buffer := bufio.NewWriterSize(&syncing{f: f}, 1<<20)
	err = write(buffer)
	if err == nil {
		err = buffer.Flush()
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// syncPiece is how much is written before it is synced: a sync cannot be broken off, and one of a whole large file would take
// many seconds.
const syncPiece = 32 << 20

// syncing syncs a file as it grows.
type syncing struct {
	f       *os.File
	pending int // bytes since the last sync
}

func (s *syncing) Write(p []byte) (int, error) {
	n, err := s.f.Write(p)
	if s.pending += n; err == nil && s.pending >= syncPiece {
		s.pending, err = 0, s.f.Sync()
	}
	return n, err
}

// CopyFile copies a file to a new one as long as ctx lasts, synced as it grows. A copy that failed is left to the caller.
func CopyFile(ctx context.Context, to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	return errors.Join(copySynced(ctx, out, in), out.Close())
}

func copySynced(ctx context.Context, out, in *os.File) error {
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		_, err := io.CopyN(out, in, syncPiece)
		if err != nil && err != io.EOF {
			return err
		}
		if synced := out.Sync(); synced != nil || err == io.EOF {
			return synced
		}
	}
}

// WriteDir makes a folder whose content fill writes, and lets it appear at path at once. Path must not exist. When fill
// fails, nothing is left over.
func WriteDir(path string, fill func(dir string) error) error {
	path = filepath.Clean(path) // temporary names stand beside, not inside, a folder whose name ends in a slash
	if _, err := os.Lstat(path); err == nil {
		return fmt.Errorf("%s: %w", path, fs.ErrExist)
	}
	temp := tempName(path)
	if err := os.Mkdir(temp, 0o777); err != nil {
		return err
	}
	err := fill(temp)
	if err == nil {
		err = syncTree(temp)
	}
	if err == nil {
		err = os.Rename(temp, path)
	}
	if err != nil {
		return errors.Join(err, os.RemoveAll(temp))
	}
	return SyncDir(filepath.Dir(path))
}

// syncTree syncs every file and folder below dir, so that a rename that survives a crash finds its content.
func syncTree(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir():
			return SyncDir(path)
		case d.Type().IsRegular():
			return syncFile(path)
		}
		return nil
	})
}

func syncFile(path string) error {
	f, err := os.OpenFile(path, syncFlag, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
