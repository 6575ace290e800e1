package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"hone/internal/hubtest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"hone": main})
}

// TestScripts runs the program as a user does: usage, exit codes, errors.
func TestScripts(t *testing.T) {
	hub := (&hubtest.Hub{Large: 8, Files: map[string][]byte{"config.json": []byte("{}"), "model.safetensors": []byte("no weights"), "pytorch_model.bin": []byte("code")}}).Start()
	t.Cleanup(hub.Close) // the scripts run in parallel, after this function has returned
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("HONE_HOME", filepath.Join(env.WorkDir, "store"))
			env.Setenv("HF_ENDPOINT", hub.URL)
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){"exits": exits},
	})
}

// exits runs hone and compares its exit code: exits CODE ARGS...
func exits(ts *testscript.TestScript, _ bool, args []string) {
	err := ts.Exec("hone", args[1:]...)
	code := "0"
	if err != nil {
		code = strings.TrimPrefix(err.Error(), "exit status ")
	}
	if code != args[0] {
		ts.Fatalf("hone %s: exit code %s, want %s", strings.Join(args[1:], " "), code, args[0])
	}
}

// call runs the program in this process.
func call(t *testing.T, args ...string) (out, errs string, code int) {
	t.Helper()
	var o, e bytes.Buffer
	code = run(args, strings.NewReader(""), &o, &e)
	return o.String(), e.String(), code
}

// must is call for a run that has to succeed.
func must(t *testing.T, args ...string) string {
	t.Helper()
	out, errs, code := call(t, args...)
	if code != exitDone {
		t.Fatalf("hone %s: exit code %d: %s", strings.Join(args, " "), code, errs)
	}
	return out
}

// TestEveryVerb holds every registered verb to the common rules.
func TestEveryVerb(t *testing.T) {
	t.Setenv("HONE_HOME", t.TempDir())
	for _, verb := range newRoot().Commands() {
		name := verb.Name()
		if verb.Short == "" || verb.GroupID == "" {
			t.Errorf("%s: no short description or no group", name)
		}
		if !strings.Contains(verb.Example, "hone "+name) {
			t.Errorf("%s: the example does not call it", name)
		}
		if verb.Flags().Lookup("json") == nil {
			t.Errorf("%s: no --json", name)
		}
		help := must(t, name, "--help")
		if !strings.Contains(help, "Examples:") || !strings.Contains(help, "Usage:") {
			t.Errorf("%s --help has no usage or no examples:\n%s", name, help)
		}
		if _, errs, code := call(t, name, "--jsom"); code != exitUsage || !strings.Contains(errs, `did you mean "--json"?`) {
			t.Errorf("%s --jsom: exit code %d, %s", name, code, errs)
		}
	}
}
