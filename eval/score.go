package eval

import (
	"context"
	"fmt"
	"math"
	"slices"
	"unicode/utf8"

	"hone/kernel"
)

// An Outcome is what a model answered to one item.
type Outcome struct {
	Right  bool
	Choice int // Choose: the likeliest choice
	// Norm and RightNorm are Choice and Right after each log-probability was divided by the choice's number of characters.
	Norm      int
	RightNorm bool
	// LL is the summed log-probability of each choice, in nats.
	LL []float64
	// Lead is, of Recall, the least lead of a target's logit over all others: above 0 where greedy decoding writes it.
	Lead float64
	// Text is what was written, Said the answer found in it.
	Text, Said string
}

// Score runs a model over a task of kind Choose or Recall. kvBlocks is the size of the model's own KV cache, 0 without
// one: with it, what the choices of an item have in common is computed once. Outcomes do not depend on it, nor on how
// the items fill batches.
func (a *Asked) Score(ctx context.Context, lm LM, kvBlocks int, opt Options) ([]Outcome, error) {
	if a.Task.Kind == Write {
		return nil, fmt.Errorf("%s: this task is written, not scored", a.Task.Name)
	}
	s := &scorer{asked: a, lm: lm, opt: opt, red: newReducer(opt, 1, lm.Vocab()), out: make([]Outcome, len(a.asked))}
	f := filler{rows: lm.MaxTokens(), blocks: kvBlocks}
	for i := 0; i < len(a.asked); i++ {
		s.out[i] = Outcome{LL: make([]float64, len(a.asked[i].choices)), Lead: math.Inf(1)}
		if f.add(i, a.asked[i]) {
			continue
		}
		if len(f.wants) == 0 {
			return nil, fmt.Errorf("%s: item %d does not fit one batch: its choices have %d tokens in all, the model takes %d, with %d KV blocks",
				a.Task.Name, i+1, lengths(a.asked[i].choices), f.rows, f.blocks)
		}
		if err := s.run(ctx, &f); err != nil {
			return nil, err
		}
		f.reset()
		i--
	}
	if err := s.run(ctx, &f); err != nil {
		return nil, err
	}
	for i := range s.out {
		if err := s.judge(i); err != nil {
			return nil, err
		}
	}
	return s.out, nil
}

type scorer struct {
	asked  *Asked
	lm     LM
	opt    Options
	red    *reducer
	out    []Outcome
	tokens int
}

// run computes one filling: stems first, then tails, then the logits that are wanted.
func (s *scorer) run(ctx context.Context, f *filler) error {
	if len(f.wants) == 0 {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if len(f.stems.Tokens) > 0 {
		if err := s.lm.Forward(&f.stems); err != nil {
			return fmt.Errorf("%s: %w", s.asked.Task.Name, err)
		}
	}
	if err := s.lm.Forward(&f.tails); err != nil {
		return fmt.Errorf("%s: %w", s.asked.Task.Name, err)
	}
	nll, lead, err := s.targets(f.wants)
	if err != nil {
		return err
	}
	for k, w := range f.wants { // in the order of the text
		o := &s.out[w.item]
		o.LL[w.choice] -= nll[k]
		o.Lead = min(o.Lead, lead[k])
	}
	s.tokens += len(f.wants)
	s.opt.report(f.wants[len(f.wants)-1].item+1, len(s.out), s.tokens)
	return nil
}

// targets gives −ln p and lead of each wanted target; a row that several targets share is multiplied by the head once.
func (s *scorer) targets(wants []want) (nlls, leads []float64, err error) {
	byRow := map[int][]int{}
	for k, w := range wants {
		byRow[w.row] = append(byRow[w.row], k)
	}
	rows := make([]int32, 0, len(byRow))
	for r := range byRow {
		rows = append(rows, int32(r))
	}
	slices.Sort(rows)
	nlls, leads = make([]float64, len(wants)), make([]float64, len(wants))
	v := s.lm.Vocab()
	for from := 0; from < len(rows); from += s.opt.rows() {
		chunk := rows[from:min(from+s.opt.rows(), len(rows))]
		logits := s.red.logits[0][:len(chunk)*v]
		if err := s.lm.Logits(logits, chunk); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", s.asked.Task.Name, err)
		}
		s.red.spread(len(chunk), func(i int, _ [][]float32) {
			row := logits[i*v : (i+1)*v]
			lse, _ := logSumExp(row)
			for _, k := range byRow[int(chunk[i])] {
				nlls[k] = lse - float64(row[wants[k].target])
				leads[k] = lead(row, wants[k].target)
			}
		}, 1)
	}
	return nlls, leads, nil
}

// lead is how far the target's logit is above all others.
func lead(row []float32, target int32) float64 {
	others := math.Inf(-1)
	if before := row[:target]; len(before) > 0 {
		others = float64(kernel.Max(before))
	}
	if after := row[target+1:]; len(after) > 0 {
		others = max(others, float64(kernel.Max(after)))
	}
	return float64(row[target]) - others
}

// judge makes the answer out of the log-probabilities; of equal ones the first counts.
func (s *scorer) judge(i int) error {
	o, it := &s.out[i], s.asked.Items[i]
	norm := make([]float64, len(o.LL))
	for k, ll := range o.LL {
		if math.IsNaN(ll) || math.IsInf(ll, 0) {
			return fmt.Errorf("%s: item %d, choice %d: the log-probability is %v: the logits are not finite", s.asked.Task.Name, i+1, k+1, ll)
		}
		norm[k] = ll / float64(utf8.RuneCountInString(it.Choices[k]))
		if ll > o.LL[o.Choice] {
			o.Choice = k
		}
		if norm[k] > norm[o.Norm] {
			o.Norm = k
		}
	}
	if s.asked.Task.Kind == Recall {
		o.Right = o.Lead > 0
		o.RightNorm = o.Right
		return nil
	}
	o.Right, o.RightNorm = o.Choice == it.Answer, o.Norm == it.Answer
	return nil
}
