package tokenizer

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"
)

func TestRefusals(t *testing.T) {
	replace := func(old, new string) string { return strings.Replace(tinyMerges, old, new, 1) }
	cases := []struct{ name, file, want string }{
		{"model", replace(`"type":"BPE"`, `"type":"Odd"`), `model "Odd" is not supported`},
		{"Unigram", replace(`"type":"BPE"`, `"type":"Unigram"`), `no JSON array`},
		{"normalizer", replace(`"type":"NFC"`, `"type":"Odd"`), `normalizer "Odd"`},
		{"charsmap", replace(`"type":"NFC"`, `"type":"Precompiled","precompiled_charsmap":"AAEAAA=="`), `256 bytes, but 0 follow`},
		{"no charsmap", replace(`"type":"NFC"`, `"type":"Precompiled"`), `no charsmap`},
		{"pre-tokenizer", replace(`"type":"Digits"`, `"type":"Odd"`), `pre-tokenizer "Odd"`},
		{"metaspace", replace(`"type":"Digits"`, `"type":"Metaspace","prepend_scheme":"odd"`), `prepend_scheme "odd"`},
		{"post-processor", replace(`"type":"TemplateProcessing"`, `"type":"Odd"`), `post-processor "Odd"`},
		{"decoder", replace(`"decoder":{"type":"ByteLevel"}`, `"decoder":{"type":"CTC"}`), `decoder "CTC"`},
		{"decoder after Fuse", replace(`"decoder":{"type":"ByteLevel"}`, `"decoder":{"type":"Sequence","decoders":[{"type":"Fuse"},{"type":"WordPiece"}]}`), `decoder "WordPiece"`},
		{"dropout", replace(`"unk_token":null`, `"dropout":0.1`), "dropout"},
		{"prefix", replace(`"unk_token":null`, `"continuing_subword_prefix":"####"`), `lacks the prefix`},
		{"merge", replace(`"a b"`, `"a x"`), "merge 0"},
		{"merge form", replace(`"a b"`, `"ab"`), "merge 0"},
		{"id", replace(`"abc":6`, `"abc":2000000000`), `"abc" has id 2000000000`},
		{"negative id", replace(`"abc":6`, `"abc":-1`), "-1"},
		{"template", replace(`"ids":[7]`, `"ids":[900]`), "900"},
		{"template token", replace(`"special_tokens":{"<s>"`, `"special_tokens":{"<t>"`), `"<s>"`},
		{"pattern", replace(`"type":"Digits","individual_digits":true`, `"type":"Split","pattern":{"Regex":"("},"behavior":"Isolated"`), `pattern "("`},
		{"behavior", replace(`"type":"Digits","individual_digits":true`, `"type":"Split","pattern":{"String":"x"},"behavior":"Odd"`), `"Odd"`},
		{"nesting", replace(`{"type":"NFC"}`, strings.Repeat(`{"type":"Sequence","normalizers":[`, 40)+strings.Repeat(`]}`, 40)), "nested"},
		{"not JSON", "{", "tokenizer.json"},
		{"empty", "", "tokenizer.json"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if c.file == tinyMerges {
				t.Fatal("the case changes nothing")
			}
			_, err := FromJSON([]byte(c.file), nil)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestRefusalsGGUF(t *testing.T) {
	base := func(change func(ggufMeta)) ggufMeta {
		m := ggufMeta{ggufPrefix + "model": "gpt2", ggufPrefix + "pre": "gpt-2", ggufPrefix + "tokens": []string{"a", "b", "ab"}, ggufPrefix + "merges": []string{"a b"}}
		change(m)
		return m
	}
	if _, err := FromGGUF(base(func(ggufMeta) {})); err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		name   string
		change func(ggufMeta)
		want   string
	}{
		{"no model", func(m ggufMeta) { delete(m, ggufPrefix+"model") }, "tokenizer.ggml.model"},
		{"model", func(m ggufMeta) { m[ggufPrefix+"model"] = "rwkv" }, `"rwkv"`},
		{"pre", func(m ggufMeta) { m[ggufPrefix+"pre"] = "martian" }, `"martian"`},
		{"no tokens", func(m ggufMeta) { delete(m, ggufPrefix+"tokens") }, "tokens"},
		{"no merges", func(m ggufMeta) { delete(m, ggufPrefix+"merges") }, "merges"},
		{"types", func(m ggufMeta) { m[ggufPrefix+"token_type"] = []int{1} }, "1 token types for 3"},
		{"merge", func(m ggufMeta) { m[ggufPrefix+"merges"] = []string{"a c"} }, "merge 0"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := FromGGUF(base(c.change))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	_, err := FromGGUF(base(cases[2].change))
	var unsupported *UnsupportedError
	if !errors.As(err, &unsupported) || unsupported.Name != "martian" {
		t.Errorf("%v is no UnsupportedError", err)
	}
	// Ids that mean "none" are none.
	tok, err := FromGGUF(base(func(m ggufMeta) { m[ggufPrefix+"eos_token_id"] = 0xFFFFFFFF; m[ggufPrefix+"bos_token_id"] = -1 }))
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := tok.BOS(); ok || len(tok.EOS()) != 0 {
		t.Errorf("BOS %v, EOS %v", ok, tok.EOS())
	}
}

// TestReload: a tokenizer from GGUF, written as JSON and read again, is the same tokenizer.
func TestReload(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for _, tok := range []Tokenizer{smolLM2(t), vocabTokenizer(t, "bert-bge"), vocabTokenizer(t, "llama-spm")} {
		file, config := tok.ToJSON()
		dir := t.TempDir()
		for name, b := range map[string][]byte{"tokenizer.json": file, "tokenizer_config.json": config} {
			if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		again, err := FromHF(dir)
		if err != nil {
			t.Fatal(err)
		}
		sameTokenizer(t, tok, again)
		for range 300 {
			text := randomText(r) + "<|im_start|>[CLS] " + randomText(r)
			for _, opt := range oracleWays {
				if a, b := encode(t, tok, text, opt), encode(t, again, text, opt); !slices.Equal(a, b) {
					t.Fatalf("%q: %v, reloaded %v", text, a, b)
				}
			}
		}
		if f, c := again.ToJSON(); !bytes.Equal(f, file) || !bytes.Equal(c, config) {
			t.Error("the second writing differs")
		}
	}
}

func sameTokenizer(t *testing.T, a, b Tokenizer) {
	t.Helper()
	bosA, okA := a.BOS()
	bosB, okB := b.BOS()
	if a.VocabSize() != b.VocabSize() || !slices.Equal(a.EOS(), b.EOS()) || bosA != bosB || okA != okB || a.TemplateSource() != b.TemplateSource() {
		t.Errorf("size %d, %d; EOS %v, %v; BOS %v, %v", a.VocabSize(), b.VocabSize(), a.EOS(), b.EOS(), bosA, bosB)
	}
	for id := range int32(a.VocabSize()) {
		if !bytes.Equal(a.TokenBytes(id), b.TokenBytes(id)) || a.IsSpecial(id) != b.IsSpecial(id) {
			t.Fatalf("token %d: %q, reloaded %q", id, a.TokenBytes(id), b.TokenBytes(id))
		}
	}
}

// TestStream gives every text of the oracle to a stream decoder, id by id.
func TestStream(t *testing.T) {
	for _, tok := range []Tokenizer{vocabTokenizer(t, "gpt-2"), vocabTokenizer(t, "bert-bge")} {
		for _, text := range readOracle(t).Texts {
			ids := encode(t, tok, text, EncodeOptions{AddSpecial: true, ParseSpecial: true})
			checkStream(t, tok, ids, tok.Decode(ids, false))
			if d := tok.NewDecoder(true); d.Add(-1) != "" || d.Add(1<<30) != "" || d.Flush() != "" {
				t.Error("ids that do not exist have text")
			}
		}
	}
}

func TestStreamHoldsCharacters(t *testing.T) {
	tok := byteTokenizer()
	d := tok.NewDecoder(true)
	for i, step := range []struct {
		id   int32
		want string
	}{{0xF0, ""}, {0x9F, ""}, {0x99, ""}, {0x82, "🙂"}, {'a', "a"}, {0xE2, ""}, {'b', "\uFFFDb"}, {0xC3, ""}, {0xA9, "é"}, {0xFF, "\uFFFD"}, {0xE2, ""}} {
		if got := d.Add(step.id); got != step.want {
			t.Errorf("step %d: %q, want %q", i, got, step.want)
		}
	}
	if got := d.Flush(); got != "\uFFFD" {
		t.Errorf("flushed %q", got)
	}
}

func TestValidUTF8(t *testing.T) {
	for in, want := range map[string]string{
		"a\xffb": "a\uFFFDb", "\xe2\x82": "\uFFFD", "\xe2\x82x": "\uFFFDx", "\xed\xa0\x80": "\uFFFD\uFFFD\uFFFD", "\xf0\x9f\x99": "\uFFFD",
		"\xc0\xaf": "\uFFFD\uFFFD", "\xf4\x90\x80\x80": "\uFFFD\uFFFD\uFFFD\uFFFD", "é": "é", "\xc3\xc3\xa9": "\uFFFDé",
	} {
		if got := validUTF8(in); got != want || !utf8.ValidString(got) {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// TestConcurrent runs many encoders over one cache; the race detector watches.
func TestConcurrent(t *testing.T) {
	tok := byteTokenizer()
	texts := make([]string, 64)
	want := make([]string, 64)
	r := rand.New(rand.NewPCG(7, 8))
	for i := range texts {
		texts[i] = randomText(r) + randomText(r)
		want[i] = joinIDs(encode(t, byteTokenizer(), texts[i], EncodeOptions{}))
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				for i, text := range texts {
					if got := joinIDs(encode(t, tok, text, EncodeOptions{})); got != want[i] {
						t.Errorf("%q: %s, want %s", text, got, want[i])
						return
					}
				}
			}
		})
	}
	wg.Wait()
}

// TestSpecialText: without ParseSpecial the text of a special token is ordinary text.
func TestSpecialText(t *testing.T) {
	tok := smolLM2(t)
	id, ok := tok.ID("<|im_end|>")
	if !ok || !tok.IsSpecial(id) {
		t.Fatal("no special token <|im_end|>")
	}
	if got := encode(t, tok, "a<|im_end|>", EncodeOptions{}); slices.Contains(got, id) || tok.Decode(got, true) != "a<|im_end|>" {
		t.Errorf("%v", got)
	}
	got := encode(t, tok, "a<|im_end|>", EncodeOptions{ParseSpecial: true})
	if !slices.Contains(got, id) || tok.Decode(got, true) != "a" || tok.Decode(got, false) != "a<|im_end|>" {
		t.Errorf("%v", got)
	}
}
