package recipe

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"hone/internal/durable"
	"hone/internal/machine"
	"hone/kernel"
	"hone/model"
	"hone/store"
)

// evidenceFile stands beside a variant's weights: the windows that it was judged on.
const evidenceFile = "evidence.json"

// Outcome is a variant in the store with the search that led to it.
type Outcome struct {
	Result
	Variant string `json:"variant"`          // its name in the store
	Path    string `json:"path"`             // of its directory
	Found   bool   `json:"found"`            // it was in the store already: nothing was measured now
	IDs     string `json:"evidence_windows"` // for hone eval --ids
}

// BudgetError: no candidate is inside the budget. Nearest are those that miss it by least.
type BudgetError struct {
	Result  *Result
	Nearest []Row
}

func (e *BudgetError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "no variant is inside the budget ppl=%v", e.Result.Budget)
	for _, r := range e.Nearest {
		fmt.Fprintf(&b, "\n  %s: perplexity ratio %.4f, upper bound %.4f", r.Weights, r.Quality.PPLRatio.Value, float64(r.Quality.PPLRatio.Upper95))
	}
	b.WriteString("\nraise --budget, give a longer --data, or serve the model as it is with hone serve")
	return b.String()
}

// Up finds the variant of a model for a budget in the store, or searches for it and saves it with its lineage.
func Up(ctx context.Context, s *store.Store, spec Spec, version string) (*Outcome, error) {
	spec.defaults()
	digest, err := s.Digest(ctx, spec.Model.Path)
	if err != nil {
		return nil, err
	}
	key, dataDigest, err := spec.key(ctx, s)
	if err != nil {
		return nil, err
	}
	if o, err := find(s, digest, key); o != nil || err != nil {
		return o, err
	}
	journal, records, err := s.Journal(ctx, spec.journalKey(digest, key))
	if err != nil {
		return nil, err
	}
	defer journal.Close()
	if o, err := find(s, digest, key); o != nil || err != nil { // made by a process that held the journal
		return o, err
	}
	if spec.past, err = recall(journal, records); err != nil {
		return nil, err
	}
	if line := spec.past.String(); line != "" {
		spec.Note(line)
	}
	r, err := Search(ctx, spec)
	if err != nil {
		return nil, err
	}
	if r.Chosen == "" {
		return nil, errors.Join(&BudgetError{r, r.Nearest(3)}, journal.Remove())
	}
	o, err := spec.save(ctx, s, r, store.Lineage{HoneVersion: version, ParentDigest: digest, Parent: spec.Model.Path, Recipe: key,
		DataDigest: dataDigest, Seeds: map[string]uint64{"sample": spec.Seed}})
	if err != nil {
		return nil, err
	}
	return o, journal.Remove()
}

// find gives the variant that an earlier search saved, nil when there is none.
func find(s *store.Store, digest, key string) (*Outcome, error) {
	e, ok, err := s.FindVariant(digest, key)
	if err != nil || !ok {
		return nil, err
	}
	return found(e)
}

// journalKey names all that the records of a search depend on: its figures are those of one program on one machine.
func (s *Spec) journalKey(digest, key string) string {
	return strings.Join([]string{digest, key, s.Build, kernel.Active(), machine.CPUName(), strconv.Itoa(s.Pool.Workers())}, "\n")
}

// key names the search: an equal key on an equal parent leads to an equal variant.
func (s *Spec) key(ctx context.Context, st *store.Store) (key, dataDigest string, err error) {
	data := fmt.Sprintf("sampled:%d", s.Seed)
	if s.Data != "" {
		if dataDigest, err = st.Digest(ctx, s.Data); err != nil {
			return "", "", err
		}
		data = dataDigest
	}
	return fmt.Sprintf("up ppl=%s data=%s windows=%dx%d candidates=%s", strconv.FormatFloat(s.Budget, 'g', -1, 64), data, s.Windows, s.Tokens,
		strings.Join(s.Candidates, ";")), dataDigest, nil
}

func found(e store.Entry) (*Outcome, error) {
	o := &Outcome{}
	if err := json.Unmarshal(e.Lineage.Evidence, &o.Result); err != nil {
		return nil, fmt.Errorf("%s: the lineage's evidence cannot be read: %w; remove the variant with hone rm", e.Name, err)
	}
	o.place(e)
	o.Found = true
	return o, nil
}

func (o *Outcome) place(e store.Entry) {
	o.Variant, o.Path, o.IDs = e.Name, e.Path, filepath.Join(e.Path, evidenceFile)
}

// save writes the chosen variant to the store.
func (s *Spec) save(ctx context.Context, st *store.Store, r *Result, l store.Lineage) (*Outcome, error) {
	var err error
	if l.Evidence, err = json.Marshal(r); err != nil {
		return nil, err
	}
	if l.RecipeSteps, err = json.Marshal(steps(r.Chosen)); err != nil {
		return nil, err
	}
	s.say("saving "+r.Chosen, 0, 1)
	e, err := st.Put(ctx, variantName(s.Model.Path, r.Chosen, l), func(dir string) error {
		return s.fill(ctx, dir, r.Chosen, map[string][]byte{evidenceFile: r.Evidence.JSON()})
	}, l)
	if err != nil {
		return nil, err
	}
	o := &Outcome{Result: *r}
	o.place(e)
	return o, nil
}

func steps(chosen string) []map[string]string {
	if chosen == AsStored {
		return []map[string]string{{"pass": "copy"}}
	}
	return []map[string]string{{"pass": "quantize", "method": "round to nearest", "weights": chosen}}
}

// fill writes the chosen variant: rounded weights, or the model's own files.
func (s *Spec) fill(ctx context.Context, dir, chosen string, extra map[string][]byte) error {
	if chosen != AsStored {
		w, err := model.ParseWeights(chosen)
		if err != nil {
			return err
		}
		return Fill(ctx, dir, s.Model, w, extra)
	}
	copyAll := func() error { return copyModel(ctx, dir, s.Model.Path) }
	if s.Model.File.Kind() == "gguf" {
		copyAll = func() error { return durable.CopyFile(ctx, filepath.Join(dir, "model.gguf"), s.Model.Path) }
	}
	if err := copyAll(); err != nil {
		return err
	}
	for name, b := range extra {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o666); err != nil {
			return err
		}
	}
	return nil
}

// copyModel copies the files that a Hugging Face directory's model is made of; links are followed.
func copyModel(ctx context.Context, to, from string) error {
	list, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, e := range list {
		switch filepath.Ext(e.Name()) {
		case ".json", ".safetensors", ".jinja", ".txt", ".model":
		default:
			continue
		}
		if info, err := os.Stat(filepath.Join(from, e.Name())); err != nil || !info.Mode().IsRegular() {
			continue
		}
		if err := durable.CopyFile(ctx, filepath.Join(to, e.Name()), filepath.Join(from, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// variantName is readable and differs between parents and searches.
func variantName(path, weights string, l store.Lineage) string {
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	base := strings.TrimSuffix(filepath.Base(path), ".gguf")
	linears, _, _ := strings.Cut(weights, ",")
	sum := sha256.Sum256([]byte(l.ParentDigest + l.Recipe))
	return store.SafeName(base[:min(len(base), 64)] + "-" + linears + "-" + hex.EncodeToString(sum[:3]))
}
