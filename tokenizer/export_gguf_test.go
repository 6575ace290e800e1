package tokenizer

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"unicode"

	"hone/internal/testdata"
)

// asMeta turns what ToGGUF gives into metadata as a reader gives it.
func asMeta(t testing.TB, values []GGUFValue) ggufMeta {
	t.Helper()
	m := ggufMeta{}
	for _, v := range values {
		if _, twice := m[v.Key]; twice {
			t.Fatalf("%s stands twice", v.Key)
		}
		switch x := v.Value.(type) {
		case uint32:
			m[v.Key] = int(x)
		case []int32:
			ints := make([]int, len(x))
			for i, n := range x {
				ints[i] = int(n)
			}
			m[v.Key] = ints
		case []byte:
			ints := make([]int, len(x))
			for i, n := range x {
				ints[i] = int(n)
			}
			m[v.Key] = ints
		case bool, string, []string, []float32:
			m[v.Key] = x
		default:
			t.Fatalf("%s is a %T", v.Key, x)
		}
	}
	return m
}

func throughGGUF(t testing.TB, tok Tokenizer) (Tokenizer, ggufMeta) {
	t.Helper()
	values, _, err := ToGGUF(tok, tok.VocabSize()+2)
	if err != nil {
		t.Fatal(err)
	}
	m := asMeta(t, values)
	return fromGGUF(t, m), m
}

func sameIDs(t *testing.T, name string, got, want Tokenizer, texts []string) {
	t.Helper()
	for _, text := range texts {
		for _, opt := range oracleWays {
			if a, b := encode(t, got, text, opt), encode(t, want, text, opt); !slices.Equal(a, b) {
				t.Errorf("%s: %q %+v\n got %v\nwant %v", name, text, opt, a, b)
				return
			}
		}
	}
	if !slices.Equal(got.EOS(), want.EOS()) {
		t.Errorf("%s: ends %v, want %v", name, got.EOS(), want.EOS())
	}
}

// TestThroughGGUF: real vocabularies written as GGUF metadata and read again give the same ids, also by way of tokenizer.json.
func TestThroughGGUF(t *testing.T) {
	texts := readOracle(t).Texts
	for _, name := range []string{"gpt-2", "starcoder", "mpt", "deepseek-llm", "bert-bge", "llama-spm", "phi-3"} {
		tok := vocabTokenizer(t, name)
		again, m := throughGGUF(t, tok)
		sameIDs(t, name, again, tok, texts)
		if n := len(m["tokenizer.ggml.tokens"].([]string)); n != tok.VocabSize()+2 {
			t.Errorf("%s: %d tokens", name, n)
		}
		fromJSON, err := FromJSON(tok.ToJSON())
		if err != nil {
			t.Fatal(err)
		}
		again, _ = throughGGUF(t, fromJSON)
		sameIDs(t, name+" by way of tokenizer.json", again, tok, texts)
	}
	bert, err := FromJSON([]byte(readText(t, testdata.Data(t, "tokenizers/hf/bert-base-uncased.json"))), []byte(bertConfig))
	if err != nil {
		t.Fatal(err)
	}
	again, _ := throughGGUF(t, bert)
	sameIDs(t, "bert-base-uncased", again, bert, texts)
}

// TestJSONThroughGGUF: vocabularies of SentencePiece in tokenizer.json's form give the same ids as GGUF metadata, but for texts
// that spell tokens, and those that the notes tell.
func TestJSONThroughGGUF(t *testing.T) {
	f := readModels(t)
	for name, noted := range map[string]bool{"llama2": false, "metaspace-first": true, "gemma": false, "xlmr": true} {
		tok := mustJSONTokenizer(t, string(f.Files[name].File))
		again, _ := throughGGUF(t, tok)
		same := 0
		for _, text := range f.Texts {
			if strings.ContainsAny(text, "<>") || noted && (strings.TrimFunc(text, func(r rune) bool { return unicode.IsSpace(r) || r == '▁' }) != text || strings.Contains(text, "\u0301")) {
				continue
			}
			a, b := encode(t, again, text, EncodeOptions{AddSpecial: true}), encode(t, tok, text, EncodeOptions{AddSpecial: true})
			if same++; !slices.Equal(a, b) {
				t.Errorf("%s: %q\n got %v\nwant %v", name, text, a, b)
			}
		}
		if _, notes, err := ToGGUF(tok, tok.VocabSize()); err != nil || (len(notes) > 0) != noted || same < 30 {
			t.Errorf("%s: %d texts, notes %q, %v", name, same, notes, err)
		}
	}
	if _, _, err := ToGGUF(mustJSONTokenizer(t, string(f.Files["t5"].File)), 1000); err == nil || !strings.Contains(err.Error(), "before every word") {
		t.Errorf("a space before the first word alone: %v", err)
	}
	if _, _, err := ToGGUF(mustJSONTokenizer(t, string(f.Files["bpe-chars"].File)), 1000); err == nil {
		t.Error("BPE over characters without bytes was written")
	}
}

const (
	smallBPE = `{"added_tokens":[{"id":6,"content":"<s>","special":true},{"id":7,"content":"</s>","special":true},{"id":8,"content":"<x>","special":false,"rstrip":true}],
"normalizer":{"type":"NFC"},"pre_tokenizer":{"type":"Sequence","pretokenizers":[{"type":"Digits","individual_digits":true},{"type":"ByteLevel","add_prefix_space":false}]},
"post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"<s>","type_id":0}},{"Sequence":{"id":"A","type_id":0}}],"pair":[],
"special_tokens":{"<s>":{"id":"<s>","ids":[6],"tokens":["<s>"]}}},"decoder":{"type":"ByteLevel"},
"model":{"type":"BPE","vocab":{"a":0,"b":1,"Ġ":2,"ab":3,"Ġab":4,"1":5},"merges":["a b","Ġ ab"]}}`
	smallConfig = `{"bos_token":"<s>","eos_token":"</s>","pad_token":"</s>","chat_template":"{{ messages[0].content }}"}`
	bertConfig  = `{"cls_token":"[CLS]","sep_token":"[SEP]"}`
	smallBERT   = `{"added_tokens":[{"id":0,"content":"[UNK]","special":true},{"id":1,"content":"[CLS]","special":true},{"id":2,"content":"[SEP]","special":true}],
"normalizer":{"type":"BertNormalizer","clean_text":true,"handle_chinese_chars":true,"lowercase":true},"pre_tokenizer":{"type":"BertPreTokenizer"},
"post_processor":{"type":"BertProcessing","cls":["[CLS]",1],"sep":["[SEP]",2]},"decoder":{"type":"WordPiece","prefix":"##"},
"model":{"type":"WordPiece","unk_token":"[UNK]","vocab":{"[UNK]":0,"[CLS]":1,"[SEP]":2,"a":3,"##b":4,"##":5}}}`
)

func TestToGGUF(t *testing.T) {
	bpe, err := FromJSON([]byte(smallBPE), []byte(smallConfig))
	if err != nil {
		t.Fatal(err)
	}
	values, notes, err := ToGGUF(bpe, 11)
	if err != nil {
		t.Fatal(err)
	}
	m := asMeta(t, values)
	want := ggufMeta{
		"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "smollm", "tokenizer.ggml.bos_token_id": 6, "tokenizer.ggml.eos_token_id": 7,
		"tokenizer.ggml.padding_token_id": 7, "tokenizer.ggml.add_bos_token": true, "tokenizer.ggml.add_eos_token": false,
		"tokenizer.chat_template": "{{ messages[0].content }}",
	}
	for key, v := range want {
		if m[key] != v {
			t.Errorf("%s is %v, want %v", key, m[key], v)
		}
	}
	if got := strings.Join(m["tokenizer.ggml.tokens"].([]string), " "); got != "a b Ġ ab Ġab 1 <s> </s> <x> [PAD9] [PAD10]" {
		t.Errorf("tokens %s", got)
	}
	if got := m["tokenizer.ggml.token_type"].([]int); !slices.Equal(got, []int{1, 1, 1, 1, 1, 1, 3, 3, 4, 5, 5}) {
		t.Errorf("types %v", got)
	}
	if got := strings.Join(m["tokenizer.ggml.merges"].([]string), ";"); got != "a b;Ġ ab" {
		t.Errorf("merges %s", got)
	}
	if len(notes) != 2 || !strings.Contains(notes[0], "NFC") || !strings.Contains(notes[1], "<x>") {
		t.Errorf("notes %q", notes)
	}
	again := fromGGUF(t, m)
	sameIDs(t, "small BPE", again, bpe, []string{"ab 1ab", "<s>ab</s>", ""})
	bert, err := FromJSON([]byte(smallBERT), []byte(bertConfig))
	if err != nil {
		t.Fatal(err)
	}
	again, m = throughGGUF(t, bert)
	sameIDs(t, "small BERT", again, bert, []string{"AB a", "[CLS] ##"})
	if got := slices.Sorted(maps.Keys(m)); !slices.Contains(got, "tokenizer.ggml.seperator_token_id") {
		t.Errorf("keys %q", got)
	}
}

func TestToGGUFRefuses(t *testing.T) {
	edit := func(text string, pairs ...string) string { return strings.NewReplacer(pairs...).Replace(text) }
	for name, c := range map[string]struct {
		json string
		rows int
		want string
	}{
		"rows":      {smallBPE, 8, "8 token embeddings"},
		"pre":       {edit(smallBPE, `"individual_digits":true`, `"individual_digits":false`), 9, "GGUF form of pre-tokenizer"},
		"merges":    {edit(smallBPE, `"type":"BPE"`, `"type":"BPE","ignore_merges":true`), 9, "GGUF form of pre-tokenizer"},
		"post":      {edit(smallBPE, `[{"SpecialToken"`, `[{"SpecialToken":{"id":"<s>","type_id":0}},{"SpecialToken"`), 9, "puts 2 tokens before"},
		"cased":     {edit(smallBERT, `"lowercase":true`, `"lowercase":false`), 9, "lower case"},
		"wordpiece": {edit(smallBERT, `"unk_token"`, `"continuing_subword_prefix":"@@","unk_token"`), 9, "@@"},
	} {
		tok, err := FromJSON([]byte(c.json), nil)
		if err != nil {
			t.Fatal(name, err)
		}
		if _, _, err = ToGGUF(tok, c.rows); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", name, err, c.want)
		}
	}
}
