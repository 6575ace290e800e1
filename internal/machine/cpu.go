package machine

import (
	"io/fs"
	"os"
	"strconv"
	"strings"
)

// CPUName is the processor's own name, "" where it cannot be read.
func CPUName() string { return cpuName(os.DirFS("/")) }

func cpuName(root fs.FS) string {
	b, err := fs.ReadFile(root, "proc/cpuinfo")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(b)) {
		key, value, _ := strings.Cut(line, ":")
		if strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// Load is the mean number of tasks that wanted a core over the last minute; ok is false where it cannot be read.
func Load() (tasks float64, ok bool) { return loadOf(os.DirFS("/")) }

func loadOf(root fs.FS) (float64, bool) {
	b, err := fs.ReadFile(root, "proc/loadavg")
	if err != nil {
		return 0, false
	}
	first, _, _ := strings.Cut(string(b), " ")
	tasks, err := strconv.ParseFloat(first, 64)
	return tasks, err == nil
}
