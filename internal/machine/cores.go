package machine

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Cores is what others take of the cores, and what holds them back. What cannot be read is zero.
type Cores struct {
	Busy      []float64 `json:"busy"`      // share of each core's time that was used while this process rested
	Steal     float64   `json:"steal"`     // share of all cores' time that the hypervisor gave to other machines
	Processes []Process `json:"processes"` // that used the most of it, at most three
	Physical  int       `json:"physical"`  // cores that are not hardware threads of one another
	Governor  string    `json:"governor"`  // of the clock: performance, powersave, schedutil …
	MHz       float64   `json:"mhz"`       // the fastest core's clock now
	MaxMHz    float64   `json:"max_mhz"`
	Quota     float64   `json:"quota"`     // cores that the control groups allow; 0: no limit
	Throttled float64   `json:"throttled"` // share of the periods in which a group was held back
}

// Process is a program that ran.
type Process struct {
	PID   int     `json:"pid"`
	Name  string  `json:"name"`
	Cores float64 `json:"cores"` // it used
}

// WatchCores looks at the cores for a while, in which the caller must rest.
func WatchCores(span time.Duration) Cores {
	return coresOf(os.DirFS("/"), os.Getpid(), func() { time.Sleep(span) })
}

func coresOf(root fs.FS, self int, rest func()) Cores {
	c := Cores{Physical: physical(root), Governor: word(root, "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")}
	c.clock(root)
	c.quota(root)
	before, ran := coreTimes(root), processTimes(root)
	rest()
	after, runs := coreTimes(root), processTimes(root)
	c.compare(before, after)
	c.Processes = mostActive(ran, runs, ticks(before, after)/max(1, float64(len(after))), self)
	return c
}

// times are a core's ticks since the machine started.
type times struct{ all, idle, steal float64 }

// coreTimes reads the line of each core.
func coreTimes(root fs.FS) []times {
	b, err := fs.ReadFile(root, "proc/stat")
	if err != nil {
		return nil
	}
	var out []times
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) < 9 || !strings.HasPrefix(f[0], "cpu") || f[0] == "cpu" {
			continue
		}
		var t times
		for i, text := range f[1:9] { // user nice system idle iowait irq softirq steal
			n, _ := strconv.ParseFloat(text, 64)
			t.all += n
			switch i {
			case 3, 4:
				t.idle += n
			case 7:
				t.steal += n
			}
		}
		out = append(out, t)
	}
	return out
}

func ticks(before, after []times) float64 {
	sum := 0.0
	for i := range min(len(before), len(after)) {
		sum += after[i].all - before[i].all
	}
	return sum
}

func (c *Cores) compare(before, after []times) {
	if len(before) != len(after) {
		return
	}
	var steal float64
	for i := range after {
		all := max(1, after[i].all-before[i].all)
		c.Busy = append(c.Busy, min(1, max(0, 1-(after[i].idle-before[i].idle)/all)))
		steal += after[i].steal - before[i].steal
	}
	c.Steal = steal / max(1, ticks(before, after))
}

// processTimes reads the ticks that each process used, and its name.
func processTimes(root fs.FS) map[int]Process {
	dirs, err := fs.ReadDir(root, "proc")
	if err != nil {
		return nil
	}
	out := map[int]Process{}
	for _, d := range dirs {
		pid, err := strconv.Atoi(d.Name())
		if err != nil {
			continue
		}
		b, err := fs.ReadFile(root, "proc/"+d.Name()+"/stat")
		if err != nil {
			continue
		}
		head, rest, ok := cutLast(string(b), ")") // the name may hold anything
		f := strings.Fields(rest)
		if _, name, found := strings.Cut(head, "("); ok && found && len(f) > 12 {
			user, _ := strconv.ParseFloat(f[11], 64)
			system, _ := strconv.ParseFloat(f[12], 64)
			out[pid] = Process{PID: pid, Name: name, Cores: user + system}
		}
	}
	return out
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// mostActive are the processes that used at least a tenth of a core while a core had so many ticks.
func mostActive(before, after map[int]Process, ticks float64, self int) []Process {
	out := []Process{}
	for pid, p := range after {
		p.Cores = (p.Cores - before[pid].Cores) / max(1, ticks)
		if pid != self && p.Cores >= 0.1 {
			out = append(out, p)
		}
	}
	slices.SortFunc(out, func(a, b Process) int {
		if a.Cores != b.Cores {
			return map[bool]int{true: -1, false: 1}[a.Cores > b.Cores]
		}
		return a.PID - b.PID
	})
	return out[:min(3, len(out))]
}

const cpuDir = "sys/devices/system/cpu"

// eachCPU lists the folders of the cores.
func eachCPU(root fs.FS) []string {
	dirs, _ := fs.Glob(root, cpuDir+"/cpu[0-9]*")
	return dirs
}

// physical counts the cores whose hardware threads are counted once.
func physical(root fs.FS) int {
	seen := map[string]bool{}
	for _, dir := range eachCPU(root) {
		if siblings := word(root, dir+"/topology/thread_siblings_list"); siblings != "" {
			seen[siblings] = true
		}
	}
	return len(seen)
}

func (c *Cores) clock(root fs.FS) {
	for _, dir := range eachCPU(root) {
		now, _ := number(root, dir+"/cpufreq/scaling_cur_freq") // kHz
		most, _ := number(root, dir+"/cpufreq/cpuinfo_max_freq")
		c.MHz, c.MaxMHz = max(c.MHz, float64(now)/1000), max(c.MaxMHz, float64(most)/1000)
	}
}

// quota reads the limits of the control groups, both versions, this process's own and those above it.
func (c *Cores) quota(root fs.FS) {
	b, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return
	}
	for line := range strings.Lines(string(b)) {
		part := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(part) != 3 || part[1] != "" && !slices.Contains(strings.Split(part[1], ","), "cpu") {
			continue
		}
		base := path.Join("sys/fs/cgroup", part[1])
		for at := path.Clean("/" + part[2]); ; at = path.Dir(at) {
			c.bound(root, path.Join(base, at))
			if at == "/" {
				break
			}
		}
	}
}

// bound takes one group's limit and how often it was met.
func (c *Cores) bound(root fs.FS, dir string) {
	var quota, period float64
	if f := strings.Fields(word(root, dir+"/cpu.max")); len(f) == 2 { // "max 100000" has no number
		quota, _ = strconv.ParseFloat(f[0], 64)
		period, _ = strconv.ParseFloat(f[1], 64)
	} else if text := word(root, dir+"/cpu.cfs_quota_us"); text != "" { // -1: none
		quota, _ = strconv.ParseFloat(text, 64)
		period, _ = strconv.ParseFloat(word(root, dir+"/cpu.cfs_period_us"), 64)
	}
	if quota > 0 && period > 0 && (c.Quota == 0 || quota/period < c.Quota) {
		c.Quota = quota / period
	}
	stat := fields(root, dir+"/cpu.stat")
	if n := stat["nr_periods"]; n > 0 {
		c.Throttled = max(c.Throttled, float64(stat["nr_throttled"])/float64(n))
	}
}

// word is a short file's text, "" when there is none.
func word(root fs.FS, name string) string {
	b, err := fs.ReadFile(root, name)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// String names the process for people.
func (p Process) String() string {
	name := strings.Map(func(r rune) rune { // a process may call itself anything, what steers a terminal too
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, p.Name)
	return fmt.Sprintf("%s (process %d) uses %.1f cores", name, p.PID, p.Cores)
}
