package engine

import "time"

// pacer chooses how many rows of prefill a step takes while sequences decode, so that a long prompt makes the others'
// tokens come at most slowdown times as late. It learns from the durations of steps; its answers change when tokens come,
// never which.
//
// Two cases take a whole step, since many small chunks would cost all of them more: newcomers with short prompts that
// are many beside the sequences that decode (a burst), and few rows when that did not happen for a while: one long step
// in burstSteps does not touch the 99th percentile.
type pacer struct {
	slowdown float64
	full     int       // rows of a step
	base     []float64 // seconds of a step without prefill, by sequences; 0: not seen
	row      float64   // seconds that a row of prefill adds
	credit   float64   // long steps that may be taken
}

const (
	paceFloor   = 2   // rows: a prompt moves on whatever the clock says
	paceStart   = 32  // rows, before anything was measured
	paceBlend   = 0.2 // weight of a new measurement
	burstSteps  = 200
	burstCredit = 2
	burstShare  = 4 // newcomers are many from one for so many that decode
)

func newPacer(slowdown float64, full, maxSeqs int) pacer {
	return pacer{slowdown: slowdown, full: full, base: make([]float64, maxSeqs+1), credit: burstCredit}
}

// limit returns the rows of prefill for the next step.
func (p *pacer) limit(l Load) int {
	if l.Decoding == 0 || l.Pending == 0 {
		return p.full
	}
	newcomers := l.Running - l.Decoding + l.Waiting
	if newcomers*burstShare >= l.Decoding && l.Pending <= newcomers*p.full {
		return p.full
	}
	if l.Pending <= int(p.credit)*p.full {
		return p.full
	}
	return p.bound(l.Decoding)
}

// bound returns the rows that keep a step with so many decoding sequences within the slowdown.
func (p *pacer) bound(decoding int) int {
	base := p.baseline(decoding)
	if base == 0 || p.row == 0 {
		return min(paceStart, p.full)
	}
	rows := (p.slowdown - 1) * base / p.row
	return int(min(max(rows, paceFloor), float64(p.full)))
}

// baseline returns the measured decode-only duration for the nearest number of sequences, 0 if there is none.
func (p *pacer) baseline(seqs int) float64 {
	for d := range p.base {
		if i := seqs - d; i > 0 && i < len(p.base) && p.base[i] > 0 {
			return p.base[i]
		}
		if i := seqs + d; i < len(p.base) && p.base[i] > 0 {
			return p.base[i]
		}
	}
	return 0
}

// observe learns from a step of so many sequences, of which decoding took one row each, and prefill rows.
func (p *pacer) observe(decoding, prefill int, took time.Duration) {
	t := took.Seconds()
	if decoding > 0 {
		p.credit = min(p.credit+1.0/burstSteps, burstCredit)
		if prefill > p.bound(decoding) {
			p.credit = max(p.credit-1, 0)
		}
	}
	switch {
	case prefill == 0:
		blend(&p.base[min(decoding, len(p.base)-1)], t)
	case decoding == 0:
		if p.row == 0 {
			p.row = t / float64(prefill)
		}
	default:
		if base := p.baseline(decoding); base > 0 {
			blend(&p.row, max(t-base, 0.01*base)/float64(prefill))
		}
	}
}

// blend moves an estimate towards a measurement; one that is far off (another process had the core) counts as less far.
func blend(est *float64, x float64) {
	if *est == 0 {
		*est = x
		return
	}
	*est += paceBlend * (min(x, 2**est) - *est)
}
