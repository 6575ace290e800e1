package recipe

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"unicode/utf8"

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

// keepEach is how many tokens of each text are kept for an interrupted search at a time.
const keepEach = 16

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
	ids, err := s.tokens(tok)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.Data, err)
	}
	windows, _, err := eval.Cut(ids, eval.Plan{Ctx: s.Tokens, Windows: s.Windows})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.Data, err)
	}
	return windows, nil
}

// tokens encodes the beginning of the text: twice what the windows need, so that where it is cut changes none of them.
func (s *Spec) tokens(tok tokenizer.Tokenizer) ([]int32, error) {
	f, err := os.Open(s.Data)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	want := s.Windows * s.Tokens
	for most := int64(want) * 32; ; most *= 4 {
		b := make([]byte, most)
		n, err := io.ReadFull(io.NewSectionReader(f, 0, most), b)
		whole := err == io.EOF || err == io.ErrUnexpectedEOF
		if err != nil && !whole {
			return nil, err
		}
		if b = b[:n]; !whole {
			b = b[:bytes.LastIndexByte(b, '\n')+1]
		}
		ids, err := tok.Encode(string(b), tokenizer.EncodeOptions{})
		if !utf8.Valid(b) && (whole || len(ids) >= 2*want) {
			s.Note(s.Data + " holds bytes that are no UTF-8; each is read as U+FFFD")
		}
		if err != nil || whole || len(ids) >= 2*want {
			return ids, err
		}
	}
}

// sample draws texts from the parent, each from its own seed after the token that begins a text. What an interrupted search
// had drawn is drawn on: a draw depends on the seed and the position alone.
func (s *Spec) sample(ctx context.Context, parent *nn.Exec, tok tokenizer.Tokenizer) ([]eval.Window, error) {
	texts := s.past.samples
	if texts == nil {
		for range s.Windows {
			texts = append(texts, []int32{begin(tok)})
		}
	}
	if len(texts) != s.Windows || len(texts[0]) > s.Tokens {
		return nil, fmt.Errorf("an interrupted search holds %d texts of %d tokens, not %d of %d", len(texts), len(texts[0]), s.Windows, s.Tokens)
	}
	if len(texts[0]) < s.Tokens {
		if err := s.drawOn(ctx, parent, texts); err != nil {
			return nil, fmt.Errorf("sampling from %s: %w", s.Model.Path, err)
		}
	}
	return eval.Sampled(texts, 1), nil
}

// drawOn makes all texts, which are equally long, as long as a window.
func (s *Spec) drawOn(ctx context.Context, parent *nn.Exec, texts [][]int32) error {
	e, err := engine.New(parent, engine.Options{Blocks: s.blocks() * min(s.Windows, samplesAtOnce), Context: s.Tokens,
		MaxSeqs: samplesAtOnce, StepTokens: 512, NoPrefixCache: true, Pool: s.Pool})
	if err != nil {
		return err
	}
	defer e.Close()
	streams := make([]*engine.Stream, len(texts))
	for i, text := range texts {
		seed := s.Seed + uint64(i)
		streams[i], err = e.Submit(ctx, engine.Request{Prompt: slices.Clone(text), MaxTokens: s.Tokens - len(text), IgnoreEOS: true,
			Sampling: engine.SamplingParams{Temperature: 1, Seed: &seed}})
		if err != nil {
			return err
		}
		defer streams[i].Close()
	}
	for have := len(texts[0]); have < s.Tokens; {
		to := min(have+keepEach, s.Tokens)
		if err := s.receive(ctx, streams, texts, to); err != nil {
			return err
		}
		if err := s.past.keepSamples(texts, have, to); err != nil {
			return err
		}
		have = to
	}
	return nil
}

// receive waits until every text has so many tokens; one may have more.
func (s *Spec) receive(ctx context.Context, streams []*engine.Stream, texts [][]int32, to int) error {
	for i, stream := range streams {
		for len(texts[i]) < to {
			event, err := stream.Recv(ctx)
			if err := cmp.Or(ctx.Err(), err, event.Err); err != nil { // a cancelled stream just ends
				return err
			}
			texts[i] = append(texts[i], event.Tokens...)
			s.say("sampling text from the model", total(texts), len(texts)*s.Tokens)
		}
	}
	return nil
}

func total(texts [][]int32) (n int) {
	for _, text := range texts {
		n += len(text)
	}
	return n
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
