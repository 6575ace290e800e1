// Package testdata finds the real models, texts and vectors that tests run on.
//
// They are not part of the repository: HONE_MODELS and HONE_DATA name their folders, absolute or relative to the
// module's root. Without the variable a test is skipped and says so; with it a missing file is a failure.
package testdata

import (
	"os"
	"path/filepath"
	"testing"
)

// Models returns the path of a file or folder below $HONE_MODELS.
func Models(t testing.TB, name string) string { return find(t, "HONE_MODELS", name) }

// Data returns the path of a file or folder below $HONE_DATA.
func Data(t testing.TB, name string) string { return find(t, "HONE_DATA", name) }

// Root returns the module's root directory: the nearest parent that holds go.mod.
func Root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		up := filepath.Dir(dir)
		if up == dir {
			t.Fatal("testdata: no go.mod above the working directory")
		}
		dir = up
	}
}

func find(t testing.TB, variable, name string) string {
	t.Helper()
	base := os.Getenv(variable)
	if base == "" {
		t.Skipf("left out: %s is not set, so %s is not at hand", variable, name)
	}
	if !filepath.IsAbs(base) {
		base = filepath.Join(Root(t), base)
	}
	path := filepath.Join(base, name)
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%s is set, but %v", variable, err)
	}
	return path
}
