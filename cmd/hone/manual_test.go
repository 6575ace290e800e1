package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hone/store"
)

const cliDocs = "../../docs/cli"

// TestManualIsClean compares docs/cli with what the verbs say of themselves now.
func TestManualIsClean(t *testing.T) {
	files := manualFiles(false)
	for name, want := range files {
		if got, err := os.ReadFile(filepath.Join(cliDocs, name)); err != nil || string(got) != want {
			t.Errorf("docs/cli/%s is not what the verb says (%v): run `make docs`", name, err)
		}
	}
	have, err := os.ReadDir(cliDocs)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range have {
		if _, ok := files[f.Name()]; !ok {
			t.Errorf("docs/cli/%s belongs to no verb: remove it", f.Name())
		}
	}
}

func TestManualPages(t *testing.T) {
	page := must(t, "help", "up")
	for _, want := range []string{"hone up: find the fastest", "SYNOPSIS\n    hone up MODEL [flags]", "--budget ppl=RATIO\n", "(default: ppl=1.01)",
		"(default: all that the process may use)", "EXAMPLES\n    hone up model.gguf\n", "EXIT STATUS"} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q in\n%s", want, page)
		}
	}
	if root := must(t, "help"); !strings.Contains(root, "HF_TOKEN") || !strings.Contains(root, "hone rm NAME...") {
		t.Errorf("%s", root)
	}
	if _, errs, code := call(t, "help", "servee"); code != exitUsage || !strings.Contains(errs, `did you mean "serve"?`) {
		t.Errorf("%d %s", code, errs)
	}
	for name, text := range manualFiles(true) {
		if !strings.HasPrefix(text, ".TH HONE") || !strings.Contains(text, ".SH DESCRIPTION") && !strings.Contains(text, ".SH EXAMPLES") {
			t.Errorf("%s:\n%s", name, text)
		}
	}
}

// complete asks for what may follow, as the shells do.
func completions(t *testing.T, args ...string) string {
	t.Helper()
	return must(t, append([]string{"__complete"}, args...)...)
}

func TestCompletion(t *testing.T) {
	t.Setenv("HONE_HOME", t.TempDir())
	s, err := openStore()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	build := func(dir string) error { return os.WriteFile(filepath.Join(dir, "a"), []byte("x"), 0o600) }
	if _, err := s.Put(t.Context(), "my-model", build, lineageForTest); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"run", ""}, "my-model\tint8-row, 1 B\n:0\n"}, // and files
		{[]string{"show", ""}, "my-model\tint8-row, 1 B\n:4\n"},
		{[]string{"rm", "my-model", ""}, "my-model"},
		{[]string{"show", "my-model", ""}, ":4\n"},
		{[]string{"quantize", "m", "--weights", "int8"}, "int8-row"},
		{[]string{"serve", "m", "--kv", ""}, "f32\nbf16\nint8\n:4"},
		{[]string{"up", "m", "--seed", ""}, ":4\n"},
		{[]string{"eval", "m", "--ppl", ""}, ":0\n"},
		{[]string{"help", "se"}, "serve\tServe"},
		{[]string{"pu"}, "pull\t"},
	} {
		if got := completions(t, c.args...); !strings.Contains(got, c.want) {
			t.Errorf("%q: %q, want %q", c.args, got, c.want)
		}
	}
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if script := must(t, "completion", shell); !strings.Contains(script, "__complete") {
			t.Errorf("%s: %s", shell, script)
		}
	}
}

var lineageForTest = store.Lineage{Recipe: "int8-row"}
