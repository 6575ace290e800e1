package tokenizer

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// alphabet holds the characters that the patterns tell apart.
var alphabet = []string{"a", "Z", "é", "語", "\u0301", "1", "٣", "½", " ", "  ", "\t", "\n", "\r\n", "\u00a0", "\u3000", "'", "'s", "'re", "'ll", "'S", "'ſ", ".", "!", "-", "🙂", "\x00", "s", "t",
	"É", "ǅ", "ʰ", "/", "$", "~", "가", "か", "µ", "\r", "ﬀ", "\ufeff", "٪"}

func randomText(r *rand.Rand) string {
	var b strings.Builder
	for range r.IntN(20) {
		b.WriteString(alphabet[r.IntN(len(alphabet))])
	}
	return b.String()
}

func scanAll(s scanner, text string) []string {
	var out []string
	for i := 0; i < len(text); {
		end := s(text, i)
		out = append(out, text[i:end])
		i = end
	}
	return out
}

func mustRegex(t testing.TB, pattern string) splitter {
	t.Helper()
	m, err := newRegexMatcher(pattern)
	if err != nil {
		t.Fatal(err)
	}
	return patternSplit{m, isolated, false}
}

// TestScanners compares the hand-written scanners with the patterns that they stand for.
func TestScanners(t *testing.T) {
	digits := patternSplit{runeMatcher(isNumeric), isolated, false}
	cases := []struct {
		name  string
		scan  scanner
		steps []splitter
	}{
		{"gpt2", scanGPT2, []splitter{mustRegex(t, patternGPT2)}},
		{"digits", scanGPT2Digits, []splitter{digits, mustRegex(t, patternGPT2)}},
		{"llama3", scanLlama3, []splitter{mustRegex(t, patternLlama3)}},
		{"qwen2", scanQwen2, []splitter{mustRegex(t, patternQwen2)}},
		{"cl100k", scanCL100K, []splitter{mustRegex(t, patternCL100K)}},
		{"gpt-4o", scanGPT4o, []splitter{mustRegex(t, patternGPT4o)}},
		{"tekken", scanTekken, []splitter{mustRegex(t, patternTekken)}},
		{"deepseek-v3", scanDSV3, []splitter{mustRegex(t, patternDSV3)}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, 2))
			for range 4000 {
				text := randomText(r)
				got, want := scanAll(c.scan, text), cutAll(c.steps, text)
				if text != "" && !slices.Equal(got, want) {
					t.Fatalf("%q\n got %q\nwant %q", text, got, want)
				}
			}
		})
	}
}

func cutAll(steps []splitter, text string) []string {
	var list []string
	splitEach(steps, piece{text: text}, make([][]piece, len(steps)), func(p piece) { list = append(list, p.text) })
	return list
}

func texts(pieces []piece) []string {
	var list []string
	for _, p := range pieces {
		list = append(list, p.text)
	}
	return list
}

// TestRuns compares the run matchers with their patterns.
func TestRuns(t *testing.T) {
	for pattern, m := range runs {
		r := rand.New(rand.NewPCG(3, 4))
		slow := mustRegex(t, pattern)
		for range 1500 {
			text := randomText(r)
			got, want := patternSplit{m, isolated, false}.split(nil, piece{text: text}), slow.split(nil, piece{text: text})
			if !slices.Equal(got, want) {
				t.Fatalf("%s on %q\n got %q\nwant %q", pattern, text, texts(got), texts(want))
			}
		}
	}
}

// TestKinds compares the fast tables with the plain definition.
func TestKinds(t *testing.T) {
	for r := range rune(0x20100) {
		if got, want := runeKind(r), slowKind(r); got != want {
			t.Fatalf("U+%04X: %b, want %b", r, got, want)
		}
		if class := runeClass(r); (class == classLetter) != (slowKind(r)&kindLetter != 0) || (class == classNumber) != (slowKind(r)&kindNumber != 0) {
			t.Fatalf("U+%04X: class %d, kind %b", r, class, slowKind(r))
		}
	}
}

// TestPreNames builds every pre-tokenizer that GGUF files name.
func TestPreNames(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for name, rule := range ggufPre {
		chain, err := parsePre(rule.json())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		scan, steps := chain.finish()
		for range 20 {
			text := randomText(r)
			joined := strings.Join(scanAllOr(scan, steps, text), "")
			if rule.words {
				text = strings.Join(strings.Fields(text), "")
			}
			if joined != text {
				t.Errorf("%s: %q was cut into %q", name, text, joined)
			}
		}
	}
}

func scanAllOr(scan scanner, steps []splitter, text string) []string {
	if scan != nil {
		return scanAll(scan, text)
	}
	return cutAll(steps, text)
}

// TestTrailingSpace compares trailingSpace with its pattern.
func TestTrailingSpace(t *testing.T) {
	pattern := mustRegex(t, patternTrailing)
	r := rand.New(rand.NewPCG(7, 8))
	for range 4000 {
		text := strings.Repeat(" ", r.IntN(2)) + randomText(r) + strings.Repeat("\n", r.IntN(2))
		got, want := patternSplit{trailingSpace{}, isolated, false}.split(nil, piece{text: text}), pattern.split(nil, piece{text: text})
		if !slices.Equal(got, want) {
			t.Fatalf("%q\n got %q\nwant %q", text, texts(got), texts(want))
		}
	}
}

// TestReplacePatterns: a normalizer replaces by every kind of pattern, those with a hand-written form too.
func TestReplacePatterns(t *testing.T) {
	for pattern, want := range map[string]string{
		`{"String":"ab"}`: "XcX", `{"Regex":"a|b+"}`: "XXcXX", `{"Regex":"\\s+$"}`: "abcab", `{"Regex":` + string(mustJSON(patternGPT2)) + `}`: "X",
	} {
		file := strings.Replace(tinyMerges, `{"type":"NFC"}`, `{"type":"Replace","content":"X","pattern":`+pattern+`}`, 1)
		if got := mustJSONTokenizer(t, file).(*pipeline).norm.normalize("abcab"); got != want {
			t.Errorf("%s: got %q, want %q", pattern, got, want)
		}
	}
}

// TestSlowPattern: a text on which a file's pattern takes exponential time, or too long in all, is an error that names
// the pattern, never a text cut in another way.
func TestSlowPattern(t *testing.T) {
	file := strings.Replace(tinyMerges, `"type":"Digits","individual_digits":true`, `"type":"Split","pattern":{"Regex":"(a+)+$"},"behavior":"Isolated"`, 1)
	tok := mustJSONTokenizer(t, file).(*pipeline)
	m := tok.steps[0].(patternSplit).m.(*regexMatcher)
	if ids, err := tok.Encode("baaa", EncodeOptions{}); err != nil || len(ids) != 4 {
		t.Errorf("got %v, %v", ids, err)
	}
	for name, c := range map[string]struct {
		search, piece time.Duration
		text          string
	}{
		"one search":   {50 * time.Millisecond, time.Minute, strings.Repeat("a", 60) + "!"},
		"all searches": {time.Minute, -time.Minute, strings.Repeat("a\n", 200)},
	} {
		m.limit(c.search, c.piece)
		start := time.Now()
		ids, err := tok.Encode(c.text, EncodeOptions{})
		var slow *PatternError
		if !errors.As(err, &slow) || ids != nil || !strings.Contains(err.Error(), "(a+)+$") {
			t.Errorf("%s: got %v, %v", name, ids, err)
		}
		if d := time.Since(start); d > searchTimeout/2 {
			t.Errorf("%s: took %v", name, d)
		}
	}
}

// TestGrowth: a normalizer that makes a bomb of a text is an error before the memory is taken, also where texts of a chat
// are marked; one that lengthens within reason is none.
func TestGrowth(t *testing.T) {
	long := func(n int) string { return `"` + strings.Repeat("b", n) + `"` }
	replace := func(pattern, content string) string {
		return `{"type":"Replace","pattern":` + pattern + `,"content":` + content + `}`
	}
	double := replace(`{"String":"a"}`, `"aa"`)
	text := strings.Repeat("a", 50_000)
	for name, c := range map[string]struct {
		norm string
		ok   bool
	}{
		"literal":  {replace(`{"String":"a"}`, long(1000)), false},
		"regex":    {replace(`{"Regex":"a+?"}`, long(1000)), false},
		"sequence": {`{"type":"Sequence","normalizers":[` + strings.Repeat(double+",", 40) + double + `]}`, false},
		"once":     {double, true},
		"one long": {replace(`{"Regex":"a+"}`, long(10_000)), true},
	} {
		file := strings.Replace(tinyMerges, `{"type":"NFC"}`, c.norm, 1)
		tok := mustJSONTokenizer(t, file)
		_, err := tok.Encode(text, EncodeOptions{})
		var growth *GrowthError
		if errors.As(err, &growth) == c.ok || (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
	c, err := NewChatTemplate("{{ messages[0].content }}", "", "")
	if err != nil {
		t.Fatal(err)
	}
	c.mark = func(string) string { panic(&GrowthError{1, 100}) }
	var growth *GrowthError
	if text, err := c.Prompt([]Message{{Role: "user", Content: "x"}}, true, nil); !errors.As(err, &growth) || text != "" {
		t.Errorf("marked: %q, %v", text, err)
	}
}

// TestDecodeBombs: a decoder that takes too long on a token, or blows it up, leaves it as it is; a panic would end a service.
func TestDecodeBombs(t *testing.T) {
	token := strings.Repeat("a", 60) + "!"
	for pattern, content := range map[string]string{`{"Regex":"(a|aa)+$"}`: "x", `{"String":"a"}`: strings.Repeat("b", 2000)} {
		file := fmt.Sprintf(`{"added_tokens":[],"decoder":{"type":"Replace","pattern":%s,"content":%q},
			"model":{"type":"BPE","vocab":{"a":0,%q:1,"!":2},"merges":[]}}`, pattern, content, token)
		if got := mustJSONTokenizer(t, file).Decode([]int32{1, 2}, false); got != token+"!" {
			t.Errorf("%s: %.80q", pattern, got)
		}
	}
}

// TestSlowAddedToken: the same when the text is an added token of the file.
func TestSlowAddedToken(t *testing.T) {
	defer func(d time.Duration) { searchTimeout = d }(searchTimeout)
	searchTimeout = 50 * time.Millisecond
	file := strings.Replace(tinyMerges, `{"type":"NFC"}`, `{"type":"Replace","content":"X","pattern":{"Regex":"(a+)+$"}}`, 1)
	file = strings.Replace(file, `"content":"the"`, `"content":"`+strings.Repeat("a", 60)+`!"`, 1)
	var slow *PatternError
	if tok, err := FromJSON([]byte(file), nil); !errors.As(err, &slow) || tok != nil {
		t.Errorf("got %v, %v", tok, err)
	}
}

// TestMergeLong compares the heap with the scan on words of every length.
func TestMergeLong(t *testing.T) {
	m := vocabTokenizer(t, "gpt-2").(*pipeline).model.(*bpe)
	r := rand.New(rand.NewPCG(3, 4))
	for range 5000 {
		word := strings.Repeat([]string{"a", "the", "ab", "=-", "  ", "x"}[r.IntN(6)], r.IntN(4)+1) + randomText(r)
		if len(word) < 2 || len(word) > shortWord {
			continue
		}
		ids := m.appendByteIDs(nil, word)
		short := slices.Clone(ids)
		short = short[:m.mergeShort(short)]
		if long := m.mergeLong(ids); !slices.Equal(short, long) {
			t.Fatalf("%q: heap %v, scan %v", word, long, short)
		}
	}
}

// TestHostileText encodes a megabyte of what is worst for each part.
func TestHostileText(t *testing.T) {
	bert, gpt2 := vocabTokenizer(t, "bert-bge"), vocabTokenizer(t, "gpt-2")
	texts := map[string]string{
		"a": "a", "space": " ", "marks": "\u0301", "marks of two classes": "\u0301\u0323", "newline": "\n", "quotes": "'", "bad": "\xff",
		"mixed": "a\u0301 ", "cjk": "語", "added": "<|endoftext|", "brackets": "[SEP", "punctuation": "=-=",
	}
	size := 1 << 20
	if testing.Short() {
		size >>= 3
	}
	for name, unit := range texts {
		text := strings.Repeat(unit, size/len(unit))
		for model, tok := range map[string]Tokenizer{"bert": bert, "gpt2": gpt2} {
			start := time.Now()
			ids := encode(t, tok, text, EncodeOptions{ParseSpecial: true})
			took := time.Since(start)
			if took > 8*time.Second {
				t.Errorf("%s, %s: %v", model, name, took)
			}
			if model == "gpt2" && tok.Decode(ids, false) != validUTF8(text) {
				t.Errorf("%s: the text does not come back", name)
			}
			t.Logf("%s, %s: %d ids in %v", model, name, len(ids), took)
		}
	}
}

// TestPortable: patterns in the words of Oniguruma, and in those of regexp2.
func TestPortable(t *testing.T) {
	for pattern, want := range map[string]string{
		patternLlama3: patternLlama3, patternDSV3: patternDSV3, patternGPT4o: patternGPT4o, patternKimi: patternKimi, patternBloom: patternBloom,
		`'(?i:[sdmt]|ll)|[^\r\n]?+\p{L}++|x*+y{1,3}+`: `'(?i:[sdmt]|ll)|(?>[^\r\n]?)(?>\p{L}+)|(?>x*)(?:y{1,3})+`,
		` ?[^(\s|[.,!?])]+`:                           ` ?[^(\s|.,!?)]+`,
		`[\p{Lu}\p{M}&&[^\p{Han}]]*`:                  `(?:(?=[^\p{Han}])[\p{Lu}\p{M}])*`,
		`(?>a|b)+?{x}`:                                `(?>a|b)+?{x}`,
	} {
		if got, err := translate(pattern, func(string) (string, bool) { return "", false }); err != nil || got != want {
			t.Errorf("%s: %v\n got %s\nwant %s", pattern, err, got, want)
		}
	}
	for _, pattern := range []string{`[[:alpha:]]`, `\h+`, `[a&&b]`, `(?<name>a)`, `(?m)a`, `a)`, `(a`, `[a`, `\`, `[a[^b]]`, strings.Repeat("(", 40) + strings.Repeat(")", 40)} {
		if got, err := portable(pattern); err == nil {
			t.Errorf("%s became %s", pattern, got)
		}
	}
	if _, err := newRegexMatcher(strings.Repeat("a", maxPattern+1)); err == nil || !strings.Contains(err.Error(), "are allowed") {
		t.Errorf("a pattern of %d bytes: %v", maxPattern+1, err)
	}
}

// TestNamedClasses: what Oniguruma 6.9.10 of PyPI tokenizers 0.23.3 finds in texts that regexp2 by itself reads otherwise.
func TestNamedClasses(t *testing.T) {
	for _, c := range []struct {
		pattern, text string
		want          []string // the matches
	}{
		{`\w+`, "a\u0903b\u200dc²¼ \u1c89", []string{"a\u0903b", "c²¼", "\u1c89"}},
		{`[\w]+`, "a\u0903²b", []string{"a\u0903", "b"}},
		{`\W`, "a\u200d²_", []string{"\u200d"}},
		{`\d+`, "1\u0967\U00010d40²", []string{"1\u0967\U00010d40"}},
		{`\P{L}+`, "a\u1c89\ua7cb1", []string{"1"}},
		{`[^\p{L}\p{N}]+`, "\u1c89\U00010d40!", []string{"!"}},
		{`\p{Han}+`, "漢\U0002ebf0か", []string{"漢\U0002ebf0"}},
		{`\bx`, "\u0915\u0937\u093fx -x ½x x", []string{"x", "x"}},
		{`\Bx`, "ax x", []string{"x"}},
		{`(?i)a|b`, "aAbB", []string{"a", "A", "b", "B"}},
		{`x(?i)a|b`, "xAxBb", []string{"xA", "xB"}},
	} {
		m, err := newRegexMatcher(c.pattern)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, s := range m.spans(c.text) {
			if s.match {
				got = append(got, c.text[s.from:s.to])
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s in %q finds %q, want %q", c.pattern, c.text, got, c.want)
		}
	}
}
