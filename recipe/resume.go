package recipe

import (
	"encoding/json"
	"errors"
	"fmt"

	"hone/eval"
	"hone/store"
)

// past is what a search has found so far. It stands in a journal of the store, so that a search that was interrupted or
// killed goes on where it was. The zero value remembers nothing.
type past struct {
	journal *store.Journal
	samples [][]int32             // the sampled text
	parent  *Row                  // the model's own line
	rows    map[string]Row        // lines that are finished, by weights
	pairs   map[string]eval.Pairs // windows that unfinished candidates have run, by weights
	fault   error                 // why a record was not kept
}

// record is one line of the journal; one of its parts is set.
type record struct {
	Samples [][]int32 `json:"samples,omitempty"` // the next tokens of each sampled text
	Parent  *Row      `json:"parent,omitempty"`
	Row     *Row      `json:"row,omitempty"`
	Pair    *pairOf   `json:"pair,omitempty"`
}

// pairOf is one window of one candidate.
type pairOf struct {
	Weights string    `json:"weights"`
	Window  int       `json:"window"`
	Pair    eval.Pair `json:"pair"`
}

// recall reads the records of an earlier run.
func recall(j *store.Journal, records []json.RawMessage) (past, error) {
	p := past{journal: j, rows: map[string]Row{}, pairs: map[string]eval.Pairs{}}
	for i, line := range records {
		var r record
		err := json.Unmarshal(line, &r)
		if err != nil {
			return p, fmt.Errorf("record %d of an interrupted search cannot be read: %w", i+1, err)
		}
		switch {
		case r.Samples != nil:
			if p.samples, err = extend(p.samples, r.Samples); err != nil {
				return p, err
			}
		case r.Parent != nil:
			p.parent = r.Parent
		case r.Row != nil:
			p.rows[r.Row.Weights] = *r.Row
		case r.Pair != nil && r.Pair.Window == len(p.pairs[r.Pair.Weights]): // one that was run again is the same
			p.pairs[r.Pair.Weights] = append(p.pairs[r.Pair.Weights], r.Pair.Pair)
		}
	}
	return p, nil
}

// extend lengthens the texts.
func extend(texts, more [][]int32) ([][]int32, error) {
	if texts == nil {
		texts = make([][]int32, len(more))
	}
	for i := range more {
		if len(more) != len(texts) || len(more[i]) != len(more[0]) {
			return nil, errors.New("the sampled texts of an interrupted search are not equally long")
		}
		texts[i] = append(texts[i], more[i]...)
	}
	return texts, nil
}

// keepSamples keeps the tokens [from,to) of the texts; the first that are kept begin at 0.
func (p *past) keepSamples(texts [][]int32, from, to int) error {
	if p.samples == nil {
		from = 0
	}
	p.samples = texts
	more := make([][]int32, len(texts))
	for i, text := range texts {
		more[i] = text[from:to]
	}
	return p.keep(record{Samples: more})
}

// keep writes a record. The first that fails is the fault of the search: it would not be what it says it is.
func (p *past) keep(r record) error {
	if p.journal != nil && p.fault == nil {
		p.fault = p.journal.Add(r)
	}
	return p.fault
}

// String says what a search goes on from, "" when that is nothing.
func (p *past) String() string {
	windows := 0
	for weights, pairs := range p.pairs {
		if _, done := p.rows[weights]; !done {
			windows += len(pairs)
		}
	}
	if p.samples == nil && p.parent == nil && len(p.rows)+windows == 0 {
		return ""
	}
	return fmt.Sprintf("going on with an interrupted search (finished candidates: %d; windows of others: %d)", len(p.rows), windows)
}
