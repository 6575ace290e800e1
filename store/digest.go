package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"hone/internal/durable"
	"hone/internal/until"
)

const (
	digestPrefix = "sha256:"
	maxTree      = 10_000          // files of a directory that is digested
	settle       = 2 * time.Second // a file this young may change again without a change of its time
)

// Digest returns the digest of a file's content, or of a directory's: that of the sorted list of its files' digests and
// paths, lineage.json left out, so that it is also the Digest in the lineage of a copy. Digests of files are remembered
// by path, size and time of change.
func (s *Store) Digest(ctx context.Context, path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("store: %w", err)
	}
	st, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("store: %w", err)
	}
	if !st.IsDir() {
		sum, err := s.cachedDigest(ctx, path, st)
		if err != nil {
			return "", err
		}
		return digestPrefix + sum, nil
	}
	files, err := s.digestTree(ctx, path)
	if err != nil {
		return "", err
	}
	return treeDigest(files), nil
}

// digestTree digests the files below a directory. Links to files are followed (model hubs keep files that way); hidden
// names are left out.
func (s *Store) digestTree(ctx context.Context, dir string) ([]File, error) {
	var files []File
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return fmt.Errorf("store: %w", err)
		case path == dir:
			return nil
		case strings.HasPrefix(d.Name(), ".") && d.IsDir():
			return fs.SkipDir
		case d.IsDir(), strings.HasPrefix(d.Name(), "."):
			return nil
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return fmt.Errorf("store: %w", err)
		}
		if rel = filepath.ToSlash(rel); rel == lineageName {
			return nil
		}
		if len(files) == maxTree {
			return fmt.Errorf("store: %s: more than %d files; is this a model's directory?", dir, maxTree)
		}
		f, err := s.digestFile(ctx, path, rel)
		if err == nil {
			files = append(files, f)
		}
		return err
	})
	return files, err
}

func (s *Store) digestFile(ctx context.Context, path, rel string) (File, error) {
	st, err := os.Stat(path)
	if err != nil {
		return File{}, fmt.Errorf("store: %w", err)
	}
	sum, err := s.cachedDigest(ctx, path, st)
	return File{Path: rel, Size: st.Size(), SHA256: sum}, err
}

// treeDigest digests a list of files.
func treeDigest(files []File) string {
	lines := make([]string, len(files))
	for i, f := range files {
		lines[i] = fmt.Sprintf("%s %q\n", f.SHA256, f.Path)
	}
	slices.Sort(lines)
	sum := sha256.Sum256([]byte(strings.Join(lines, "")))
	return digestPrefix + hex.EncodeToString(sum[:])
}

func hashReader(ctx context.Context, r io.Reader) (string, error) {
	h := sha256.New()
	if _, err := io.CopyBuffer(h, until.Reader(ctx, r), make([]byte, 1<<20)); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// remembered is one record of the digest cache.
type remembered struct {
	Path    string    `json:"path"`
	Size    int64     `json:"size"`
	ModTime time.Time `json:"mod_time"`
	SHA256  string    `json:"sha256"`
}

// cachedDigest returns the digest of a file's content, from the cache when the file is unchanged. A cache that cannot be
// read or written costs time, nothing else.
func (s *Store) cachedDigest(ctx context.Context, path string, st fs.FileInfo) (string, error) {
	if !st.Mode().IsRegular() {
		return "", fmt.Errorf("store: %s is not a regular file", path)
	}
	key := sha256.Sum256([]byte(path))
	record := digestsDir + "/" + hex.EncodeToString(key[:])
	var old remembered
	if data, err := s.root.ReadFile(record); err == nil && json.Unmarshal(data, &old) == nil &&
		old.Path == path && old.Size == st.Size() && old.ModTime.Equal(st.ModTime()) {
		return old.SHA256, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("store: %w", err)
	}
	defer f.Close()
	sum, err := hashReader(ctx, f)
	if err != nil {
		return "", fmt.Errorf("store: %s: %w", path, err)
	}
	after, err := f.Stat()
	if err == nil && after.Size() == st.Size() && after.ModTime().Equal(st.ModTime()) && time.Since(st.ModTime()) > settle {
		s.remember(record, remembered{path, st.Size(), st.ModTime(), sum})
	}
	return sum, nil
}

func (s *Store) remember(record string, r remembered) {
	data, err := json.Marshal(r)
	if err != nil {
		return
	}
	_ = durable.WriteFile(filepath.Join(s.dir, filepath.FromSlash(record)), func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
}
