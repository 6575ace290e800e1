// Package machine tells what the machine at hand has to give: memory and the CPU's name.
package machine

import (
	"bufio"
	"bytes"
	"io/fs"
	"math"
	"os"
	"path"
	"strconv"
	"strings"
)

// Memory is what this process may count on, in bytes.
type Memory struct {
	Available int64 `json:"available"` // that can be taken without swapping: the machine's, or less where a control group allows less
	Total     int64 `json:"total"`     // of the machine or of the control group
	Limit     int64 `json:"limit"`     // of the control group; 0: none
}

// ReadMemory reads /proc and the control groups (both versions). ok is false where there are none to read, as on other
// systems than Linux.
func ReadMemory() (m Memory, ok bool) { return memoryOf(os.DirFS("/")) }

func memoryOf(root fs.FS) (Memory, bool) {
	info := fields(root, "proc/meminfo")
	available, ok := info["MemAvailable:"]
	if !ok {
		return Memory{}, false
	}
	m := Memory{Available: available * 1024, Total: info["MemTotal:"] * 1024}
	for _, g := range groups(root) {
		g.bound(root, &m)
	}
	return m, true
}

// group is one control group whose limit holds for this process.
type group struct {
	dir                       string
	limit, usage, reclaimable string // file names; the last is a key of memory.stat
}

// groups lists this process's memory groups, its own and those above it.
func groups(root fs.FS) []group {
	b, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return nil
	}
	var out []group
	for line := range strings.Lines(string(b)) {
		part := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(part) != 3 {
			continue
		}
		g := group{limit: "memory.max", usage: "memory.current", reclaimable: "inactive_file"}
		base := "sys/fs/cgroup"
		switch {
		case part[1] == "memory":
			base = "sys/fs/cgroup/memory"
			g = group{limit: "memory.limit_in_bytes", usage: "memory.usage_in_bytes", reclaimable: "total_inactive_file"}
		case part[1] != "":
			continue
		}
		for at := path.Clean("/" + part[2]); ; at = path.Dir(at) {
			g.dir = path.Join(base, at)
			out = append(out, g)
			if at == "/" {
				break
			}
		}
	}
	return out
}

// bound lowers m to what the group leaves. File pages that were not used lately count as free.
func (g group) bound(root fs.FS, m *Memory) {
	limit, ok := number(root, path.Join(g.dir, g.limit))
	if !ok || limit >= m.Total {
		return
	}
	usage, _ := number(root, path.Join(g.dir, g.usage))
	left := limit - usage + fields(root, path.Join(g.dir, "memory.stat"))[g.reclaimable]
	m.Available = max(0, min(m.Available, left))
	m.Total, m.Limit = limit, limit
}

func number(root fs.FS, name string) (int64, bool) {
	b, err := fs.ReadFile(root, name)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseUint(string(bytes.TrimSpace(b)), 10, 64)
	return int64(min(n, math.MaxInt64)), err == nil
}

// fields reads lines of a name and a number.
func fields(root fs.FS, name string) map[string]int64 {
	out := map[string]int64{}
	b, err := fs.ReadFile(root, name)
	if err != nil {
		return out
	}
	for s := bufio.NewScanner(bytes.NewReader(b)); s.Scan(); {
		w := strings.Fields(s.Text())
		if len(w) < 2 {
			continue
		}
		if n, err := strconv.ParseInt(w[1], 10, 64); err == nil {
			out[w[0]] = n
		}
	}
	return out
}
