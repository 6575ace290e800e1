package tokenizer

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestOracleVocabularies compares with what internal/oracle/llama_vocabulary.py left in $HONE_TOKENIZER_VOCABULARIES: directories of
// tokenizers, texts with ids as NAME.ids.
func TestOracleVocabularies(t *testing.T) {
	dir := os.Getenv("HONE_TOKENIZER_VOCABULARIES")
	if dir == "" {
		t.Skip("left out: HONE_TOKENIZER_VOCABULARIES is not set (internal/oracle/llama_vocabulary.py fills the folder)")
	}
	files, _ := filepath.Glob(filepath.Join(dir, "*.ids"))
	for _, path := range files {
		name := strings.TrimSuffix(filepath.Base(path), ".ids")
		t.Run(name, func(t *testing.T) {
			tok, err := FromHF(strings.TrimSuffix(path, ".ids"))
			if err != nil {
				t.Fatal(err)
			}
			var texts []textIDs
			for line := range strings.Lines(readText(t, path)) {
				var one struct {
					Text string
					IDs  []int32
				}
				if err := json.Unmarshal([]byte(line), &one); err != nil {
					t.Fatal(err)
				}
				texts = append(texts, textIDs{one.Text, one.IDs})
			}
			compareVocabulary(t, tok, texts)
		})
	}
}

// TestVocabularies compares with the small ones of internal/oracle/llama_vocabulary.py.
func TestVocabularies(t *testing.T) {
	var cases map[string]struct {
		File, Config json.RawMessage
		Texts        []textIDs
	}
	if err := json.Unmarshal([]byte(readText(t, "testdata/vocabularies.json")), &cases); err != nil {
		t.Fatal(err)
	}
	if len(cases) < 7 {
		t.Fatal("the oracle's file is too small")
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			tok, err := FromJSON(c.File, c.Config)
			if err != nil {
				t.Fatal(err)
			}
			compareVocabulary(t, tok, c.Texts)
		})
	}
}

type textIDs struct {
	text string
	ids  []int32
}

func (t *textIDs) UnmarshalJSON(b []byte) error { return json.Unmarshal(b, &[]any{&t.text, &t.ids}) }

// compareVocabulary compares a tokenizer and its GGUF form with the ids that were expected.
func compareVocabulary(t *testing.T, tok Tokenizer, texts []textIDs) {
	t.Helper()
	_, notes, err := ToGGUF(tok, tok.VocabSize())
	if err != nil {
		t.Fatal(err)
	}
	spaces := strings.Contains(strings.Join(notes, " "), "begins with a space")
	specials := strings.Contains(strings.Join(notes, " "), "after a special token")
	again, _ := throughGGUF(t, tok)
	compared := 0
	for _, one := range texts {
		if got := encode(t, tok, one.text, EncodeOptions{ParseSpecial: true}); !slices.Equal(got, one.ids) {
			t.Errorf("%q\n got %v\nwant %v", one.text, got, one.ids)
		}
		special := slices.ContainsFunc(one.ids, func(id int32) bool { return tok.IsSpecial(id) })
		if spaces && strings.HasPrefix(one.text, " ") || spaces && strings.HasPrefix(one.text, "▁") || specials && special || spaces && special {
			continue // the notes say so
		}
		compared++
		if got := encode(t, again, one.text, EncodeOptions{ParseSpecial: true}); !slices.Equal(got, one.ids) {
			t.Errorf("%q through GGUF\n got %v\nwant %v", one.text, got, one.ids)
		}
	}
	if compared < len(texts)/2 {
		t.Errorf("only %d of %d texts were compared", compared, len(texts))
	}
	t.Logf("%d texts, %d through GGUF, notes %q", len(texts), compared, notes)
}

// randomMerges is a vocabulary of pairs of pairs over a few characters, without regard to order: for some a score can stand for
// each token's ranks, for others not.
func randomMerges(r *rand.Rand, prefix bool) string {
	tokens := []string{"a", "b", "▁"}
	var merges [][2]string
	for len(merges) < 3+r.IntN(12) {
		left, right := tokens[r.IntN(len(tokens))], tokens[r.IntN(len(tokens))]
		if len(left)+len(right) > 12 || slices.Contains(merges, [2]string{left, right}) {
			continue
		}
		merges = append(merges, [2]string{left, right})
		if !slices.Contains(tokens, left+right) {
			tokens = append(tokens, left+right)
		}
	}
	if r.IntN(2) == 0 {
		r.Shuffle(len(merges), func(i, j int) { merges[i], merges[j] = merges[j], merges[i] })
	}
	vocab := map[string]int{}
	for b := range 256 {
		vocab[fmt.Sprintf("<0x%02X>", b)] = b
	}
	for _, t := range tokens {
		vocab[t] = len(vocab)
	}
	normalizers := []any{map[string]any{"type": "Replace", "pattern": map[string]string{"String": " "}, "content": "▁"}}
	if prefix {
		normalizers = append(normalizers, map[string]string{"type": "Prepend", "prepend": "▁"})
	}
	return string(mustJSON(map[string]any{"normalizer": map[string]any{"type": "Sequence", "normalizers": normalizers},
		"model": map[string]any{"type": "BPE", "byte_fallback": true, "fuse_unk": true, "vocab": vocab, "merges": merges}}))
}

// mergeByScore is llama.cpp's way in plain words: of all neighbours that together are a token those of the highest score first.
func mergeByScore(text string, score map[string]float32) []string {
	word := strings.Split(text, "")
	for {
		best := -1
		for i := range len(word) - 1 {
			s, ok := score[word[i]+word[i+1]]
			if ok && (best < 0 || s > score[word[best]+word[best+1]]) {
				best = i
			}
		}
		if best < 0 {
			return word
		}
		word[best] += word[best+1]
		word = slices.Delete(word, best+1, best+2)
	}
}

// TestScoresOfRanks: what is written with scores has the ids of the ranks on texts of up to 9 characters; what is refused has a
// token on whose spelling the two differ.
func TestScoresOfRanks(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	written, refused := 0, 0
	for range 120 {
		prefix := r.IntN(2) == 0
		tok := mustJSONTokenizer(t, randomMerges(r, prefix))
		p := tok.(*pipeline)
		w := &ggufWriter{p: p, s: &p.source, rows: tok.VocabSize()}
		tokens, _ := w.tokens()
		scores, err := newRankScores(p.model.(*charBPE), tokens, func(int) bool { return false }, p.source.merges)
		if err != nil {
			t.Fatal(err)
		}
		score := map[string]float32{}
		for id, token := range tokens {
			score[token] = scores.scores[id]
		}
		_, _, err = ToGGUF(tok, tok.VocabSize())
		differ := func(text string) bool {
			var got []string
			for _, id := range p.model.encode(nil, text) {
				got = append(got, tokens[id])
			}
			return !slices.Equal(got, mergeByScore(text, score))
		}
		if err != nil {
			refused++
			if !slices.ContainsFunc(tokens, differ) {
				t.Fatalf("refused without reason: %v\n%s", err, p.source.files[0])
			}
			continue
		}
		written++
		again, _ := throughGGUF(t, tok)
		for n := range 1 << 18 { // texts of 0 to 9 of the three characters
			if n&3 == 3 || n > 0 && r.IntN(100) > 0 {
				continue
			}
			var text strings.Builder
			for ; n > 0 && n&3 < 3; n >>= 2 {
				text.WriteByte("ab "[n&3])
			}
			if s := strings.ReplaceAll(text.String(), " ", "▁"); s != "" && differ(s) {
				t.Fatalf("%q differs by scores\n%s", s, p.source.files[0])
			}
			if a, b := encode(t, again, text.String(), EncodeOptions{}), encode(t, tok, text.String(), EncodeOptions{}); !slices.Equal(a, b) {
				t.Fatalf("%q through GGUF %v, want %v", text.String(), a, b)
			}
		}
	}
	if written < 30 || refused < 20 {
		t.Errorf("%d written, %d refused", written, refused)
	}
	t.Logf("%d written, %d refused", written, refused)
}

// pairsByRank is a vocabulary for which no scores can stand, since "bc" is a token and b and c are not merged.
func pairsByRank(edit ...string) string {
	vocab := map[string]int{"<bos>": 0, "a": 1, "b": 2, "c": 3, "▁": 4, "ab": 5, "bc": 6, "abc": 7, "▁a": 8, "\n": 9, "\n\n": 10, "\u20ac": 11}
	for b := range 256 {
		vocab[fmt.Sprintf("<0x%02X>", b)] = len(vocab)
	}
	text := string(mustJSON(map[string]any{
		"added_tokens": []any{map[string]any{"id": 0, "content": "<bos>", "special": true}},
		"normalizer":   map[string]any{"type": "Replace", "pattern": map[string]string{"String": " "}, "content": "▁"},
		"post_processor": map[string]any{"type": "TemplateProcessing", "pair": []any{}, "single": []any{map[string]any{"SpecialToken": map[string]any{"id": "<bos>"}},
			map[string]any{"Sequence": map[string]any{"id": "A"}}}, "special_tokens": map[string]any{"<bos>": map[string]any{"id": "<bos>", "ids": []int{0}}}},
		"model": map[string]any{"type": "BPE", "byte_fallback": true, "fuse_unk": true, "unk_token": nil, "vocab": vocab,
			"merges": []any{[]string{"\n", "\n"}, []string{"▁", "a"}, []string{"a", "b"}, []string{"ab", "c"}}}}))
	return strings.NewReplacer(edit...).Replace(text)
}

// TestPairsByRank: such a vocabulary is written as gemma4 where that says the same, and refused with the reason elsewhere.
func TestPairsByRank(t *testing.T) {
	config := []byte(`{"bos_token":"<bos>"}`)
	tok, err := FromJSON([]byte(pairsByRank()), config)
	if err != nil {
		t.Fatal(err)
	}
	again, m := throughGGUF(t, tok)
	if m["tokenizer.ggml.model"] != "gemma4" {
		t.Errorf("model %v", m["tokenizer.ggml.model"])
	}
	sameIDs(t, "gemma4", again, tok, []string{"", "abc", "bc", " abc  a", "a\n\n\n b\u20ac\u20ad<bos>c", "\n a\nbc"})
	for want, edit := range map[string][]string{
		"byte_fallback and spaces":      {`{"pattern":{"String":" "},"type":"Replace","content":"▁"}`, "null", `{"content":"▁","pattern":{"String":" "},"type":"Replace"}`, "null"},
		`so "b" and "c" to "bc", which`: {`"post_processor":`, `"x":`},
		`"b" and "c" to "bc"`:           {`["a","b"]`, `["\n","b"]`, `"ab":`, `"\nb":`, `["ab","c"]`, `["▁","a"]`},
		"256 bytes":                     {`"\u003c0x41\u003e"`, `"x41"`},
		"does not merge bytes":          {`["a","b"]`, `["a","b"],["\u003c0x41\u003e","\u003c0x42\u003e"]`, `"\u003c0x43\u003e"`, `"\u003c0x41\u003e\u003c0x42\u003e"`, `"a":1`, `"a":1,"\u003c0x43\u003e":267`},
	} {
		tok, err := FromJSON([]byte(pairsByRank(edit...)), config)
		if err == nil {
			_, _, err = ToGGUF(tok, tok.VocabSize())
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", edit, err, want)
		}
	}
}

// TestNotesOfGGUF: what GGUF has no word for, and a token that reaches over words.
func TestNotesOfGGUF(t *testing.T) {
	space := `"normalizer":{"content":"▁","pattern":{"String":" "},"type":"Replace"}`
	for want, edit := range map[string][]string{
		`"x y" are found in normalised text`:   {`{"content":"\u003cbos\u003e"`, `{"content":"x y","id":268,"normalized":true},{"content":"\u003cbos\u003e"`},
		"begins with a space gets one more by": {space, `"pre_tokenizer":{"type":"Metaspace","split":false}`, `["ab","c"]`, `["ab","c"],["b","c"]`},
		"after a special token gets one":       {space, `"pre_tokenizer":{"type":"Metaspace","split":false,"prepend_scheme":"first"}`, `["ab","c"]`, `["ab","c"],["b","c"]`},
		`which token "ab▁" would show`:         {space, `"pre_tokenizer":{"type":"Metaspace"}`, `"abc":7`, `"ab▁":7`, `["ab","c"]`, `["ab","▁"],["b","c"]`},
	} {
		tok, err := FromJSON([]byte(pairsByRank(edit...)), []byte(`{"bos_token":"<bos>"}`))
		if err != nil {
			t.Fatal(err)
		}
		_, notes, err := ToGGUF(tok, tok.VocabSize())
		if err != nil {
			notes = append(notes, err.Error())
		}
		if len(notes) != 1 || !strings.Contains(notes[0], want) {
			t.Errorf("notes %q, want %q", notes, want)
		}
	}
}
