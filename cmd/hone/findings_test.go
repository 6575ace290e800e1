package main

import (
	"strings"
	"testing"

	"hone/internal/machine"
	"hone/kernel"
)

// healthy is a machine without findings.
func healthy() *diagnosis {
	free := int64(1e12)
	return &diagnosis{
		Platform: "linux/amd64", Cores: 4, Usable: 4, Threads: 4, Implementations: []string{"go", "avx2", "avx512"}, Active: "avx512", OneCore: 100,
		Limits: &kernel.Limits{F32GFLOPS: 390, ReadGBps: 40}, Memory: &machine.Memory{Available: 8e9, Total: 16e9}, HugePages: "madvise",
		Watch: machine.Cores{Busy: []float64{0.1, 0, 0, 0}, Physical: 4, Governor: "performance"}, Store: storeState{Dir: "d", FileSystem: "ext4", Free: &free},
	}
}

// TestFindings: each cause alone gives one finding, which names it and the next step.
func TestFindings(t *testing.T) {
	t.Setenv("GOMAXPROCS", "")
	for _, c := range []struct {
		name   string
		damage func(d *diagnosis)
		want   []string
	}{
		{"forced kernels", func(d *diagnosis) { d.Active = "go" }, []string{"forces go kernels", "unset HONE_CPU"}},
		{"noasm", func(d *diagnosis) { d.Implementations, d.Active, d.NoAssembly = []string{"go"}, "go", true }, []string{"-tags noasm", "build it without"}},
		{"old CPU", func(d *diagnosis) { d.Implementations, d.Active = []string{"go"}, "go" }, []string{"no AVX2"}},
		{"other CPU", func(d *diagnosis) { d.Implementations, d.Active, d.Platform = []string{"go"}, "go", "linux/riscv64" }, []string{"linux/riscv64"}},
		{"no AVX-512", func(d *diagnosis) { d.Implementations, d.Active = []string{"go", "avx2"}, "avx2" }, []string{"no AVX-512", "q4"}},
		{"quota", func(d *diagnosis) { d.Usable, d.Threads, d.Watch.Quota = 2, 2, 1.5 }, []string{"2 of the machine's 4 cores", "allows 1.5", "--cpus"}},
		{"affinity", func(d *diagnosis) { d.Usable, d.Threads = 2, 2 }, []string{"taskset"}},
		{"throttled", func(d *diagnosis) { d.Watch.Throttled, d.Watch.Quota = 0.25, 2.5 }, []string{"25 %", "--threads 2"}},
		{"too many threads", func(d *diagnosis) { d.Threads, d.Limits.F32GFLOPS = 8, 700 }, []string{"8 threads share 4 cores"}},
		{"a busy core", func(d *diagnosis) {
			d.Watch.Busy[1], d.Limits.F32GFLOPS = 0.98, 200
			d.Watch.Processes = []machine.Process{{PID: 7, Name: "python3", Cores: 0.98}}
		}, []string{"1 (98 %)", "python3 (process 7) uses 1.0 cores", "--threads 3"}},
		{"steal", func(d *diagnosis) { d.Watch.Steal = 0.2 }, []string{"hypervisor gives 20 %"}},
		{"hardware threads", func(d *diagnosis) { d.Limits.F32GFLOPS, d.Watch.Physical = 220, 2 }, []string{"55 %", "--threads 2"}},
		{"threads that do not add up", func(d *diagnosis) { d.Limits.F32GFLOPS = 220 }, []string{"55 %", "stop them"}},
		{"governor", func(d *diagnosis) { d.Watch.Governor, d.Watch.MHz, d.Watch.MaxMHz = "powersave", 800, 3600 }, []string{"powersave", "cpupower"}},
		{"bandwidth", func(d *diagnosis) { d.Limits.ReadGBps = 5 }, []string{"5.0 GB/s", "--weights q4"}},
		{"memory", func(d *diagnosis) { d.Memory.Available = 1e9 }, []string{"only 1 GB of 16 GB"}},
		{"swap", func(d *diagnosis) { d.Swapped = 2e9 }, []string{"2 GB of memory lie in swap"}},
		{"huge pages", func(d *diagnosis) { d.HugePages = "never" }, []string{"huge pages are off", "madvise"}},
		{"network", func(d *diagnosis) { d.Store.FileSystem = "nfs4" }, []string{"nfs4", "HONE_HOME"}},
		{"memory disk", func(d *diagnosis) { d.Store.FileSystem = "tmpfs" }, []string{"gone after a restart"}},
		{"container", func(d *diagnosis) { d.Store.FileSystem, d.Store.Models = "overlay", 1 }, []string{"mount a volume"}},
		{"disk", func(d *diagnosis) { *d.Store.Free = 1e9 }, []string{"only 1 GB are free", "hone rm"}},
		{"damage", func(d *diagnosis) { d.Store.Damaged = 2 }, []string{"2 models", "hone list"}},
		{"no store", func(d *diagnosis) { d.Store.Error = "read-only" }, []string{"read-only", "cannot be used"}},
	} {
		d := healthy()
		c.damage(d)
		d.judge()
		if len(d.Findings) != 1 {
			t.Errorf("%s: %q", c.name, d.Findings)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(d.Findings[0], want) {
				t.Errorf("%s: no %q in %q", c.name, want, d.Findings[0])
			}
		}
	}
	d := healthy()
	if d.judge(); len(d.Findings) != 0 {
		t.Errorf("a healthy machine: %q", d.Findings)
	}
}
