package recipe

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"hone/eval"
	"hone/model"
	"hone/nn"
)

// minWindows is how many windows a candidate is given before it may be given up.
const minWindows = 4

// candidate is a variant on its way through the comparison.
type candidate struct {
	weights model.Weights
	plan    model.Plan
	row     Row
	exec    *nn.Exec
	pairs   eval.Pairs // windows that it has run
}

// name is how the table and the journal call it.
func (c *candidate) name() string { return c.weights.String() }

// candidates judges all candidates against the parent, as many at a time as the memory holds, then measures their speed. row
// is the parent's own.
func (s *Spec) candidates(ctx context.Context, parent *nn.Exec, row *Row, windows []eval.Window) ([]Row, error) {
	list, err := s.plan()
	if err != nil {
		return nil, err
	}
	var rows []Row
	for done := 0; done < len(list); {
		if row, ok := s.past.rows[list[done].name()]; ok {
			rows = append(rows, row)
			done++
			continue
		}
		group, err := s.loadGroup(ctx, list[done:], parent, done, len(list))
		if err != nil {
			return nil, err
		}
		if err := s.judge(ctx, parent, group, windows); err != nil {
			return nil, err
		}
		if err := s.speeds(ctx, parent, row, group); err != nil {
			return nil, err
		}
		for i := range group {
			if err := s.past.keep(record{Row: &group[i].row}); err != nil {
				return nil, err
			}
			group[i].exec = nil
			rows = append(rows, group[i].row)
		}
		done += len(group)
	}
	return rows, nil
}

// speedRounds is how often each speed is measured, in turn with those that it is compared with: a busy moment then slows
// some runs of all of them rather than all runs of one.
const speedRounds = 2

// speeds measures the speeds of a group, and of the parent beside it.
func (s *Spec) speeds(ctx context.Context, parent *nn.Exec, row *Row, group []candidate) error {
	for round := range speedRounds {
		if err := speed(ctx, row, parent); err != nil {
			return err
		}
		for i := range group {
			s.say("measuring speed", round*len(group)+i, speedRounds*len(group))
			if err := speed(ctx, &group[i].row, group[i].exec); err != nil {
				return err
			}
		}
	}
	return nil
}

// plan parses the candidates and leaves out those whose matrices all come out as another's, as when a group of 128 does
// not divide the rows.
func (s *Spec) plan() ([]candidate, error) {
	var list []candidate
	seen := map[string]bool{}
	for _, spec := range s.Candidates {
		w, err := model.ParseWeights(spec)
		if err != nil {
			return nil, err
		}
		plan, err := s.Model.Plan(w)
		if err != nil {
			return nil, err
		}
		var key strings.Builder
		for _, u := range plan.Uses {
			fmt.Fprintf(&key, "%s,", u.Format)
		}
		if !seen[key.String()] {
			seen[key.String()] = true
			list = append(list, candidate{weights: w, plan: plan})
		}
	}
	return list, nil
}

// loadGroup loads the first candidates that fit beside the parent, at least one.
func (s *Spec) loadGroup(ctx context.Context, list []candidate, parent *nn.Exec, done, all int) ([]candidate, error) {
	var group []candidate
	m := parent.Memory()
	used := m.Weights + m.KV + m.Activations
	for _, c := range list {
		need := c.plan.Loading() + c.plan.Activations(max(s.Tokens, 512)) + s.Model.Design.Program.KVBlockBytes("f32")*int64(s.blocks())
		if len(group) > 0 && used+need > s.Memory {
			break
		}
		s.say("rounding weights", done+len(group), all)
		var err error
		if c.exec, err = s.load(ctx, c.weights); err != nil {
			return nil, err
		}
		if c.row, err = s.row(c.weights, c.exec); err != nil {
			return nil, err
		}
		c.row.Note = strings.Join(c.plan.Notes(), "; ")
		used += need
		group = append(group, c)
	}
	return group, nil
}

// judge compares a group with the parent, window by window.
func (s *Spec) judge(ctx context.Context, parent *nn.Exec, group []candidate, windows []eval.Window) error {
	live, from := s.goOn(group, len(windows))
	children := make([]eval.LM, len(live))
	for i, c := range live {
		children[i] = c.exec
	}
	opt := eval.Options{Workers: s.Pool.Workers(), Progress: func(p eval.Progress) { s.say("comparing with the parent", from+p.Window, len(windows)) }}
	_, err := eval.Compare(ctx, parent, children, windows[from:], func(i int, p eval.Pairs) bool { return s.judged(live[i], p[len(p)-1]) }, opt)
	if err := cmp.Or(err, s.past.fault); err != nil {
		return err
	}
	for i := range group {
		fill(&group[i].row, group[i].pairs, len(windows), s.Budget)
	}
	return nil
}

// goOn finds the candidates of a group that have windows to run, and the first such window. What an interrupted search
// ran is taken over; a window that only some of them have run is run again.
func (s *Spec) goOn(group []candidate, windows int) (live []*candidate, from int) {
	from = windows
	for i := range group {
		c := &group[i]
		c.pairs = s.past.pairs[c.name()]
		if len(c.pairs) < windows && !hopeless(c.pairs, s.Budget) {
			live, from = append(live, c), min(from, len(c.pairs))
		}
	}
	for _, c := range live {
		c.pairs = c.pairs[:from:from]
	}
	return live, from
}

// judged takes a candidate's next window and tells whether it was its last.
func (s *Spec) judged(c *candidate, p eval.Pair) bool {
	err := s.past.keep(record{Pair: &pairOf{c.name(), len(c.pairs), p}})
	c.pairs = append(c.pairs, p)
	return err != nil || hopeless(c.pairs, s.Budget)
}

// hopeless: even the lower one-sided 95 % bound of the ratio misses the budget.
func hopeless(p eval.Pairs, budget float64) bool {
	if len(p) < minWindows {
		return false
	}
	r := p.Summary().PPLRatio
	return r.Value*r.Value/float64(r.Upper95) > budget // the bounds are symmetric in the logarithm
}

// fill writes the quality of a row. Inside the budget means that the upper bound of the ratio is inside on the half that
// chooses and on the half that reports.
func fill(r *Row, p eval.Pairs, asked int, budget float64) {
	r.Windows = len(p)
	all := p.Summary()
	r.Quality = &all
	choose, report := p.Halves()
	if len(report) == 0 {
		return
	}
	a, b := choose.Summary(), report.Summary()
	r.Choose, r.Report = &a, &b
	r.Inside = len(p) == asked && within(a, budget) && within(b, budget)
}

func within(c eval.Comparison, budget float64) bool { return float64(c.PPLRatio.Upper95) <= budget }

// tie is the ratio of times below which two variants count as equally fast.
const tie = 1.05

// chosen is the weights of the variant to keep, "" when no candidate fits. A model that was stored in few bits may be
// faster than every variant that the budget allows: then it is kept as it is.
func chosen(parent Row, rows []Row) string {
	best := choose(rows)
	switch {
	case best < 0:
		return ""
	case parent.Seconds()*tie < rows[best].Seconds():
		return parent.Weights
	}
	return rows[best].Weights
}

// choose picks the fastest row inside the budget; among those within 5 % of it the one with the least divergence on the
// half that chooses. -1: none fits.
func choose(rows []Row) int {
	fastest := -1
	for i, r := range rows {
		if r.Inside && (fastest < 0 || r.Seconds() < rows[fastest].Seconds()) {
			fastest = i
		}
	}
	best := fastest
	for i, r := range rows {
		if r.Inside && r.Seconds() <= tie*rows[fastest].Seconds() && r.Choose.KLD.Mean < rows[best].Choose.KLD.Mean {
			best = i
		}
	}
	return best
}

// Nearest lists the rows that miss the budget by least, best first.
func (r *Result) Nearest(n int) []Row {
	var rows []Row
	for _, c := range r.Candidates {
		if c.Quality != nil && !c.Inside {
			rows = append(rows, c)
		}
	}
	slices.SortStableFunc(rows, func(a, b Row) int { return cmp.Compare(a.Quality.PPLRatio.Upper95, b.Quality.PPLRatio.Upper95) })
	return rows[:min(n, len(rows))]
}
