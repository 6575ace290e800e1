package kernel

import (
	"syscall"
	"testing"
	"unsafe"
)

// guarded returns n elements that end at a page which may not be touched, or with front start behind one.
func guarded[T any](t testing.TB, n int, front bool) []T {
	t.Helper()
	size := n * int(unsafe.Sizeof(*new(T)))
	page := syscall.Getpagesize()
	body := (size + page - 1) / page * page
	mem, err := syscall.Mmap(-1, 0, body+2*page, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Munmap(mem) })
	for _, edge := range [][]byte{mem[:page], mem[page+body:]} {
		if err := syscall.Mprotect(edge, syscall.PROT_NONE); err != nil {
			t.Fatal(err)
		}
	}
	if n == 0 {
		return nil
	}
	at := page
	if !front {
		at += body - size
	}
	return unsafe.Slice((*T)(unsafe.Pointer(&mem[at])), n)
}
