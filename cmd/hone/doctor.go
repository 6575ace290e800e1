package main

import (
	"fmt"
	"io"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"hone/internal/machine"
	"hone/kernel"
)

func init() { register(doctorCommand) }

// diagnosis is what `hone doctor --json` prints.
type diagnosis struct {
	CPU             string          `json:"cpu"`
	Platform        string          `json:"platform"`
	Cores           int             `json:"cores"`   // of the machine
	Usable          int             `json:"usable"`  // of them, by this process
	Threads         int             `json:"threads"` // that Hone takes
	Implementations []string        `json:"implementations"`
	Active          string          `json:"active"`
	NoAssembly      bool            `json:"noasm"`    // built without kernels that this CPU could run
	BF16Dot         bool            `json:"bf16_dot"` // products of bfloat16 run in one instruction
	OneCore         float64         `json:"f32_gflops_one_core"`
	Limits          *kernel.Limits  `json:"limits,omitempty"`
	Memory          *machine.Memory `json:"memory,omitempty"` // null where it cannot be read
	Load            float64         `json:"load"`             // tasks that wanted a core over the last minute
	Swapped         int64           `json:"swapped"`
	HugePages       string          `json:"huge_pages"` // always, madvise or never
	Watch           machine.Cores   `json:"watch"`      // what others take
	Store           storeState      `json:"store"`
	Findings        []string        `json:"findings"` // what makes this machine slower than it could be, and what to do
}

// storeState is the store as `hone doctor` sees it.
type storeState struct {
	Dir     string `json:"dir"`
	Models  int    `json:"models"`
	Damaged int    `json:"damaged"`
	Bytes   int64  `json:"bytes"`

	FileSystem string `json:"file_system,omitempty"`
	Free       *int64 `json:"free,omitempty"` // bytes that may still be written
	Error      string `json:"error,omitempty"`
}

func doctorCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "doctor",
		Short:   "Look at this machine: CPU, kernels, memory, store, and what is slow",
		GroupID: groupHost,
		Long: `Look at what running a model depends on: the CPU and its kernels, what others take of the cores, clock and limits of
containers, memory and its speed, swap and huge pages, the store and its disk. Each finding says what is slow, why, and what
to do about it. It takes about a second.`,
		Example: "  hone doctor\n  HONE_CPU=avx2 hone doctor --json",
		Args:    takes(0, 0),
	}
	threads := addThreads(cmd)
	asJSON := addJSON(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		d := examine(*threads)
		if *asJSON {
			return printJSON(cmd, d)
		}
		return d.print(cmd.OutOrStdout())
	}
	return cmd
}

// watch is how long the cores are looked at before anything is measured.
const watch = 200 * time.Millisecond

// moment is how long each limit is measured, in seconds: enough to tell a shared core, not to compare machines.
const moment = 0.05

func examine(threads int) *diagnosis {
	d := &diagnosis{
		CPU: machine.CPUName(), Platform: runtime.GOOS + "/" + runtime.GOARCH, Cores: runtime.NumCPU(), Threads: threads,
		Usable:          usable(),
		Implementations: kernel.Implementations(), Active: kernel.Active(), NoAssembly: withoutAssembly(kernel.Implementations()), BF16Dot: kernel.BF16Dot(),
		Swapped: machine.Swapped(), HugePages: machine.HugePages(), Watch: machine.WatchCores(watch), Store: examineStore(),
	}
	d.Cores = max(d.Cores, len(d.Watch.Busy)) // the process may be kept to fewer
	d.Load, _ = machine.Load()
	if m, ok := machine.ReadMemory(); ok {
		d.Memory = &m
	}
	d.measure()
	d.judge()
	return d
}

func (d *diagnosis) measure() {
	one := kernel.NewPool(1)
	d.OneCore = kernel.PeakF32(one, moment)
	one.Close()
	if d.Memory != nil && d.Memory.Available < 1<<30 {
		return // the measurement itself takes half of that
	}
	all := kernel.NewPool(d.Threads)
	defer all.Close()
	limits := kernel.MeasureLimits(all, moment)
	d.Limits = &limits
}

func examineStore() storeState {
	s, err := openStore()
	if err != nil {
		return storeState{Error: err.Error()}
	}
	defer s.Close()
	state := storeState{Dir: s.Dir(), FileSystem: machine.FileSystem(s.Dir())}
	if free, ok := machine.FreeDisk(s.Dir()); ok {
		state.Free = &free
	}
	entries, err := s.List()
	if err != nil {
		state.Error = err.Error()
	}
	for _, e := range entries {
		state.Models++
		state.Bytes += e.Bytes
		if e.Err != nil {
			state.Damaged++
		}
	}
	return state
}

func (d *diagnosis) print(w io.Writer) error {
	cpu := d.CPU
	if cpu == "" {
		cpu = "unknown"
	}
	rows := [][]string{
		{"CPU", fmt.Sprintf("%s, %d cores (%s)", cpu, d.Cores, d.Platform)},
		{"kernels", fmt.Sprintf("%s in use, of %s; bf16 dot products: %s", d.Active, strings.Join(d.Implementations, ", "), map[bool]string{true: "yes", false: "no"}[d.BF16Dot])},
		{"threads", d.threadsText()},
	}
	if l := d.Limits; l != nil {
		rows = append(rows, []string{"limits", fmt.Sprintf("f32 %.0f GFLOPS (one core %.0f), bf16 %.0f, int8 %.0f GOPS, memory %.1f GB/s (a short look; `hone bench` measures)",
			l.F32GFLOPS, d.OneCore, l.BF16GFLOPS, l.Int8GOPS, l.ReadGBps)})
	}
	if m := d.Memory; m != nil {
		text := fmt.Sprintf("%s free of %s", bytesText(m.Available), bytesText(m.Total))
		if m.Limit > 0 {
			text += " (a control group's limit)"
		}
		if d.Swapped > 0 {
			text += ", " + bytesText(d.Swapped) + " in swap"
		}
		if d.HugePages != "" {
			text += "; huge pages: " + d.HugePages
		}
		rows = append(rows, []string{"memory", text})
	}
	rows = append(rows, []string{"store", d.Store.text()})
	if err := table(w, rows); err != nil {
		return err
	}
	if len(d.Findings) == 0 {
		fmt.Fprintln(w, "nothing slows this machine down")
	}
	for _, f := range d.Findings {
		fmt.Fprintln(w, "-", f)
	}
	return nil
}

func (d *diagnosis) threadsText() string {
	text := fmt.Sprintf("%d of %d cores", d.Threads, d.Cores)
	if p := d.Watch.Physical; p > 0 && p < d.Cores {
		text += fmt.Sprintf(" (hardware threads of %d)", p)
	}
	if d.Watch.Quota > 0 {
		text += fmt.Sprintf(", a control group allows %.1f", d.Watch.Quota)
	}
	if len(d.Watch.Busy) > 0 {
		sum := 0.0
		for _, b := range d.Watch.Busy {
			sum += b
		}
		text += fmt.Sprintf("; others use %.1f", sum)
	}
	if d.Watch.MaxMHz > 0 {
		text += fmt.Sprintf("; clock up to %.0f MHz, governor %s", d.Watch.MaxMHz, d.Watch.Governor)
	}
	return text
}

func (s *storeState) text() string {
	if s.Dir == "" {
		return "cannot be used"
	}
	text := fmt.Sprintf("%s, %d models, %s", s.Dir, s.Models, bytesText(s.Bytes))
	if s.Free != nil {
		text += fmt.Sprintf("; %s free", bytesText(*s.Free))
	}
	if s.FileSystem != "" {
		text += " on " + s.FileSystem
	}
	return text
}
