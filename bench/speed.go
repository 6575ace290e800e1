// Package bench measures: the machine's own limits, the speed of a model and of its parts beside those limits, and a
// peer's program run alternately with ours.
package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"hone/kernel"
	"hone/nn"
)

// Work says what to measure.
type Work struct {
	Prefill     int // tokens of the prompt, 0: not measured
	Decode      int // tokens generated one by one from an empty context, 0: not measured
	Batch       int // sequences decoded together, 0 or 1: not measured
	BatchPrompt int // prompt tokens of each of them
	BatchDecode int // tokens generated for each of them
	Repeat      int // runs of each; the median counts
}

// Speed is one kind of work: the median rate, the runs it was taken from, and what part of the machine's limit it uses.
type Speed struct {
	TokensPerSecond float64   `json:"tokens_per_second"`
	ShareOfLimit    float64   `json:"share_of_limit"`
	Limit           string    `json:"limit"` // the limit it is a share of
	Runs            []float64 `json:"runs"`
}

// Report is what Measure finds; work that was not asked for is nil.
type Report struct {
	Prefill     *Speed        `json:"prefill,omitempty"`
	Decode      *Speed        `json:"decode,omitempty"`
	BatchDecode *Speed        `json:"batch_decode,omitempty"`
	Limits      kernel.Limits `json:"limits"`
}

// Subject is a loaded model with what its share of the limits is reckoned from.
type Subject struct {
	Exec        *nn.Exec
	WeightBytes int64  // all of the model's; a decode step reads them once, but for experts that are not picked
	Unit        string // the arithmetic its products run in: f32, bf16 or int8

	stop func() error // of a run's batches
}

// KVBlocks is the number of cache blocks that the work needs.
func (w Work) KVBlocks() int {
	blocks := func(n int) int { return (n + nn.BlockTokens - 1) / nn.BlockTokens }
	return max(1, blocks(w.Prefill), blocks(w.Decode), w.Batch*blocks(w.BatchPrompt+w.BatchDecode))
}

// MaxTokens is the most rows of a batch that the work makes.
func (w Work) MaxTokens() int { return max(w.Prefill, w.Batch, 512) }

// Measure runs the work on a model; its cache must hold KVBlocks blocks.
func Measure(ctx context.Context, s Subject, w Work, limits kernel.Limits) (*Report, error) {
	r := &Report{Limits: limits}
	s.stop = ctx.Err
	p := s.Exec.Program()
	one := func(n int, run func() (time.Duration, int, error)) (*Speed, error) {
		if n == 0 {
			return nil, nil
		}
		return repeat(ctx, w.Repeat, run)
	}
	var err error
	if r.Prefill, err = one(w.Prefill, func() (time.Duration, int, error) { return s.prefill(w.Prefill) }); err != nil {
		return nil, err
	}
	if r.Decode, err = one(w.Decode, func() (time.Duration, int, error) { return s.decode(w.Decode) }); err != nil {
		return nil, err
	}
	if w.Batch > 1 {
		if r.BatchDecode, err = one(w.BatchDecode, func() (time.Duration, int, error) { return s.batch(w) }); err != nil {
			return nil, err
		}
	}
	r.Prefill.share(s.computeLimit(limits), float64(p.Cost(w.Prefill, w.Prefill/2, 1).Flops)/float64(max(1, w.Prefill)))
	read := float64(s.WeightBytes) * float64(p.Cost(1, 1, 1).WeightFloats) / float64(allWeights(p))
	r.Decode.share(limit{"read_gbps", limits.ReadGBps * 1e9}, read)
	if w.Batch > 1 {
		r.BatchDecode.share(s.computeLimit(limits), float64(p.Cost(w.Batch, w.BatchPrompt, w.Batch).Flops)/float64(w.Batch))
	}
	return r, nil
}

// allWeights counts the weights that some token reads.
func allWeights(p *nn.Program) int64 {
	const enough = 1 << 20 // tokens that pick every expert
	return p.Cost(enough, 1, 1).WeightFloats
}

// share reckons the part of a limit (units a second) that tokens of the given cost (units each) use.
func (s *Speed) share(l limit, cost float64) {
	if s == nil || l.perSecond == 0 {
		return
	}
	s.Limit, s.ShareOfLimit = l.name, s.TokensPerSecond*cost/l.perSecond
}

func (s Subject) computeLimit(l kernel.Limits) limit {
	switch s.Unit {
	case "int8":
		return limit{"int8_gops", l.Int8GOPS * 1e9}
	case "bf16":
		return limit{"bf16_gflops", l.BF16GFLOPS * 1e9}
	}
	return limit{"f32_gflops", l.F32GFLOPS * 1e9}
}

// repeat warms up once, then takes the median rate of n runs.
func repeat(ctx context.Context, n int, run func() (time.Duration, int, error)) (*Speed, error) {
	s := &Speed{}
	for i := range max(n, 1) + 1 {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		took, tokens, err := run()
		if err != nil {
			return nil, err
		}
		if i > 0 {
			s.Runs = append(s.Runs, float64(tokens)/took.Seconds())
		}
	}
	s.TokensPerSecond = Median(s.Runs)
	return s, nil
}

// Median of a non-empty list.
func Median(runs []float64) float64 {
	sorted := slices.Sorted(slices.Values(runs))
	n := len(sorted)
	if n == 0 {
		return 0
	}
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

func randomTokens(n, vocab int, seed uint64) []int32 {
	rng := rand.New(rand.NewPCG(seed, 0))
	tokens := make([]int32, n)
	for i := range tokens {
		tokens[i] = int32(rng.IntN(vocab))
	}
	return tokens
}

func table(first, n int) []int32 {
	blocks := make([]int32, (n+nn.BlockTokens-1)/nn.BlockTokens)
	for i := range blocks {
		blocks[i] = int32(first + i)
	}
	return blocks
}

// prefill reads a prompt of n tokens in steps of at most 512 and computes the last token's logits.
func (s Subject) prefill(n int) (time.Duration, int, error) {
	tokens, blocks := randomTokens(n, s.Exec.Vocab(), 1), table(0, n)
	logits := make([]float32, s.Exec.Vocab())
	start := time.Now()
	for pos := 0; pos < n; pos += 512 {
		step := min(512, n-pos)
		if err := s.Exec.Forward(&nn.Batch{Tokens: tokens[pos : pos+step], Seqs: []nn.Seq{{Len: step, Pos: pos, Blocks: blocks}}, Stop: s.stop}); err != nil {
			return 0, 0, err
		}
	}
	err := s.Exec.Logits(logits, []int32{int32((n - 1) % 512)})
	return time.Since(start), n, err
}

// decode generates n tokens greedily, one a step, from an empty context.
func (s Subject) decode(n int) (time.Duration, int, error) {
	token, blocks := randomTokens(1, s.Exec.Vocab(), 2), table(0, n)
	logits := make([]float32, s.Exec.Vocab())
	b := nn.Batch{Tokens: token, Seqs: []nn.Seq{{Len: 1, Blocks: blocks}}, Stop: s.stop}
	rows := []int32{0}
	start := time.Now()
	for pos := range n {
		b.Seqs[0].Pos = pos
		if err := s.step(&b, logits, rows); err != nil {
			return 0, 0, err
		}
		token[0] = int32(kernel.ArgMax(logits))
	}
	return time.Since(start), n, nil
}

func (s Subject) step(b *nn.Batch, logits []float32, rows []int32) error {
	if err := s.Exec.Forward(b); err != nil {
		return err
	}
	return s.Exec.Logits(logits, rows)
}

// batch prefills Batch prompts, then times the decoding of all of them together.
func (s Subject) batch(w Work) (time.Duration, int, error) {
	total := w.BatchPrompt + w.BatchDecode
	each := len(table(0, total))
	vocab := s.Exec.Vocab()
	b := nn.Batch{Tokens: make([]int32, w.Batch), Seqs: make([]nn.Seq, w.Batch), Stop: s.stop}
	rows := make([]int32, w.Batch)
	for i := range w.Batch {
		blocks := table(i*each, total)
		prompt := randomTokens(w.BatchPrompt, vocab, uint64(3+i))
		if err := s.Exec.Forward(&nn.Batch{Tokens: prompt, Seqs: []nn.Seq{{Len: len(prompt), Blocks: blocks}}, Stop: s.stop}); err != nil {
			return 0, 0, err
		}
		b.Seqs[i] = nn.Seq{Offset: i, Len: 1, Blocks: blocks}
		b.Tokens[i], rows[i] = prompt[0], int32(i)
	}
	logits := make([]float32, w.Batch*vocab)
	start := time.Now()
	for step := range w.BatchDecode {
		for i := range b.Seqs {
			b.Seqs[i].Pos = w.BatchPrompt + step
		}
		if err := s.step(&b, logits, rows); err != nil {
			return 0, 0, err
		}
		for i := range b.Tokens {
			b.Tokens[i] = int32(kernel.ArgMax(logits[i*vocab : (i+1)*vocab]))
		}
	}
	return time.Since(start), w.Batch * w.BatchDecode, nil
}

// String is the rate with its share of the limit.
func (s *Speed) String() string {
	if s == nil {
		return "-"
	}
	return fmt.Sprintf("%.1f tokens/s (%.0f %% of %s)", s.TokensPerSecond, 100*s.ShareOfLimit, s.Limit)
}

// limit is one of the machine's limits in units a second.
type limit struct {
	name      string
	perSecond float64
}
