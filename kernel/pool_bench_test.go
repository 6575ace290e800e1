package kernel

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"
)

// stepTask is one product of a decode step of a small model: 16 pieces of about 4 µs.
type stepTask struct{ a, b, c []float32 }

func (s *stepTask) Do(i, _ int) {
	Panel(12, 256, s.a, 256, s.b, PanelWidth, s.c[i*12*PanelWidth:], PanelWidth, false)
	Panel(12, 256, s.a, 256, s.b, PanelWidth, s.c[i*12*PanelWidth:], PanelWidth, false)
	Panel(12, 256, s.a, 256, s.b, PanelWidth, s.c[i*12*PanelWidth:], PanelWidth, false)
}

// steps runs decode steps of 150 products for a while and returns steps a second and the median and 99th
// percentile of a step.
func steps(p *Pool, d time.Duration) (rate float64, p50, p99 time.Duration) {
	t := &stepTask{make([]float32, 12*256), make([]float32, 256*PanelWidth), make([]float32, 16*12*PanelWidth)}
	var times []time.Duration
	begin := time.Now()
	for time.Since(begin) < d {
		start := time.Now()
		for range 150 {
			p.Run(16, t)
		}
		times = append(times, time.Since(start))
	}
	rate = float64(len(times)) / time.Since(begin).Seconds()
	slices.Sort(times)
	return rate, times[len(times)/2], times[len(times)*99/100]
}

// BenchmarkPoolNeighbour compares decode steps on a quiet machine with the same beside a process that spins on core 1,
// alternately. It needs a shell and taskset, and says nothing on a machine that is busy anyway.
func BenchmarkPoolNeighbour(b *testing.B) {
	if _, err := exec.LookPath("taskset"); err != nil {
		b.Skip("left out: no taskset here")
	}
	for _, workers := range []int{1, 2} {
		b.Run(fmt.Sprint(workers), func(b *testing.B) {
			p := NewPool(workers)
			defer p.Close()
			var quiet, loud []float64
			for b.Loop() {
				rate, p50, p99 := steps(p, time.Second)
				b.Logf("quiet: %.0f steps/s, p50 %v, p99 %v", rate, p50, p99)
				quiet = append(quiet, rate)
				spinner := exec.Command("taskset", "-c", "1", "sh", "-c", "while :; do :; done")
				spinner.Stdout = os.Stdout
				if err := spinner.Start(); err != nil {
					b.Fatal(err)
				}
				time.Sleep(100 * time.Millisecond)
				rate, p50, p99 = steps(p, 2*time.Second)
				b.Logf("beside a spinner: %.0f steps/s, p50 %v, p99 %v", rate, p50, p99)
				loud = append(loud, rate)
				_ = spinner.Process.Kill()
				_ = spinner.Wait()
			}
			slices.Sort(quiet)
			slices.Sort(loud)
			b.ReportMetric(loud[len(loud)/2]/quiet[len(quiet)/2], "of-quiet")
		})
	}
}
