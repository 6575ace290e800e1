package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"hone/engine"
	"hone/model"
	"hone/nn"
	"hone/tokenizer"
)

func init() { register(runCommand) }

// runFlags are the settings of `hone run`.
type runFlags struct {
	ctx       int
	raw       bool
	noHistory bool
	sampling  *sampling
	kv        *kvFlag
	weights   *weightsFlag
	threads   *int
	json      *bool
}

func runCommand() *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:     "run MODEL [PROMPT]",
		Short:   "Answer a prompt, or chat in the terminal",
		GroupID: groupUse,
		Long: `Answer one prompt, given as a word or piped in, or chat in the terminal when there is none.

A model with a chat template reads the prompt as a user's message; with --raw, or without a template, it goes on
writing where the prompt ends.

In a chat Enter sends a message, Ctrl-J or Alt-Enter begins a new line in it, and a pasted text is one message. Ctrl-C stops
the answer or gives the line up, Ctrl-D leaves. /help lists the commands, such as /clear, /system TEXT and
/set temperature 0.2.`,
		Example: `  hone run model.gguf "What is the boiling point of water?"
  hone run model.gguf --raw --max-tokens 32 --json "The capital of France is"
  hone run model.gguf --temperature 0.8 --top-p 0.95 --seed 7 < prompt.txt
  hone run model.gguf`,
		Args: takes(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, args) },
	}
	f.sampling = addSampling(cmd)
	cmd.Flags().BoolVar(&f.raw, "raw", false, "go on writing where the prompt ends, without the chat template")
	addCount(cmd, &f.ctx, "ctx", 0, "tokens of prompt and answer; 0: what the model takes, at most 8192")
	cmd.Flags().BoolVar(&f.noHistory, "no-history", false, "do not keep what is typed in a chat (else in the store's folder, for its owner alone)")
	f.kv = addKV(cmd)
	f.weights = addWeights(cmd)
	f.threads = addThreads(cmd)
	f.json = addJSON(cmd)
	return cmd
}

func (f *runFlags) run(cmd *cobra.Command, args []string) error {
	if err := f.sampling.check(); err != nil {
		return err
	}
	prompt, given, err := promptOf(cmd, args)
	if err != nil {
		return err
	}
	if given && strings.TrimSpace(prompt) == "" && (len(args) == 1 || !f.raw) {
		where := "PROMPT"
		if len(args) == 1 {
			where = "standard input"
		}
		return usagef("no prompt: %s holds no text; give PROMPT, pipe a text in, or chat in a terminal (--raw takes an empty PROMPT)", where)
	}
	if !given && (f.raw || *f.json) {
		return usagef("no prompt: --raw and --json need PROMPT or piped text; usage: hone %s", cmd.Use)
	}
	name, err := fetched(cmd, args[0])
	if err != nil {
		return err
	}
	g, err := f.open(cmd, name)
	if err != nil {
		return err
	}
	defer g.close()
	if !given {
		return f.converse(cmd, g)
	}
	return f.once(cmd, g, prompt)
}

// promptOf finds the prompt: the second word, or piped text without its last line end. It is not given on a terminal.
func promptOf(cmd *cobra.Command, args []string) (prompt string, given bool, err error) {
	if len(args) > 1 {
		return args[1], true, nil
	}
	text, given, err := piped(cmd)
	return strings.TrimSuffix(text, "\n"), given, err
}

// mostContext bounds the context that is taken unasked.
const mostContext = 8192

// open loads the model and reads its tokenizer meanwhile.
func (f *runFlags) open(cmd *cobra.Command, name string) (*generator, error) {
	m, err := openModel(name)
	if err != nil {
		return nil, err
	}
	ctx, err := contextOf(m, f.ctx, mostContext)
	if err != nil {
		m.File.Close()
		return nil, err
	}
	tokens := readTokenizer(m, !f.raw)
	kv := nn.KVConfig{Type: string(*f.kv), Blocks: blocks(ctx)}
	bar := newProgress(cmd, "")
	bar.phase("loading " + m.Path)
	s, err := load(cmd.Context(), m, f.weights.Weights, *f.threads, sizes{rows: min(512, ctx), context: ctx, kv: kv}, cmd.ErrOrStderr())
	bar.end()
	words := <-tokens
	if err != nil {
		return nil, err
	}
	g := &generator{session: s, tok: words.tok, template: words.template}
	if words.err != nil {
		s.close()
		if words.tok != nil { // it is the template that cannot be used
			return nil, besideTemplate(words.err)
		}
		return nil, words.err
	}
	g.engine, err = engine.New(s.exec, engine.Options{Blocks: kv.Blocks, Context: ctx, MaxSeqs: 1, Pool: s.pool,
		Tokenizer: engine.Decoding[*tokenizer.StreamDecoder](g.tok), EOS: g.tok.EOS()})
	if err != nil {
		s.close()
		return nil, err
	}
	return g, nil
}

// contextOf checks a wanted context, or chooses one: what the model takes, at most most.
func contextOf(m *model.Model, want, most int) (int, error) {
	takes := m.Design.Context
	switch {
	case m.Encoder():
		return 0, fmt.Errorf("%s is an encoder and writes no text; `hone serve` gives its embeddings", m.Path)
	case want > takes:
		return 0, usagef("--ctx %d is more than the %d tokens that %s was trained for", want, takes, m.Path)
	case want > 0:
		return want, nil
	}
	return min(takes, most), nil
}

// words are a model's tokenizer and chat template.
type words struct {
	tok      tokenizer.Tokenizer
	template *tokenizer.ChatTemplate
	err      error
}

// readTokenizer reads them in the background. A template that is not wanted is left unread, whatever is wrong with it.
func readTokenizer(m *model.Model, template bool) <-chan words {
	out := make(chan words, 1)
	go func() {
		var w words
		if w.tok, w.err = m.Tokenizer(); w.err != nil {
			w.err = fmt.Errorf("%s: no text can be read or written: %w", m.Path, w.err)
		} else if template {
			if w.template, w.err = tokenizer.TemplateOf(w.tok); w.err != nil {
				w.err = fmt.Errorf("%s: %w", m.Path, w.err)
			}
		}
		out <- w
	}()
	return out
}

// runReport is what `hone run --json` prints.
type runReport struct {
	Text         string              `json:"text"`
	IDs          []int32             `json:"ids"` // generated ones, an end token included
	FinishReason engine.FinishReason `json:"finish_reason"`
	Seed         *uint64             `json:"seed,omitempty"` // of the draws, when there were any
	Prompt       int                 `json:"prompt_tokens"`
}

func (f *runFlags) once(cmd *cobra.Command, g *generator, prompt string) error {
	ids, err := f.encode(g, prompt)
	if err != nil {
		return err
	}
	if len(ids) == 0 {
		return errors.New("the prompt is empty and the model has no token that begins a text: give a PROMPT")
	}
	text := terminal(cmd.OutOrStdout())
	if *f.json {
		text = io.Discard
	}
	out, seed, err := g.answer(cmd.Context(), f.sampling.request(ids), text)
	if err != nil {
		return err
	}
	if !*f.json {
		fmt.Fprintln(text)
		if out.Finish == engine.FinishLength {
			fmt.Fprintf(cmd.ErrOrStderr(), "note: the answer was cut off after %d tokens; --max-tokens or --ctx allow more\n", len(out.Tokens))
		}
		return nil
	}
	r := runReport{Text: out.Text, IDs: out.Tokens, FinishReason: out.Finish, Prompt: len(ids)}
	if f.sampling.temperature > 0 {
		r.Seed = &seed
	}
	return printJSON(cmd, r)
}

// encode turns a prompt into tokens: a conversation's first message, or the beginning of a text.
func (f *runFlags) encode(g *generator, prompt string) ([]int32, error) {
	if f.raw || g.template == nil {
		return g.tok.Encode(prompt, tokenizer.EncodeOptions{AddSpecial: true, ParseSpecial: true})
	}
	return g.chat([]tokenizer.Message{{Role: "user", Content: prompt}})
}

// besideTemplate adds the way round a chat template to its error.
func besideTemplate(err error) error {
	return fmt.Errorf("%w; hone run with --raw and a PROMPT goes on from the prompt without the template", err)
}
