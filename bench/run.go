package bench

import (
	"context"
	"fmt"

	"hone/internal/machine"
	"hone/kernel"
	"hone/model"
	"hone/nn"
	"hone/quant"
)

// Spec is one call of the benchmark: a model's path or a shape's name, the number formats, the work and the peers.
type Spec struct {
	Path, Shape string
	Weights     model.Weights
	KV          string
	Threads     int
	Work        Work
	WriteGGUF   string // for shapes: write the weights there and measure nothing
	Pairs       int    // alternate runs with each peer
	Peer        Peer
}

// Peer is llama.cpp's own benchmark programs, the model file that they run, and further arguments; empty programs are left
// out.
type Peer struct {
	Bench, BatchedBench, Model string
	Flags                      []string
}

// Result is a report with its subject and, if peers ran, the comparisons.
type Result struct {
	Model         string  `json:"model"`
	Weights       string  `json:"weights"`
	BitsPerWeight float64 `json:"bits_per_weight"`
	WeightBytes   int64   `json:"weight_bytes"`
	Threads       int     `json:"threads"`
	Kernels       string  `json:"kernels"`
	Report
	Comparisons []Comparison `json:"comparisons,omitempty"`
}

// Run loads the subject, measures the machine's limits and the work, then runs the peers alternately.
func Run(ctx context.Context, spec Spec) (*Result, error) {
	design, source, done, err := open(spec)
	if err != nil {
		return nil, err
	}
	defer done()
	if spec.WriteGGUF != "" {
		return nil, writeShape(spec, design, source)
	}
	if design.Program.Head == nil {
		return nil, fmt.Errorf("bench: %s is an encoder; bench measures language models", spec.Path)
	}
	if err := fits(design.Program, spec); err != nil {
		return nil, err
	}
	pool := kernel.NewPool(spec.Threads)
	defer pool.Close()
	x, err := nn.New(design.Program, source, nn.Options{
		MaxTokens: spec.Work.MaxTokens(), MaxContext: spec.Work.KVBlocks() * nn.BlockTokens,
		KV: nn.KVConfig{Type: spec.KV, Blocks: spec.Work.KVBlocks()}, Pool: pool, Formats: spec.Weights.Formats(design.Tied), Stop: ctx.Err,
	})
	if err != nil {
		return nil, err
	}
	limits := kernel.MeasureLimits(pool, 0.25)
	subject := Subject{Exec: x, WeightBytes: x.Memory().Weights, Unit: arithmetic(x.Encoding())}
	report, err := Measure(ctx, subject, spec.Work, limits)
	if err != nil {
		return nil, err
	}
	r := &Result{Model: spec.Path + spec.Shape, Weights: spec.Weights.String(), Threads: spec.Threads, Kernels: kernel.Active(),
		WeightBytes: subject.WeightBytes, Report: *report}
	r.BitsPerWeight = 8 * float64(r.WeightBytes) / float64(allWeights(design.Program))
	r.Comparisons, err = compare(ctx, spec, subject)
	return r, err
}

// fits refuses work whose KV cache and batches alone need more memory than there is.
func fits(p *nn.Program, spec Spec) error {
	have, ok := machine.ReadMemory()
	need := p.KVBlockBytes(spec.KV)*int64(spec.Work.KVBlocks()) + model.Activations(p, spec.Work.MaxTokens())
	if !ok || need <= have.Available {
		return nil
	}
	return fmt.Errorf("bench: the work needs %.1f GB of memory beside the weights, but %.1f GB are available: take fewer tokens of --prefill or --decode, or a smaller --batch",
		float64(need)/1e9, float64(have.Available)/1e9)
}

// open finds the program and its weights: a file's or a shape's.
func open(spec Spec) (*model.Design, nn.Source, func() error, error) {
	if spec.Shape != "" {
		shape, err := ShapeOf(spec.Shape)
		if err != nil {
			return nil, nil, nil, err
		}
		design, err := model.FromConfig(shape.Config())
		if err != nil {
			return nil, nil, nil, err
		}
		return design, NewRandom(design.Program), func() error { return nil }, nil
	}
	m, err := model.Open(spec.Path)
	if err != nil {
		return nil, nil, nil, err
	}
	return m.Design, m, m.File.Close, nil
}

func writeShape(spec Spec, design *model.Design, source nn.Source) error {
	random, ok := source.(*Random)
	if !ok {
		return fmt.Errorf("bench: only a shape's weights are written as GGUF; %s is a file already", spec.Path)
	}
	shape, err := ShapeOf(spec.Shape)
	if err != nil {
		return err
	}
	return shape.WriteGGUF(spec.WriteGGUF, design, random)
}

// compare runs each asked work beside the peer.
func compare(ctx context.Context, spec Spec, s Subject) ([]Comparison, error) {
	w, p := spec.Work, spec.Peer
	var all []Comparison
	add := func(name string, ours func() (float64, error), peer func() (float64, error)) error {
		c, err := Compare(ctx, name, max(1, spec.Pairs), ours, peer)
		all = append(all, c)
		return err
	}
	once := func(run func() (*Report, error), pick func(*Report) *Speed) func() (float64, error) {
		return func() (float64, error) {
			r, err := run()
			if err != nil {
				return 0, err
			}
			return pick(r).TokensPerSecond, nil
		}
	}
	only := func(w Work) func() (*Report, error) {
		w.Repeat = 3
		return func() (*Report, error) { return Measure(ctx, s, w, kernel.Limits{}) }
	}
	if p.Bench != "" && w.Prefill > 0 {
		if err := add(fmt.Sprintf("prefill %d", w.Prefill),
			once(only(Work{Prefill: w.Prefill}), func(r *Report) *Speed { return r.Prefill }),
			func() (float64, error) { return LlamaBench(ctx, p, spec.Threads, w.Prefill, 0) }); err != nil {
			return all, err
		}
	}
	if p.Bench != "" && w.Decode > 0 {
		if err := add(fmt.Sprintf("decode %d", w.Decode),
			once(only(Work{Decode: w.Decode}), func(r *Report) *Speed { return r.Decode }),
			func() (float64, error) { return LlamaBench(ctx, p, spec.Threads, 0, w.Decode) }); err != nil {
			return all, err
		}
	}
	if p.BatchedBench != "" && w.Batch > 1 {
		batch := Work{Batch: w.Batch, BatchPrompt: w.BatchPrompt, BatchDecode: w.BatchDecode}
		if err := add(fmt.Sprintf("decode, batch %d", w.Batch),
			once(only(batch), func(r *Report) *Speed { return r.BatchDecode }),
			func() (float64, error) {
				return LlamaBatchedBench(ctx, p, spec.Threads, w.BatchPrompt, w.BatchDecode, w.Batch)
			}); err != nil {
			return all, err
		}
	}
	return all, nil
}

// arithmetic of a packed form, for the limit that its products are held to.
func arithmetic(e quant.Encoding) string {
	switch e {
	case quant.F32:
		return "f32"
	case quant.BF16:
		return "bf16"
	}
	return "int8"
}
