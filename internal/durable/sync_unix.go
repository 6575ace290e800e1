//go:build !windows

package durable

import (
	"errors"
	"os"
)

const syncFlag = os.O_RDONLY // enough to sync, and works on read-only files

// SyncDir makes the names in a folder survive a crash.
func SyncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
