package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sort"
	"strings"

	"github.com/spf13/cobra"

	"hone/checkpoint"
	"hone/model"
	"hone/nn"
	"hone/quant"
	"hone/tokenizer"
)

func init() { register(inspectCommand) }

// inspection is what `hone inspect --json` prints. What is not known of a file is left out.
type inspection struct {
	Path    string  `json:"path"`
	Kind    string  `json:"kind"` // gguf, safetensors, hf
	Tensors []tally `json:"tensors"`
	Bytes   int64   `json:"tensor_bytes"`

	Served bool   `json:"served"`
	Reason string `json:"reason,omitempty"` // why it is not served

	*shape
	Tokenizer *vocabulary `json:"tokenizer,omitempty"`
}

// tally sums up the tensors of one number format.
type tally struct {
	Format  string  `json:"format"`
	Tensors int     `json:"tensors"`
	Values  int64   `json:"values"`
	Bytes   int64   `json:"bytes"`
	Mapped  int64   `json:"mapped_bytes,omitempty"` // beside Bytes, of a running model: read from the file as it is needed
	Bits    float64 `json:"bits_per_weight"`
}

// shape is what the program of a served model says.
type shape struct {
	Architecture  string           `json:"architecture"`
	Encoder       bool             `json:"encoder"`
	Gives         string           `json:"gives,omitempty"` // what an encoder makes of a text, in words
	Parameters    int64            `json:"parameters"`
	Blocks        int              `json:"blocks"`
	Width         int              `json:"width"`
	Vocab         int              `json:"vocab,omitempty"`
	Context       int              `json:"context"`
	Attention     string           `json:"attention,omitempty"` // in words
	Tied          bool             `json:"tied_head"`
	Stored        float64          `json:"stored_bits_per_weight"` // embedding, head, norms and scales included
	Weights       string           `json:"weights"`                // formats that the figures below are for
	Runs          []tally          `json:"runs"`                   // how the weights would stand in memory
	BitsPerWeight float64          `json:"bits_per_weight"`
	WeightBytes   int64            `json:"weight_bytes"`
	MappedBytes   int64            `json:"mapped_bytes"`  // beside weight_bytes: read from the file as it is needed
	LoadingBytes  int64            `json:"loading_bytes"` // most while loading
	KVPerToken    map[string]int64 `json:"kv_bytes_per_token,omitempty"`
	Notes         []string         `json:"notes,omitempty"`
}

// vocabulary is what is known of a tokenizer.
type vocabulary struct {
	Tokens       int     `json:"tokens,omitempty"`
	BOS          *int32  `json:"bos,omitempty"`
	EOS          []int32 `json:"eos,omitempty"`
	ChatTemplate bool    `json:"chat_template"`
	Error        string  `json:"error,omitempty"`
}

func inspectCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "inspect MODEL",
		Short:   "Show what a model file holds and what running it takes",
		GroupID: groupJudge,
		Long: `Read a model file through, check it, and show its architecture, tensors, effective bits per weight (embedding,
head and scales included), what would run in which format and memory, or why it is not served.`,
		Example: `  hone inspect model.gguf
  hone inspect model.gguf --weights q4 --json`,
		Args: takes(1, 1),
	}
	weights := addWeights(cmd)
	asJSON := addJSON(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		path, err := locate(args[0])
		if err != nil {
			return err
		}
		i, err := inspect(cmd.Context(), path, weights)
		if err != nil {
			return err
		}
		if *asJSON {
			return printJSON(cmd, i)
		}
		return i.print(cmd.OutOrStdout())
	}
	return cmd
}

// inspect reads a file through, opened once: what a vocabulary takes is taken once. A whole file that is not served is no
// error.
func inspect(ctx context.Context, path string, w *weightsFlag) (*inspection, error) {
	file, err := checkpoint.Open(path)
	if other := (*checkpoint.UnservedError)(nil); errors.As(err, &other) {
		return &inspection{Path: path, Kind: "hf", Tensors: []tally{}, Reason: err.Error()}, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	i := &inspection{Path: path, Kind: file.Kind()}
	m, err := model.OpenFile(path, file)
	tallied, fault := tensors(ctx, file, func(name string) bool { return m == nil || !m.Unused(name) })
	if fault != nil {
		return nil, fault
	}
	i.Tensors = tallied
	for _, t := range i.Tensors {
		i.Bytes += t.Bytes
	}
	if other := (*model.UnservedError)(nil); err != nil && !errors.As(err, &other) {
		return nil, err
	}
	if err != nil {
		i.Reason = err.Error()
		if tok, err := tokenizerOf(path, file); err == nil {
			i.Tokenizer = vocabularyOf(words{tok: tok})
		}
		return i, nil
	}
	tokens := <-readTokenizer(m, true)
	if other := (*tokenizer.UnsupportedError)(nil); tokens.err != nil && !errors.As(tokens.err, &other) && !errors.Is(tokens.err, fs.ErrNotExist) {
		return nil, tokens.err
	}
	i.Tokenizer = vocabularyOf(tokens)
	if i.shape, err = shapeOf(m, w); err != nil {
		i.Reason = err.Error()
	} else if note := otherVocabulary(tokens, i.Vocab); note != "" {
		i.Notes = append(i.Notes, note)
	}
	if n, ok := file.(checkpoint.Noter); ok && err == nil {
		i.Notes = append(i.Notes, n.Notes()...)
	}
	i.Served = err == nil
	return i, nil
}

// otherVocabulary tells where a language model's output and its tokenizer do not have the same number of tokens, which is
// harmless: matrices are padded, and some tokens belong to a part that is not there.
func otherVocabulary(w words, rows int) string {
	if w.err != nil || rows == 0 || w.tok.VocabSize() == rows {
		return ""
	}
	n := w.tok.VocabSize()
	if n < rows {
		return fmt.Sprintf("the tokenizer has %d tokens, the model %d: its last %d stand for no text", n, rows, rows-n)
	}
	return fmt.Sprintf("the tokenizer has %d tokens, the model %d: a text that holds one of the last %d is refused", n, rows, n-rows)
}

// tensors sums up all tensors by format and reads those that count, which checks them. What changes nothing may hold what it
// likes: masks of half precision are infinite.
func tensors(ctx context.Context, file checkpoint.File, counts func(name string) bool) ([]tally, error) {
	sums := map[string]*tally{}
	for _, name := range file.Names() {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		info, _ := file.Info(name)
		if counts(name) {
			if err := readTensor(file, name, info); err != nil {
				return nil, err
			}
		}
		t := sums[info.Format]
		if t == nil {
			t = &tally{Format: info.Format}
			sums[info.Format] = t
		}
		t.Tensors, t.Values, t.Bytes = t.Tensors+1, t.Values+int64(info.Elements()), t.Bytes+info.Bytes
	}
	for _, t := range sums {
		t.Bits = 8 * float64(t.Bytes) / float64(max(t.Values, 1))
	}
	return sorted(sums), nil
}

func readTensor(file checkpoint.File, name string, info checkpoint.Info) error {
	if _, err := quant.Lookup(info.Format); err != nil {
		return nil // listed by name; a model that needs it is not served
	}
	if info.Elements() == 0 {
		return nil // likewise
	}
	if len(info.Shape) > 1 {
		_, err := file.Matrix(name)
		return err
	}
	_, err := file.Vector(name)
	return err
}

func sorted(sums map[string]*tally) []tally {
	out := []tally{}
	for _, t := range sums {
		out = append(out, *t)
	}
	sort.Slice(out, func(a, b int) bool { return out[a].Bytes > out[b].Bytes })
	return out
}

func vocabularyOf(w words) *vocabulary {
	if w.err != nil {
		return &vocabulary{Error: w.err.Error()}
	}
	v := &vocabulary{Tokens: w.tok.VocabSize(), EOS: w.tok.EOS(), ChatTemplate: w.template != nil}
	if w.template == nil {
		t, err := tokenizer.TemplateOf(w.tok)
		v.ChatTemplate = err == nil && t != nil
	}
	if id, ok := w.tok.BOS(); ok {
		v.BOS = &id
	}
	return v
}

func shapeOf(m *model.Model, w *weightsFlag) (*shape, error) {
	stored, err := m.Plan(model.Weights{})
	if err != nil {
		return nil, err
	}
	plan, err := m.Plan(w.Weights)
	if err != nil {
		return nil, err
	}
	p := m.Design.Program
	s := &shape{
		Architecture: m.Arch, Encoder: m.Encoder(), Parameters: plan.Values(), Blocks: len(p.Blocks), Width: p.BlockWidth(),
		Context: m.Design.Context, Attention: m.Design.Attention, Tied: m.Design.Tied, Stored: stored.BitsPerWeight(), Weights: w.String(),
		BitsPerWeight: plan.BitsPerWeight(), WeightBytes: plan.Weights(), MappedBytes: plan.Mapped(), LoadingBytes: plan.Loading(), Notes: plan.Notes(),
	}
	sums := map[string]*tally{}
	for _, u := range plan.Uses {
		t := sums[u.Format]
		if t == nil {
			t = &tally{Format: u.Format}
			sums[u.Format] = t
		}
		t.Tensors, t.Values, t.Bytes = t.Tensors+1, t.Values+u.Values(), t.Bytes+u.Packed+u.Table
		t.Mapped += u.Mapped
		t.Bits += u.Bits * float64(u.Values())
	}
	for _, t := range sums {
		t.Bits /= float64(t.Values)
	}
	s.Runs = sorted(sums)
	s.Gives = m.Design.Gives()
	if !m.Encoder() {
		s.Vocab = p.Head.Vocab
		s.KVPerToken = map[string]int64{}
		for _, kind := range kvTypes {
			s.KVPerToken[kind] = p.KVBlockBytes(kind) / nn.BlockTokens
		}
	}
	return s, nil
}

func (i *inspection) print(w io.Writer) error {
	rows := [][]string{{"file", i.Path + " (" + i.Kind + ")"}}
	if s := i.shape; s != nil {
		rows = append(rows, s.rows()...)
	} else {
		rows = append(rows, []string{"not served", i.Reason})
	}
	rows = append(rows, i.Tokenizer.rows()...)
	if err := table(w, rows); err != nil || len(i.Tensors) == 0 {
		return err
	}
	fmt.Fprintln(w)
	if err := table(w, tallies("STORED AS", i.Tensors)); err != nil || i.shape == nil {
		return err
	}
	fmt.Fprintln(w)
	if err := table(w, tallies("RUNS AS", i.Runs)); err != nil {
		return err
	}
	for _, note := range i.Notes {
		fmt.Fprintln(w, "note:", note)
	}
	return nil
}

func (s *shape) rows() [][]string {
	kind := "language model"
	if s.Encoder {
		kind = "encoder: " + s.Gives
	}
	rows := [][]string{
		{"architecture", fmt.Sprintf("%s, %s", s.Architecture, kind)},
		{"parameters", fmt.Sprintf("%.1f million in %d blocks of width %d", float64(s.Parameters)/1e6, s.Blocks, s.Width)},
		{"context", fmt.Sprintf("%d tokens", s.Context)},
		{"stored", fmt.Sprintf("%.3f bits per weight", s.Stored)},
		{"weights", fmt.Sprintf("%s: %.3f bits per weight", s.Weights, s.BitsPerWeight)},
		{"memory", s.memory()},
	}
	if s.Attention != "" {
		rows = append(rows, []string{"attention", s.Attention})
	}
	if len(s.KVPerToken) > 0 {
		var parts []string
		for _, kind := range kvTypes {
			parts = append(parts, fmt.Sprintf("%s %s", kind, bytesText(s.KVPerToken[kind])))
		}
		rows = append(rows, []string{"KV cache", strings.Join(parts, ", ") + " a token"})
	}
	return rows
}

// memory says in words what the weights take. A table of rows that stays as stored is read from the file's mapping.
func (s *shape) memory() string {
	text := bytesText(s.WeightBytes)
	if s.MappedBytes > 0 {
		text = fmt.Sprintf("%s: %s of weights, and %s of rows that are read from the file as they are needed",
			bytesText(s.WeightBytes+s.MappedBytes), text, bytesText(s.MappedBytes))
	}
	return text + "; at most " + bytesText(s.LoadingBytes) + " of weights while loading"
}

func (v *vocabulary) rows() [][]string {
	switch {
	case v == nil:
		return nil
	case v.Error != "":
		return [][]string{{"tokenizer", v.Error}}
	}
	template := "no"
	if v.ChatTemplate {
		template = "yes"
	}
	return [][]string{{"tokenizer", fmt.Sprintf("%d tokens, ends with %v", v.Tokens, v.EOS)}, {"chat template", template}}
}

func tallies(title string, list []tally) [][]string {
	rows := [][]string{{title, "TENSORS", "VALUES", "BYTES", "BITS"}}
	for _, t := range list {
		rows = append(rows, []string{t.Format, fmt.Sprint(t.Tensors), fmt.Sprint(t.Values), bytesText(t.Bytes + t.Mapped), fmt.Sprintf("%.3f", t.Bits)})
	}
	return rows
}
