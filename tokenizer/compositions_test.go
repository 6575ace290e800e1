package tokenizer

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"unicode/utf8"
)

// composition is a tokenizer.json, texts, and what internal/oracle/tokenizer_compositions.py found to become of them; null where the
// reference raises.
type composition struct {
	Name  string
	File  json.RawMessage
	Lines []struct {
		Text             string
		IDs              [4][]int32
		Pair             [][]int32 // of the text and its characters turned round: ids, types
		Some             []int32
		Decoded, Skipped *string
	}
}

func readCompositions(t *testing.T, path string) []composition {
	t.Helper()
	var cases []composition
	if err := json.Unmarshal([]byte(readText(t, path)), &cases); err != nil {
		t.Fatal(err)
	}
	return cases
}

// TestCompositions reads affixes of BPE and parts that are put together at random.
func TestCompositions(t *testing.T) {
	cases := readCompositions(t, "testdata/compositions.json")
	if len(cases) < 60 {
		t.Fatal("the oracle's file is too small")
	}
	refused := 0
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) { refused += compareComposition(t, c) })
	}
	if refused > len(cases)/4 {
		t.Errorf("%d of %d were refused", refused, len(cases))
	}
}

// TestOracleCompositions compares with all in $HONE_TOKENIZER_COMPOSITIONS.
func TestOracleCompositions(t *testing.T) {
	dir := os.Getenv("HONE_TOKENIZER_COMPOSITIONS")
	if dir == "" {
		t.Skip("left out: HONE_TOKENIZER_COMPOSITIONS is not set (internal/oracle/tokenizer_compositions.py fills the folder)")
	}
	files, _ := filepath.Glob(filepath.Join(dir, "*.json"))
	refused := 0
	for _, path := range files {
		for _, c := range readCompositions(t, path) {
			t.Run(c.Name, func(t *testing.T) { refused += compareComposition(t, c) })
		}
	}
	t.Logf("%d files, %d refused", len(files), refused)
}

// compareComposition returns 1 where the tokenizer is refused by name.
func compareComposition(t *testing.T, c composition) (refused int) {
	t.Helper()
	tok, err := FromJSON(c.File, nil)
	if unsupported := (*UnsupportedError)(nil); errors.As(err, &unsupported) {
		t.Log(err)
		return 1
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range c.Lines {
		for way, opt := range oracleWays {
			got, err := tok.Encode(line.Text, opt)
			if (err != nil) != (line.IDs[way] == nil) || err == nil && !slices.Equal(got, line.IDs[way]) {
				t.Errorf("%q %+v\n got %v %v\nwant %v", line.Text, opt, got, err, line.IDs[way])
				return 0
			}
		}
		ids, types, err := tok.EncodePair(line.Text, reversed(line.Text), EncodeOptions{AddSpecial: true, ParseSpecial: true})
		if (err != nil) != (line.Pair == nil) || err == nil && !(slices.Equal(ids, line.Pair[0]) && slices.Equal(types, line.Pair[1])) {
			t.Errorf("%q and turned round\n got %v %v %v\nwant %v", line.Text, ids, types, err, line.Pair)
			return 0
		}
		for skip, want := range map[bool]*string{false: line.Decoded, true: line.Skipped} {
			got := tok.Decode(line.Some, skip)
			if want != nil && got != *want && !badBytes(*want) {
				t.Errorf("%v, special tokens skipped: %v\n got %q\nwant %q", line.Some, skip, got, *want)
				return 0
			}
			if !skip {
				checkStream(t, tok, line.Some, got)
			}
		}
	}
	return 0
}

// badBytes: bytes that form no character are written in another number of U+FFFD.
func badBytes(text string) bool { return slices.Contains([]rune(text), utf8.RuneError) }

func reversed(text string) string {
	runes := []rune(text)
	slices.Reverse(runes)
	return string(runes)
}
