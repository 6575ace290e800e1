package eval

import (
	"fmt"
	"math"
)

// A Share is a mean of items with its standard error.
type Share struct {
	Value float64 `json:"value"`
	SE    Number  `json:"se"` // null for one item
}

// TaskResult sums up a task. Its JSON keys are part of the contract of `hone eval --json`.
type TaskResult struct {
	Task     string `json:"task"`
	Items    int    `json:"items"`
	Accuracy Share  `json:"accuracy"`
	// Normalised is the accuracy after division of log-probabilities by the choices' lengths (Choose).
	Normalised *Share `json:"accuracy_norm,omitempty"`
	// PPL is the perplexity of the words to be recalled, a word counted once (Recall).
	PPL *Number `json:"ppl,omitempty"`
	// Parent compares with the parent on the same items.
	Parent *Paired `json:"parent,omitempty"`
}

// Paired compares a child's answers with its parent's, item by item.
type Paired struct {
	Accuracy   Share   `json:"accuracy"`       // the parent's
	Difference Share   `json:"difference"`     // child minus parent
	Lost       int     `json:"lost"`           // right of the parent, wrong of the child
	Won        int     `json:"won"`            // the other way round
	Flips      int     `json:"flips"`          // both
	Same       float64 `json:"same"`           // share of items that both answered alike, right or wrong
	McNemar    float64 `json:"mcnemar_p"`      // chance of so uneven flips where parent and child are equally good
	ByNorm     *Paired `json:"norm,omitempty"` // likewise, by length-normalised answers
}

// Sum sums up the outcomes of a task.
func (a *Asked) Sum(out []Outcome) TaskResult {
	r := TaskResult{Task: a.Task.Name, Items: len(out), Accuracy: shareOf(out, right)}
	switch a.Task.Kind {
	case Choose:
		norm := shareOf(out, rightNorm)
		r.Normalised = &norm
	case Recall:
		var nll float64
		for _, o := range out {
			nll -= o.LL[0] / float64(len(out))
		}
		ppl := Number(math.Exp(nll))
		r.PPL = &ppl
	}
	return r
}

// Pair compares a child's outcomes with its parent's on the same items.
func (a *Asked) Pair(child, parent []Outcome) (*Paired, error) {
	if len(child) != len(parent) {
		return nil, fmt.Errorf("%s: %d outcomes of the child, %d of the parent: they must be of the same items", a.Task.Name, len(child), len(parent))
	}
	p := pairOf(child, parent, right, func(o Outcome) string { return fmt.Sprint(o.Choice, o.Said) })
	switch a.Task.Kind {
	case Choose:
		p.ByNorm = pairOf(child, parent, rightNorm, func(o Outcome) string { return fmt.Sprint(o.Norm) })
	case Recall:
		p.Same = 1 - float64(p.Flips)/float64(len(child))
	}
	return p, nil
}

func right(o Outcome) bool     { return o.Right }
func rightNorm(o Outcome) bool { return o.RightNorm }

func pairOf(child, parent []Outcome, right func(Outcome) bool, answer func(Outcome) string) *Paired {
	p := &Paired{Accuracy: shareOf(parent, right)}
	diff := make([]float64, len(child))
	for i, c := range child {
		switch was, is := right(parent[i]), right(c); {
		case was && !is:
			p.Lost++
			diff[i] = -1
		case is && !was:
			p.Won++
			diff[i] = 1
		}
		if answer(c) == answer(parent[i]) {
			p.Same += 1 / float64(len(child))
		}
	}
	p.Flips = p.Lost + p.Won
	p.Difference = meanOf(diff)
	p.McNemar = mcNemar(p.Lost, p.Won)
	return p
}

func shareOf(out []Outcome, right func(Outcome) bool) Share {
	x := make([]float64, len(out))
	for i, o := range out {
		if right(o) {
			x[i] = 1
		}
	}
	return meanOf(x)
}

// meanOf is the mean and its standard error, items being independent draws.
func meanOf(x []float64) Share {
	n := float64(len(x))
	var sum, sq float64
	for _, v := range x {
		sum += v
	}
	mean := sum / n
	for _, v := range x {
		sq += (v - mean) * (v - mean)
	}
	return Share{mean, Number(math.Sqrt(sq / (n - 1) / n))}
}

// exactFlips is up to how many flips McNemar's test is exact; beyond it the normal approximation is as good.
const exactFlips = 1000

// mcNemar is the two-sided p-value of McNemar's test (1947) that flips one way are as likely as flips the other way: the
// binomial test, or chi-squared with continuity correction where flips are many.
func mcNemar(lost, won int) float64 {
	n, few := lost+won, min(lost, won)
	if n == 0 {
		return 1
	}
	if n > exactFlips {
		chi := max(math.Abs(float64(lost-won))-1, 0)
		return math.Erfc(chi / math.Sqrt(2*float64(n)))
	}
	all, _ := math.Lgamma(float64(n + 1))
	var p float64
	for k := 0; k <= few; k++ {
		a, _ := math.Lgamma(float64(k + 1))
		b, _ := math.Lgamma(float64(n - k + 1))
		p += math.Exp(all - a - b - float64(n)*math.Ln2)
	}
	return min(1, 2*p)
}
