package eval

import (
	"context"
	"fmt"
	"slices"
)

// A Pair is what one window gives in a comparison of a child with its parent on the same tokens.
type Pair struct {
	Parent, Child float64   // summed −ln p of the targets
	KLD           []float64 // a target each
	Same          int       // targets where both have the same first choice
}

// Pairs are the windows of a comparison, in order; any part of them can be summed up.
type Pairs []Pair

// A Comparison sums up a child against its parent. Its JSON keys are part of the contract of `hone eval --json`.
type Comparison struct {
	Result            // the child's own perplexity
	ParentPPL float64 `json:"parent_ppl"`
	KLD       KLD     `json:"kld"`
	SameTop1  float64 `json:"same_top1"` // share of targets, 0 to 1
	PPLRatio  Ratio   `json:"ppl_ratio"`
}

// Summary sums up windows; there must be at least one.
func (p Pairs) Summary() Comparison {
	w := len(p)
	child, parent := make([]Score, w), make([]Score, w)
	diff, n, kld := make([]float64, w), make([]int, w), make([][]float64, w)
	same := 0
	for i, x := range p {
		n[i], kld[i], diff[i] = len(x.KLD), x.KLD, x.Child-x.Parent
		child[i], parent[i] = Score{x.Child, n[i]}, Score{x.Parent, n[i]}
		same += x.Same
	}
	c := Comparison{Result: PerplexityOf(child), ParentPPL: PerplexityOf(parent).PPL, KLD: spread(kld)}
	c.SameTop1 = float64(same) / float64(c.Tokens)
	log, se := clustered(diff, n)
	c.PPLRatio = ratio(log, se, w)
	return c
}

// Halves deals the windows out in turn, so that both halves run along the whole text: one to choose a child on, the
// other to report it on, free of the luck of the choice.
func (p Pairs) Halves() (choose, report Pairs) {
	for i, x := range p {
		if i%2 == 0 {
			choose = append(choose, x)
		} else {
			report = append(report, x)
		}
	}
	return choose, report
}

// A Stop function may end a child's comparison early: it is called after each window with what is known so far.
type Stop func(child int, soFar Pairs) bool

// Compare runs the parent and its children over the same windows, window by window, so that the parent is run once and
// only a few rows of logits are held. It returns each child's windows: all of them, or those up to where stop (if any)
// said true. An error or a cancelled context gives what came before it.
func Compare(ctx context.Context, parent LM, children []LM, windows []Window, stop Stop, opt Options) ([]Pairs, error) {
	for c, child := range children {
		if child.Vocab() != parent.Vocab() {
			return nil, fmt.Errorf("eval: child %d has %d logits a row, its parent %d: they do not share a vocabulary", c, child.Vocab(), parent.Vocab())
		}
	}
	for i, w := range windows {
		for _, lm := range append(slices.Clone(children), parent) {
			if err := fits(lm, i, w); err != nil {
				return nil, err
			}
		}
	}
	r := &comparison{parent: parent, children: children, pairs: make([]Pairs, len(children)), ended: make([]bool, len(children)), stop: stop}
	r.red = newReducer(opt, len(children)+1, parent.Vocab())
	tokens := 0
	for i, w := range windows {
		if err := r.window(ctx, i, w); err != nil {
			return r.pairs, err
		}
		tokens += w.Scored()
		opt.report(i+1, len(windows), tokens)
		if !slices.Contains(r.ended, false) {
			break
		}
	}
	return r.pairs, nil
}

// comparison is the state of one Compare.
type comparison struct {
	parent   LM
	children []LM
	pairs    []Pairs
	ended    []bool
	stop     Stop
	red      *reducer
}

// window runs one window on the parent and on every child that goes on.
func (r *comparison) window(ctx context.Context, i int, w Window) error {
	models, index := []LM{r.parent}, []int{}
	for c, child := range r.children {
		if !r.ended[c] {
			models, index = append(models, child), append(index, c)
		}
	}
	for _, lm := range models {
		if err := forward(ctx, lm, i, w); err != nil {
			return err
		}
	}
	tokens := make([][]token, len(index))
	for k := range tokens {
		tokens[k] = make([]token, w.Scored())
	}
	err := r.red.each(ctx, i, w, models, func(k int, row [][]float32) {
		for j := range index {
			tokens[j][k] = pair(row[0], row[j+1], w.Tokens[w.From+k])
		}
	})
	if err != nil {
		return err
	}
	for j, c := range index {
		p, err := collect(i, w, tokens[j])
		if err != nil {
			return fmt.Errorf("%w (child %d)", err, c)
		}
		r.pairs[c] = append(r.pairs[c], p)
		r.ended[c] = r.stop != nil && r.stop(c, r.pairs[c])
	}
	return nil
}

// collect sums a window's tokens in the order of the text.
func collect(i int, w Window, tokens []token) (Pair, error) {
	n := len(tokens)
	parent, child, kld := make([]float64, n), make([]float64, n), make([]float64, n)
	p := Pair{KLD: kld}
	for k, t := range tokens {
		parent[k], child[k], kld[k] = t.parent, t.child, t.kld
		if t.same {
			p.Same++
		}
	}
	var err error
	if p.Parent, err = total(i, w, parent); err != nil {
		return p, err
	}
	if p.Child, err = total(i, w, child); err != nil {
		return p, err
	}
	_, err = total(i, w, kld)
	return p, err
}
