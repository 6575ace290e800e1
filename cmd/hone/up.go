package main

import (
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/spf13/cobra"

	"hone/internal/machine"
	"hone/kernel"
	"hone/model"
	"hone/recipe"
)

func init() { register(upCommand) }

// upFlags are the settings of `hone up`.
type upFlags struct {
	budget, data string
	once         bool
	seed         uint64
	serving      *serving
	threads      *int
	json         *bool
}

func upCommand() *cobra.Command {
	var f upFlags
	cmd := &cobra.Command{
		Use:     "up MODEL",
		Short:   "Find the fastest variant of a model inside a quality budget, and serve it",
		GroupID: groupUse,
		Long: `Measures the model, makes smaller variants, judges each against the model on the same text, and keeps the fastest
one whose perplexity stays inside the budget with 95 % confidence. The variant is saved with its evidence and served.

Without --data the text is sampled from the model itself, so that it works for every vocabulary. A search that is
interrupted or killed keeps what it has found: the same command goes on from there.`,
		Example: `  hone up model.gguf
  hone up model.gguf --budget ppl=1.02 --data my-texts.txt
  hone up model.gguf --once --json`,
		Args: takes(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, args[0]) },
	}
	cmd.Flags().StringVar(&f.budget, "budget", "ppl=1.01", "largest ratio of perplexities, variant to model: `ppl=RATIO`")
	cmd.Flags().StringVar(&f.data, "data", "", "judge on the text in `FILE` instead of text sampled from the model")
	cmd.Flags().BoolVar(&f.once, "once", false, "stop before serving")
	cmd.Flags().Uint64Var(&f.seed, "seed", 1, "seed of the sampled text")
	f.threads = addThreads(cmd)
	f.json = addJSON(cmd)
	f.serving = addServing(cmd, f.threads, f.json)
	return cmd
}

func (f *upFlags) run(cmd *cobra.Command, name string) error {
	budget, err := recipe.BudgetText(f.budget)
	if err != nil {
		return usagef("%v", err)
	}
	if f.data != "" {
		if st, err := os.Stat(f.data); err != nil {
			return fmt.Errorf("--data: %w", err)
		} else if st.IsDir() {
			return fmt.Errorf("--data: %s is a folder: name a file of text", f.data)
		}
	}
	if !f.once {
		if err := f.serving.check(); err != nil { // not after minutes of measuring
			return err
		}
	}
	if name, err = fetched(cmd, name); err != nil {
		return err
	}
	outcome, err := f.find(cmd, name, budget)
	if err != nil {
		return err
	}
	if *f.json {
		err = printJSON(cmd, outcome)
	} else {
		err = printOutcome(cmd.OutOrStdout(), outcome)
	}
	if err != nil || f.once {
		return err
	}
	m, err := model.Open(outcome.Path)
	if err != nil {
		return err
	}
	return f.serving.run(cmd, m, model.Weights{})
}

// find runs the search, or finds its result in the store. Memory of the search is free again when it returns.
func (f *upFlags) find(cmd *cobra.Command, name string, budget float64) (*recipe.Outcome, error) {
	m, err := openModel(name)
	if err != nil {
		return nil, err
	}
	defer m.File.Close()
	if m.Encoder() {
		return nil, fmt.Errorf("%s is an encoder; hone up chooses variants of language models by perplexity: compare its variants with hone eval --cosine, and serve it with hone serve", m.Path)
	}
	s, err := openStore()
	if err != nil {
		return nil, err
	}
	defer s.Close()
	pool := kernel.NewPool(*f.threads)
	defer pool.Close()
	bar := newProgress(cmd, "reading the model")
	s.OnWait = waiting(bar.note)
	phase := ""
	outcome, err := recipe.Up(cmd.Context(), s, recipe.Spec{Model: m, Budget: budget, Data: f.data, Seed: f.seed, Pool: pool, Memory: searchMemory(),
		Build: version + " " + revision(), Note: func(line string) { fmt.Fprintln(cmd.ErrOrStderr(), "note:", line) },
		Progress: func(p string, done, all int) {
			if p != phase {
				phase = p
				bar.phase(p)
			}
			bar.at(done, all)
		}}, version)
	bar.end()
	return outcome, interrupted(err, "what was measured is kept; the same command goes on from there")
}

// searchMemory is what the search may take: half of what is free, so that the machine stays usable.
func searchMemory() int64 {
	if m, ok := machine.ReadMemory(); ok {
		return int64(m.Available) / 2
	}
	return 0
}

func printOutcome(w io.Writer, o *recipe.Outcome) error {
	rows := [][]string{{"weights", "bits", "MB", "prefill", "decode", "memory MB", "PPL ratio", "± SE", "95 % below", "KLD", "same top-1", ""}}
	for _, r := range append([]recipe.Row{o.Parent}, o.Candidates...) {
		rows = append(rows, outcomeRow(r, r.Weights == o.Chosen, o.Evidence.Windows))
	}
	if o.Found {
		fmt.Fprintln(w, "found in the store; measured when it was made:")
	}
	if err := table(w, rows); err != nil {
		return err
	}
	e := o.Evidence
	fmt.Fprintf(w, "judged on %d windows of %d tokens (%s); the ratio is that of the half that did not choose; speeds in tokens/s\n", e.Windows, e.Tokens, e.Kind)
	fmt.Fprintf(w, "variant %s in %s\n", o.Variant, o.Path)
	return nil
}

func outcomeRow(r recipe.Row, chosen bool, windows int) []string {
	f := func(x float64, digits int) string { return strconv.FormatFloat(x, 'f', digits, 64) }
	row := []string{r.Weights, f(r.BitsPerWeight, 2), f(float64(r.Bytes)/1e6, 1), f(r.Prefill, 0), f(r.Decode, 1), f(float64(r.Memory)/1e6, 0)}
	c := r.Report
	if c == nil {
		mark := "the model itself"
		if chosen {
			mark += ", chosen: faster than every variant inside the budget"
		}
		return append(row, "1", "-", "-", "-", "-", mark)
	}
	mark := "refused"
	switch {
	case chosen:
		mark = "chosen"
	case r.Inside:
		mark = "inside"
	case r.Windows < windows:
		mark = fmt.Sprintf("refused after %d windows", r.Windows)
	}
	return append(row, f(c.PPLRatio.Value, 4), f(float64(c.PPLRatio.SE), 4), f(float64(c.PPLRatio.Upper95), 4), f(c.KLD.Mean, 5), f(100*c.SameTop1, 1)+" %", mark)
}
