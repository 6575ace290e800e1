package checkpoint

import (
	"fmt"
	"math"
	"os"
	"sync/atomic"
)

// mapping is a whole file as bytes: mapped where the system can, read where it cannot.
type mapping struct {
	data   []byte
	closed atomic.Bool
}

func mapFile(path string) (*mapping, error) {
	size, err := regular(path)
	if err != nil {
		return nil, err
	}
	if size > math.MaxInt-(1<<20) {
		return nil, fault(path, "", "%d bytes do not fit this machine's address space", size)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	defer f.Close()
	if size == 0 {
		return &mapping{}, nil
	}
	data, err := mapBytes(f, int(size))
	if err != nil {
		return nil, fault(path, "", "mapping %d bytes: %w", size, err)
	}
	return &mapping{data: data}, nil
}

func (m *mapping) Close() error {
	if m.closed.Swap(true) || m.data == nil {
		return nil
	}
	data := m.data
	m.data = nil
	return unmapBytes(data)
}

// Release tells the system that the pages are not needed for now.
func (m *mapping) Release() {
	if !m.closed.Load() && m.data != nil {
		releaseBytes(m.data)
	}
}
