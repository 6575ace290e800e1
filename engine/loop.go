package engine

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"time"

	"hone/nn"
)

// loop is the goroutine that owns scheduler, model and choices: intake, schedule, run, sample, publish.
type loop struct {
	e       *Engine
	model   Model
	sched   *Scheduler
	pace    pacer
	context int
	live    map[*job]struct{}

	inbox, cancels []*job // taken over from the engine

	// One step.
	logits   []float32
	rowItem  []int32 // item of each row of logits
	samplers []sampler
	faults   []error // by item
	outcomes []Outcome
	batch    *Batch
	choices  []*choice
	told     bool // Drain was told
}

func (l *loop) init(e *Engine, m Model) {
	o := e.opt
	l.e, l.model = e, m
	l.sched = NewScheduler(SchedulerConfig{Blocks: o.Blocks, StepTokens: o.StepTokens, MaxSeqs: o.MaxSeqs})
	l.pace = newPacer(o.Slowdown, o.StepTokens, o.MaxSeqs)
	l.samplers = make([]sampler, o.Pool.Workers())
	l.live = map[*job]struct{}{}
	l.context = o.Context
	if most := l.sched.Capacity(); l.context == 0 || l.context > most {
		l.context = most
	}
}

// run is the engine's life.
func (l *loop) run() {
	defer close(l.e.done)
	for {
		if l.intake() {
			return
		}
		if !l.step() {
			<-l.e.wake
		}
	}
}

// intake takes over what callers left: new jobs, cancelled jobs, the wish to close. It returns true when the loop ends.
func (l *loop) intake() (stop bool) {
	e := l.e
	e.mu.Lock()
	l.inbox, e.inbox = e.inbox, l.inbox[:0]
	l.cancels, e.cancels = e.cancels, l.cancels[:0]
	stop = e.closed
	e.mu.Unlock()
	for _, j := range l.inbox {
		l.add(j)
	}
	for _, j := range l.cancels {
		l.abort(j, j.cause)
	}
	clear(l.inbox)
	clear(l.cancels)
	if stop {
		for j := range l.live {
			l.abort(j, ErrClosed)
		}
	}
	l.report()
	return stop
}

func (l *loop) add(j *job) {
	l.live[j] = struct{}{}
	for _, c := range j.choices {
		if err := l.sched.Add(c.seq); err != nil {
			c.cut(FinishError, err)
			l.close(c)
			c.deliver()
		}
	}
}

// abort ends the choices of a job that still run; their blocks are free when it returns.
func (l *loop) abort(j *job, cause error) {
	if _, ok := l.live[j]; !ok {
		return
	}
	for _, c := range j.choices {
		if !c.ended() {
			l.sched.Abort(c.seq)
			c.cut(FinishAbort, cause)
			l.close(c)
			c.deliver()
		}
	}
}

// close does the accounts of a choice that ended.
func (l *loop) close(c *choice) {
	e, j := l.e, c.job
	e.mu.Lock()
	if c.began.IsZero() {
		e.queued--
	}
	e.stats.Finished[c.end.Finish]++
	e.stats.E2E.observe(time.Since(j.submitted).Seconds())
	if j.live--; j.live == 0 {
		e.jobs--
	}
	e.mu.Unlock()
	if j.live == 0 {
		delete(l.live, j)
		j.unhook()
	}
	if h := e.opt.Hooks.Finish; h != nil {
		h(c.end.Finish, c.end.Usage, c.end.Timings)
	}
}

// step runs one batch; false when there is nothing to run.
func (l *loop) step() bool {
	b := l.sched.Step(l.pace.limit(l.sched.Load()))
	if b == nil {
		return false
	}
	start := time.Now()
	l.begin(b, start)
	l.compute(b)
	now := time.Now()
	l.decide(b, now)
	info := StepInfo{Sequences: len(b.Items), Tokens: len(b.Input.Tokens), Prefill: b.Prefill(), Duration: now.Sub(start)}
	l.pace.observe(info.Tokens-info.Prefill, info.Prefill, info.Duration)
	l.publish(b, info, now)
	return true
}

// begin notes the first step of choices.
func (l *loop) begin(b *Batch, now time.Time) {
	for _, it := range b.Items {
		c := it.Seq.User.(*choice)
		if !c.began.IsZero() {
			continue
		}
		c.began = now
		l.e.mu.Lock()
		l.e.queued--
		l.e.stats.Queue.observe(now.Sub(c.job.submitted).Seconds())
		l.e.mu.Unlock()
	}
}

// compute runs the model and draws the tokens. When the batch fails each item is run alone, so that a request that
// cannot be computed ends only itself.
func (l *loop) compute(b *Batch) {
	l.faults, l.rowItem = l.faults[:0], l.rowItem[:0]
	for i, it := range b.Items {
		l.faults = append(l.faults, nil)
		if it.Sample {
			l.rowItem = append(l.rowItem, int32(i))
		}
	}
	l.batch = b
	if err := l.forward(&b.Input, b.Rows); err != nil {
		l.alone(b, err)
		return
	}
	l.e.opt.Pool.Run(len(b.Rows), l)
}

// forward computes a batch and the logits of some of its rows into l.logits.
func (l *loop) forward(in *nn.Batch, rows []int32) (err error) {
	defer caught(&err, "the model")
	if err := l.model.Forward(in); err != nil || len(rows) == 0 {
		return err
	}
	if n := len(rows) * l.e.vocab; n > cap(l.logits) {
		l.logits = make([]float32, n, n+n/4)
	}
	return l.model.Logits(l.logits[:len(rows)*l.e.vocab], rows)
}

// PanicError is a panic that ended one request.
type PanicError struct {
	Where string
	Value any
	Stack []byte // for the log, not for the client
}

// Error names the place and the value.
func (p *PanicError) Error() string { return fmt.Sprintf("engine: panic in %s: %v", p.Where, p.Value) }

func caught(err *error, where string) {
	if p := recover(); p != nil {
		*err = &PanicError{where, p, debug.Stack()}
	}
}

// alone runs the items of a failed batch one by one; those that fail again get the error.
func (l *loop) alone(b *Batch, whole error) {
	if len(b.Items) == 1 {
		l.faults[0] = whole
		return
	}
	for i, it := range b.Items {
		s := b.Input.Seqs[i]
		in := nn.Batch{Tokens: b.Input.Tokens[s.Offset : s.Offset+s.Len], Seqs: []nn.Seq{{Len: s.Len, Pos: s.Pos, Blocks: s.Blocks}}}
		var rows []int32
		if it.Sample {
			rows = []int32{int32(s.Len - 1)}
		}
		if l.faults[i] = l.forward(&in, rows); it.Sample && l.faults[i] == nil {
			l.draw(i, l.logits[:l.e.vocab], &l.samplers[0])
		}
	}
}

// Do draws the token of one row of logits: the loop is the kernel.Task of its own sampling.
func (l *loop) Do(row, worker int) {
	v := l.e.vocab
	l.draw(int(l.rowItem[row]), l.logits[row*v:(row+1)*v], &l.samplers[worker])
}

// draw samples one item's next token. Whatever goes wrong in it is that item's fault alone.
func (l *loop) draw(item int, logits []float32, s *sampler) {
	defer caught(&l.faults[item], "sampling")
	c := l.batch.Items[item].Seq.User.(*choice)
	c.token[0], c.lp[0], l.faults[item] = s.next(c.prepare(), logits)
}

// decide turns the drawn tokens into text and ends, and tells the scheduler.
func (l *loop) decide(b *Batch, now time.Time) {
	l.outcomes = l.outcomes[:0]
	for i, it := range b.Items {
		c := it.Seq.User.(*choice)
		var out Outcome
		switch {
		case l.faults[i] != nil:
			c.cut(FinishError, l.faults[i])
		case it.Sample:
			l.accept(c, now)
			out.Tokens = c.token[:]
		}
		out.End = c.ended()
		l.outcomes = append(l.outcomes, out)
	}
}

// accept takes a choice's token and notes when it came.
func (l *loop) accept(c *choice, now time.Time) {
	before := c.last
	if err := c.tryAccept(now); err != nil {
		c.cut(FinishError, err)
	}
	e := l.e
	e.mu.Lock()
	if before.IsZero() {
		e.stats.TTFT.observe(now.Sub(c.job.submitted).Seconds())
	} else {
		e.stats.ITL.observe(now.Sub(before).Seconds())
	}
	e.stats.GeneratedTokens++
	e.mu.Unlock()
	if h := e.opt.Hooks.FirstToken; h != nil && before.IsZero() {
		h(now.Sub(c.job.submitted))
	}
	if h := e.opt.Hooks.InterToken; h != nil && !before.IsZero() {
		h(now.Sub(before))
	}
}

// publish ends the step: blocks are given back, figures are updated, then events go out.
func (l *loop) publish(b *Batch, info StepInfo, now time.Time) {
	l.choices = l.choices[:0]
	for _, it := range b.Items {
		l.choices = append(l.choices, it.Seq.User.(*choice))
	}
	l.sched.Done(b, l.outcomes)
	for _, c := range l.choices {
		if c.ended() {
			l.close(c)
		}
	}
	e := l.e
	e.mu.Lock()
	e.stats.Steps++
	e.stats.LastStep = now
	e.stats.BatchSize.observe(float64(info.Sequences))
	e.mu.Unlock()
	l.report()
	for _, c := range l.choices {
		c.deliver()
	}
	clear(l.choices)
	if h := e.opt.Hooks.Step; h != nil {
		h(info)
	}
	runtime.Gosched() // readers write what they got while nothing computes
}

// report copies the scheduler's figures into the statistics and tells a waiting Drain when no job is left.
func (l *loop) report() {
	load, counts := l.sched.Load(), l.sched.Counts()
	e := l.e
	e.mu.Lock()
	defer e.mu.Unlock()
	s := &e.stats
	s.Waiting, s.Running, s.BlocksUsed = load.Waiting, load.Running, load.BlocksUsed
	s.PromptTokens, s.CachedTokens, s.Preemptions = counts.PromptTokens, counts.CachedTokens, counts.Preemptions
	if e.draining && e.jobs == 0 && !l.told {
		l.told = true
		close(e.drained)
	}
}
