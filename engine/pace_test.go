package engine

import (
	"math/rand/v2"
	"testing"
	"time"
)

// machine is a model of step durations: a base that grows with decoding sequences, and a price per prefill row.
type machine struct {
	fixed, seq, row float64 // seconds
	noise           float64
	rng             *rand.Rand
}

func (m machine) step(decoding, prefill int) time.Duration {
	t := m.fixed + m.seq*float64(decoding) + m.row*float64(prefill)
	return time.Duration(t * (1 + m.noise*m.rng.Float64()) * 1e9)
}

// TestLongPromptSlowsOthersByTheBound: eight sequences decode, a prompt of 4,000 tokens arrives; on machines of any
// balance no step takes more than twice a decode step, and the prompt gets on about as fast as that allows.
func TestLongPromptSlowsOthersByTheBound(t *testing.T) {
	for name, m := range map[string]machine{
		"small model": {4e-3, 0.2e-3, 0.33e-3, 0.1, nil},
		"large model": {40e-3, 1e-3, 2.5e-3, 0.1, nil},
		"slow rows":   {1e-3, 0.1e-3, 0.15e-3, 0.1, nil},
	} {
		m.rng = rand.New(rand.NewPCG(1, 1))
		p := newPacer(1.8, 512, 64)
		p.observe(0, 512, m.step(0, 512))
		for range 50 {
			p.observe(8, 0, m.step(8, 0))
		}
		left, steps, late := 4000, 0, 0
		bound := 2 * (m.fixed + 8*m.seq) * 1.05
		for left > 0 {
			rows := min(p.limit(Load{Running: 9, Decoding: 8, Pending: left}), left)
			took := m.step(8, rows)
			p.observe(8, rows, took)
			left -= rows
			if steps++; took.Seconds() > bound {
				late++
			}
		}
		least := 4000 * m.row / (0.8 * (m.fixed + 8*m.seq))
		if late*100 > steps || float64(steps) > 1.5*least {
			t.Errorf("%s: %d of %d steps are late; %0.f steps would do", name, late, steps, least)
		}
	}
}

func TestPacerTakesWholeSteps(t *testing.T) {
	p := newPacer(1.8, 512, 64)
	for range 50 {
		p.observe(8, 0, 5*time.Millisecond)
	}
	p.observe(0, 512, 150*time.Millisecond)
	small := p.bound(8)
	if small >= 100 {
		t.Fatalf("%d rows beside eight sequences", small)
	}
	for _, c := range []struct {
		name   string
		credit float64
		l      Load
		want   int
	}{
		{"nobody decodes", 0, Load{Running: 1, Pending: 4000}, 512},
		{"a burst", 0, Load{Running: 4, Decoding: 4, Waiting: 28, Pending: 28 * 128}, 512},
		{"two short prompts beside eight", 0, Load{Running: 10, Decoding: 8, Pending: 256}, 512},
		{"one short prompt, none for long", 1, Load{Running: 9, Decoding: 8, Pending: 128}, 512},
		{"one short prompt after another", 0.5, Load{Running: 9, Decoding: 8, Pending: 128}, small},
		{"one long prompt", 2, Load{Running: 9, Decoding: 8, Pending: 4000}, small},
		{"two long prompts", 2, Load{Running: 10, Decoding: 8, Pending: 8000}, small},
	} {
		p.credit = c.credit
		if got := p.limit(c.l); got != c.want {
			t.Errorf("%s: %d rows, want %d", c.name, got, c.want)
		}
	}
	p.credit = 2
	p.observe(8, 128, 40*time.Millisecond)
	if p.credit > 1.1 {
		t.Errorf("a long step left %v of 2", p.credit)
	}
}
