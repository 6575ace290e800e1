package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/cpu"
)

// A finding is one cause that makes this machine slower than it could be: what is slow, why, and what to do; "" when it is not there.
var findings = []func(d *diagnosis) string{
	(*diagnosis).kernels, (*diagnosis).vectors, (*diagnosis).fewerCores, (*diagnosis).throttled, (*diagnosis).tooManyThreads, (*diagnosis).busyCores,
	(*diagnosis).stolen, (*diagnosis).together, (*diagnosis).governor, (*diagnosis).bandwidth, (*diagnosis).lowMemory, (*diagnosis).inSwap,
	(*diagnosis).smallPages, (*diagnosis).storePlace, (*diagnosis).lowDisk, (*diagnosis).damaged, (*diagnosis).noStore,
}

// judge fills the findings.
func (d *diagnosis) judge() {
	d.Findings = []string{}
	for _, find := range findings {
		if text := find(d); text != "" {
			d.Findings = append(d.Findings, text)
		}
	}
}

// withoutAssembly tells a program that was built without what this CPU could run.
func withoutAssembly(implementations []string) bool {
	return len(implementations) == 1 && cpu.X86.HasAVX2 && cpu.X86.HasFMA
}

func (d *diagnosis) kernels() string {
	best := d.Implementations[len(d.Implementations)-1]
	switch {
	case d.Active != best:
		return fmt.Sprintf("HONE_CPU=%s forces %s kernels, but this CPU runs %s: unset HONE_CPU", os.Getenv("HONE_CPU"), d.Active, best)
	case d.NoAssembly:
		return "the program was built with -tags noasm, so that plain Go kernels run, many times slower: build it without, or take a released one"
	case best == "go" && strings.HasSuffix(d.Platform, "/amd64"):
		return "this CPU has no AVX2 with FMA: plain Go kernels are many times slower; take a machine of 2014 or later, or ask the hypervisor to pass AVX2 on"
	case best == "go":
		return fmt.Sprintf("there are no assembly kernels for %s yet: plain Go kernels are many times slower; take an amd64 machine for now", d.Platform)
	}
	return ""
}

func (d *diagnosis) vectors() string {
	if best := d.Implementations[len(d.Implementations)-1]; best != "avx2" {
		return ""
	}
	return "this CPU has no AVX-512, so that a product takes about twice the instructions: another machine would be faster; --weights q4 and q8 lose the least here"
}

// fewerCores explains why not all cores are used.
func (d *diagnosis) fewerCores() string {
	if d.Threads >= d.Cores || d.Threads < d.Usable {
		return ""
	}
	gives := fmt.Sprintf("the process may use %d of the machine's %d cores", d.Usable, d.Cores)
	switch {
	case os.Getenv("GOMAXPROCS") != "":
		return gives + ", as GOMAXPROCS says: unset it"
	case d.Watch.Quota > 0 && d.Watch.Quota < float64(d.Cores):
		return fmt.Sprintf("%s: a control group allows %.1f (a container's CPU limit): raise it (docker run --cpus, limits.cpu of a pod)", gives, d.Watch.Quota)
	}
	return gives + " (taskset, a cpuset or the like): give it more for more speed"
}

func (d *diagnosis) throttled() string {
	if d.Watch.Throttled < 0.05 {
		return ""
	}
	return fmt.Sprintf("the control group was held back in %.0f %% of its periods (a container's CPU limit of %.1f cores): raise it, or take --threads %d at most",
		100*d.Watch.Throttled, d.Watch.Quota, max(1, int(d.Watch.Quota)))
}

func (d *diagnosis) tooManyThreads() string {
	if d.Threads <= d.Cores {
		return ""
	}
	return fmt.Sprintf("%d threads share %d cores: take --threads %d at most", d.Threads, d.Cores, d.Cores)
}

// busyCores names the cores that others use, and who. Work on several threads waits for the slowest.
func (d *diagnosis) busyCores() string {
	var names []string
	for i, b := range d.Watch.Busy {
		if b > 0.5 {
			names = append(names, fmt.Sprintf("%d (%.0f %%)", i, 100*b))
		}
	}
	if len(names) == 0 {
		return ""
	}
	who := "other processes"
	if len(d.Watch.Processes) > 0 {
		var list []string
		for _, p := range d.Watch.Processes {
			list = append(list, p.String())
		}
		who = strings.Join(list, ", ")
	}
	text := fmt.Sprintf("cores are busy: %s; %s: stop what can wait", strings.Join(names[:min(8, len(names))], ", "), who)
	if free := len(d.Watch.Busy) - len(names); free > 0 && free < d.Threads {
		text += fmt.Sprintf(", or take --threads %d", free)
	}
	return text
}

func (d *diagnosis) stolen() string {
	if d.Watch.Steal < 0.05 {
		return ""
	}
	return fmt.Sprintf("the hypervisor gives %.0f %% of the cores' time to other machines: take a machine with cores of its own", 100*d.Watch.Steal)
}

// together explains threads that do not add up, unless a busy core does.
func (d *diagnosis) together() string {
	if d.Limits == nil || d.Threads < 2 || d.busyCores() != "" {
		return ""
	}
	share := d.Limits.F32GFLOPS / (d.OneCore * float64(d.Threads))
	if share >= 0.75 {
		return ""
	}
	text := fmt.Sprintf("%d threads together give %.0f %% of %d times one: ", d.Threads, 100*share, d.Threads)
	if p := d.Watch.Physical; p > 0 && p < d.Threads {
		return text + fmt.Sprintf("there are %d cores with several hardware threads each; --threads %d may be as fast", p, p)
	}
	return text + fmt.Sprintf("other processes take cores (load %.1f), or the clock falls when all are used; stop them, or take fewer --threads", d.Load)
}

func (d *diagnosis) governor() string {
	w := d.Watch
	if w.Governor != "powersave" && w.Governor != "conservative" {
		return ""
	}
	return fmt.Sprintf("the clock's governor is %s (now %.0f of %.0f MHz): `cpupower frequency-set -g performance` may give more", w.Governor, w.MHz, w.MaxMHz)
}

// slowMemory is the rate below which a laptop's memory would be slow.
const slowMemory = 10

func (d *diagnosis) bandwidth() string {
	if d.Limits == nil || d.Limits.ReadGBps >= slowMemory {
		return ""
	}
	return fmt.Sprintf("memory is read at %.1f GB/s, and each token reads all weights once: 1 GB of weights gives at most %.0f tokens/s; fewer bits (--weights q4) help, more threads do not",
		d.Limits.ReadGBps, d.Limits.ReadGBps)
}

func (d *diagnosis) lowMemory() string {
	m := d.Memory
	if m == nil || m.Available >= m.Total/8 {
		return ""
	}
	return fmt.Sprintf("only %s of %s of memory are free: large models will be refused; end what takes it", bytesText(m.Available), bytesText(m.Total))
}

func (d *diagnosis) inSwap() string {
	if d.Swapped < 256<<20 {
		return ""
	}
	return fmt.Sprintf("%s of memory lie in swap, and reading them back is slow: end what takes memory, or take smaller --weights", bytesText(d.Swapped))
}

func (d *diagnosis) smallPages() string {
	if d.HugePages != "never" {
		return ""
	}
	return "huge pages are off, so that reading weights costs more translations of addresses: write madvise to /sys/kernel/mm/transparent_hugepage/enabled"
}

func (d *diagnosis) storePlace() string {
	s := d.Store
	kind := s.FileSystem
	switch {
	case kind == "tmpfs" || kind == "ramfs":
		return fmt.Sprintf("the store lies in memory (%s at %s): its models take memory twice and are gone after a restart; set HONE_HOME to a folder on a disk", kind, s.Dir)
	case kind == "nfs" || kind == "nfs4" || kind == "cifs" || kind == "smb3" || kind == "9p" || kind == "ceph" || strings.HasPrefix(kind, "fuse"):
		return fmt.Sprintf("the store lies on a network or user-space file system (%s at %s): models load at its speed; set HONE_HOME to a folder on a local disk", kind, s.Dir)
	case kind == "overlay" && s.Models > 0:
		return fmt.Sprintf("the store lies in a container's own layer (%s): its models go with the container; mount a volume and set HONE_HOME to it", s.Dir)
	}
	return ""
}

func (d *diagnosis) lowDisk() string {
	if d.Store.Free == nil || *d.Store.Free >= 5e9 {
		return ""
	}
	return fmt.Sprintf("only %s are free where the store lies (%s): `hone rm` removes models, or set HONE_HOME to another disk", bytesText(*d.Store.Free), d.Store.Dir)
}

func (d *diagnosis) damaged() string {
	if d.Store.Damaged == 0 {
		return ""
	}
	return fmt.Sprintf("%d models of the store are damaged: `hone list` names them, `hone rm` removes them", d.Store.Damaged)
}

func (d *diagnosis) noStore() string {
	if d.Store.Error == "" {
		return ""
	}
	return fmt.Sprintf("the store cannot be used: %s", d.Store.Error)
}

// usable is the number of cores that the process may use.
func usable() int { return runtime.GOMAXPROCS(0) }
