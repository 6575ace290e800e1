package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"hone/engine"
	"hone/kernel"
	"hone/model"
	"hone/serve"
	"hone/tokenizer"
)

func init() { register(batchCommand) }

// batchFlags are the settings of `hone batch`.
type batchFlags struct {
	in, out, name string
	size, ctx     int
	kvMemory      sizeFlag
	kv            *kvFlag
	weights       *weightsFlag
	threads       *int
	json          *bool
}

// batchReport is what `hone batch --json` prints.
type batchReport struct {
	Out string `json:"out"`
	serve.BatchSummary
	Seconds         float64 `json:"seconds"`           // without loading
	TokensPerSecond float64 `json:"tokens_per_second"` // generated
}

func batchCommand() *cobra.Command {
	var f batchFlags
	cmd := &cobra.Command{
		Use:     "batch MODEL --in FILE --out FILE",
		Short:   "Answer a file of requests",
		GroupID: groupUse,
		Long: `Answer a file of requests in OpenAI's batch format, one JSON object a line with custom_id, method, url and body, for chat,
completions or embeddings. The answers come in the order of the lines, one for each: a line that is no request becomes one
with an error. They have the same bytes at any --batch; a body without a seed draws by one made from its line.

Answers are appended to FILE.part, which becomes FILE when all are there. After Ctrl-C, a crash or a kill the same command
goes on where it was; another input or model is noticed.`,
		Example: `  hone batch model.gguf --in requests.jsonl --out answers.jsonl
  hone batch smollm2-int8 --in requests.jsonl --out answers.jsonl --batch 64 --kv bf16 --json`,
		Args: takes(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, args[0]) },
	}
	cmd.Flags().StringVar(&f.in, "in", "", "`FILE` of requests, one a line")
	cmd.Flags().StringVar(&f.out, "out", "", "`FILE` for the answers")
	cmd.Flags().StringVar(&f.name, "name", "", "`NAME` that bodies may call the model (default: that of its file; MODEL as it is given is taken too)")
	f.size = 32
	addCount(cmd, &f.size, "batch", 1, "lines under way at once")
	addCount(cmd, &f.ctx, "ctx", 0, "longest sequence in tokens, prompt included; 0: what the model takes, at most 8192")
	f.kv = addKV(cmd)
	cmd.Flags().Var(&f.kvMemory, "kv-memory", "memory for keys and values (default: 16 full contexts, at most a quarter of what is free)")
	f.weights = addWeights(cmd)
	f.threads = addThreads(cmd)
	f.json = addJSON(cmd)
	return cmd
}

func (f *batchFlags) run(cmd *cobra.Command, word string) error {
	if f.in == "" || f.out == "" {
		return usagef("--in FILE and --out FILE are needed; usage: hone %s", cmd.Use)
	}
	if _, err := os.Stat(f.in); err != nil {
		return fmt.Errorf("--in: %w", err)
	}
	if err := checkOutput(f.out); err != nil {
		return fmt.Errorf("--out: %w", err)
	}
	if st, err := os.Stat(f.out); err == nil && st.IsDir() {
		return fmt.Errorf("--out: %s is a folder: name a file", f.out)
	}
	name, err := fetched(cmd, word)
	if err != nil {
		return err
	}
	m, err := openModel(name)
	if err != nil {
		return err
	}
	salt, err := f.salt(cmd.Context(), m)
	if err != nil {
		m.File.Close()
		return err
	}
	server, done, err := f.open(cmd, m, word)
	if err != nil {
		return err
	}
	defer done()
	bar := newProgress(cmd, f.out)
	begun := time.Now()
	summary, err := (&serve.Batch{Server: server, In: f.in, Out: f.out, Size: f.size, Salt: salt, Progress: bar.lines}).Run(cmd.Context())
	bar.end()
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("interrupted: %d lines are answered in %s.part; the same command goes on from there", summary.Lines, f.out)
	}
	if err != nil {
		return err
	}
	return f.print(cmd, summary, time.Since(begun))
}

// salt names what answers depend on besides their lines.
func (f *batchFlags) salt(ctx context.Context, m *model.Model) (string, error) {
	s, err := openStore()
	if err != nil {
		return "", err
	}
	defer s.Close()
	digest, err := s.Digest(ctx, m.Path)
	return strings.Join([]string{digest, f.weights.String(), string(*f.kv), fmt.Sprint(f.ctx), kernel.Active()}, " "), err
}

// open loads a model and makes the service that answers the lines. done ends both.
func (f *batchFlags) open(cmd *cobra.Command, m *model.Model, word string) (server *serve.Server, done func(), err error) {
	tokens := readTokenizer(m, true)
	c := serve.Config{Models: []string{cmp.Or(f.name, fileName(m)), word}, MaxQueue: f.size}
	if st, err := os.Stat(m.Path); err == nil {
		c.Created = st.ModTime()
	}
	size := sizes{rows: max(rowsOfStep, m.Design.Context), context: m.Design.Context}
	if err := textFlags(cmd, m); err != nil {
		m.File.Close()
		return nil, nil, err
	}
	if !m.Encoder() {
		plan, err := f.plan(m)
		if err != nil {
			m.File.Close()
			return nil, nil, err
		}
		size = sizes{rows: rowsOfStep, context: plan.context, kv: plan.kv}
	}
	bar := newProgress(cmd, "")
	bar.phase("loading " + m.Path)
	s, err := load(cmd.Context(), m, f.weights.Weights, *f.threads, size, cmd.ErrOrStderr())
	bar.end()
	words := <-tokens
	if err != nil {
		return nil, nil, err
	}
	if words.err != nil {
		s.close()
		return nil, nil, words.err
	}
	c.Context, c.Tokenizer, done = size.context, words.tok, s.close
	if m.Encoder() {
		c.Embedder, c.Classes = embedder(s), classesOf(m)
	} else if done, err = f.generator(s, size, words, &c); err != nil {
		s.close()
		return nil, nil, err
	}
	if server, err = serve.New(c); err != nil {
		done()
		return nil, nil, err
	}
	return server, done, nil
}

// plan is the KV cache. Its context depends on flags and model alone, so that answers do.
func (f *batchFlags) plan(m *model.Model) (kvPlan, error) {
	ctx, err := contextOf(m, f.ctx, mostContext)
	if err != nil {
		return kvPlan{}, err
	}
	weights, err := m.Plan(f.weights.Weights)
	if err != nil {
		return kvPlan{}, err
	}
	return planKV(m, string(*f.kv), ctx, int64(f.kvMemory), weights.Loading())
}

func (f *batchFlags) generator(s *session, size sizes, w words, c *serve.Config) (done func(), err error) {
	e, err := engine.New(s.exec, engine.Options{Blocks: size.kv.Blocks, Context: size.context, MaxSeqs: f.size, Pool: s.pool,
		Tokenizer: engine.Decoding[*tokenizer.StreamDecoder](w.tok), EOS: w.tok.EOS()})
	if err != nil {
		return nil, err
	}
	c.Generator = serve.FromEngine(e)
	if t := w.template; t != nil {
		c.Template = func(messages []serve.Message) (string, error) { return t.Prompt(messages, true, nil) }
	}
	return func() { e.Close(); s.close() }, nil
}

func (f *batchFlags) print(cmd *cobra.Command, s serve.BatchSummary, took time.Duration) error {
	r := batchReport{Out: f.out, BatchSummary: s, Seconds: took.Seconds(), TokensPerSecond: float64(s.CompletionTokens) / took.Seconds()}
	if *f.json {
		return printJSON(cmd, r)
	}
	w := cmd.OutOrStdout()
	fmt.Fprintf(w, "%s: %d lines, %d answered", f.out, s.Lines, s.Answered)
	for _, part := range []struct {
		n    int
		what string
	}{{s.Refused, "refused"}, {s.Invalid, "no requests"}, {s.Resumed, "of them by an earlier run"}} {
		if part.n > 0 {
			fmt.Fprintf(w, ", %d %s", part.n, part.what)
		}
	}
	fmt.Fprintf(w, "\n%d tokens read, %d written in %.1f s, %.1f tokens/s\n", s.PromptTokens, s.CompletionTokens, r.Seconds, r.TokensPerSecond)
	return nil
}
