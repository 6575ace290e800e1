package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"hone/engine"
	"hone/nn"
	"hone/tokenizer"
)

// sampling are the flags that shape a text.
type sampling struct {
	maxTokens, topK         int
	temperature, topP, minP float32
	seed                    uint64
	flags                   *pflag.FlagSet
}

func addSampling(cmd *cobra.Command) *sampling {
	s := &sampling{maxTokens: 512, flags: cmd.Flags()}
	addCount(cmd, &s.maxTokens, "max-tokens", 1, "longest answer in tokens")
	addCount(cmd, &s.topK, "top-k", 0, "draw from the `N` most likely tokens; 0: all")
	cmd.Flags().Float32Var(&s.temperature, "temperature", 0, "0 takes the most likely token, higher values draw more freely; a chat takes 0.7 unless told otherwise")
	cmd.Flags().Float32Var(&s.topP, "top-p", 1, "draw from the most likely tokens that make up this share")
	cmd.Flags().Float32Var(&s.minP, "min-p", 0, "draw from tokens of at least this share of the most likely one")
	cmd.Flags().Uint64Var(&s.seed, "seed", 0, "seed of the draws; the same seed gives the same text (default: another one each time)")
	return s
}

// liven sets a chat's own defaults: the most likely token alone leads small models into loops.
func (s *sampling) liven() {
	if !s.flags.Changed("temperature") {
		s.temperature = 0.7
		if !s.flags.Changed("top-p") {
			s.topP = 0.95
		}
	}
}

// request is a request for the continuation of a prompt.
func (s *sampling) request(prompt []int32) engine.Request {
	r := engine.Request{Prompt: prompt, MaxTokens: s.maxTokens,
		Sampling: engine.SamplingParams{Temperature: s.temperature, TopK: s.topK, TopP: s.topP, MinP: s.minP}}
	if s.flags.Changed("seed") {
		r.Sampling.Seed = &s.seed
	}
	return r
}

// check refuses values out of range before a model is loaded.
func (s *sampling) check() error {
	r := s.request([]int32{0})
	if err := r.Validate(1); err != nil {
		return usagef("%s", strings.TrimPrefix(err.Error(), engine.ErrInvalid.Error()+": "))
	}
	return nil
}

// generator is a loaded language model with its engine.
type generator struct {
	*session
	tok      tokenizer.Tokenizer
	template *tokenizer.ChatTemplate // nil: the model has none
	engine   *engine.Engine
}

// generate begins a request.
func (g *generator) generate(ctx context.Context, r engine.Request) (*engine.Stream, error) {
	stream, err := g.engine.Submit(ctx, r)
	if errors.Is(err, engine.ErrTooLong) {
		return nil, fmt.Errorf("the prompt has %d tokens and the context is %d: shorten it, or raise --ctx (the model takes %d)",
			len(r.Prompt), g.engine.Context(), g.model.Design.Context)
	}
	return stream, err
}

// answer runs a request to its end and writes its text as it comes.
func (g *generator) answer(ctx context.Context, r engine.Request, w io.Writer) (engine.Result, uint64, error) {
	stream, err := g.generate(ctx, r)
	if err != nil {
		return engine.Result{}, 0, err
	}
	defer stream.Close()
	var out engine.Result
	for {
		e, err := stream.Recv(ctx)
		if err == io.EOF {
			return out, stream.Seed(), nil
		}
		if err != nil {
			return out, stream.Seed(), err
		}
		out.Tokens = append(out.Tokens, e.Tokens...)
		out.Text += e.Text
		out.Finish, out.Err, out.Usage, out.Timings = e.Finish, e.Err, e.Usage, e.Timings
		if _, err := io.WriteString(w, e.Text); err != nil {
			return out, stream.Seed(), err
		}
		if e.Err != nil {
			return out, stream.Seed(), e.Err
		}
	}
}

// chat is the prompt of a conversation up to the beginning of the next answer.
func (g *generator) chat(messages []tokenizer.Message) ([]int32, error) {
	text, err := g.template.Prompt(messages, true, nil)
	if err != nil {
		return nil, besideTemplate(fmt.Errorf("%s: %w", g.model.Path, err))
	}
	return g.tok.Encode(text, tokenizer.EncodeOptions{ParseSpecial: true, Marked: true})
}

func (g *generator) close() {
	g.engine.Close()
	g.session.close()
}

// blocks is the number of KV blocks that tokens fill.
func blocks(tokens int) int { return (tokens + nn.BlockTokens - 1) / nn.BlockTokens }

// kvTypes are the types of keys and values.
var kvTypes = []string{"f32", "bf16", "int8"}

// kvFlag is the value of --kv.
type kvFlag string

func (k *kvFlag) Set(s string) error {
	for _, name := range kvTypes {
		if s == name {
			*k = kvFlag(s)
			return nil
		}
	}
	return fmt.Errorf("want %s%s", strings.Join(kvTypes, ", "), didYouMean(s, kvTypes))
}

func (k *kvFlag) String() string { return string(*k) }
func (k *kvFlag) Type() string   { return "TYPE" }

func addKV(cmd *cobra.Command) *kvFlag {
	k := kvFlag("f32")
	cmd.Flags().Var(&k, "kv", "type of keys and values in the cache: f32, bf16 or int8")
	return &k
}
