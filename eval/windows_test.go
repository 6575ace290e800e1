package eval

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestCut(t *testing.T) {
	ids := []int32{10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20}
	cases := []struct {
		name string
		plan Plan
		want [][]int32
		from int
		left int
		err  string
	}{
		{"all", Plan{Ctx: 4}, [][]int32{{10, 11, 12, 13}, {14, 15, 16, 17}}, 1, 3, ""},
		{"limited", Plan{Protocol: "windows", Ctx: 4, Windows: 1}, [][]int32{{10, 11, 12, 13}}, 1, 7, ""},
		{"limit above all", Plan{Ctx: 5, Windows: 9}, [][]int32{{10, 11, 12, 13, 14}, {15, 16, 17, 18, 19}}, 1, 1, ""},
		{"bos is not put in", Plan{Ctx: 8, BOS: 1}, [][]int32{{10, 11, 12, 13, 14, 15, 16, 17}}, 1, 3, ""},
		{"llama.cpp", Plan{Protocol: "llama.cpp", Ctx: 4, BOS: 1}, [][]int32{{1, 11, 12, 13}, {1, 15, 16, 17}}, 3, 3, ""},
		{"llama.cpp without BOS", Plan{Protocol: "llama.cpp", Ctx: 6, BOS: -1}, [][]int32{{10, 11, 12, 13, 14, 15}}, 4, 5, ""},
		{"too short", Plan{Ctx: 12}, nil, 0, 0, "11 tokens, less than one window of 12"},
		{"nothing to score", Plan{Ctx: 1}, nil, 0, 0, "window of 1 tokens has nothing to score"},
		{"no size", Plan{}, nil, 0, 0, "window of 0 tokens"},
		{"negative size", Plan{Ctx: -5, Protocol: "llama.cpp"}, nil, 0, 0, "window of -5 tokens"},
		{"negative count", Plan{Ctx: 4, Windows: -1}, nil, 0, 0, "-1 windows"},
		{"unknown", Plan{Ctx: 4, Protocol: "strided"}, nil, 0, 0, `unknown protocol "strided"`},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, left, err := Cut(ids, c.plan)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Fatalf("error %v, want %q", err, c.err)
				}
				return
			}
			if err != nil || left != c.left || len(got) != len(c.want) {
				t.Fatalf("%v, %d left, %v", got, left, err)
			}
			for i, w := range got {
				if !slices.Equal(w.Tokens, c.want[i]) || w.From != c.from {
					t.Errorf("window %d: %+v, want %v from %d", i, w, c.want[i], c.from)
				}
			}
		})
	}
	if ids[0] != 10 || ids[4] != 14 {
		t.Error("Cut changed the text")
	}
}

// TestCutLlamaCppTargets: with 256 tokens the targets are 129 … 255.
func TestCutLlamaCppTargets(t *testing.T) {
	w, left, err := Cut(make([]int32, 30052), Plan{Protocol: ProtocolLlamaCpp, Ctx: 256, BOS: 1})
	if err != nil || len(w) != 117 || left != 100 || w[0].From != 129 || w[0].Scored() != 127 {
		t.Fatalf("%d windows, %d left, from %d, %v", len(w), left, w[0].From, err)
	}
}

// TestCutCovers: windows in order plus the rest are the text, whatever the sizes.
func TestCutCovers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ids := rapid.SliceOfN(rapid.Int32(), 2, 200).Draw(t, "ids")
		ctx := rapid.IntRange(2, len(ids)).Draw(t, "ctx")
		limit := rapid.IntRange(0, 10).Draw(t, "limit")
		ws, left, err := Cut(ids, Plan{Ctx: ctx, Windows: limit})
		if err != nil {
			t.Fatal(err)
		}
		var joined []int32
		for _, w := range ws {
			joined = append(joined, w.Tokens...)
		}
		if !slices.Equal(joined, ids[:len(ids)-left]) {
			t.Fatalf("windows do not cover the text")
		}
		if limit == 0 && left >= ctx || limit > 0 && len(ws) > limit {
			t.Fatalf("%d windows of %d, %d left", len(ws), ctx, left)
		}
	})
}
