package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"
)

// journalAge is how long the journal of a run that nobody takes up again is kept.
const journalAge = 30 * 24 * time.Hour

// A Journal keeps what a long run has found so far, so that after a kill the next run of the same kind goes on from there.
// It is a file of JSON lines, each synced before Add returns; a line that a crash cut off is dropped when it is read.
type Journal struct {
	store *Store
	path  string
	file  *os.File
	lock  *lock
}

// Journal opens the journal of a run and gives the records that an earlier one left. The key names everything that the
// records depend on. While another process holds the journal, it waits, at most until ctx ends.
func (s *Store) Journal(ctx context.Context, key string) (*Journal, []json.RawMessage, error) {
	sum := sha256.Sum256([]byte(key))
	name := "run-" + hex.EncodeToString(sum[:8])
	lock, err := s.lock(ctx, name)
	if err != nil {
		return nil, nil, err
	}
	j := &Journal{store: s, path: journalsDir + "/" + name + ".jsonl", lock: lock}
	records, err := j.open()
	if err != nil {
		j.Close()
		return nil, nil, fmt.Errorf("store: %s: %w", j.path, err)
	}
	return j, records, nil
}

// open reads the whole lines and cuts off what follows them.
func (j *Journal) open() ([]json.RawMessage, error) {
	var err error
	if j.file, err = j.store.root.OpenFile(j.path, os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return nil, err
	}
	data, err := io.ReadAll(j.file)
	if err != nil {
		return nil, err
	}
	var records []json.RawMessage
	whole := 0
	for {
		line, _, ended := bytes.Cut(data[whole:], []byte("\n"))
		if !ended || !json.Valid(line) {
			break
		}
		records = append(records, json.RawMessage(line))
		whole += len(line) + 1
	}
	if err := j.file.Truncate(int64(whole)); err != nil {
		return nil, err
	}
	_, err = j.file.Seek(int64(whole), io.SeekStart)
	return records, err
}

// Add appends a record.
func (j *Journal) Add(record any) error {
	line, err := json.Marshal(record)
	if err != nil {
		return fmt.Errorf("store: %s: %w", j.path, err)
	}
	if _, err = j.file.Write(append(line, '\n')); err == nil {
		err = j.file.Sync()
	}
	if err != nil {
		return fmt.Errorf("store: %s: %w", j.path, err)
	}
	return nil
}

// Close lets the journal go and keeps its records for the next run. A second Close does nothing.
func (j *Journal) Close() error {
	if j.lock == nil {
		return nil
	}
	defer func() { j.lock.release(); j.lock = nil }()
	if j.file == nil {
		return nil
	}
	return j.file.Close()
}

// Remove ends a run that is done: its records are not needed any more.
func (j *Journal) Remove() error {
	err := j.file.Close()
	j.file = nil
	return errors.Join(err, j.store.root.Remove(j.path), j.Close())
}

// sweepJournals removes journals that were left long ago.
func (s *Store) sweepJournals() {
	list, err := fs.ReadDir(s.root.FS(), journalsDir)
	if err != nil {
		return
	}
	for _, e := range list {
		if info, err := e.Info(); err == nil && time.Since(info.ModTime()) > journalAge {
			_ = s.root.Remove(journalsDir + "/" + e.Name())
		}
	}
}
