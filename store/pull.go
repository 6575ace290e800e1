package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"hone/store/hub"
)

// Pull is a wish for a model of a hub.
type Pull struct {
	Client  *hub.Client
	Source  hub.Source
	Name    string // in the store; "": made from the source
	Version string // of Hone, for the lineage
	// Progress, when set, is called with the bytes that are there, of all that the model has.
	Progress func(have, all int64)
}

// Pulled is what came of a Pull.
type Pulled struct {
	Entry
	Origin  Origin
	Fetched int64 // bytes that came over the network; 0 when the store had all
}

// Origin says where a pulled model is from; it is the lineage's RecipeSteps.
type Origin struct {
	Endpoint string   `json:"endpoint"`
	Repo     string   `json:"repo"`
	Revision string   `json:"revision"` // as it was asked for
	Commit   string   `json:"commit"`
	File     string   `json:"file,omitempty"` // as it was asked for
	Files    []string `json:"files"`          // in the repository
}

const (
	pullRecipe = "pull"
	diskMargin = 64 << 20            // left free beside what is fetched
	keepParts  = 30 * 24 * time.Hour // that nobody goes on with
)

// Pull brings a model from a hub into the store. What an earlier Pull fetched, whole files or parts, is not fetched
// again, nor is what other models of the store hold. A model that is there at the hub's commit is returned as it is.
func (s *Store) Pull(ctx context.Context, p Pull) (Pulled, error) {
	s.dropParts()
	list, err := p.Client.List(ctx, p.Source)
	if err != nil {
		return Pulled{}, err
	}
	files, err := hub.Choose(list, p.Source.File)
	if err != nil {
		return Pulled{}, err
	}
	if p.Name == "" {
		p.Name = PullName(p.Source)
	}
	w := &puller{Store: s, Pull: p, list: list, files: files, known: map[string]string{}}
	for _, f := range files {
		w.all += f.Size
	}
	out := Pulled{Origin: w.origin()}
	steps, err := json.Marshal(out.Origin)
	if err != nil {
		return Pulled{}, err
	}
	l := Lineage{Recipe: pullRecipe, RecipeSteps: steps, Parent: p.Source.String(), HoneVersion: p.Version,
		ParentDigest: hub.Scheme + list.Repo + "@" + list.Commit + strings.TrimSuffix(":"+p.Source.File, ":")}
	if out.Entry, err = s.put(ctx, p.Name, func(dir string) error { return w.build(ctx, dir) }, w.known, l); err != nil {
		return Pulled{}, w.explain(err)
	}
	out.Fetched = w.fetched
	for _, f := range files {
		s.dropPart(f.Key(), f.Key())
	}
	return out, nil
}

// FindPulled returns the newest model that was pulled by a source's name, or by a commit that its revision is the
// beginning of.
func (s *Store) FindPulled(source hub.Source) (Entry, bool, error) {
	return s.newest(func(l Lineage) bool {
		var o Origin
		if l.Recipe != pullRecipe || json.Unmarshal(l.RecipeSteps, &o) != nil {
			return false
		}
		at := o.Revision == source.Revision || len(source.Revision) >= 7 && strings.HasPrefix(o.Commit, source.Revision)
		return at && o.Repo == source.Repo && o.File == source.File
	})
}

// PullName is what a pulled model is called unless it is given a name: after the repository, and what sets it apart.
func PullName(source hub.Source) string {
	name := path.Base(source.Repo)
	if source.File != "" {
		stem := strings.TrimSuffix(strings.TrimSuffix(path.Base(source.File), ".gguf"), ".safetensors")
		whole := strings.TrimSuffix(strings.ToLower(name), "-gguf")
		if strings.HasPrefix(strings.ToLower(stem), whole) {
			name = stem
		} else {
			name = whole + "-" + stem
		}
	}
	if source.Revision != "main" {
		name += "-" + source.Revision
	}
	return SafeName(name)
}

// puller fetches the files of one model.
type puller struct {
	*Store
	Pull
	list  *hub.Listing
	files []hub.File
	known map[string]string // SHA-256 of verified files, by their paths in the model

	all, before, fetched int64 // bytes: of the model; of the files before the current one; that came
}

func (w *puller) origin() Origin {
	o := Origin{Endpoint: w.Client.Endpoint(), Repo: w.list.Repo, Revision: w.Source.Revision, Commit: w.list.Commit, File: w.Source.File}
	for _, f := range w.files {
		o.Files = append(o.Files, f.Path)
	}
	return o
}

// build fetches every file and gives it a second name in its place: what was fetched stays below cache/hub until the model
// is whole.
func (w *puller) build(ctx context.Context, dir string) error {
	if err := w.checkDisk(); err != nil {
		return err
	}
	for _, f := range w.files {
		if err := w.bring(ctx, f, dir); err != nil {
			return err
		}
		w.before += f.Size
	}
	return nil
}

// checkDisk refuses what will not fit before anything is fetched.
func (w *puller) checkDisk() error {
	free, ok := w.free(w.dir)
	if !ok {
		return nil
	}
	need := int64(0)
	for _, f := range w.files {
		if !w.mayHold(f) {
			need += f.Size - min(f.Size, w.partSize(f))
		}
	}
	if need > 0 && need+diskMargin > free {
		return fmt.Errorf("%w: %d MB are to be fetched and %d MB are free in %s: free some, or set HONE_HOME to a folder on another disk",
			errDiskFull, (need+diskMargin)/1e6, free/1e6, w.dir)
	}
	return nil
}

var errDiskFull = errors.New("the disk is full")

func (s *Store) partSize(f hub.File) int64 {
	st, err := s.root.Stat(hubDir + "/" + f.Key())
	if err != nil {
		return 0
	}
	return st.Size()
}

// mayHold tells whether a model of the store seems to have the file's content.
func (s *Store) mayHold(f hub.File) bool {
	if f.SHA256 == "" {
		return false
	}
	st, err := s.root.Lstat(blobsDir + "/" + f.SHA256)
	return err == nil && st.Mode().IsRegular() && st.Size() == f.Size
}

// bring makes cache/hub hold the whole file and puts it in its place, alone among all processes that want it.
func (w *puller) bring(ctx context.Context, f hub.File, dir string) error {
	lock, err := w.lock(ctx, "hub-"+f.Key())
	if err != nil {
		return err
	}
	defer lock.release()
	if err := w.complete(ctx, f); err != nil {
		return err
	}
	return w.place(f, dir)
}

// complete makes cache/hub hold the whole file; its lock is held.
func (w *puller) complete(ctx context.Context, f hub.File) error {
	key := hubDir + "/" + f.Key()
	whole := filepath.Join(w.dir, filepath.FromSlash(key))
	w.tell(0)
	if w.partSize(f) == f.Size && f.Verify(ctx, whole) == nil {
		w.tell(f.Size)
		return nil
	}
	if w.mayHold(f) && f.Verify(ctx, filepath.Join(w.dir, blobsDir, f.SHA256)) == nil {
		_ = w.root.Remove(key)
		w.tell(f.Size)
		_, err := w.copyOf(blobsDir+"/"+f.SHA256, key)
		return err
	}
	if ctx.Err() != nil { // what could not be verified to its end is not therefore wrong
		return context.Cause(ctx)
	}
	if st, err := w.root.Stat(key); err == nil && st.Mode().Perm()&0o200 == 0 {
		_ = w.root.Remove(key) // sealed: it may be a second name of a blob, which must not be written
	}
	start := int64(-1)
	return w.Client.Fetch(ctx, w.list, f, whole, func(have int64) {
		if start >= 0 && have > start {
			w.fetched += have - start
		}
		start = have
		w.tell(have)
	})
}

// tell reports how much of the current file is there.
func (w *puller) tell(have int64) {
	if w.Progress != nil {
		w.Progress(w.before+have, w.all)
	}
}

// copyOf gives a file a second name, or a second body where the file system has no links; it tells which.
func (s *Store) copyOf(from, to string) (linked bool, err error) {
	if s.root.Link(from, to) == nil {
		return true, nil
	}
	in, err := s.root.Open(from)
	if err != nil {
		return false, err
	}
	defer in.Close()
	out, err := s.root.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return false, err
	}
	_, err = out.ReadFrom(in)
	return false, errors.Join(err, out.Close())
}

// place gives a verified file its name in the model. Where that is a second name of the same bytes they are not read again.
func (w *puller) place(f hub.File, dir string) error {
	rel, err := filepath.Rel(w.dir, filepath.Join(dir, filepath.FromSlash(f.To)))
	if err != nil {
		return err
	}
	rel = filepath.ToSlash(rel)
	if err := w.root.MkdirAll(path.Dir(rel), 0o700); err != nil {
		return err
	}
	linked, err := w.copyOf(hubDir+"/"+f.Key(), rel)
	if linked && f.SHA256 != "" {
		w.known[f.To] = f.SHA256
	}
	return err
}

// explain says what a person can do about an error of Put.
func (w *puller) explain(err error) error {
	switch {
	case errors.Is(err, ErrExists):
		return fmt.Errorf("store: %q: %w: it is not %s at commit %.12s, which the hub has now; remove it with hone rm %s, or take another --name",
			w.Name, ErrExists, w.Source, w.list.Commit, w.Name)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, syscall.EFBIG):
		return fmt.Errorf("%w: the disk of %s takes no more: free some, or set HONE_HOME to a folder on another one, and try again; what was fetched is kept", err, w.dir)
	}
	return err
}

// dropParts removes what nobody went on to fetch for long.
func (s *Store) dropParts() {
	entries, err := fs.ReadDir(s.root.FS(), hubDir)
	if err != nil {
		return
	}
	for _, e := range entries {
		st, err := e.Info()
		if err != nil || time.Since(st.ModTime()) < keepParts {
			continue
		}
		s.dropPart(e.Name(), strings.TrimSuffix(e.Name(), ".bad"))
	}
}

// dropPart removes a file of cache/hub unless somebody is busy with its content: then it is theirs to remove.
func (s *Store) dropPart(name, key string) {
	if lock, err := s.tryLock("hub-" + key); err == nil && lock != nil {
		_ = s.root.Remove(hubDir + "/" + name)
		lock.release()
	}
}
