package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// Lineage says where a model comes from and how good it is; it lies beside the model as lineage.json.
type Lineage struct {
	Name         string            `json:"name"`
	Created      time.Time         `json:"created"`
	HoneVersion  string            `json:"hone_version"`
	ParentDigest string            `json:"parent_digest"`         // as Digest returns it
	Parent       string            `json:"parent,omitempty"`      // the parent's path or name, for people
	Recipe       string            `json:"recipe"`                // the key that FindVariant looks for
	RecipeSteps  json.RawMessage   `json:"recipe_steps,omitzero"` // the recipe in full
	DataDigest   string            `json:"data_digest,omitempty"` // the text that it was made or judged with
	Seeds        map[string]uint64 `json:"seeds,omitempty"`
	Evidence     json.RawMessage   `json:"evidence,omitzero"` // the comparison with the parent
	Digest       string            `json:"digest"`            // of the model's files, set by Put
	Files        []File            `json:"files"`             // set by Put
}

// File is one file of a model.
type File struct {
	Path   string `json:"path"` // below the model's directory, with slashes
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"` // hexadecimal
}

const maxLineage = 16 << 20

func (s *Store) readLineage(dir string) (Lineage, error) {
	var l Lineage
	f, err := s.root.Open(dir + "/" + lineageName)
	if err != nil {
		return l, errors.New("no " + lineageName)
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() || st.Size() > maxLineage {
		return l, fmt.Errorf("%s is no file of at most %d bytes", lineageName, maxLineage)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxLineage))
	if err != nil {
		return l, err
	}
	if err := json.Unmarshal(data, &l); err != nil {
		return Lineage{}, fmt.Errorf("%s: %w", lineageName, err)
	}
	return l, nil
}

// writeLineage writes lineage.json into a model that is still below tmp/.
func (s *Store) writeLineage(dir string, l Lineage) error {
	data, err := json.MarshalIndent(l, "", "  ")
	if err != nil {
		return fmt.Errorf("%s: %w", lineageName, err)
	}
	if len(data) >= maxLineage {
		return fmt.Errorf("%s of %d bytes; at most %d are kept", lineageName, len(data), maxLineage)
	}
	return s.writeSynced(dir+"/"+lineageName, append(data, '\n'))
}
