package kernel

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// threadTime is the CPU time of the calling thread in seconds: a measure that other processes disturb less than the clock.
func threadTime() float64 {
	runtime.LockOSThread()
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		panic(err)
	}
	return float64(t.Sec) + float64(t.Nsec)*1e-9
}
