package nn

import (
	"runtime"
	"syscall"
	"unsafe"
)

// threadTime is the CPU time of the calling thread in seconds: a measure that other processes disturb less than the clock.
func threadTime() float64 {
	const threadClock = 3 // CLOCK_THREAD_CPUTIME_ID
	runtime.LockOSThread()
	var t syscall.Timespec
	if _, _, errno := syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, threadClock, uintptr(unsafe.Pointer(&t)), 0); errno != 0 {
		panic(errno)
	}
	return float64(t.Nano()) * 1e-9
}
