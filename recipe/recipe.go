// Package recipe changes models by ordered passes and finds the fastest variant inside a quality budget: it measures the
// parent, tries candidates, judges them on the same windows, and keeps one with its evidence.
package recipe

import (
	"context"
	"fmt"
	"time"

	"hone/bench"
	"hone/eval"
	"hone/kernel"
	"hone/model"
	"hone/nn"
)

// Spec is what Search is asked.
type Spec struct {
	Model      *model.Model
	Budget     float64 // largest ratio of the variant's perplexity to the parent's
	Data       string  // text to judge on; "": text sampled from the parent
	Windows    int     // 0: 20
	Tokens     int     // of a window; 0: 512
	Seed       uint64  // of the sampled text
	Candidates []string
	Pool       *kernel.Pool
	Memory     int64 // bytes that the parent and the candidates that are compared at once may take; 0: one candidate at a time
	Progress   Progress
	Note       func(string) // hears what the user should know, a line each
	Build      string       // of the program: what an interrupted search found is taken up by the same one alone

	past past // what an interrupted search found
}

// Progress hears what is being done; done and all count the steps of the phase.
type Progress func(phase string, done, all int)

// Row is one line of the evidence: a variant's size, speed and quality.
type Row struct {
	Weights       string  `json:"weights"`
	BitsPerWeight float64 `json:"bits_per_weight"`
	Bytes         int64   `json:"bytes"`  // of the weights in memory
	Memory        int64   `json:"memory"` // with a KV cache for one full window and the activations
	Prefill       float64 `json:"prefill_tokens_per_second"`
	Decode        float64 `json:"decode_tokens_per_second"`
	// Quality is the comparison on all windows, as `hone eval --ids` prints it; Choose and Report are its two halves.
	Quality *eval.Comparison `json:"quality,omitempty"`
	Choose  *eval.Comparison `json:"choose,omitempty"`
	Report  *eval.Comparison `json:"report,omitempty"`
	Windows int              `json:"windows"` // that were run; fewer than asked for when the budget was clearly missed
	Inside  bool             `json:"inside"`
	Note    string           `json:"note,omitempty"`
}

// AsStored is the name of the row of the model itself.
const AsStored = "as stored"

// Seconds is the time of the request by which speeds are compared: 512 tokens read, 128 written.
func (r Row) Seconds() float64 { return 512/r.Prefill + 128/r.Decode }

// Result is the outcome of a search.
type Result struct {
	Budget     float64  `json:"budget"`
	Evidence   Evidence `json:"evidence"`
	Parent     Row      `json:"parent"`
	Candidates []Row    `json:"candidates"`
	Chosen     string   `json:"chosen,omitempty"` // weights of the chosen row, "" when nothing fits
	Seconds    float64  `json:"seconds"`
}

// DefaultCandidates are tried in this order. The head is 8-bit in all of them: it is a quarter of a small model. Where
// 8-bit weights fit and activations in 8 bits do not, unrounded ones may, for the head alone or for all.
func DefaultCandidates() []string {
	list := []string{"w8a8,head=int8-row-a8", "int8-row-a8,head=int8-row-a8"}
	groups := []string{"g128", "g64", "g32"}
	for _, group := range groups {
		list = append(list, "int8-"+group+"-a8,head=int8-g32-a8")
	}
	list = append(list, "int8-g32-a8,head=int8-g32", "int8-g32,head=int8-g32")
	for _, kind := range []string{"", "-asym"} {
		for _, group := range groups {
			list = append(list, "int4-"+group+kind+"-a8,head=int8-g32-a8")
		}
	}
	return append(list, "bf16")
}

// Search runs the whole comparison. It saves no variant.
func Search(ctx context.Context, spec Spec) (*Result, error) {
	start := time.Now()
	spec.defaults()
	parent, err := spec.load(ctx, model.Weights{})
	if err != nil {
		return nil, err
	}
	windows, evidence, err := spec.evidence(ctx, parent)
	if err != nil {
		return nil, err
	}
	r := &Result{Budget: spec.Budget, Evidence: evidence}
	if r.Parent, err = spec.measureParent(ctx, parent); err != nil {
		return nil, err
	}
	if r.Candidates, err = spec.candidates(ctx, parent, &r.Parent, windows); err != nil {
		return nil, err
	}
	r.Chosen = chosen(r.Parent, r.Candidates)
	r.Seconds = time.Since(start).Seconds()
	return r, nil
}

// measureParent gives the model's own line.
func (s *Spec) measureParent(ctx context.Context, parent *nn.Exec) (Row, error) {
	if s.past.parent != nil {
		return *s.past.parent, nil
	}
	row, err := s.row(model.Weights{}, parent)
	if err != nil {
		return row, err
	}
	s.say("speed of the model as stored", 0, 1)
	if err := speed(ctx, &row, parent); err != nil {
		return row, err
	}
	return row, s.past.keep(record{Parent: &row})
}

func (s *Spec) defaults() {
	if s.Windows == 0 {
		s.Windows = 20
	}
	if s.Tokens == 0 {
		s.Tokens = 512
	}
	s.Tokens = min(s.Tokens, s.Model.Design.Context)
	if s.Candidates == nil {
		s.Candidates = DefaultCandidates()
	}
	if s.Progress == nil {
		s.Progress = func(string, int, int) {}
	}
	if s.Note == nil {
		s.Note = func(string) {}
	}
}

func (s *Spec) say(phase string, done, all int) { s.Progress(phase, done, all) }

// blocks is the number of KV blocks of one window.
func (s *Spec) blocks() int { return (max(s.Tokens, 512) + nn.BlockTokens) / nn.BlockTokens }

// load makes a variant ready for windows and for the measurement of its speed.
func (s *Spec) load(ctx context.Context, w model.Weights) (*nn.Exec, error) {
	blocks := s.blocks()
	if w == (model.Weights{}) && s.Data == "" {
		blocks *= min(s.Windows, samplesAtOnce) // the parent also samples
	}
	return s.Model.Load(model.LoadOptions{Weights: w, MaxTokens: max(s.Tokens, 512), MaxContext: s.blocks() * nn.BlockTokens,
		Pool: s.Pool, KV: nn.KVConfig{Blocks: blocks}, Stop: ctx.Err})
}

// row begins a line of the table with what is known of a loaded variant.
func (s *Spec) row(w model.Weights, x *nn.Exec) (Row, error) {
	plan, err := s.Model.Plan(w)
	if err != nil {
		return Row{}, err
	}
	name := w.String()
	if w == (model.Weights{}) {
		name = AsStored
	}
	m := x.Memory()
	kv := s.Model.Design.Program.KVBlockBytes("f32") * int64(s.blocks())
	return Row{Weights: name, BitsPerWeight: plan.BitsPerWeight(), Bytes: m.Weights, Memory: m.Weights + m.Activations + kv}, nil
}

// speed measures prefill and decode: a warm-up and one run each. A row keeps the fastest that it has seen, since what else
// the machine does only ever slows a run.
func speed(ctx context.Context, r *Row, x *nn.Exec) error {
	s := bench.Subject{Exec: x, WeightBytes: r.Bytes}
	report, err := bench.Measure(ctx, s, bench.Work{Prefill: min(512, x.MaxTokens()), Decode: 48, Repeat: 1}, kernel.Limits{})
	if err != nil {
		return err
	}
	r.Prefill, r.Decode = max(r.Prefill, report.Prefill.TokensPerSecond), max(r.Decode, report.Decode.TokensPerSecond)
	return nil
}

// BudgetText reads a budget such as ppl=1.01.
func BudgetText(s string) (float64, error) {
	var ratio float64
	if n, err := fmt.Sscanf(s, "ppl=%g", &ratio); n != 1 || err != nil || !(ratio >= 1 && ratio < 1e6) {
		return 0, fmt.Errorf("budget %q: write ppl=RATIO with a ratio of at least 1, such as ppl=1.01", s)
	}
	return ratio, nil
}
