package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Put adds a model: build writes its files into dir, then Put syncs them, writes lineage.json and lets the model appear.
// Digest, Files, Name and (when zero) Created of the lineage are set by Put.
//
// While another process builds the same name, Put waits. A variant of that name by the same parent and recipe is
// returned as it is, without a call of build; another one is ErrExists. When anything fails, or ctx ends, the store is as
// before.
func (s *Store) Put(ctx context.Context, name string, build func(dir string) error, l Lineage) (Entry, error) {
	return s.put(ctx, name, build, nil, l)
}

// put is Put for files of which build may tell the digests: by their paths in dir, of content that was read back.
func (s *Store) put(ctx context.Context, name string, build func(dir string) error, known map[string]string, l Lineage) (Entry, error) {
	if err := CheckName(name); err != nil {
		return Entry{}, err
	}
	lock, err := s.lock(ctx, name)
	if err != nil {
		return Entry{}, fmt.Errorf("store: %q: %w", name, err)
	}
	defer lock.release()
	if e := s.entry(name); !errors.Is(e.Err, fs.ErrNotExist) {
		return existing(e, l)
	}
	temp := tempDir + "/" + name
	if err := s.build(ctx, temp, name, build, known, l); err != nil {
		return Entry{}, errors.Join(fmt.Errorf("store: %q: %w", name, err), s.root.RemoveAll(temp))
	}
	return s.Get(name)
}

// existing decides what a name that is taken means.
func existing(e Entry, l Lineage) (Entry, error) {
	if e.Err != nil {
		return Entry{}, e.Err
	}
	if e.Lineage.ParentDigest == l.ParentDigest && e.Lineage.Recipe == l.Recipe {
		return e, nil
	}
	return Entry{}, fmt.Errorf("store: %q: %w by recipe %q of another parent or of other steps; remove it with hone rm, or take another name",
		e.Name, ErrExists, e.Lineage.Recipe)
}

// build fills temp and publishes it. The caller holds the name's lock.
func (s *Store) build(ctx context.Context, temp, name string, build func(dir string) error, known map[string]string, l Lineage) error {
	if err := s.root.RemoveAll(temp); err != nil { // left over by a crash
		return err
	}
	if err := s.root.Mkdir(temp, 0o700); err != nil {
		return err
	}
	if err := build(filepath.Join(s.dir, filepath.FromSlash(temp))); err != nil {
		return err
	}
	files, err := s.seal(ctx, temp, known)
	if err != nil {
		return err
	}
	l.Name, l.Files, l.Digest = name, files, treeDigest(files)
	if l.Created.IsZero() {
		l.Created = time.Now().UTC()
	}
	if err := s.writeLineage(temp, l); err != nil {
		return err
	}
	if err := s.syncDirs(temp); err != nil {
		return err
	}
	if err := s.root.Rename(temp, modelsDir+"/"+name); err != nil {
		return err
	}
	return s.syncDir(modelsDir)
}

// seal digests and syncs the files below a directory, makes them read-only and gives them their blobs. Those whose digests
// are known are not read again.
func (s *Store) seal(ctx context.Context, dir string, known map[string]string) ([]File, error) {
	files, err := s.walk(dir)
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, errors.New("nothing was built")
	}
	for i := range files {
		path := dir + "/" + files[i].Path
		if files[i].SHA256, err = s.sealFile(ctx, path, known[files[i].Path]); err != nil {
			return nil, err
		}
		if err := s.shareBlob(ctx, path, files[i]); err != nil {
			return nil, err
		}
	}
	return files, s.syncDir(blobsDir)
}

// walk lists the regular files below a directory of the store. Anything else, links included, is refused.
func (s *Store) walk(dir string) ([]File, error) {
	var files []File
	err := fs.WalkDir(s.root.FS(), dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		st, err := d.Info()
		if err != nil {
			return err
		}
		if !st.Mode().IsRegular() {
			return fmt.Errorf("%s is not a regular file", path)
		}
		rel := path[len(dir)+1:]
		if rel == lineageName {
			return fmt.Errorf("%s is written by the store, not by build", lineageName)
		}
		files = append(files, File{Path: rel, Size: st.Size()})
		return nil
	})
	return files, err
}

func (s *Store) sealFile(ctx context.Context, path, sum string) (string, error) {
	f, err := s.root.OpenFile(path, os.O_RDWR, 0)
	sealed := errors.Is(err, fs.ErrPermission) // a link to a blob, which was synced when it became one
	if sealed {
		f, err = s.root.Open(path)
	}
	if err != nil {
		return "", err
	}
	if sum == "" {
		sum, err = hashReader(ctx, f)
	}
	if err == nil && !sealed {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return "", err
	}
	return sum, s.root.Chmod(path, 0o444)
}

// shareBlob makes a file and the blob of its content one, so that equal files take their space once. A file system
// without hard links keeps them apart: then there is no blob, and nothing else changes. The only error is the end of ctx.
func (s *Store) shareBlob(ctx context.Context, path string, f File) error {
	blob := blobsDir + "/" + f.SHA256
	if err := s.root.Link(path, blob); err == nil || !errors.Is(err, fs.ErrExist) {
		return nil
	}
	st, err := s.root.Lstat(blob)
	if err != nil || !st.Mode().IsRegular() || st.Size() != f.Size {
		return nil
	}
	if own, err := s.root.Lstat(path); err != nil || os.SameFile(own, st) {
		return nil // a rename of one file onto itself would leave both names
	}
	if sum, err := s.hashFile(ctx, blob); err != nil || sum != f.SHA256 {
		return ctx.Err() // a damaged blob must not spread
	}
	beside := path + ".blob"
	if s.root.Link(blob, beside) == nil && s.root.Rename(beside, path) != nil {
		_ = s.root.Remove(beside)
	}
	return nil
}

func (s *Store) hashFile(ctx context.Context, path string) (string, error) {
	f, err := s.root.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	return hashReader(ctx, f)
}

// Remove takes a model away, and the blobs that no other model shares.
func (s *Store) Remove(ctx context.Context, name string) error {
	if err := CheckName(name); err != nil {
		return err
	}
	lock, err := s.lock(ctx, name)
	if err != nil {
		return fmt.Errorf("store: %q: %w", name, err)
	}
	defer lock.release()
	temp := tempDir + "/" + name
	if err := s.root.RemoveAll(temp); err != nil {
		return fmt.Errorf("store: %q: %w", name, err)
	}
	if err := s.root.Rename(modelsDir+"/"+name, temp); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return s.notFound(name)
		}
		return fmt.Errorf("store: %q: %w", name, err)
	}
	err = errors.Join(s.syncDir(modelsDir), s.root.RemoveAll(temp))
	if err = errors.Join(err, s.dropBlobs()); err != nil {
		return fmt.Errorf("store: %q: removed, but not all of its space: %w", name, err)
	}
	return nil
}

// dropBlobs removes blobs that no model lists. One that a builder is about to use may go: the builder keeps its own file.
func (s *Store) dropBlobs() error {
	entries, err := s.List()
	if err != nil {
		return err
	}
	used := map[string]bool{}
	for _, e := range entries {
		for _, f := range e.Lineage.Files {
			used[f.SHA256] = true
		}
	}
	for _, blob := range s.names(blobsDir) {
		if used[blob] {
			continue
		}
		if err := s.root.Remove(blobsDir + "/" + blob); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// Verify reads a model's files and compares them with the digests in its lineage.
func (s *Store) Verify(ctx context.Context, name string) error {
	e, err := s.Get(name)
	if err != nil {
		return err
	}
	for _, f := range e.Lineage.Files {
		sum, err := s.hashFile(ctx, modelsDir+"/"+name+"/"+f.Path)
		if err != nil {
			return fmt.Errorf("store: %q: %w", name, err)
		}
		if sum != f.SHA256 {
			return fmt.Errorf("store: %q: damaged: %s has the digest %s, not %s; remove it with hone rm", name, f.Path, sum, f.SHA256)
		}
	}
	return nil
}
