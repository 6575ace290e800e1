package recipe

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"

	"hone/engine"
	"hone/eval"
	"hone/nn"
	"hone/tokenizer"
)

// Evidence says what the candidates were judged on.
type Evidence struct {
	Kind    string `json:"kind"` // text, or sampled: drawn from the parent at temperature 1
	File    string `json:"file,omitempty"`
	Windows int    `json:"windows"`
	Tokens  int    `json:"tokens"` // of a window
	Seed    uint64 `json:"seed,omitempty"`
	Digest  string `json:"digest"` // of the windows' ids
	ids     []eval.Window
}

// samplesAtOnce bounds how many texts are drawn together.
const samplesAtOnce = 20

// evidence gives the windows: cut from the user's text, or sampled from the parent itself.
func (s *Spec) evidence(ctx context.Context, parent *nn.Exec) ([]eval.Window, Evidence, error) {
	e := Evidence{Kind: "sampled", Seed: s.Seed, Tokens: s.Tokens}
	tok, err := s.Model.Tokenizer()
	if err != nil {
		return nil, e, fmt.Errorf("%s: %w", s.Model.Path, err)
	}
	if s.Data != "" {
		e.Kind, e.File, e.Seed = "text", s.Data, 0
		e.ids, err = s.text(tok)
	} else {
		e.ids, err = s.sample(ctx, parent, tok)
	}
	if err != nil {
		return nil, e, err
	}
	if len(e.ids) < 4 {
		return nil, e, fmt.Errorf("%s gives %d windows of %d tokens; at least 4 are needed to tell a difference from chance: use a longer text", s.Data, len(e.ids), s.Tokens)
	}
	e.Windows = len(e.ids)
	sum := sha256.Sum256(e.JSON())
	e.Digest = "sha256:" + hex.EncodeToString(sum[:])
	return e.ids, e, nil
}

// JSON is the file that `hone eval --ids` reads: the very windows that the candidates were judged on.
func (e Evidence) JSON() []byte {
	type window struct {
		From   int     `json:"from"`
		Tokens []int32 `json:"tokens"`
	}
	file := struct {
		Windows []window `json:"windows"`
	}{}
	for _, w := range e.ids {
		file.Windows = append(file.Windows, window{w.From, w.Tokens})
	}
	b, _ := json.Marshal(file) // plain numbers: cannot fail
	return append(b, '\n')
}

func (s *Spec) text(tok tokenizer.Tokenizer) ([]eval.Window, error) {
	b, err := os.ReadFile(s.Data)
	if err != nil {
		return nil, err
	}
	ids, err := tok.Encode(string(b), tokenizer.EncodeOptions{})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.Data, err)
	}
	windows, _, err := eval.Cut(ids, eval.Plan{Ctx: s.Tokens, Windows: s.Windows})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.Data, err)
	}
	return windows, nil
}

// sample draws the windows from the parent, each from its own seed after the token that begins a text.
func (s *Spec) sample(ctx context.Context, parent *nn.Exec, tok tokenizer.Tokenizer) ([]eval.Window, error) {
	e, err := engine.New(parent, engine.Options{Blocks: s.blocks() * min(s.Windows, samplesAtOnce), Context: s.Tokens,
		MaxSeqs: samplesAtOnce, StepTokens: 512, NoPrefixCache: true, Pool: s.Pool})
	if err != nil {
		return nil, err
	}
	defer e.Close()
	streams := make([]*engine.Stream, s.Windows)
	for i := range streams {
		seed := s.Seed + uint64(i)
		streams[i], err = e.Submit(ctx, engine.Request{Prompt: []int32{begin(tok)}, MaxTokens: s.Tokens - 1, IgnoreEOS: true,
			Sampling: engine.SamplingParams{Temperature: 1, Seed: &seed}})
		if err != nil {
			return nil, err
		}
		defer streams[i].Close()
	}
	texts := make([][]int32, s.Windows)
	for i, stream := range streams {
		texts[i] = []int32{begin(tok)}
		for len(texts[i]) < s.Tokens {
			event, err := stream.Recv(ctx)
			if err != nil {
				return nil, fmt.Errorf("sampling from %s: %w", s.Model.Path, err)
			}
			texts[i] = append(texts[i], event.Tokens...)
			s.say("sampling text from the model", i*s.Tokens+len(texts[i]), s.Windows*s.Tokens)
		}
	}
	return eval.Sampled(texts, 1), nil
}

// begin is the token that a text begins with: BOS, or where there is none what ends the text before.
func begin(tok tokenizer.Tokenizer) int32 {
	if id, ok := tok.BOS(); ok {
		return id
	}
	if eos := tok.EOS(); len(eos) > 0 {
		return eos[0]
	}
	return 0
}
