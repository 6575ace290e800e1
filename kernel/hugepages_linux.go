package kernel

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// HugePages asks the system to back a large buffer by huge pages, which saves address translations when it is read
// from end to end. It is a hint: where it is not followed nothing changes. Call it before the buffer is first written.
func HugePages(b []byte) {
	const page = 1 << 12
	if len(b) < 1<<21 {
		return
	}
	skip := -uintptr(unsafe.Pointer(unsafe.SliceData(b))) % page
	b = b[skip:]
	// An older system, or one that forbids it, answers with an error; the buffer is as good as before.
	_ = unix.Madvise(b[:len(b)/page*page], unix.MADV_HUGEPAGE)
}
