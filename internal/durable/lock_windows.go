package durable

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// LockFile takes the system's lock of an open file, which ends when the file is closed or the process dies. It does
// not wait: it reports whether it got it.
func LockFile(f *os.File) (bool, error) {
	const flags = windows.LOCKFILE_EXCLUSIVE_LOCK | windows.LOCKFILE_FAIL_IMMEDIATELY
	err := windows.LockFileEx(windows.Handle(f.Fd()), flags, 0, 1, 0, new(windows.Overlapped))
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return false, nil
	}
	return err == nil, err
}
