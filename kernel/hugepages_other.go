//go:build !linux

package kernel

// HugePages asks the system to back a large buffer by huge pages; only Linux is asked.
func HugePages([]byte) {}
