package quant

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hone/internal/testdata"
)

// TestNumericsNamesEveryFormat: docs/numerics.md describes each registered format by name.
func TestNumericsNamesEveryFormat(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(testdata.Root(t), "docs", "numerics.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range Formats() {
		if !strings.Contains(string(page), "`"+f.Name()+"`") {
			t.Errorf("docs/numerics.md does not name the format %s (%s)", f.Name(), f.Describe())
		}
	}
}
