package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"

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
	Threads         int             `json:"threads"` // that Hone takes
	Implementations []string        `json:"implementations"`
	Active          string          `json:"active"`
	BF16Dot         bool            `json:"bf16_dot"` // products of bfloat16 run in one instruction
	OneCore         float64         `json:"f32_gflops_one_core"`
	Limits          *kernel.Limits  `json:"limits,omitempty"`
	Memory          *machine.Memory `json:"memory,omitempty"` // null where it cannot be read
	Load            float64         `json:"load"`             // tasks that wanted a core over the last minute
	Store           storeState      `json:"store"`
	Findings        []string        `json:"findings"` // what makes this machine slower than it could be, and what to do
}

// storeState is the store as `hone doctor` sees it.
type storeState struct {
	Dir     string `json:"dir"`
	Models  int    `json:"models"`
	Damaged int    `json:"damaged"`
	Bytes   int64  `json:"bytes"`
	Error   string `json:"error,omitempty"`
}

func doctorCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "doctor",
		Short:   "Look at this machine: CPU, kernels, memory, store, and what is slow",
		GroupID: groupHost,
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

// moment is how long each limit is measured, in seconds: enough to tell a shared core, not to compare machines.
const moment = 0.05

func examine(threads int) *diagnosis {
	d := &diagnosis{
		CPU: machine.CPUName(), Platform: runtime.GOOS + "/" + runtime.GOARCH, Cores: runtime.NumCPU(), Threads: threads,
		Implementations: kernel.Implementations(), Active: kernel.Active(), BF16Dot: kernel.BF16Dot(), Store: examineStore(), Findings: []string{},
	}
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
	state := storeState{Dir: s.Dir()}
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

// judge fills the findings.
func (d *diagnosis) judge() {
	say := func(format string, args ...any) { d.Findings = append(d.Findings, fmt.Sprintf(format, args...)) }
	best := d.Implementations[len(d.Implementations)-1]
	switch {
	case d.Active != best:
		say("HONE_CPU=%s forces %s kernels, but this CPU runs %s: unset HONE_CPU", os.Getenv("HONE_CPU"), d.Active, best)
	case best == "go" && runtime.GOARCH == "amd64":
		say("this CPU has no AVX2, or the program was built with -tags noasm: plain Go kernels are many times slower")
	case best == "go":
		say("there are no assembly kernels for %s yet: plain Go kernels are many times slower", d.Platform)
	}
	if procs := runtime.GOMAXPROCS(0); procs < d.Cores {
		say("the process may use %d of the machine's %d cores (GOMAXPROCS or a CPU quota): give it more for more speed", procs, d.Cores)
	}
	if d.Threads > d.Cores {
		say("%d threads share %d cores: take --threads %d at most", d.Threads, d.Cores, d.Cores)
	}
	if l := d.Limits; l != nil && d.Threads > 1 {
		if share := l.F32GFLOPS / (d.OneCore * float64(d.Threads)); share < 0.75 {
			say("%d threads together give %.0f %% of %d times one: other processes take cores (load %.1f), or threads share a core; stop them or take fewer --threads", d.Threads, 100*share, d.Threads, d.Load)
		}
	}
	if m := d.Memory; m != nil && m.Available < m.Total/8 {
		say("only %s of %s of memory are free: large models will be refused", bytesText(m.Available), bytesText(m.Total))
	}
	if d.Store.Damaged > 0 {
		say("%d models of the store are damaged: `hone list` names them, `hone rm` removes them", d.Store.Damaged)
	}
	if d.Store.Error != "" {
		say("the store cannot be used: %s; set HONE_HOME to a folder that can be written", d.Store.Error)
	}
}

func (d *diagnosis) print(w io.Writer) error {
	cpu := d.CPU
	if cpu == "" {
		cpu = "unknown"
	}
	rows := [][]string{
		{"CPU", fmt.Sprintf("%s, %d cores (%s)", cpu, d.Cores, d.Platform)},
		{"kernels", fmt.Sprintf("%s in use, of %s; bf16 dot products: %s", d.Active, strings.Join(d.Implementations, ", "), map[bool]string{true: "yes", false: "no"}[d.BF16Dot])},
		{"threads", fmt.Sprint(d.Threads)},
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
		rows = append(rows, []string{"memory", text})
	}
	rows = append(rows, []string{"store", fmt.Sprintf("%s, %d models, %s", d.Store.Dir, d.Store.Models, bytesText(d.Store.Bytes))})
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
