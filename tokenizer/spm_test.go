package tokenizer

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
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

func TestSPMRefusals(t *testing.T) {
	inf := float32(math.Inf(1))
	for _, c := range []struct {
		name, want string
		change     func(ggufMeta)
	}{
		{"no scores", "scores", func(m ggufMeta) { delete(m, ggufPrefix+"scores") }},
		{"few scores", "1 scores for 12 tokens", func(m ggufMeta) { m[ggufPrefix+"scores"] = []float32{1} }},
		{"score", "score +Inf", func(m ggufMeta) { m[ggufPrefix+"scores"] = []float32{0, 0, inf, 0, 0, 0, 0, 0, 0, 0, 0, 0} }},
		{"bytes", "no piece <0x00>", func(m ggufMeta) { m[ggufPrefix+"token_type"] = []int{2, 3, 3, 1, 1, 1, 1, 1, 1, 1, 6, 1} }},
		{"charsmap", "cut short", func(m ggufMeta) { m[ggufPrefix+"model"] = "t5"; m[ggufPrefix+"precompiled_charsmap"] = []int{1} }},
		{"long piece", "bytes, at most", func(m ggufMeta) {
			tokens := slices.Clone(m[ggufPrefix+"tokens"].([]string))
			tokens[11] = strings.Repeat("a", maxPiece+1)
			m[ggufPrefix+"tokens"] = tokens
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := FromGGUF(tinySPM(c.change)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// TestModelFileRefusals damages a model file.
func TestModelFileRefusals(t *testing.T) {
	file := spmModel(t, readModels(t).Models["bpe-bytes"].Model)
	for n := range len(file) {
		_, _ = FromSentencePiece(file[:n])
	}
	for _, c := range []struct{ name, file, want string }{
		{"empty", "", "0 pieces"},
		{"word model", "\n\x05\n\x01a\x18\x02\x12\x02\x18\x03", `model type "WORD" is not supported`},
		{"length", "\n\xff\xff\xff\xff\x0f", "longer than what is left"},
		{"two alike", "\n\x05\n\x01a\x18\x02\n\x03\n\x01a", "pieces 0 and 1"},
		{"empty piece", "\n\x02\x18\x02", "piece 0"},
		{"type", "\n\x05\n\x01a\x18\x09", "piece 0 has type 9"},
		{"two unknown", "\n\x05\n\x01a\x18\x02\n\x05\n\x01b\x18\x02", "both of type unknown"},
		{"denormalizer", "\n\x05\n\x01a\x18\x02\x2a\x03\x12\x01x", "denormalizer_spec"},
		{"charsmap", "\n\x05\n\x01a\x18\x02\x1a\x03\x12\x01x", "charsmap is cut short"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := FromSentencePiece([]byte(c.file)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// TestTrie compares the double array with a map.
func TestTrie(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 9))
	want := map[string]int32{}
	var keys []trieKey
	for i := range int32(3000) {
		b := make([]byte, 1+r.IntN(6))
		for j := range b {
			b[j] = byte(r.IntN(1 << (1 + r.IntN(8))))
		}
		keys, want[string(b)] = append(keys, trieKey{string(b), i}), i
	}
	tr := newTrie(keys)
	find := func(s string) int32 {
		node := int32(0)
		for i := range len(s) {
			if node = tr.child(node, s[i]); node < 0 {
				return -1
			}
		}
		return tr.nodes[node].value
	}
	for key, id := range want {
		if got := find(key); got != id {
			t.Fatalf("%q: %d, want %d", key, got, id)
		}
		longer := key + "x"
		if _, ok := want[longer]; !ok && find(longer) >= 0 {
			t.Fatalf("%q is found", longer)
		}
	}
}

// TestUnigramChunks: a text that is done in parts has the ids of the whole.
func TestUnigramChunks(t *testing.T) {
	tok, err := FromSentencePiece(spmModel(t, readModels(t).Models["unigram"].Model))
	if err != nil {
		t.Fatal(err)
	}
	m := tok.(*pipeline).model.(*unigram)
	text := strings.Repeat("▁the▁cat▁sat▁xyz▁naïve▁12▁你好", 700)
	got := m.encode(nil, text)
	m.cuts.on = false
	if want := m.encode(nil, text); !slices.Equal(got, want) || len(text) < 4*unigramChunk {
		t.Errorf("%d ids, want %d", len(got), len(want))
	}
}

// TestLongPieces: pieces that are long all together are refused before the square of their length is spent on them.
func TestLongPieces(t *testing.T) {
	v := &spm{unk: -1, rules: spmRules{escape: true}}
	for i := range 200 {
		v.pieces, v.scores = append(v.pieces, strings.Repeat("a", maxPiece-i)), append(v.scores, -1)
	}
	if _, err := v.bpe(v.vocab()); err == nil || !strings.Contains(err.Error(), "too long all together") {
		t.Errorf("%v", err)
	}
}
