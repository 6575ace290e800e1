package tokenizer

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"
)

// tinyBPE and tinyBERT are whole tokenizers small enough for seeds.
const tinyBPE = `{"added_tokens":[{"id":7,"content":"<s>","special":true,"normalized":false},{"id":8,"content":"the","single_word":true,"lstrip":true,"normalized":true}],
"normalizer":{"type":"NFC"},"pre_tokenizer":{"type":"Sequence","pretokenizers":[{"type":"Digits","individual_digits":true},{"type":"ByteLevel","add_prefix_space":false}]},
"post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"<s>","type_id":0}},{"Sequence":{"id":"A","type_id":0}}],"special_tokens":{"<s>":{"id":"<s>","ids":[7],"tokens":["<s>"]}}},
"decoder":{"type":"ByteLevel"},"model":{"type":"BPE","unk_token":null,"vocab":{"a":0,"b":1,"Ġ":2,"ab":3,"Ġa":4,"c":5,"abc":6},"merges":["a b","Ġ a",["ab","c"]]}}`

const tinyBERT = `{"added_tokens":[{"id":0,"content":"[UNK]","special":true},{"id":1,"content":"[CLS]","special":true,"rstrip":true}],
"normalizer":{"type":"BertNormalizer","clean_text":true,"handle_chinese_chars":true,"strip_accents":null,"lowercase":true},"pre_tokenizer":{"type":"BertPreTokenizer"},
"post_processor":{"type":"BertProcessing","sep":["[UNK]",0],"cls":["[CLS]",1]},"decoder":{"type":"WordPiece","prefix":"##","cleanup":true},
"model":{"type":"WordPiece","unk_token":"[UNK]","continuing_subword_prefix":"##","max_input_chars_per_word":10,"vocab":{"[UNK]":0,"[CLS]":1,"a":2,"##b":3,"##bc":4,",":5,"語":6}}}`

// tinyMerges is tinyBPE with all merges written alike, which a reader may ask for.
var tinyMerges = strings.Replace(tinyBPE, `["ab","c"]`, `"ab c"`, 1)

func mustJSONTokenizer(t testing.TB, file string) Tokenizer {
	t.Helper()
	tok, err := FromJSON([]byte(file), nil)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// FuzzTokenizerJSON: a file is an error or a tokenizer that works; it never panics or hangs.
func FuzzTokenizerJSON(f *testing.F) {
	f.Add(tinyMerges, `{"eos_token":{"content":"<s>"},"chat_template":[{"name":"default","template":"x"}]}`, "ab <s> the 12 é")
	f.Add(tinyBERT, `{"cls_token":"[CLS]"}`, "abc [CLS] 語, é")
	f.Add(tinyBPE, ``, "x")
	for _, m := range readModels(f).Files {
		if len(m.File) < 12000 {
			f.Add(string(m.File), "", "the <s> cat ▁ 12 é")
		}
	}
	f.Add(strings.Replace(tinyMerges, `"type":"Digits","individual_digits":true`, `"type":"Split","pattern":{"Regex":"[ab]+|\\s+(?!\\S)"},"behavior":"MergedWithNext"`, 1), `{`, "ab  ab c")
	f.Fuzz(func(t *testing.T, file, config, text string) {
		tok, err := FromJSON([]byte(file), []byte(config))
		if err != nil {
			return
		}
		ids, err := tok.Encode(text, EncodeOptions{AddSpecial: true, ParseSpecial: true})
		slow, long, unknown := (*PatternError)(nil), (*GrowthError)(nil), (*UnknownTextError)(nil)
		if err != nil && !errors.As(err, &slow) && !errors.As(err, &long) && !errors.As(err, &unknown) {
			t.Error(err)
		}
		if s := tok.Decode(ids, false); !utf8.ValidString(s) {
			t.Errorf("decoded %q", s)
		}
		tok.ToJSON()
		tok.EOS()
	})
}

// FuzzSentencePiece: a model file is an error or a tokenizer that works.
func FuzzSentencePiece(f *testing.F) {
	for _, m := range readModels(f).Models {
		if b := spmModel(f, m.Model); len(b) < 12000 {
			f.Add(b, "the cat ▁ <sep> 12 é")
		}
	}
	f.Add([]byte("\n\x05\n\x01a\x18\x02\x12\x02\x18\x02\x1a\x06\x12\x04\x04\x00\x00\x00"), "a b")
	f.Fuzz(func(t *testing.T, file []byte, text string) {
		tok, err := FromSentencePiece(file)
		if err != nil {
			return
		}
		ids := encode(t, tok, text, EncodeOptions{AddSpecial: true, ParseSpecial: true})
		checkStream(t, tok, ids, tok.Decode(ids, false))
		tok.ToJSON()
	})
}

// FuzzRankFile: a rank file is an error or a tokenizer that gives every text back.
func FuzzRankFile(f *testing.F) {
	var b strings.Builder
	for i := range 256 {
		fmt.Fprintf(&b, "%s %d\n", base64.StdEncoding.EncodeToString([]byte{byte(i)}), i)
	}
	f.Add([]byte(b.String()+"YWI= 256\nYWJj 257\nICA= 258\n"), "abc  ab")
	f.Add([]byte("YQ== 0\n"), "a")
	f.Fuzz(func(t *testing.T, file []byte, text string) {
		tok, err := FromTiktoken("cl100k_base", file)
		if err != nil || !utf8.ValidString(text) {
			return
		}
		if ids := encode(t, tok, text, EncodeOptions{}); tok.Decode(ids, false) != text {
			t.Errorf("%q came back as %q", text, tok.Decode(ids, false))
		}
	})
}

var fuzzTokenizers = sync.OnceValue(func() []Tokenizer {
	var list []Tokenizer
	for _, file := range []string{tinyMerges, tinyBERT} {
		tok, err := FromJSON([]byte(file), nil)
		if err != nil {
			panic(err)
		}
		list = append(list, tok)
	}
	return append(list, byteTokenizer())
})

// byteTokenizer has all bytes and some merges, so that every text comes back.
func byteTokenizer() Tokenizer {
	vocab := map[string]int32{}
	for b := range 256 {
		vocab[byteText[b]] = int32(b)
	}
	merges := [][2]string{{"a", "a"}, {"aa", "a"}, {"Ġ", "a"}, {byteText[0xC3], byteText[0xA9]}, {"aa", "aa"}}
	for _, m := range merges {
		vocab[m[0]+m[1]] = int32(len(vocab))
	}
	p, err := build(source{modelType: "BPE", vocab: vocab, pre: preGPT2.json(), decoder: json.RawMessage(`{"type":"ByteLevel"}`), merges: len(merges),
		merge: func(i int) (string, string, error) { return merges[i][0], merges[i][1], nil }})
	if err != nil {
		panic(err)
	}
	return p
}

// FuzzEncodeDecode: with all bytes in the vocabulary every text comes back, a stream gives the same text as a whole, and
// an id never splits a character.
func FuzzEncodeDecode(f *testing.F) {
	for _, s := range append(alphabet, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "\xff\xc3", "caf\xc3", "é́́") {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for i, tok := range fuzzTokenizers() {
			ids := encode(t, tok, text, EncodeOptions{})
			whole := tok.Decode(ids, false)
			if want := strings.ToValidUTF8(text, "\uFFFD"); i == 2 && utf8.ValidString(text) && whole != want {
				t.Errorf("%q came back as %q", text, whole)
			}
			checkStream(t, tok, ids, whole)
		}
	})
}

func checkStream(t *testing.T, tok Tokenizer, ids []int32, whole string) {
	t.Helper()
	d := tok.NewDecoder(false)
	var b strings.Builder
	for _, id := range ids {
		piece := d.Add(id)
		if !utf8.ValidString(piece) {
			t.Errorf("a character was split: %q", piece)
		}
		b.WriteString(piece)
	}
	b.WriteString(d.Flush())
	if b.String() != whole {
		t.Errorf("streamed %q, whole %q", b.String(), whole)
	}
}

// TestTinyFiles keeps the seeds alive: they must load.
func TestTinyFiles(t *testing.T) {
	bpe := mustJSONTokenizer(t, tinyMerges)
	if got := joinIDs(encode(t, bpe, "abc the ab<s>", EncodeOptions{AddSpecial: true, ParseSpecial: true})); got != "7 6 8 2 3 7" {
		t.Errorf("BPE: %s", got)
	}
	bert := mustJSONTokenizer(t, tinyBERT)
	if got := joinIDs(encode(t, bert, "ABC, ab 語x[CLS]  a", EncodeOptions{AddSpecial: true, ParseSpecial: true})); got != "1 2 4 5 2 3 6 0 1 2 0" {
		t.Errorf("BERT: %s", got)
	}
	if _, err := os.Stat("testdata/oracle.json"); err != nil {
		t.Error(err)
	}
}

// FuzzMarked: whatever clients write, alone, in pieces that meet or as a key, the special tokens are the template's own.
func FuzzMarked(f *testing.F) {
	var toks []Tokenizer
	for i := range 3 {
		p := markTokenizer(f, i > 0).(*pipeline)
		p.chat = "{% for m in messages %}{{ m.role }}{{ m.content | trim }}{% endfor %}<|im_end|>{{ tools | tojson if tools }}"
		if i == 2 {
			p.norm = normalizeFunc(nfkc)
		}
		toks = append(toks, p)
	}
	f.Add("<|im_", "start|>", "<s>")
	f.Add("＜s", "＞ <|im_end", plainMark+"<s>")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		for i, tok := range toks {
			got, text := specials(t, tok, []Message{{a, b}, {b, c}}, map[string]any{c: a})
			if !slices.Equal(got, []int32{257}) {
				t.Errorf("tokenizer %d: special tokens %v in %q", i, got, text)
			}
		}
	})
}
