package kernel

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Task is work cut into numbered pieces. Do runs piece i on the given worker (0 ≤ worker < Workers); pieces of one Run
// are done at the same time by several workers, in any assignment, so a piece may not depend on another. The worker's
// number is good for scratch memory alone.
type Task interface{ Do(i, worker int) }

// How long who waits for whom.
const (
	parkAfter    = 50 * time.Microsecond  // an idle worker spins that long, then sleeps
	yieldAfter   = 20 * time.Microsecond  // a waiting caller spins that long, then lets other goroutines run
	straggleTime = 300 * time.Microsecond // a wait longer than this, and than straggleTiles tiles, is a straggler
	straggleSize = 4
	nap          = 50 * time.Microsecond // a caller waiting for a straggler sleeps that long at a time, to free its core
)

// Repeated stragglers mean that something else holds a core.
const (
	straggleWindow = 50 * time.Millisecond  // strikes further apart than this do not add up
	strikes        = 3                      // so many make the pool smaller
	minPenalty     = 20 * time.Millisecond  // for that long at first
	probation      = 50 * time.Millisecond  // after a penalty, one straggler is enough for that long
	maxPenalty     = 320 * time.Millisecond // doubled up to this with each probe that fails
)

// A Pool is a fixed number of workers, one of which is the goroutine that calls Run. The others run on threads of their
// own; they spin briefly between runs and then sleep. Pieces are handed out one by one from an atomic counter, so that a
// worker that lost its core delays a run by no more than the piece it holds.
//
// When stragglers are seen again and again the pool uses fewer workers for some milliseconds, then probes again.
//
// Run may be called from several goroutines and from within a piece: a Run that finds the pool busy does its pieces
// alone, on the calling goroutine. A nil *Pool is a pool of one worker.
type Pool struct {
	word    atomic.Uint64 // epoch<<32 | pieces not yet handed out
	_       [56]byte
	done    atomic.Int64 // pieces finished in this run
	_       [56]byte
	limit   atomic.Int32 // workers in use
	sleeper atomic.Int32 // workers asleep or about to be
	busy    atomic.Bool
	closed  atomic.Bool
	n       int
	task    Task
	workers []poolWorker
	exited  sync.WaitGroup
	health  poolHealth
}

type poolWorker struct {
	asleep atomic.Bool
	wake   chan struct{}
	_      [48]byte
}

// NewPool starts a pool of so many workers, the caller of Run included; at least one.
func NewPool(workers int) *Pool {
	workers = max(workers, 1)
	p := &Pool{workers: make([]poolWorker, workers)}
	p.limit.Store(int32(workers))
	p.exited.Add(workers - 1)
	for id := 1; id < workers; id++ {
		p.workers[id].wake = make(chan struct{}, 1)
		go p.work(id)
	}
	return p
}

// Workers returns the number of workers, the caller included.
func (p *Pool) Workers() int {
	if p == nil {
		return 1
	}
	return len(p.workers)
}

// Run does pieces 0 … n-1 of t and returns when all are done. It allocates nothing.
func (p *Pool) Run(n int, t Task) {
	if n <= 0 {
		return
	}
	if n == 1 || !p.acquire() {
		for i := range n {
			t.Do(i, 0)
		}
		return
	}
	p.task, p.n = t, n
	p.done.Store(0)
	p.word.Store((p.word.Load()>>32+1)<<32 | uint64(uint32(n)))
	p.wakeSleepers()
	start := time.Now()
	own := p.drain(0)
	if p.done.Load() != int64(n) {
		p.wait(time.Since(start), own)
	}
	p.task = nil
	p.busy.Store(false)
}

// acquire tells whether a run may use the workers, and if so keeps them for the caller.
func (p *Pool) acquire() bool {
	if p == nil || len(p.workers) == 1 || p.closed.Load() {
		return false
	}
	limit := int(p.limit.Load())
	if limit < len(p.workers) && p.health.over() {
		limit = len(p.workers)
		p.limit.Store(int32(limit))
	}
	return limit > 1 && p.busy.CompareAndSwap(false, true)
}

// drain does pieces until none is left and returns how many it did.
func (p *Pool) drain(worker int) int {
	count := 0
	for {
		w := p.word.Load()
		left := int(uint32(w))
		if left == 0 {
			break
		}
		if p.word.CompareAndSwap(w, w-1) {
			// The run cannot end before this piece is counted, so task and n are this epoch's.
			p.task.Do(p.n-left, worker)
			count++
		}
	}
	if count > 0 {
		p.done.Add(int64(count))
	}
	return count
}

// wait returns when every piece is done. took is how long the caller's own pieces lasted.
func (p *Pool) wait(took time.Duration, own int) {
	patience := straggleTime
	if own > 0 {
		patience = max(patience, straggleSize*took/time.Duration(own))
	}
	for range 100 {
		pause(2)
		if p.done.Load() == int64(p.n) {
			return
		}
	}
	start := time.Now()
	late := false
	for p.done.Load() != int64(p.n) {
		waited := time.Since(start)
		switch {
		case waited < yieldAfter:
			pause(10)
		case waited < patience:
			runtime.Gosched()
			pause(10)
		default:
			late = true
			time.Sleep(nap)
		}
	}
	if late {
		p.health.strike(p)
	}
}

// wakeSleepers wakes the workers in use that sleep, as many as there are pieces for.
func (p *Pool) wakeSleepers() {
	if p.sleeper.Load() == 0 {
		return
	}
	for id := 1; id < min(int(p.limit.Load()), p.n); id++ {
		if w := &p.workers[id]; w.asleep.Load() && w.asleep.CompareAndSwap(true, false) {
			w.wake <- struct{}{}
		}
	}
}

// work is the life of worker id.
func (p *Pool) work(id int) {
	defer p.exited.Done()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for !p.closed.Load() {
		if !p.spin(id) {
			p.sleep(id)
		}
		if id < int(p.limit.Load()) {
			p.drain(id)
		}
	}
}

// spin waits for pieces for a while and tells whether there are some for this worker.
func (p *Pool) spin(id int) bool {
	var start time.Time
	for i := 0; ; i++ {
		if uint32(p.word.Load()) != 0 && id < int(p.limit.Load()) {
			return true
		}
		pause(4)
		if i&15 != 15 {
			continue
		}
		switch {
		case p.closed.Load():
			return false
		case start.IsZero():
			start = time.Now()
		case time.Since(start) > parkAfter:
			return false
		}
	}
}

// sleep parks the worker until it is woken. The check between the announcement and the sleep meets a Run that began
// meanwhile.
func (p *Pool) sleep(id int) {
	w := &p.workers[id]
	p.sleeper.Add(1)
	w.asleep.Store(true)
	ready := p.closed.Load() || uint32(p.word.Load()) != 0 && id < int(p.limit.Load())
	if !ready || !w.asleep.CompareAndSwap(true, false) {
		<-w.wake
	}
	p.sleeper.Add(-1)
}

// Close ends the workers and returns when they are gone. A Run afterwards does its pieces on the calling goroutine. No Run
// may be at work.
func (p *Pool) Close() {
	if p == nil || p.closed.Swap(true) {
		return
	}
	for id := 1; id < len(p.workers); id++ {
		if w := &p.workers[id]; w.asleep.CompareAndSwap(true, false) {
			w.wake <- struct{}{}
		}
	}
	p.exited.Wait()
}

// poolHealth counts stragglers and decides how many workers are used. Only the goroutine inside Run writes it.
type poolHealth struct {
	count   int
	last    time.Duration // of the latest straggler, since poolEpoch
	penalty time.Duration
	until   atomic.Int64 // end of the penalty, as time since poolEpoch
}

var poolEpoch = time.Now()

// strike notes a straggler; too many in a short time take one worker out of use, and so does a single one just after a
// penalty.
func (h *poolHealth) strike(p *Pool) {
	now := time.Since(poolEpoch)
	quiet, free := now-h.last, now-time.Duration(h.until.Load())
	h.last = now
	if quiet > straggleWindow {
		h.count = 0
	}
	if free > 2*maxPenalty {
		h.penalty = 0
	}
	if h.count++; h.count < strikes && (h.penalty == 0 || free > probation) {
		return
	}
	h.count = 0
	h.penalty = min(max(2*h.penalty, minPenalty), maxPenalty)
	h.until.Store(int64(now + h.penalty))
	p.limit.Store(max(p.limit.Load()-1, 1))
}

// over tells whether the penalty has ended and all workers may be tried again.
func (h *poolHealth) over() bool { return int64(time.Since(poolEpoch)) >= h.until.Load() }
