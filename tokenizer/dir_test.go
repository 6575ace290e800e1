package tokenizer

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hone/internal/testdata"
)

// TestRankFiles: the cases that were published with another implementation of tiktoken.
func TestRankFiles(t *testing.T) {
	toks := map[string]Tokenizer{}
	for _, name := range []string{"r50k_base", "cl100k_base"} {
		tok, err := FromFile(testdata.Data(t, "tokenizers/tiktoken/"+name+".tiktoken"))
		if err != nil {
			t.Fatal(err)
		}
		toks[name] = tok
	}
	plans := readText(t, testdata.Data(t, "tokenizers/tiktoken/TestPlans.txt"))
	n := 0
	for plan := range strings.SplitSeq(strings.ReplaceAll(plans, "\r\n", "\n"), "EncodingName: ") {
		name, rest, _ := strings.Cut(plan, "\nSample: ")
		tok := toks[name]
		if tok == nil {
			continue
		}
		at := strings.LastIndex(rest, "\nEncoded: ")
		var want []int32
		if err := json.Unmarshal([]byte(rest[at+len("\nEncoded: "):]), &want); err != nil {
			t.Fatal(err)
		}
		text := rest[:at]
		if got := encode(t, tok, text, EncodeOptions{ParseSpecial: true}); !slices.Equal(got, want) && len(want)+len(got) > 0 {
			t.Errorf("%s %q\n got %v\nwant %v", name, text, got, want)
		}
		if back := tok.Decode(want, false); back != text {
			t.Errorf("%s %q came back as %q", name, text, back)
		}
		n++
	}
	if n != 128 {
		t.Errorf("%d cases, want 128", n)
	}
}

// writeDir makes a directory of files.
func writeDir(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const (
	tinyVocab = `{"<s>":0,"<pad>":1,"</s>":2,"<unk>":3,"a":4,"b":5,"Ġ":6,"ab":7,"Ġa":8,"<mask>":9,"<|endoftext|>":10,"1":11,"2":12,"12":13}`
	tinyList  = "#version: 0.2\na b\nĠ a\n1 2\n"
)

// TestDirectories: without a tokenizer.json the class decides what the vocabulary means.
func TestDirectories(t *testing.T) {
	spm := string(spmModel(t, readModels(t).Models["bpe-bytes"].Model))
	unigram := string(spmModel(t, readModels(t).Models["unigram"].Model))
	for _, c := range []struct {
		name, text, want string
		files            map[string]string
	}{
		{"gpt2", "ab a12<|endoftext|>", "7 8 13 10", map[string]string{"vocab.json": tinyVocab, "merges.txt": tinyList}},
		{"gpt2 with BOS", "ab", "10 7", map[string]string{"vocab.json": tinyVocab, "merges.txt": tinyList, "tokenizer_config.json": `{"tokenizer_class":"GPT2Tokenizer","add_bos_token":true}`}},
		{"opt", "ab", "2 7", map[string]string{"vocab.json": tinyVocab, "merges.txt": tinyList, "tokenizer_config.json": `{"tokenizer_class":"GPT2Tokenizer","add_bos_token":true,"bos_token":{"content":"</s>"}}`}},
		{"qwen2", "ab a12<|endoftext|>", "7 8 11 12 10", map[string]string{"vocab.json": tinyVocab, "merges.txt": tinyList, "tokenizer_config.json": `{"tokenizer_class":"Qwen2TokenizerFast"}`}},
		{"qwen2 added", "ab<|im_end|>a", "7 20 4", map[string]string{"vocab.json": tinyVocab, "merges.txt": tinyList, "tokenizer_config.json": `{"tokenizer_class":"Qwen2Tokenizer","added_tokens_decoder":{"20":{"content":"<|im_end|>","special":true}}}`}},
		{"added tokens", "ab<x>a", "7 30 4", map[string]string{"vocab.json": tinyVocab, "merges.txt": tinyList, "added_tokens.json": `{"<x>":30}`}},
		{"roberta", "ab <mask> a", "0 7 6 9 8 2", map[string]string{"vocab.json": tinyVocab, "merges.txt": tinyList, "tokenizer_config.json": `{"tokenizer_class":"RobertaTokenizer"}`}},
		{"roberta mask", "ab <mask> a", "0 7 9 8 2", map[string]string{"vocab.json": tinyVocab, "merges.txt": tinyList, "tokenizer_config.json": `{"tokenizer_class":"RobertaTokenizer","mask_token":{"content":"<mask>","lstrip":true}}`}},
		{"roberta by the model's type", "ab <mask> a", "0 7 6 9 8 2", map[string]string{"vocab.json": tinyVocab, "merges.txt": tinyList, "config.json": `{"model_type":"roberta"}`}},
		{"opt by the model's type", "ab", "7", map[string]string{"vocab.json": tinyVocab, "merges.txt": tinyList, "config.json": `{"model_type":"opt"}`}},
		{"class in the model's config", "ab a12", "7 8 11 12", map[string]string{"vocab.json": tinyVocab, "merges.txt": tinyList, "config.json": `{"model_type":"x","tokenizer_class":"Qwen2Tokenizer"}`}},
		{"bert", "Ab, b[MASK]", "2 5 6 7 1 4 3", map[string]string{"vocab.txt": "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n##b\n,\n"}},
		{"cased", "aB", "2 1 3", map[string]string{"vocab.txt": "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n##b\n,\n", "tokenizer_config.json": `{"tokenizer_class":"BertTokenizer","do_lower_case":false}`}},
		{"bare model", "the cat", "353 357", map[string]string{"tokenizer.model": spm}},
		{"a model of another name", "the cat", "353 357", map[string]string{"tok512.model": spm, "tok512.bin": "x"}},
		{"llama", "the cat<s>the", "1 353 357 1 260 549", map[string]string{"tokenizer.model": spm, "tokenizer_config.json": `{"tokenizer_class":"LlamaTokenizer"}`}},
		{"llama legacy", "the cat<s>the", "1 353 357 1 353", map[string]string{"tokenizer.model": spm, "tokenizer_config.json": `{"tokenizer_class":"LlamaTokenizer","legacy":true}`}},
		{"t5", "the<extra_id_0>", "43 275 2", map[string]string{"spiece.model": unigram, "tokenizer_config.json": `{"tokenizer_class":"T5Tokenizer"}`}},
		{"xlm-roberta", "the <mask>", "0 44 177 2", map[string]string{"sentencepiece.bpe.model": unigram, "tokenizer_config.json": `{"tokenizer_class":"XLMRobertaTokenizer"}`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			tok, err := FromHF(writeDir(t, c.files))
			if err != nil {
				t.Fatal(err)
			}
			if got := joinIDs(encode(t, tok, c.text, EncodeOptions{AddSpecial: true, ParseSpecial: true})); got != c.want {
				t.Errorf("%q: %s, want %s", c.text, got, c.want)
			}
		})
	}
}

// TestEndings: generation_config.json tells what ends a generation; where it does not, config.json; null is nothing.
func TestEndings(t *testing.T) {
	for _, c := range []struct{ generation, model, want string }{
		{`{"eos_token_id":[2,9]}`, `{"eos_token_id":1}`, "2 9 10"}, {`{"eos_token_id":2}`, `{"eos_token_id":1}`, "2 10"},
		{`{"eos_token_id":null}`, `{"eos_token_id":[1,2]}`, "1 2 10"}, {"", `{"eos_token_id":2}`, "2 10"}, {`{"eos_token_id":null}`, `{"eos_token_id":null}`, "10"},
		{`{"eos_token_id":"x"}`, `{"eos_token_id":{}}`, "10"}, {"", `{"eos_token_id":4000000}`, "10"},
	} {
		files := map[string]string{"vocab.json": tinyVocab, "merges.txt": tinyList, "config.json": c.model}
		if c.generation != "" {
			files["generation_config.json"] = c.generation
		}
		tok, err := FromHF(writeDir(t, files))
		if err != nil {
			t.Fatal(err)
		}
		if got := joinIDs(tok.EOS()); got != c.want {
			t.Errorf("%s %s: ends %s, want %s", c.generation, c.model, got, c.want)
		}
	}
}

func TestDirectoryRefusals(t *testing.T) {
	spm := string(spmModel(t, readModels(t).Models["bpe-bytes"].Model))
	for _, c := range []struct {
		name, want string
		files      map[string]string
	}{
		{"nothing", "none of tokenizer.json", nil},
		{"two models", `it has "a.model", "b.model", "my-tokens.bin"`, map[string]string{"a.model": spm, "b.model": spm, "my-tokens.bin": "x", "config.json": "{}"}},
		{"class", `tokenizer class "CLIPTokenizer" is not supported`, map[string]string{"vocab.json": tinyVocab, "merges.txt": tinyList, "tokenizer_config.json": `{"tokenizer_class":"CLIPTokenizer"}`}},
		{"class of a model", `tokenizer class "MBartTokenizer"`, map[string]string{"tokenizer.model": spm, "tokenizer_config.json": `{"tokenizer_class":"MBartTokenizer"}`}},
		{"class of a list", `tokenizer class "XTokenizer"`, map[string]string{"vocab.txt": "[UNK]\n", "tokenizer_config.json": `{"tokenizer_class":"XTokenizer"}`}},
		{"LFS pointer", "git lfs pull", map[string]string{"tokenizer.json": "version https://git-lfs.github.com/spec/v1\n"}},
		{"no merges", "merges.txt", map[string]string{"vocab.json": tinyVocab}},
		{"bad merge", "merge 0", map[string]string{"vocab.json": tinyVocab, "merges.txt": "ab\n"}},
		{"no CLS", `"[CLS]"`, map[string]string{"vocab.txt": "[UNK]\n[SEP]\n"}},
		{"ranks", "rank file", map[string]string{"tokenizer.model": "IQ== 0\nIg== 1\n"}},
		{"rank file", `rank file "odd.tiktoken" is not supported`, map[string]string{"odd.tiktoken": "IQ== 0\n"}},
		{"bytes", "no token for byte 0", map[string]string{"r50k_base.tiktoken": "IQ== 0\n"}},
		{"line", "line 2", map[string]string{"r50k_base.tiktoken": "IQ== 0\nx\n"}},
		{"not a model", "SentencePiece model", map[string]string{"tokenizer.model": "\xff\xff"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := FromHF(writeDir(t, c.files))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}
