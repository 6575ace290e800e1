//go:build unix

package store

import (
	"os/signal"

	"golang.org/x/sys/unix"
)

// limitFiles fails writes beyond a size from now on, as a full disk does.
func limitFiles(bytes uint64) error {
	signal.Ignore(unix.SIGXFSZ)
	return unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: bytes, Max: bytes})
}
