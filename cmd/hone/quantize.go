package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"hone/kernel"
	"hone/model"
	"hone/nn"
	"hone/quant"
	"hone/recipe"
	"hone/store"
)

func init() { register(quantizeCommand) }

// quantizeFlags are the settings of `hone quantize`.
type quantizeFlags struct {
	out, name string
	weights   *weightsFlag
	threads   *int
	json      *bool
}

func quantizeCommand() *cobra.Command {
	var f quantizeFlags
	cmd := &cobra.Command{
		Use:     "quantize MODEL",
		Short:   "Round a model's weights to a number format and save the variant",
		GroupID: groupJudge,
		Long: `Round a model's weights to the nearest values of a number format and save the variant as a Hugging Face directory
in the compressed-tensors layout, with its lineage. What was written is opened again and compared before it counts. Where DIR
ends in .gguf, a GGUF file is written, in one of GGUF's own formats (q4_0, q4_k and so on).

No quality is measured here: ` + "`hone eval`" + ` compares the variant with its parent, ` + "`hone up`" + ` finds a variant by quality.

Number formats, for --weights of every verb (q4 and q8 stand for those that docs/numerics.md chose):
` + formatList(),
		Example: `  hone quantize model.gguf --weights int8-row --name model-int8
  hone quantize model.gguf --weights int4-g32,head=int8-row --out model-int4/
  hone quantize model-hf/ --weights q4_k,head=q6_k --out model-q4_k.gguf`,
		Args: takes(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, args[0]) },
	}
	cmd.Flags().StringVar(&f.out, "out", "", "write to this `DIR` (or FILE.gguf), which must not exist yet")
	cmd.Flags().StringVar(&f.name, "name", "", "put the variant into the store under this `NAME`")
	f.weights = addWeights(cmd)
	f.threads = addThreads(cmd)
	f.json = addJSON(cmd)
	return cmd
}

// formatList describes every number format that can be written, a line each.
func formatList() string {
	var rows [][]string
	for _, f := range quant.Formats() {
		if writable(f) {
			rows = append(rows, []string{"  " + f.Name(), f.Describe()})
		}
	}
	var b strings.Builder
	table(&b, rows)
	return strings.TrimSuffix(b.String(), "\n")
}

// writable tells whether weights can be rounded to a format.
func writable(f quant.Format) bool {
	_, err := f.Encode(1, 128, func([]float32, int) {})
	return !errors.Is(err, quant.ErrReadOnly)
}

// quantizeReport is what `hone quantize --json` prints.
type quantizeReport struct {
	Path          string   `json:"path"`
	Weights       string   `json:"weights"`
	BitsPerWeight float64  `json:"bits_per_weight"`
	Bytes         int64    `json:"bytes"`      // of model.safetensors
	Difference    float64  `json:"difference"` // largest, of the outputs of the variant in memory and on disk, relative to the largest output
	Notes         []string `json:"notes,omitempty"`
}

func (f *quantizeFlags) run(cmd *cobra.Command, name string) error {
	switch {
	case f.weights.Weights == (model.Weights{}):
		return usagef("name a number format: --weights FORMAT[,head=FORMAT], such as int8-row or int4-g32,head=int8-row")
	case (f.out == "") == (f.name == ""):
		return usagef("say where the variant goes: --out DIR or --name NAME")
	}
	if f.name != "" {
		if err := store.CheckName(f.name); err != nil {
			return usagef("--name: %v", err)
		}
	} else if _, err := os.Lstat(f.out); err == nil {
		return fmt.Errorf("%s is there already: remove it or name another directory", f.out)
	} else if err := checkOutput(f.out); err != nil {
		return err
	}
	if strings.HasSuffix(f.out, ".gguf") {
		return f.file(cmd, name)
	}
	m, err := openModel(name)
	if err != nil {
		return err
	}
	defer m.File.Close()
	plan, err := m.Plan(f.weights.Weights)
	if err == nil {
		err = fits(m.Path, plan, 0, probeTokens)
	}
	if err != nil {
		return err
	}
	r, err := f.save(cmd, m)
	if err != nil {
		return interrupted(err, "nothing was saved; run it again")
	}
	r.BitsPerWeight, r.Notes = plan.BitsPerWeight(), plan.Notes()
	return f.print(cmd, r)
}

// file writes a GGUF file. A head without a format of its own stays as it is stored.
func (f *quantizeFlags) file(cmd *cobra.Command, name string) error {
	m, err := openModel(name)
	if err != nil {
		return err
	}
	defer m.File.Close()
	plan, err := m.Plan(f.weights.Weights)
	if err != nil {
		return err
	}
	w := f.weights.Weights
	for _, u := range plan.Uses {
		if w.Head == "" && (u.Param.Head || u.Param.Embedding && m.Design.Tied) {
			w.Head = u.Format
		}
	}
	return convertModel(cmd, m, f.out, recipe.Conversion{Weights: w}, *f.json)
}

// save writes the variant and compares what was written; one that is not as it should be is removed.
func (f *quantizeFlags) save(cmd *cobra.Command, m *model.Model) (*quantizeReport, error) {
	bar := newProgress(cmd, "rounding weights")
	defer bar.end()
	r, err := f.write(cmd.Context(), m, bar.note, func(done, all int) error {
		bar.at(done, all)
		return cmd.Context().Err()
	})
	if err != nil {
		return nil, err
	}
	bar.phase("comparing what was written")
	if r.Difference, err = f.compare(cmd.Context(), m, r.Path); err != nil {
		return nil, f.drop(r.Path, err)
	}
	return r, nil
}

// write saves the variant and returns where.
func (f *quantizeFlags) write(ctx context.Context, m *model.Model, say func(line string), step recipe.Step) (*quantizeReport, error) {
	s, err := openStore()
	if err != nil {
		return nil, err
	}
	defer s.Close()
	s.OnWait = waiting(say)
	l, err := f.lineage(ctx, s, m)
	if err != nil {
		return nil, err
	}
	r := &quantizeReport{Path: f.out, Weights: f.weights.String()}
	if f.name != "" {
		entry, err := s.Put(ctx, f.name, func(dir string) error { return recipe.Fill(ctx, dir, m, f.weights.Weights, nil, step) }, l)
		if err != nil {
			return nil, err
		}
		r.Path = entry.Path
	} else {
		b, err := json.MarshalIndent(l, "", "  ")
		if err != nil {
			return nil, err
		}
		if err := recipe.Write(ctx, f.out, m, f.weights.Weights, map[string][]byte{"lineage.json": append(b, '\n')}, step); err != nil {
			return nil, err
		}
	}
	info, err := os.Stat(filepath.Join(r.Path, "model.safetensors"))
	if err != nil {
		return nil, err
	}
	r.Bytes = info.Size()
	return r, nil
}

func (f *quantizeFlags) lineage(ctx context.Context, s *store.Store, m *model.Model) (store.Lineage, error) {
	digest, err := s.Digest(ctx, m.Path)
	if err != nil {
		return store.Lineage{}, err
	}
	steps, err := json.Marshal([]map[string]string{{"pass": "quantize", "method": "round to nearest", "weights": f.weights.String()}})
	return store.Lineage{Name: cmp.Or(f.name, filepath.Base(f.out)), Created: time.Now().UTC(), HoneVersion: version, ParentDigest: digest, Parent: m.Path,
		Recipe: "quantize " + f.weights.String(), RecipeSteps: steps}, err
}

// drop removes a variant that does not hold what it should.
func (f *quantizeFlags) drop(path string, cause error) error {
	if f.name == "" {
		return errors.Join(cause, os.RemoveAll(path))
	}
	s, err := openStore()
	if err != nil {
		return errors.Join(cause, err)
	}
	defer s.Close()
	return errors.Join(cause, s.Remove(context.Background(), f.name))
}

// probeTokens is the length of the text that the variant in memory and on disk are compared on.
const probeTokens = 32

// tolerance is the largest relative difference: formats that a file holds under another name may sum in another order.
const tolerance = 1e-4

// compare opens a written variant and runs it beside the rounded model; it returns the largest difference of their outputs.
func (f *quantizeFlags) compare(ctx context.Context, m *model.Model, path string) (float64, error) {
	want, err := f.probe(ctx, m, f.weights.Weights)
	if err != nil {
		return 0, err
	}
	written, err := model.Open(path)
	if err != nil {
		return 0, fmt.Errorf("what was written cannot be read: %w", err)
	}
	defer written.File.Close()
	got, err := f.probe(ctx, written, model.Weights{})
	if err != nil {
		return 0, fmt.Errorf("what was written cannot be run: %w", err)
	}
	if len(got) != len(want) {
		return 0, fmt.Errorf("what was written gives %d outputs, not %d", len(got), len(want))
	}
	d := difference(got, want)
	if !(d <= tolerance) {
		return d, fmt.Errorf("what was written differs from the rounded model by %.3g of its largest output: it was removed", d)
	}
	return d, nil
}

// difference is the largest one, relative to the largest wanted value; NaN when a value is none.
func difference(got, want []float32) float64 {
	var largest, apart float64
	for i := range want {
		largest = max(largest, math.Abs(float64(want[i])))
		apart = max(apart, math.Abs(float64(got[i])-float64(want[i])))
	}
	if apart == 0 {
		return 0
	}
	return apart / largest
}

// probe runs a fixed text of tokens from all over the vocabulary.
func (f *quantizeFlags) probe(ctx context.Context, m *model.Model, w model.Weights) ([]float32, error) {
	pool := kernel.NewPool(*f.threads)
	defer pool.Close()
	x, err := m.Load(model.LoadOptions{Weights: w, MaxTokens: probeTokens, Pool: pool, Stop: ctx.Err})
	if err != nil {
		return nil, err
	}
	vocab := 0
	for _, p := range m.Design.Program.Params() {
		if p.Embedding {
			vocab = p.Rows
			break
		}
	}
	ids, rows := make([]int32, probeTokens), make([]int32, probeTokens)
	for i := range ids {
		ids[i], rows[i] = int32(i*vocab/probeTokens), int32(i)
	}
	if err := x.Forward(&nn.Batch{Tokens: ids, Seqs: []nn.Seq{{Len: probeTokens}}}); err != nil {
		return nil, err
	}
	if m.Encoder() {
		out := make([]float32, x.PooledWidth())
		return out, x.Pooled(out)
	}
	out := make([]float32, probeTokens*x.Vocab())
	return out, x.Logits(out, rows)
}

func (f *quantizeFlags) print(cmd *cobra.Command, r *quantizeReport) error {
	if *f.json {
		return printJSON(cmd, r)
	}
	w := cmd.OutOrStdout()
	fmt.Fprintf(w, "wrote %s\nweights %s, %.3f bits each, %s\nread back and run: largest difference of an output %.2g\n", r.Path, r.Weights, r.BitsPerWeight, bytesText(r.Bytes), r.Difference)
	for _, note := range r.Notes {
		fmt.Fprintln(w, "note:", note)
	}
	return nil
}
