//go:build unix

package store

import (
	"os/signal"

	"golang.org/x/sys/unix"
)

// childFull puts a model under a limit on file sizes, which fails writes as a full disk does.
func childFull(dir string) error {
	signal.Ignore(unix.SIGXFSZ)
	limit := unix.Rlimit{Cur: 4096, Max: 4096}
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	return childPut(dir, writeBig)
}
