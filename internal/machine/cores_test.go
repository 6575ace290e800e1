package machine

import (
	"math"
	"reflect"
	"runtime"
	"testing"
	"time"
)

func TestCores(t *testing.T) {
	fsys := files(map[string]string{
		"proc/stat":                 "cpu 1 2 3\ncpu0 100 0 0 900 0 0 0 0 0 0\ncpu1 0 0 0 1000 0 0 0 0 0 0\nintr 5\n",
		"proc/7/stat":               "7 (a (b) c) R 1 1 1 0 -1 0 0 0 0 0 50 50 0 0 20 0 1 0 0 0 0\n",
		"proc/8/stat":               "8 (idle) S 1 1 1 0 -1 0 0 0 0 0 5 5 0 0 20 0 1 0 0 0 0\n",
		"proc/9/stat":               "9 (self) S 1 1 1 0 -1 0 0 0 0 0 5 5 0 0 20 0 1 0 0 0 0\n",
		"proc/self/cgroup":          "0::/a/b\n",
		"sys/fs/cgroup/a/cpu.max":   "150000 100000\n",
		"sys/fs/cgroup/a/b/cpu.max": "max 100000\n",
		"sys/fs/cgroup/a/cpu.stat":  "nr_periods 100\nnr_throttled 25\n",
		cpuDir + "/cpu0/topology/thread_siblings_list": "0-1\n",
		cpuDir + "/cpu1/topology/thread_siblings_list": "0-1\n",
		cpuDir + "/cpu0/cpufreq/scaling_governor":      "powersave\n",
		cpuDir + "/cpu0/cpufreq/scaling_cur_freq":      "1200000\n",
		cpuDir + "/cpu0/cpufreq/cpuinfo_max_freq":      "3600000\n",
	})
	got := coresOf(fsys, 9, func() {
		fsys["proc/stat"].Data = []byte("cpu0 180 0 10 900 0 0 0 10 0 0\ncpu1 0 0 0 1100 0 0 0 0 0 0\n")
		fsys["proc/7/stat"].Data = []byte("7 (a (b) c) R 1 1 1 0 -1 0 0 0 0 0 130 50 0 0 20 0 1 0 0 0 0\n")
		fsys["proc/9/stat"].Data = []byte("9 (self) S 1 1 1 0 -1 0 0 0 0 0 95 5 0 0 20 0 1 0 0 0 0\n")
	})
	want := Cores{Busy: []float64{1, 0}, Steal: 0.05, Processes: []Process{{7, "a (b) c", 0.8}}, Physical: 1, Governor: "powersave", MHz: 1200, MaxMHz: 3600,
		Quota: 1.5, Throttled: 0.25}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v\nwant %+v", got, want)
	}
	old := coresOf(files(map[string]string{
		"proc/self/cgroup": "3:cpu,cpuacct:/x\n", "sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_quota_us": "50000\n", "sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_period_us": "100000\n",
		"sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1\n", "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
	}), 1, func() {})
	if old.Quota != 0.5 {
		t.Errorf("version 1: %+v", old)
	}
}

func TestCoresHere(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("left out: figures are read on Linux alone")
	}
	c := WatchCores(30 * time.Millisecond)
	if len(c.Busy) == 0 || math.IsNaN(c.Steal) {
		t.Errorf("%+v", c)
	}
	for _, b := range c.Busy {
		if !(b >= 0 && b <= 1) {
			t.Errorf("busy %v", c.Busy)
		}
	}
	if FileSystem("/") == "" {
		t.Error("no file system at /")
	}
}

func TestPlaces(t *testing.T) {
	fsys := files(map[string]string{
		"sys/kernel/mm/transparent_hugepage/enabled": "always madvise [never]\n",
		"proc/meminfo":     "SwapTotal: 100 kB\nSwapFree: 40 kB\nSwapCached: 10 kB\n",
		"proc/self/mounts": "a / ext4 rw 0 0\nb /mnt nfs4 rw 0 0\nc /mnt/my\\040disk xfs rw 0 0\nd /mnt tmpfs rw 0 0\n",
	})
	if got := hugePages(fsys); got != "never" {
		t.Errorf("huge pages %q", got)
	}
	if got := swapped(fsys); got != 50*1024 {
		t.Errorf("swapped %d", got)
	}
	for dir, want := range map[string]string{"/": "ext4", "/mn": "ext4", "/mnt": "tmpfs", "/mnt/x": "tmpfs", "/mnt/my disk/store": "xfs"} {
		if got := fileSystem(fsys, dir); got != want {
			t.Errorf("%s: %s, want %s", dir, got, want)
		}
	}
	if hugePages(files(nil)) != "" || fileSystem(files(nil), "/") != "" {
		t.Error("something was read from nothing")
	}
}

// TestProcessName: a name cannot steer the terminal that shows it.
func TestProcessName(t *testing.T) {
	if got := (Process{PID: 7, Name: "a\x1b[2J\nb", Cores: 1}).String(); got != "a?[2J?b (process 7) uses 1.0 cores" {
		t.Errorf("%q", got)
	}
}
