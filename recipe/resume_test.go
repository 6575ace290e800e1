package recipe

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"hone/kernel"
	"hone/store"
)

// search runs hone up's search on the tiny model with its store in dir. Every format passes so wide a budget but one that
// is given up early: the head in 4 bits ends half of the windows in.
func search(ctx context.Context, t *testing.T, path, dir string, progress Progress, note func(string)) (*Outcome, error) {
	t.Helper()
	s, err := store.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	pool := kernel.NewPool(1)
	defer pool.Close()
	return Up(ctx, s, Spec{Model: open(t, path), Budget: 1.2, Windows: 6, Tokens: 200, Seed: 1, Pool: pool, Memory: 1 << 30,
		Candidates: []string{"int8-row", "int4-row", "int8-g32", "bf16"}, Progress: progress, Note: note}, "test")
}

// judgement is what must not depend on interruptions: everything but speeds and times.
func judgement(t *testing.T, o *Outcome) string {
	t.Helper()
	r := o.Result
	r.Seconds, r.Chosen = 0, ""
	rows := append([]Row{r.Parent}, r.Candidates...)
	for i := range rows {
		rows[i].Prefill, rows[i].Decode = 0, 0
	}
	r.Parent, r.Candidates = rows[0], rows[1:]
	b, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestInterrupted: a search that is stopped again and again, each time a little later, comes to the judgement of one that
// runs through, and leaves no journal.
func TestInterrupted(t *testing.T) {
	path := tinyGGUF(t)
	whole, err := search(t.Context(), t, path, t.TempDir(), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	var notes []string
	var got *Outcome
	for stop := -5; ; stop++ {
		ctx, cancel := context.WithCancel(t.Context())
		steps := 0
		got, err = search(ctx, t, path, dir, func(phase string, done, _ int) {
			if sampling := strings.HasPrefix(phase, "sampling"); sampling && stop < 0 && done > 200*(6+stop) || !sampling && steps == max(stop, 0) {
				cancel()
			} else if !sampling {
				steps++
			}
		}, func(line string) { notes = append(notes, line) })
		cancel()
		if err == nil {
			break
		}
		if !errors.Is(err, context.Canceled) || stop > 40 {
			t.Fatal(err)
		}
	}
	if want := judgement(t, whole); judgement(t, got) != want {
		t.Errorf("after interruptions:\n%s\nin one run:\n%s", judgement(t, got), want)
	}
	if len(notes) < 6 || !strings.HasPrefix(notes[0], "going on with an interrupted search") {
		t.Errorf("notes %q", notes)
	}
	if left, _ := os.ReadDir(filepath.Join(dir, "runs")); len(left) != 0 {
		t.Errorf("%d journals are left", len(left))
	}
	again, err := search(t.Context(), t, path, dir, func(phase string, _, _ int) { t.Errorf("searching again: %s", phase) }, nil)
	if err != nil || !again.Found {
		t.Errorf("found %v, %v", again, err)
	}
}

// TestNothingFits: when the budget refuses every candidate nothing is saved, and the error names those that miss it by least.
func TestNothingFits(t *testing.T) {
	s, err := store.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	pool := kernel.NewPool(1)
	defer pool.Close()
	_, err = Up(t.Context(), s, Spec{Model: open(t, tinyGGUF(t)), Budget: 1, Windows: 4, Tokens: 64, Seed: 1, Pool: pool, Memory: 1 << 30,
		Candidates: []string{"int4-row", "int8-row"}}, "test")
	var miss *BudgetError
	if !errors.As(err, &miss) || len(miss.Nearest) != 2 || miss.Nearest[0].Weights != "int8-row" {
		t.Fatalf("%v", err)
	}
	for _, word := range []string{"ppl=1", "int8-row: perplexity ratio ", "upper bound", "raise --budget"} {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%q is not in: %v", word, err)
		}
	}
	if all, err := s.List(); err != nil || len(all) != 0 {
		t.Errorf("%d variants were saved, %v", len(all), err)
	}
	if left, _ := os.ReadDir(filepath.Join(s.Dir(), "runs")); len(left) != 0 {
		t.Errorf("%d journals are left", len(left))
	}
}

// killedDir is set in the process that TestKilled starts and kills.
const killedDir = "HONE_TEST_KILLED"

// TestKilled: what a killed process found is not measured again.
func TestKilled(t *testing.T) {
	if dir := os.Getenv(killedDir); dir != "" {
		search(t.Context(), t, filepath.Join(dir, "model.gguf"), filepath.Join(dir, "store"), func(phase string, done, _ int) {
			fmt.Printf("\n%s %d\n", phase, done)
		}, nil)
		return
	}
	dir := t.TempDir()
	if err := os.Rename(tinyGGUF(t), filepath.Join(dir, "model.gguf")); err != nil {
		t.Fatal(err)
	}
	child := exec.Command(os.Args[0], "-test.run=^TestKilled$")
	child.Env = append(os.Environ(), killedDir+"="+dir)
	var errs bytes.Buffer
	child.Stderr = &errs
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	killed := false
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if !killed && lines.Text() == "comparing with the parent 4" {
			killed = true
			child.Process.Kill()
		}
	}
	if err := child.Wait(); !killed || err == nil {
		t.Fatalf("killed %v, %v: %s", killed, err, &errs)
	}
	var note string
	sampled, windows := false, []int{}
	_, err = search(t.Context(), t, filepath.Join(dir, "model.gguf"), filepath.Join(dir, "store"), func(phase string, done, _ int) {
		sampled = sampled || strings.HasPrefix(phase, "sampling")
		if strings.HasPrefix(phase, "comparing") {
			windows = append(windows, done)
		}
	}, func(line string) { note = line })
	if err != nil || sampled || len(windows) == 0 || windows[0] < 5 {
		t.Errorf("sampled again: %v; windows from %v; %v", sampled, windows, err)
	}
	if !strings.HasPrefix(note, "going on with an interrupted search (finished candidates: 0; windows of others: ") {
		t.Errorf("note %q", note)
	}
}

// TestRecall: a window that was run twice counts once, one after a gap not at all; nonsense is an error.
func TestRecall(t *testing.T) {
	line := func(s string) json.RawMessage { return json.RawMessage(s) }
	p, err := recall(nil, []json.RawMessage{line(`{"pair":{"weights":"a","window":0,"pair":{"Parent":1}}}`), line(`{"pair":{"weights":"a","window":0,"pair":{"Parent":1}}}`),
		line(`{"pair":{"weights":"a","window":1,"pair":{"Parent":2}}}`), line(`{"pair":{"weights":"a","window":3,"pair":{"Parent":4}}}`),
		line(`{"pair":{"weights":"b","window":0,"pair":{}}}`), line(`{"row":{"weights":"b"}}`)})
	if err != nil || len(p.pairs["a"]) != 2 || p.pairs["a"][1].Parent != 2 {
		t.Errorf("%+v, %v", p.pairs, err)
	}
	if got := p.String(); got != "going on with an interrupted search (finished candidates: 1; windows of others: 2)" {
		t.Error(got)
	}
	if _, err := recall(nil, []json.RawMessage{line(`{"row":3}`)}); err == nil {
		t.Error("a row that is a number was taken")
	}
	if got := (&past{}).String(); got != "" {
		t.Error(got)
	}
}
