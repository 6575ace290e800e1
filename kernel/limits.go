package kernel

import "time"

// Limits are what the machine gives to a pool at the active implementation; 0 where it has no such instruction. They
// are the best of several short rounds, so that a moment's neighbour does not lower them.
type Limits struct {
	Workers    int     `json:"workers"`
	F32GFLOPS  float64 `json:"f32_gflops"`  // multiply-adds on float32 count two
	BF16GFLOPS float64 `json:"bf16_gflops"` // dot products of bfloat16 pairs, likewise
	Int8GOPS   float64 `json:"int8_gops"`   // dot products of bytes, likewise
	ReadGBps   float64 `json:"read_gbps"`   // 10^9 bytes a second from memory
}

// MeasureLimits measures all limits, each for about so many seconds; it takes 512 MB of memory meanwhile.
func MeasureLimits(p *Pool, seconds float64) Limits {
	return Limits{
		Workers:   p.Workers(),
		F32GFLOPS: PeakF32(p, seconds), BF16GFLOPS: PeakBF16(p, seconds), Int8GOPS: PeakInt8(p, seconds),
		ReadGBps: ReadBandwidth(p, seconds, 512<<20),
	}
}

// PeakF32 returns the highest rate of float32 multiply-adds, in 10^9 operations a second over all workers.
func PeakF32(p *Pool, seconds float64) float64 {
	switch {
	case useAVX512:
		return peakRate(p, seconds, 28*16*2, peakF32AVX512)
	case useAVX2:
		return peakRate(p, seconds, 12*8*2, peakF32AVX2)
	}
	return peakRate(p, seconds, 8*2, peakF32Go)
}

// PeakBF16 returns the rate of bfloat16 dot products (VDPBF16PS), 0 without them.
func PeakBF16(p *Pool, seconds float64) float64 {
	if !useBF16 {
		return 0
	}
	return peakRate(p, seconds, 28*32*2, peakBF16AVX512)
}

// PeakInt8 returns the rate of 8-bit dot products into 32 bits: VPDPBUSD, or without it the three instructions of AVX2
// that do the same; 0 without either.
func PeakInt8(p *Pool, seconds float64) float64 {
	switch {
	case useVNNI:
		return peakRate(p, seconds, 28*64*2, peakInt8AVX512)
	case useAVX2:
		return peakRate(p, seconds, 12*32*2, peakInt8AVX2)
	}
	return 0
}

// peakTask runs one of the loops.
type peakTask struct {
	rounds int
	loop   func(rounds int)
}

func (t *peakTask) Do(int, int) { t.loop(t.rounds) }

// peakRate repeats short runs of a loop that does so many operations a round.
func peakRate(p *Pool, seconds float64, operations int, loop func(rounds int)) float64 {
	const pieces = 64
	t := &peakTask{2000, loop}
	return bestRate(seconds, float64(pieces*p.Workers()*t.rounds*operations), func() { p.Run(pieces*p.Workers(), t) })
}

// bestRate returns the best rate of f, which does so many operations a call, in 10^9 a second.
func bestRate(seconds, operations float64, f func()) float64 {
	best := 0.0
	f()
	for end := time.Now().Add(time.Duration(seconds * float64(time.Second))); ; {
		start := time.Now()
		f()
		now := time.Now()
		best = max(best, operations/max(now.Sub(start).Seconds(), 1e-9)/1e9)
		if !now.Before(end) {
			return best
		}
	}
}

// peakF32Go keeps eight chains of multiply-adds.
func peakF32Go(rounds int) {
	var s [8]float32
	for range rounds {
		s[0] += s[0] * 0.5
		s[1] += s[1] * 0.5
		s[2] += s[2] * 0.5
		s[3] += s[3] * 0.5
		s[4] += s[4] * 0.5
		s[5] += s[5] * 0.5
		s[6] += s[6] * 0.5
		s[7] += s[7] * 0.5
	}
	keep(s[0] + s[1] + s[2] + s[3] + s[4] + s[5] + s[6] + s[7])
}

//go:noinline
func keep(float32) {}

// ReadBandwidth returns how fast all workers together read a buffer of so many bytes, in 10^9 bytes a second. A size far
// beyond the last cache gives the memory's figure. The buffer is walked in windows of some milliseconds or less.
func ReadBandwidth(p *Pool, seconds float64, bytes int) float64 {
	window := 16 * p.Workers()
	pieces := ceilDiv(bytes, window*readPiece) * window
	t := &readTask{buf: make([]byte, pieces*readPiece)}
	HugePages(t.buf)
	for i := 0; i < len(t.buf); i += 4096 {
		t.buf[i] = 1
	}
	return bestRate(seconds, float64(window*readPiece), func() {
		p.Run(window, t)
		t.first = (t.first + window) % pieces
	})
}

const readPiece = 1 << 20

// readTask reads pieces of a buffer from the first on.
type readTask struct {
	buf   []byte
	first int
}

func (t *readTask) Do(i, _ int) {
	b := t.buf[(t.first+i)*readPiece:][:readPiece]
	switch {
	case useAVX512:
		readAVX512(ptr(b), readPiece/256)
	case useAVX2:
		readAVX2(ptr(b), readPiece/256)
	default:
		readGo(b)
	}
}

// readGo adds up one byte of each word, enough to fetch the line.
func readGo(b []byte) {
	var s byte
	for i := 0; i < len(b); i += 8 {
		s += b[i]
	}
	keep(float32(s))
}
