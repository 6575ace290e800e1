package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"hone/checkpoint"
	"hone/internal/machine"
	"hone/kernel"
	"hone/model"
	"hone/nn"
	"hone/recipe"
	"hone/tokenizer"
)

// weightsFlag is the value of --weights: FORMAT[,head=FORMAT].
type weightsFlag struct {
	model.Weights
}

func (w *weightsFlag) Set(s string) (err error) {
	w.Weights, err = model.ParseWeights(s)
	return err
}

func (w *weightsFlag) Type() string { return "FORMAT[,head=FORMAT]" }

// String is the format, "as stored" when none was asked for.
func (w *weightsFlag) String() string {
	if w.Weights == (model.Weights{}) {
		return recipe.AsStored
	}
	return w.Weights.String()
}

// addWeights gives a verb the one grammar of number formats.
func addWeights(cmd *cobra.Command) *weightsFlag {
	var w weightsFlag
	cmd.Flags().Var(&w, "weights", "number format of the weights, such as bf16, int8-row, q4 or int4-g32,head=int8-row (hone quantize --help lists all)")
	return &w
}

// session is a model that is ready to run.
type session struct {
	model *model.Model
	plan  model.Plan
	pool  *kernel.Pool
	exec  *nn.Exec
}

// sizes are what a session is loaded for.
type sizes struct {
	rows    int // of one batch
	context int // positions of one sequence
	kv      nn.KVConfig
}

// openModel opens MODEL: a path or a name in the store.
func openModel(name string) (*model.Model, error) {
	path, err := locate(name)
	if err != nil {
		return nil, err
	}
	return model.Open(path)
}

// load brings an opened model's weights, after it has checked that there is memory for them. It takes m over: m is closed
// with the session, or on failure.
func load(ctx context.Context, m *model.Model, w model.Weights, threads int, s sizes, notes io.Writer) (*session, error) {
	plan, err := m.Plan(w)
	if err == nil {
		err = fits(m.Path, plan, m.Design.Program.KVBlockBytes(s.kv.Type)*int64(s.kv.Blocks), s.rows)
	}
	if err != nil {
		m.File.Close()
		return nil, err
	}
	for _, note := range plan.Notes() {
		fmt.Fprintln(notes, "note:", note)
	}
	pool := kernel.NewPool(threads)
	exec, err := m.Load(model.LoadOptions{Weights: w, MaxTokens: s.rows, MaxContext: s.context, KV: s.kv, Pool: pool, Stop: ctx.Err})
	if err != nil {
		pool.Close()
		m.File.Close()
		return nil, err
	}
	if n, ok := m.File.(checkpoint.Noter); ok {
		for _, note := range n.Notes() {
			fmt.Fprintln(notes, "note:", note)
		}
	}
	return &session{m, plan, pool, exec}, nil
}

func (s *session) close() {
	s.pool.Close()
	s.model.File.Close()
}

// fits refuses a load for which memory does not suffice, with the figures.
func fits(path string, plan model.Plan, kv int64, rows int) error {
	have, ok := machine.ReadMemory()
	if !ok {
		return nil
	}
	weights, batch := plan.Loading(), plan.Activations(rows)
	if need := weights + kv + batch; need > have.Available {
		return fmt.Errorf("%s needs %s of memory (weights while loading %s, KV cache %s, batch %s), but %s are available: "+
			"take smaller --weights, or a smaller context", path, bytesText(need), bytesText(weights), bytesText(kv), bytesText(batch), bytesText(have.Available))
	}
	return nil
}

// plainText is how evaluation reads a text: special tokens spelt in it are text.
func plainText(tok tokenizer.Tokenizer, text string, special bool) ([]int32, error) {
	return tok.Encode(text, tokenizer.EncodeOptions{AddSpecial: special})
}
