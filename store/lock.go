package store

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"hone/internal/durable"
)

// lock is the exclusive right to change one name. It is the system's lock on an open file, so it ends with the process;
// lock files stay, since removing one while another process waits for it would split the lock.
type lock struct{ f *os.File }

func (s *Store) openLock(name string) (*os.File, error) {
	return s.root.OpenFile(locksDir+"/"+name+".lock", os.O_RDWR|os.O_CREATE, 0o600)
}

// lock waits for a name's lock as long as ctx lasts.
func (s *Store) lock(ctx context.Context, name string) (*lock, error) {
	for waited := false; ; waited = true {
		l, err := s.tryLock(name)
		if l != nil || err != nil {
			return l, err
		}
		if !waited && s.OnWait != nil {
			s.OnWait(name)
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// tryLock returns nil when somebody else holds the lock.
func (s *Store) tryLock(name string) (*lock, error) {
	f, err := s.openLock(name)
	if err != nil {
		return nil, err
	}
	got, err := durable.LockFile(f)
	if err != nil || !got {
		f.Close()
		return nil, err
	}
	return &lock{f}, nil
}

// release ends the lock: closing the file does it.
func (l *lock) release() { l.f.Close() }

func (s *Store) writeSynced(path string, data []byte) error {
	f, err := s.root.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func (s *Store) syncDir(dir string) error {
	return durable.SyncDir(filepath.Join(s.dir, filepath.FromSlash(dir)))
}

// syncDirs syncs a directory and those below it.
func (s *Store) syncDirs(dir string) error {
	return fs.WalkDir(s.root.FS(), dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		return s.syncDir(path)
	})
}
