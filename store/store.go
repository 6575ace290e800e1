// Package store keeps models and variants by name, with their lineage, on this machine.
//
// The layout below the store's directory ($HONE_HOME):
//
//	models/NAME/         a model's files, as others' tools read them, and lineage.json
//	blobs/SHA256         the same files by content; equal files of several models share one blob (hard links)
//	tmp/NAME/            a model being built, or being removed
//	locks/NAME.lock      held while a model is built or removed; the system frees it when its holder dies
//	cache/digests/       digests of files outside the store, by path, size and time
//	runs/                journals of long runs that are under way or were interrupted
//	cache/hub/           files of a hub by their digests, whole or in part, until their model is whole
//
// A model appears under models/ whole and synced, by one rename, or not at all. A crash leaves at most something below
// tmp/, which the next Open removes. Names are checked, and every access goes through an os.Root, so that no name or
// link leads outside.
package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"hone/internal/machine"
)

const (
	modelsDir   = "models"
	blobsDir    = "blobs"
	tempDir     = "tmp"
	locksDir    = "locks"
	digestsDir  = "cache/digests"
	journalsDir = "runs"
	hubDir      = "cache/hub"
	lineageName = "lineage.json"
)

var (
	// ErrNotFound is wrapped when a name is not in the store.
	ErrNotFound = errors.New("not in the store")
	// ErrExists is wrapped when a name is taken by another variant.
	ErrExists = errors.New("the name is taken")
)

// Store is an open store. Its methods may be called from many goroutines and processes.
type Store struct {
	// OnWait, when set before use, is called when Put or Remove must wait for another process that holds a name.
	OnWait func(name string)

	dir  string
	root *os.Root
	free func(dir string) (int64, bool) // bytes that may still be written there
}

// Entry is one model of the store.
type Entry struct {
	Name    string
	Path    string // its directory, to be opened like any other
	Bytes   int64  // of its files, lineage.json left out
	Lineage Lineage
	Err     error // what is wrong with it, nil when whole; only List returns entries with faults
}

// DefaultDir returns $HONE_HOME, or hone's folder in the platform's data directory.
func DefaultDir() (string, error) {
	if dir := os.Getenv("HONE_HOME"); dir != "" {
		return filepath.Abs(dir)
	}
	base, err := dataDir()
	if err != nil {
		return "", fmt.Errorf("store: no place for data (%w); set HONE_HOME", err)
	}
	return filepath.Join(base, "hone"), nil
}

func dataDir() (string, error) {
	switch runtime.GOOS {
	case "windows":
		return os.UserCacheDir() // %LocalAppData%
	case "darwin", "ios":
		return os.UserConfigDir() // ~/Library/Application Support
	}
	if dir := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(dir) {
		return dir, nil
	}
	home, err := os.UserHomeDir()
	return filepath.Join(home, ".local", "share"), err
}

// Open opens the store in dir, "" meaning DefaultDir, makes it if it is not there, and removes what crashes left over.
func Open(dir string) (*Store, error) {
	if dir == "" {
		var err error
		if dir, err = DefaultDir(); err != nil {
			return nil, err
		}
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	s, err := openAt(dir)
	if err != nil {
		return nil, fmt.Errorf("store: %s: %w; set HONE_HOME to a folder that can be written", dir, err)
	}
	s.sweep()
	s.sweepJournals()
	return s, nil
}

// openAt makes what is not there of the layout.
func openAt(dir string) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	for _, d := range []string{modelsDir, blobsDir, tempDir, locksDir, digestsDir, hubDir, journalsDir} {
		if err := root.MkdirAll(d, 0o700); err != nil {
			root.Close()
			return nil, err
		}
	}
	return &Store{dir: dir, root: root, free: machine.FreeDisk}, nil
}

// Dir returns the store's directory.
func (s *Store) Dir() string { return s.dir }

// Close releases the store's directory.
func (s *Store) Close() error { return s.root.Close() }

// sweep removes what dead processes left below tmp/. What cannot be removed now is tried again by the next Open.
func (s *Store) sweep() {
	found := false
	for _, name := range s.names(tempDir) {
		lock, err := s.tryLock(name)
		if err != nil || lock == nil {
			continue // its builder lives
		}
		_ = s.root.RemoveAll(tempDir + "/" + name)
		lock.release()
		found = true
	}
	if found {
		_ = s.dropBlobs()
	}
}

// names lists the valid names in a directory of the store, sorted.
func (s *Store) names(dir string) []string {
	f, err := s.root.Open(dir)
	if err != nil {
		return nil
	}
	defer f.Close()
	all, _ := f.Readdirnames(-1)
	names := slices.DeleteFunc(all, func(n string) bool { return CheckName(n) != nil })
	slices.Sort(names)
	return names
}

const maxName = 128

// CheckName refuses names that could be read as paths, options or devices: letters, digits, '.', '_' and '-' are
// allowed, a letter or digit first, at most 128 of them.
func CheckName(name string) error {
	if name == "" || len(name) > maxName {
		return fmt.Errorf("store: a name of %d bytes; 1 to %d are allowed", len(name), maxName)
	}
	for i, c := range []byte(name) {
		word := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !word && (i == 0 || c != '.' && c != '_' && c != '-') {
			return fmt.Errorf("store: name %.140q: letters, digits, '.', '_' and '-' are allowed, a letter or digit first", name)
		}
	}
	if !filepath.IsLocal(name) || isDevice(name) || name[len(name)-1] == '.' {
		return fmt.Errorf("store: name %q is reserved or ends in a dot", name)
	}
	return nil
}

// SafeName makes a valid name of any text, such as a file's name: lower case, '-' for what is not allowed, cut to fit.
// Different texts may become one name.
func SafeName(text string) string {
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '.' || r == '_' {
			return r
		}
		return '-'
	}, strings.ToLower(text))
	name = strings.Trim(name[:min(len(name), maxName)], "-._")
	if CheckName(name) != nil {
		name = strings.TrimSuffix("model-"+name[:min(len(name), maxName-len("model-"))], "-")
	}
	return name
}

// isDevice tells the names that Windows gives to devices, on every system: stores are copied between machines.
func isDevice(name string) bool {
	base, _, _ := strings.Cut(strings.ToUpper(name), ".")
	if len(base) == 4 && (strings.HasPrefix(base, "COM") || strings.HasPrefix(base, "LPT")) {
		return base[3] >= '0' && base[3] <= '9'
	}
	return slices.Contains([]string{"CON", "PRN", "AUX", "NUL"}, base)
}

// Get returns a model by name, after checking that its files are there in their sizes.
func (s *Store) Get(name string) (Entry, error) {
	if err := CheckName(name); err != nil {
		return Entry{}, err
	}
	e := s.entry(name)
	if errors.Is(e.Err, fs.ErrNotExist) {
		return Entry{}, s.notFound(name)
	}
	return e, e.Err
}

func (s *Store) notFound(name string) error {
	have := "the store is empty"
	if names := s.names(modelsDir); len(names) > 0 {
		have = "there are " + strings.Join(names[:min(len(names), 20)], ", ")
	}
	return fmt.Errorf("store: %q: %w %s (%s)", name, ErrNotFound, s.dir, have)
}

// List returns all models by name. Damaged ones are there with Err set.
func (s *Store) List() ([]Entry, error) {
	if _, err := s.root.Stat(modelsDir); err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	var out []Entry
	for _, name := range s.names(modelsDir) {
		if e := s.entry(name); !errors.Is(e.Err, fs.ErrNotExist) { // else removed meanwhile
			out = append(out, e)
		}
	}
	return out, nil
}

// FindVariant returns the whole variant of a parent by a recipe, the newest when there are several.
func (s *Store) FindVariant(parentDigest, recipeKey string) (Entry, bool, error) {
	return s.newest(func(l Lineage) bool { return l.ParentDigest == parentDigest && l.Recipe == recipeKey })
}

// newest returns the whole model that was made last of those whose lineage fits.
func (s *Store) newest(fits func(Lineage) bool) (best Entry, found bool, err error) {
	all, err := s.List()
	if err != nil {
		return Entry{}, false, err
	}
	for _, e := range all {
		if e.Err == nil && fits(e.Lineage) && (!found || e.Lineage.Created.After(best.Lineage.Created)) {
			best, found = e, true
		}
	}
	return best, found, nil
}

// entry reads one model; faults are in its Err. Err is fs.ErrNotExist only when the model is not there at all.
func (s *Store) entry(name string) Entry {
	dir := modelsDir + "/" + name
	e := Entry{Name: name, Path: filepath.Join(s.dir, modelsDir, name)}
	if st, err := s.root.Lstat(dir); err != nil {
		e.Err = fmt.Errorf("store: %q: %w", name, err)
		return e
	} else if !st.IsDir() {
		e.Err = fmt.Errorf("store: %q: not a directory", name)
		return e
	}
	var err error
	if e.Lineage, err = s.readLineage(dir); err != nil {
		if _, gone := s.root.Lstat(dir); errors.Is(gone, fs.ErrNotExist) {
			e.Err = fmt.Errorf("store: %q: %w", name, gone) // removed meanwhile
			return e
		}
		e.Err = fmt.Errorf("store: %q: damaged: %v; remove it with hone rm", name, err)
		return e
	}
	for _, f := range e.Lineage.Files {
		e.Bytes += f.Size
		if err := s.checkSize(dir, f); err != nil && e.Err == nil {
			e.Err = fmt.Errorf("store: %q: damaged: %v; remove it with hone rm", name, err)
		}
	}
	return e
}

func (s *Store) checkSize(dir string, f File) error {
	if !fs.ValidPath(f.Path) {
		return fmt.Errorf("file %q in its lineage", f.Path)
	}
	st, err := s.root.Stat(dir + "/" + f.Path)
	switch {
	case err != nil:
		return err
	case !st.Mode().IsRegular() || st.Size() != f.Size:
		return fmt.Errorf("%s has %d bytes, not %d", f.Path, st.Size(), f.Size)
	}
	return nil
}
