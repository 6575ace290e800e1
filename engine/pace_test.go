package engine

import (
	"math/rand/v2"
	"slices"
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

// arrival is a request of a simulation.
type arrival struct {
	at             time.Duration
	prompt, answer int
}

// simulate runs scheduler and pacer on a machine with a clock of its own. It returns the mean batch, the gaps between the
// tokens of all sequences, and when each request had its first token.
func simulate(m machine, arrivals []arrival) (mean float64, gaps, first []time.Duration) {
	s := NewScheduler(SchedulerConfig{Blocks: 4096, StepTokens: 512, MaxSeqs: 64})
	p := newPacer(1.8, 512, 64)
	last := make([]time.Duration, len(arrivals))
	first = make([]time.Duration, len(arrivals))
	var now time.Duration
	var outcomes []Outcome
	for next, steps, seqs := 0, 0, 0; ; {
		for ; next < len(arrivals) && arrivals[next].at <= now; next++ {
			a := arrivals[next]
			q := NewSequence("", fakePrompt(next, a.prompt), a.prompt+a.answer)
			q.User = next
			s.Add(q)
		}
		b := s.Step(p.limit(s.Load()))
		if b == nil {
			if next == len(arrivals) {
				return float64(seqs) / float64(steps), gaps, first
			}
			now = arrivals[next].at
			continue
		}
		steps, seqs = steps+1, seqs+len(b.Items)
		decoding := len(b.Input.Tokens) - b.Prefill()
		took := m.step(decoding, b.Prefill())
		now += took
		p.observe(decoding, b.Prefill(), took)
		outcomes = outcomes[:0]
		for _, it := range b.Items {
			var o Outcome
			if i := it.Seq.User.(int); it.Sample {
				if last[i] == 0 {
					first[i] = now - arrivals[i].at
				} else {
					gaps = append(gaps, now-last[i])
				}
				last[i] = now
				o = Outcome{Tokens: []int32{1}, End: len(it.Seq.Generated()) == arrivals[i].answer-1}
			}
			outcomes = append(outcomes, o)
		}
		s.Done(b, outcomes)
	}
}

func percentile(d []time.Duration, p int) time.Duration {
	d = slices.Clone(d)
	slices.Sort(d)
	return d[(len(d)-1)*p/100]
}

// TestLongPromptBesideStreams: with scheduler and pacer together, the others' p99 at most doubles.
func TestLongPromptBesideStreams(t *testing.T) {
	m := machine{4e-3, 0.2e-3, 0.33e-3, 0.1, rand.New(rand.NewPCG(1, 1))}
	var streams []arrival
	for i := range 8 {
		streams = append(streams, arrival{time.Duration(i) * time.Millisecond, 20, 600})
	}
	_, quiet, _ := simulate(m, streams)
	_, loud, first := simulate(m, append(streams, arrival{time.Second, 4000, 1}))
	if q, l := percentile(quiet, 99), percentile(loud, 99); l > 2*q {
		t.Errorf("p99 between tokens %v, quiet %v", l, q)
	} else {
		t.Logf("p99 between tokens %v, quiet %v; the long prompt waits %v", l, q, first[8])
	}
}

// TestBurstFillsTheBatch: 32 requests at once run side by side, not one after the other.
func TestBurstFillsTheBatch(t *testing.T) {
	for _, prompt := range []int{20, 60, 128} {
		m := machine{4e-3, 0.2e-3, 0.33e-3, 0.1, rand.New(rand.NewPCG(1, 1))}
		var requests []arrival
		for i := range 32 {
			requests = append(requests, arrival{time.Duration(i) * 200 * time.Microsecond, prompt, 64})
		}
		mean, _, first := simulate(m, requests)
		t.Logf("prompts of %d: mean batch %.1f, first token p50 %v, last %v", prompt, mean, percentile(first, 50), percentile(first, 100))
		if mean < 24 {
			t.Errorf("prompts of %d: mean batch %.1f, want at least 24", prompt, mean)
		}
	}
}
