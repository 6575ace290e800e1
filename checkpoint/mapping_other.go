//go:build !unix && !windows

package checkpoint

import (
	"io"
	"os"
)

func mapBytes(f *os.File, size int) ([]byte, error) {
	data := make([]byte, size)
	_, err := io.ReadFull(f, data)
	return data, err
}

func unmapBytes([]byte) error { return nil }

func releaseBytes([]byte) {}
