package machine

import (
	"runtime"
	"testing"
	"testing/fstest"
)

const gib = 1 << 30

func files(m map[string]string) fstest.MapFS {
	fsys := fstest.MapFS{}
	for name, text := range m {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return fsys
}

func TestMemory(t *testing.T) {
	const meminfo = "MemTotal:  16777216 kB\nMemFree: 10 kB\nMemAvailable: 8388608 kB\n"
	for _, c := range []struct {
		name  string
		files map[string]string
		want  Memory
		ok    bool
	}{
		{"nothing to read", nil, Memory{}, false},
		{"no groups", map[string]string{"proc/meminfo": meminfo}, Memory{Available: 8 * gib, Total: 16 * gib}, true},
		{"version 2, the parent's limit", map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "0::/a/b\n",
			"sys/fs/cgroup/a/b/memory.max": "max\n", "sys/fs/cgroup/a/memory.max": "4294967296\n",
			"sys/fs/cgroup/a/memory.current": "3221225472\n", "sys/fs/cgroup/a/memory.stat": "anon 1\ninactive_file 1073741824\n",
		}, Memory{Available: 2 * gib, Total: 4 * gib, Limit: 4 * gib}, true},
		{"version 1, no limit", map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "3:cpu:/x\n4:memory:/x\n",
			"sys/fs/cgroup/memory/x/memory.limit_in_bytes": "9223372036854771712\n",
		}, Memory{Available: 8 * gib, Total: 16 * gib}, true},
		{"version 1, over its limit", map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "4:memory:/x\n",
			"sys/fs/cgroup/memory/x/memory.limit_in_bytes": "1073741824\n", "sys/fs/cgroup/memory/x/memory.usage_in_bytes": "1073741825\n",
		}, Memory{Available: 0, Total: gib, Limit: gib}, true},
	} {
		if got, ok := memoryOf(files(c.files)); got != c.want || ok != c.ok {
			t.Errorf("%s: %+v %v, want %+v %v", c.name, got, ok, c.want, c.ok)
		}
	}
}

func TestThisMachine(t *testing.T) {
	m, ok := ReadMemory()
	if runtime.GOOS != "linux" {
		t.Skip("left out: figures are read on Linux alone")
	}
	if !ok || m.Available <= 0 || m.Available > m.Total {
		t.Errorf("memory %+v %v", m, ok)
	}
	if _, ok := Load(); !ok {
		t.Error("no load average")
	}
}

func TestCPUName(t *testing.T) {
	if got := cpuName(files(map[string]string{"proc/cpuinfo": "processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\n"})); got != "Some CPU @ 2 GHz" {
		t.Errorf("got %q", got)
	}
}
