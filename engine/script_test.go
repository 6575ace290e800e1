package engine

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write the output of the scheduler scripts into testdata")

// TestScripts runs testdata/*.txt: commands, a line "----", what they print, an empty line. Lines that begin with # are
// comments. Tokens are letters. After every command the scheduler's integrity is checked.
//
//	new blocks=N block=N budget=N seqs=N
//	add NAME prompt=LETTERS max=N [prio=N] [who=NAME] [salt=TEXT] [leader=NAME]
//	step [chunk=N]           plan a batch
//	done [NAME=LETTERS[!]…]  end the oldest batch; ! ends the sequence, an absent name brings no token
//	abort NAME
//	show                     sequences, their blocks and the free list
func TestScripts(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.txt")
	if len(files) == 0 {
		t.Fatal("no scripts in testdata")
	}
	for _, name := range files {
		t.Run(filepath.Base(name), func(t *testing.T) {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			got := runScript(string(text))
			if *rewrite {
				if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want := strings.Split(string(text), "\n")
			for i, line := range strings.Split(got, "\n") {
				if i >= len(want) || line != want[i] {
					t.Fatalf("%s:%d: %q, want %q (-rewrite takes the new output)", name, i+1, line, at(want, i))
				}
			}
		})
	}
}

func at(lines []string, i int) string {
	if i < len(lines) {
		return lines[i]
	}
	return "the end"
}

// runScript returns the script with the output that its commands have now.
func runScript(text string) string {
	var out strings.Builder
	s := &script{}
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		if line == "" || strings.HasPrefix(line, "#") {
			fmt.Fprintln(&out, line)
			continue
		}
		var printed strings.Builder
		for ; i < len(lines) && lines[i] != "----"; i++ {
			fmt.Fprintln(&out, lines[i])
			s.run(lines[i], &printed)
		}
		for i++; i < len(lines) && lines[i] != ""; i++ { // the old output
		}
		fmt.Fprintf(&out, "----\n%s", printed.String())
		if i < len(lines) {
			fmt.Fprintln(&out)
		}
	}
	return out.String()
}

type script struct {
	sched  *Scheduler
	seqs   map[string]*Sequence
	names  []string
	flying []*Batch
}

// run runs one command; what goes wrong is output too.
func (s *script) run(line string, out *strings.Builder) {
	defer func() {
		if p := recover(); p != nil {
			fmt.Fprintf(out, "panic: %v\n", p)
		}
	}()
	words := strings.Fields(line)
	name, args := "", map[string]string{}
	for _, w := range words[1:] {
		if k, v, ok := strings.Cut(w, "="); ok {
			args[k] = v
		} else {
			name = w
		}
	}
	num := func(key string, value int) int {
		if n, err := strconv.Atoi(args[key]); err == nil {
			return n
		}
		return value
	}
	switch words[0] {
	case "new":
		s.sched = NewScheduler(SchedulerConfig{Blocks: num("blocks", 8), BlockTokens: num("block", 2), StepTokens: num("budget", 8), MaxSeqs: num("seqs", 8)})
		s.seqs, s.names, s.flying = map[string]*Sequence{}, nil, nil
		return
	case "add":
		q := NewSequence(name, letters(args["prompt"]), len(args["prompt"])+num("max", 4))
		q.Priority, q.Principal, q.Salt, q.Leader = num("prio", 0), args["who"], args["salt"], s.seqs[args["leader"]]
		if err := s.sched.Add(q); err != nil {
			fmt.Fprintln(out, "error:", err)
			return
		}
		s.seqs[name], s.names = q, append(s.names, name)
	case "step":
		s.step(num("chunk", 1000), out)
	case "done":
		s.done(args)
	case "abort":
		s.sched.Abort(s.seqs[name])
	case "show":
		s.show(out)
	default:
		fmt.Fprintf(out, "unknown command %q\n", words[0])
	}
	if err := s.sched.CheckIntegrity(); err != nil {
		fmt.Fprintln(out, "integrity:", err)
	}
}

func (s *script) step(chunk int, out *strings.Builder) {
	before := s.sched.Counts().Preemptions
	b := s.sched.Step(chunk)
	if n := s.sched.Counts().Preemptions - before; n > 0 {
		fmt.Fprintf(out, "preempted %d\n", n)
	}
	if b == nil {
		fmt.Fprintln(out, "nothing")
		return
	}
	s.flying = append(s.flying, b)
	for i, it := range b.Items {
		in := b.Input.Seqs[i]
		fmt.Fprintf(out, "%s[%d:%d] %s blocks=%v", it.Seq.Name, it.From, it.To, text(b.Input.Tokens[in.Offset:in.Offset+in.Len]), in.Blocks)
		if it.Sample {
			fmt.Fprint(out, " sample")
		}
		fmt.Fprintln(out)
	}
}

func (s *script) done(args map[string]string) {
	b := s.flying[0]
	s.flying = s.flying[1:]
	var outcomes []Outcome
	for _, it := range b.Items {
		value, end := strings.CutSuffix(args[it.Seq.Name], "!")
		outcomes = append(outcomes, Outcome{Tokens: letters(value), End: end})
	}
	s.sched.Done(b, outcomes)
}

func (s *script) show(out *strings.Builder) {
	states := []string{"idle", "waiting", "running", "ended"}
	for _, name := range s.names {
		q := s.seqs[name]
		fmt.Fprintf(out, "%s %s %q", name, states[q.state], text(q.tokens))
		if q.state == running {
			fmt.Fprintf(out, " computed=%d blocks=%v", q.computed, q.table)
		}
		fmt.Fprintln(out)
	}
	var free []string
	for id := s.sched.blocks.head; id != none; id = s.sched.blocks.all[id].next {
		mark := ""
		if s.sched.blocks.all[id].cached {
			mark = "*"
		}
		free = append(free, fmt.Sprint(id)+mark)
	}
	fmt.Fprintf(out, "free %s\n", strings.Join(free, " "))
}

func letters(s string) []int32 {
	var t []int32
	for _, c := range s {
		t = append(t, c)
	}
	return t
}

func text(tokens []int32) string {
	var s strings.Builder
	for _, t := range tokens {
		s.WriteRune(t)
	}
	return s.String()
}

func TestIntegrityCheckSeesFaults(t *testing.T) {
	broken := map[string]func(s *Scheduler){
		"reference count": func(s *Scheduler) { s.blocks.all[s.running[0].table[0]].refs++ },
		"lost block":      func(s *Scheduler) { s.running[0].table = s.running[0].table[:1] },
		"wrong content":   func(s *Scheduler) { s.running[0].tokens[0] = 99; s.running[0].keys = nil },
		"free list":       func(s *Scheduler) { s.blocks.free++ },
		"parent":          func(s *Scheduler) { s.blocks.forget(s.running[0].table[0]) },
		"order":           func(s *Scheduler) { slices.Reverse(s.running) },
		"progress":        func(s *Scheduler) { s.running[0].scheduled-- },
	}
	for name, breaks := range broken {
		s := &script{}
		var out strings.Builder
		for _, line := range []string{"new", "add a prompt=abcde", "add b prompt=xyz", "step", "done a=f b=w"} {
			s.run(line, &out)
		}
		if out.String() == "" || strings.Contains(out.String(), "integrity") {
			t.Fatalf("before: %s", out.String())
		}
		if breaks(s.sched); s.sched.CheckIntegrity() == nil {
			t.Errorf("%s: not seen", name)
		}
	}
}
