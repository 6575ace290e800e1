package quant

import (
	"encoding/base64"
	"encoding/json"
	"math"
	"os"
	"testing"
)

// TestGGUFGolden compares decoded values, bit for bit, with those of the reference decoder (internal/oracle/blocks.py).
func TestGGUFGolden(t *testing.T) {
	text, err := os.ReadFile("testdata/gguf.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Format       string
		Rows, Cols   int
		Data, Values string
	}
	if err := json.Unmarshal(text, &cases); err != nil || len(cases) != 17 {
		t.Fatalf("%d cases, %v", len(cases), err)
	}
	for _, c := range cases {
		data, err1 := base64.StdEncoding.DecodeString(c.Data)
		values, err2 := base64.StdEncoding.DecodeString(c.Values)
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		m, err := FromBytes(c.Format, c.Rows, c.Cols, data)
		if err != nil {
			t.Fatal(err)
		}
		for i, got := range decode(m) {
			if want := floats(values)[i]; math.Float32bits(got) != math.Float32bits(want) {
				t.Fatalf("%s: value %d is %v, want %v", c.Format, i, got, want)
			}
		}
	}
}
