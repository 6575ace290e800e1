package tokenizer

import (
	"slices"
	"testing"
)

// tinySPM is a BPE vocabulary of SentencePiece in GGUF form.
func tinySPM(change func(ggufMeta)) ggufMeta {
	m := ggufMeta{
		ggufPrefix + "model":      "llama",
		ggufPrefix + "tokens":     []string{"<unk>", "<s>", "</s>", "▁", "a", "b", "▁a", "ab", "▁ab", "bb", "<u>", "q"},
		ggufPrefix + "scores":     []float32{0, 0, 0, -9, -9, -9, -2, -1, -3, -2, 0, -9},
		ggufPrefix + "token_type": []int{2, 3, 3, 1, 1, 1, 1, 1, 1, 1, 4, 1},
	}
	change(m)
	return m
}

func TestSPM(t *testing.T) {
	plain := fromGGUF(t, tinySPM(func(ggufMeta) {}))
	for text, want := range map[string][]int32{
		"":         nil,
		"ab":       {8},           // ▁ab by a+b, then ▁+ab
		"a b":      {6, 3, 5},     // ▁a, ▁, b
		"abb":      {8, 5},        // ab before bb
		"xy":       {3, 0},        // a run of unknown characters is one token
		"axb":      {6, 0, 5},     //
		"a<u>b":    {6, 10, 3, 5}, // a space before the text after a token
		"<s>ab":    {1, 8},
		"  q":      {3, 3, 3, 11},
		"\u2581ab": {3, 8},
	} {
		if got := encode(t, plain, text, EncodeOptions{ParseSpecial: true}); !slices.Equal(got, want) {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
	if got := encode(t, plain, "ab", EncodeOptions{AddSpecial: true}); !slices.Equal(got, []int32{1, 8}) {
		t.Errorf("with BOS: %v", got)
	}
	if got := plain.Decode([]int32{1, 8, 3, 5}, true); got != "ab b" {
		t.Errorf("decoded %q", got)
	}
	checkStream(t, plain, []int32{3, 8, 3, 5}, " ab b")
	bare := fromGGUF(t, tinySPM(func(m ggufMeta) { m[ggufPrefix+"add_space_prefix"] = false; m[ggufPrefix+"add_bos_token"] = false }))
	if got := encode(t, bare, "ab<u>ab", EncodeOptions{AddSpecial: true}); !slices.Equal(got, []int32{7, 10, 7}) {
		t.Errorf("without a prefix: %v", got)
	}
}

// TestMergesAgree compares the two fast ways to merge with the plain one.
func TestMergesAgree(t *testing.T) {
	m := fromGGUF(t, tinySPM(func(ggufMeta) {})).(*pipeline).model.(*charBPE)
	for n := range 1 << 12 {
		var word []int32
		for i := n; i > 0; i /= 4 {
			word = append(word, m.char([]rune("ab▁x")[i%4]))
		}
		if word == nil {
			continue
		}
		want := m.mergeExcept(slices.Clone(word), noSymbol)
		short := slices.Clone(word)
		short = short[:m.mergeShort(short)]
		if long := m.mergeLong(slices.Clone(word)); !slices.Equal(short, want) || !slices.Equal(long, want) {
			t.Fatalf("%v: %v and %v, want %v", word, short, long, want)
		}
	}
}

// TestWordCuts: cutting a text into words changes no id.
func TestWordCuts(t *testing.T) {
	for _, c := range []struct {
		glued []string
		text  string
		want  []string
	}{
		{nil, "▁a▁▁b▁c", []string{"▁a", "▁▁b", "▁c"}},
		{[]string{"b▁"}, "▁a▁b▁c▁d", []string{"▁a", "▁b▁c", "▁d"}},
		{[]string{"x▁▁y"}, "x▁▁y▁", []string{"x▁▁y", "▁"}},
	} {
		cuts := newWordCuts(slices.Values(c.glued))
		var got []string
		for text := c.text; text != ""; {
			end := cuts.next(text, 0)
			got = append(got, text[:end])
			text = text[end:]
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%q: %q, want %q", c.text, got, c.want)
		}
	}
}
