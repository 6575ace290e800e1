package engine

import (
	"strings"
	"testing"
)

// plainStop cuts a text before the stop string that is complete first, the longest of several.
func plainStop(text string, stops []string) string {
	for end := range len(text) + 1 {
		best := ""
		for _, s := range stops {
			if strings.HasSuffix(text[:end], s) && len(s) > len(best) {
				best = s
			}
		}
		if best != "" {
			return text[:end-len(best)]
		}
	}
	return text
}

func TestStopper(t *testing.T) {
	for _, c := range []struct {
		pieces []string
		stops  []string
		want   []string // what each piece releases, and the end
	}{
		{[]string{"ab", "cd"}, nil, []string{"ab", "cd", ""}},
		{[]string{"ab", "cd", "ef"}, []string{"bcde"}, []string{"a", "", ""}},
		{[]string{"ab", "cd", "xx"}, []string{"bcde"}, []string{"a", "", "bcdxx", ""}},
		{[]string{"ab", "c"}, []string{"bcde"}, []string{"a", "", "bc"}},
		{[]string{"aaa", "ab"}, []string{"aaab"}, []string{"", "a"}},
		{[]string{"xab"}, []string{"b", "ab"}, []string{"x"}},
		{[]string{"abcd"}, []string{"bcd", "c"}, []string{"ab"}},
	} {
		s := newStopper(c.stops)
		var got []string
		found := -1
		for _, p := range c.pieces {
			var out []byte
			out, found = s.add(nil, p)
			got = append(got, string(out))
			if found >= 0 {
				break
			}
		}
		if found < 0 {
			got = append(got, string(s.flush(nil)))
		}
		if strings.Join(got, "|") != strings.Join(c.want, "|") {
			t.Errorf("%q with stops %q releases %q, want %q", c.pieces, c.stops, got, c.want)
		}
	}
}

// FuzzStopper: the released text is the same however the text is cut into pieces.
func FuzzStopper(f *testing.F) {
	f.Add("abcabd", "abd", "bc", uint64(0b1010))
	f.Add("aaaaab", "aab", "ab", uint64(7))
	f.Add("xyxyz", "xyz", "yx", uint64(0xff))
	f.Fuzz(func(t *testing.T, text, a, b string, cuts uint64) {
		if a == "" || b == "" {
			return
		}
		s := newStopper([]string{a, b})
		var out []byte
		found, from := -1, 0
		for i := 1; i <= len(text) && found < 0; i++ {
			if i == len(text) || cuts>>(i%64)&1 == 1 {
				out, found = s.add(out, text[from:i])
				from = i
			}
		}
		if found < 0 {
			out = s.flush(out)
		}
		if want := plainStop(text, []string{a, b}); string(out) != want {
			t.Errorf("%q with stops %q, %q, cuts %b: %q, want %q", text, a, b, cuts, out, want)
		}
	})
}
