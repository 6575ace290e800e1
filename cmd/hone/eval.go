package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"hone/eval"
	"hone/model"
	"hone/tokenizer"
)

func init() { register(evalCommand) }

// evalFlags are the settings of `hone eval`.
type evalFlags struct {
	ppl, ids, cosine, protocol, parent string
	ctx, windows, limit, shots         int
	task, data                         []string
	threads                            *int
	weights                            *weightsFlag
	json                               *bool
}

func evalCommand() *cobra.Command {
	f := evalFlags{ctx: 2048}
	cmd := &cobra.Command{
		Use:     "eval MODEL",
		Short:   "Measure perplexity, or how far a variant is from its parent",
		GroupID: groupJudge,
		Long: `Measure a model on a text: perplexity with its standard error, by windows that are the independent draws.

With --parent both models run over the same windows, and the variant is compared with its parent: ratio of
perplexities, Kullback-Leibler divergence in nats, share of positions with the same first choice. An encoder is
compared by the cosines of its embeddings of the lines of a file (--cosine).

With --task the model answers a benchmark's items (--data), each by the likeliest choice or by greedy text: accuracy with
its standard error. A parent answers the same items, and the answers are compared: lost, won, McNemar's test.`,
		Example: `  hone eval model.gguf --ppl wiki.test.raw --ctx 2048 --windows 10
  hone eval model.gguf --weights int4-g32 --parent model.gguf --ppl wiki.test.raw --windows 20 --json
  hone eval encoder/ --weights int8-row --parent encoder/ --cosine sentences.txt
  hone eval model.gguf --task hellaswag --data hellaswag_val.jsonl --limit 500
  hone eval model.gguf --weights q4 --parent model.gguf --task sst2,lambada --data dev.tsv,lambada_test.jsonl --json`,
		Args: takes(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, args[0]) },
	}
	cmd.Flags().StringVar(&f.ppl, "ppl", "", "measure perplexity on the text in `FILE`")
	cmd.Flags().StringVar(&f.ids, "ids", "", "measure perplexity on the windows of token ids in `FILE`, the evidence of hone up")
	cmd.Flags().StringVar(&f.cosine, "cosine", "", "compare an encoder with --parent on the lines of `FILE`")
	cmd.Flags().StringSliceVar(&f.task, "task", nil, "answer the `TASK`: "+strings.Join(eval.TaskNames(), ", ")+"; several with commas")
	cmd.Flags().StringSliceVar(&f.data, "data", nil, "`FILE` of the task's items, one for each task")
	addCount(cmd, &f.limit, "limit", 0, "items of a task, from the start of the file; 0: all")
	addCount(cmd, &f.shots, "shots", 0, "items from the start of the file that stand before each other one as examples")
	cmd.Flags().StringVar(&f.protocol, "protocol", eval.ProtocolWindows, "how the text is cut and scored: windows, or `llama.cpp` for its way")
	cmd.Flags().StringVar(&f.parent, "parent", "", "compare with this `MODEL`, in the formats that it is stored in")
	addCount(cmd, &f.ctx, "ctx", 2, "tokens of a window")
	addCount(cmd, &f.windows, "windows", 0, "windows from the start of the text; 0: all")
	f.weights = addWeights(cmd)
	f.threads = addThreads(cmd)
	f.json = addJSON(cmd)
	return cmd
}

func (f *evalFlags) run(cmd *cobra.Command, name string) error {
	given := 0
	for _, file := range []string{f.ppl, f.ids, f.cosine} {
		if file != "" {
			given++
		}
	}
	if len(f.task) > 0 {
		given++
	}
	switch {
	case given != 1:
		return usagef("give one of --ppl FILE (or --ids FILE) or --task TASK for a language model and --cosine FILE for an encoder")
	case len(f.task) == 0 && len(f.data) > 0:
		return usagef("--data is the file of a task: name it with --task TASK")
	case f.protocol != eval.ProtocolWindows && f.protocol != eval.ProtocolLlamaCpp:
		names := []string{eval.ProtocolWindows, eval.ProtocolLlamaCpp}
		return usagef("--protocol %q is not known%s; use %s", f.protocol, didYouMean(f.protocol, names), strings.Join(names, " or "))
	case f.cosine != "" && f.parent == "":
		return usagef("--cosine compares with a parent: give --parent MODEL")
	}
	if len(f.task) > 0 {
		return f.tasks(cmd, name)
	}
	m, err := openModel(name)
	if err != nil {
		return err
	}
	if f.cosine != "" {
		return f.encoder(cmd, m)
	}
	return f.perplexity(cmd, m)
}

// evalReport is what `hone eval --ppl --json` prints. The outer tokens stands before the embedded one.
type evalReport struct {
	eval.Result
	Tokens        int     `json:"tokens"` // of the whole text
	Scored        int     `json:"scored"` // targets
	Ctx           int     `json:"ctx"`
	Protocol      string  `json:"protocol"`
	Weights       string  `json:"weights"`
	BitsPerWeight float64 `json:"bits_per_weight"`
	*pairedReport
}

// pairedReport is what --parent adds.
type pairedReport struct {
	Parent    string     `json:"parent"`
	ParentPPL float64    `json:"parent_ppl"`
	PPLRatio  eval.Ratio `json:"ppl_ratio"`
	KLD       eval.KLD   `json:"kld"`
	SameTop1  float64    `json:"same_top1"`
}

func (f *evalFlags) perplexity(cmd *cobra.Command, m *model.Model) error {
	if m.Encoder() {
		m.File.Close()
		return usagef("%s is an encoder and has no perplexity; compare it with its parent: --cosine FILE --parent MODEL", m.Path)
	}
	windows, tokens, err := f.read(cmd, m)
	if err != nil {
		m.File.Close()
		return err
	}
	s, err := load(cmd.Context(), m, f.weights.Weights, *f.threads, sizes{rows: f.ctx}, cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	defer s.close()
	r := evalReport{Tokens: tokens, Ctx: f.ctx, Protocol: f.protocol, Weights: f.weights.String(), BitsPerWeight: s.plan.BitsPerWeight()}
	bar := newProgress(cmd, "windows")
	opt := eval.Options{Workers: *f.threads, Progress: func(p eval.Progress) { bar.at(p.Window, p.Windows) }}
	if f.parent == "" {
		var scores []eval.Score
		scores, err = eval.Perplexity(cmd.Context(), s.exec, windows, opt)
		if err == nil {
			r.Result = eval.PerplexityOf(scores)
		}
	} else {
		err = f.compare(cmd, s, windows, opt, &r)
	}
	bar.end()
	if err != nil {
		return err
	}
	r.Scored = r.Result.Tokens
	return f.print(cmd, r)
}

// read finds the windows; tokens counts all that there is to read.
func (f *evalFlags) read(cmd *cobra.Command, m *model.Model) (windows []eval.Window, tokens int, err error) {
	if f.ids == "" {
		return f.cut(cmd, m)
	}
	text, err := readFile(cmd.Context(), "ids", f.ids)
	if err != nil {
		return nil, 0, err
	}
	var file struct {
		Windows []struct {
			From   int     `json:"from"`
			Tokens []int32 `json:"tokens"`
		} `json:"windows"`
	}
	if err := json.Unmarshal([]byte(text), &file); err != nil {
		return nil, 0, fmt.Errorf("%s: %w", f.ids, err)
	}
	if len(file.Windows) == 0 {
		return nil, 0, fmt.Errorf("%s: no windows; want {\"windows\":[{\"from\":1,\"tokens\":[…]}]}", f.ids)
	}
	f.ctx, f.protocol = 0, "ids"
	for i, w := range file.Windows {
		if len(w.Tokens) < 2 {
			return nil, 0, fmt.Errorf("%s: window %d has %d tokens; scoring needs two at least", f.ids, i, len(w.Tokens))
		}
		windows = append(windows, eval.Window{Tokens: w.Tokens, From: w.From})
		tokens += len(w.Tokens)
		f.ctx = max(f.ctx, len(w.Tokens))
	}
	if f.windows > 0 {
		windows = windows[:min(f.windows, len(windows))]
	}
	return windows, tokens, nil
}

// cut tokenizes the text and cuts it; tokens counts the whole text.
func (f *evalFlags) cut(cmd *cobra.Command, m *model.Model) (windows []eval.Window, tokens int, err error) {
	text, err := readFile(cmd.Context(), "ppl", f.ppl)
	if err != nil {
		return nil, 0, err
	}
	noteBytes(cmd.ErrOrStderr(), f.ppl, text)
	tok, err := m.Tokenizer()
	if err != nil {
		return nil, 0, fmt.Errorf("%s: %w", m.Path, err)
	}
	plan := eval.Plan{Protocol: f.protocol, Ctx: f.ctx, Windows: f.windows, BOS: leadingBOS(tok)}
	ids, err := leave(cmd.Context(), func() ([]int32, error) { return plainText(tok, text, plan.AddBOS()) })
	if err != nil {
		return nil, 0, fmt.Errorf("%s: %w", f.ppl, err)
	}
	windows, _, err = eval.Cut(ids, plan)
	if err != nil {
		return nil, 0, fmt.Errorf("%s: %w", f.ppl, err)
	}
	return windows, len(ids), nil
}

// leadingBOS is the BOS that the tokenizer puts before a text, -1 when it puts none.
func leadingBOS(tok tokenizer.Tokenizer) int32 {
	bos, ok := tok.BOS()
	if ids, err := plainText(tok, "", true); err == nil && ok && len(ids) > 0 && ids[0] == bos {
		return bos
	}
	return -1
}

func (f *evalFlags) compare(cmd *cobra.Command, child *session, windows []eval.Window, opt eval.Options, r *evalReport) error {
	parent, err := f.openParent(cmd, sizes{rows: f.ctx})
	if err != nil {
		return err
	}
	defer parent.close()
	pairs, err := eval.Compare(cmd.Context(), parent.exec, []eval.LM{child.exec}, windows, nil, opt)
	if err != nil {
		return err
	}
	c := pairs[0].Summary()
	r.Result = c.Result
	r.pairedReport = &pairedReport{Parent: f.parent, ParentPPL: c.ParentPPL, PPLRatio: c.PPLRatio, KLD: c.KLD, SameTop1: c.SameTop1}
	return nil
}

func (f *evalFlags) openParent(cmd *cobra.Command, s sizes) (*session, error) {
	m, err := openModel(f.parent)
	if err != nil {
		return nil, err
	}
	return load(cmd.Context(), m, model.Weights{}, *f.threads, s, cmd.ErrOrStderr())
}

func (f *evalFlags) print(cmd *cobra.Command, r evalReport) error {
	if *f.json {
		return printJSON(cmd, r)
	}
	w := cmd.OutOrStdout()
	fmt.Fprintf(w, "perplexity %.4f ± %.4f (%d windows of %d, %d of %d tokens scored)\n", r.PPL, float64(r.SE), r.Windows, r.Ctx, r.Scored, r.Tokens)
	fmt.Fprintf(w, "weights    %s, %.3f bits each\n", r.Weights, r.BitsPerWeight)
	if p := r.pairedReport; p != nil {
		fmt.Fprintf(w, "parent     %.4f, ratio %.5f ± %.5f (95 %% below %.5f)\n", p.ParentPPL, p.PPLRatio.Value, float64(p.PPLRatio.SE), float64(p.PPLRatio.Upper95))
		fmt.Fprintf(w, "KLD        mean %.6f ± %.6f, median %.6f, p99 %.6f, max %.6f\n", p.KLD.Mean, float64(p.KLD.SE), p.KLD.P50, p.KLD.P99, p.KLD.Max)
		fmt.Fprintf(w, "same top-1 %.3f %%\n", 100*p.SameTop1)
	}
	return nil
}

// cosineReport is what `hone eval --cosine --json` prints.
type cosineReport struct {
	Cosine        eval.Agreement `json:"cosine"`
	Parent        string         `json:"parent"`
	Weights       string         `json:"weights"`
	BitsPerWeight float64        `json:"bits_per_weight"`
}

func (f *evalFlags) encoder(cmd *cobra.Command, m *model.Model) error {
	if !m.Encoder() {
		m.File.Close()
		return usagef("%s is a language model and has no embeddings; measure it with --ppl FILE", m.Path)
	}
	texts, err := f.lines(cmd.Context(), m)
	if err != nil {
		m.File.Close()
		return err
	}
	rows := m.Design.Context
	child, err := load(cmd.Context(), m, f.weights.Weights, *f.threads, sizes{rows: rows}, cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	defer child.close()
	parent, err := f.openParent(cmd, sizes{rows: rows})
	if err != nil {
		return err
	}
	defer parent.close()
	width := child.exec.PooledWidth()
	if got := parent.exec.PooledWidth(); got != width {
		return fmt.Errorf("%s gives vectors of %d numbers, its parent %s of %d", m.Path, width, f.parent, got)
	}
	bar := newProgress(cmd, "texts")
	a, err := eval.CompareEncoders(cmd.Context(), parent.exec, child.exec, width, texts,
		eval.Options{Progress: func(p eval.Progress) { bar.at(p.Window, p.Windows) }})
	bar.end()
	if err != nil {
		return err
	}
	r := cosineReport{a, f.parent, f.weights.String(), child.plan.BitsPerWeight()}
	if *f.json {
		return printJSON(cmd, r)
	}
	fmt.Fprintf(cmd.OutOrStdout(), "cosine to %s: mean %.6f, worst %.6f over %d texts\nweights %s, %.3f bits each\n",
		r.Parent, a.Mean, a.Worst, a.Texts, r.Weights, r.BitsPerWeight)
	return nil
}

// lines tokenizes the lines of a file that are not empty.
func (f *evalFlags) lines(ctx context.Context, m *model.Model) ([][]int32, error) {
	text, err := readFile(ctx, "cosine", f.cosine)
	if err != nil {
		return nil, err
	}
	tok, err := m.Tokenizer()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", m.Path, err)
	}
	var texts [][]int32
	for i, line := range strings.Split(text, "\n") {
		if strings.TrimSpace(line) == "" {
			continue
		}
		ids, err := plainText(tok, line, true)
		if err != nil {
			return nil, fmt.Errorf("%s: line %d: %w", f.cosine, i+1, err)
		}
		if len(ids) > m.Design.Context {
			return nil, fmt.Errorf("%s: line %d has %d tokens, the encoder takes %d: shorten it", f.cosine, i+1, len(ids), m.Design.Context)
		}
		texts = append(texts, ids)
		if f.windows > 0 && len(texts) == f.windows {
			break
		}
	}
	return texts, nil
}
