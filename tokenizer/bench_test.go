package tokenizer

import (
	"testing"

	"hone/internal/testdata"
)

// BenchmarkEncode reads English text; the figure that counts is bytes per second on one core.
func BenchmarkEncode(b *testing.B) {
	text := readText(b, testdata.Data(b, "text/wikitext-2/wiki.test.raw"))
	minilm, err := FromHF(testdata.Models(b, "all-minilm-l6-v2"))
	if err != nil {
		b.Fatal(err)
	}
	cl100k, err := FromFile(testdata.Data(b, "tokenizers/tiktoken/cl100k_base.tiktoken"))
	if err != nil {
		b.Fatal(err)
	}
	unigram, err := FromSentencePiece(spmModel(b, readModels(b).Models["unigram"].Model))
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct {
		name string
		tok  Tokenizer
	}{{"llama-spm", vocabTokenizer(b, "llama-spm")}, {"cl100k", cl100k}, {"unigram", unigram}, {"smollm2", smolLM2(b)}, {"gpt2", vocabTokenizer(b, "gpt-2")}, {"minilm", minilm}, {"deepseek", vocabTokenizer(b, "deepseek-llm")}} {
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				encode(b, c.tok, text, EncodeOptions{ParseSpecial: true})
			}
		})
	}
}

// BenchmarkSplit cuts English text as the popular pre-tokenizers do.
func BenchmarkSplit(b *testing.B) {
	text := readText(b, testdata.Data(b, "text/wikitext-2/wiki.test.raw"))
	for _, name := range []string{"gpt-2", "llama3", "qwen2", "gpt-4o", "tekken", "deepseek-llm", "deepseek-coder", "deepseek-v3", "falcon", "default", "kimi-k2"} {
		chain, err := parsePre(ggufPre[name].json())
		if err != nil {
			b.Fatal(err)
		}
		scan, steps := chain.finish()
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				scanAllOr(scan, steps, text)
			}
		})
	}
}

// BenchmarkLoad builds a tokenizer from metadata that is already read.
func BenchmarkLoad(b *testing.B) {
	meta := readGGUF(b, testdata.Models(b, "smollm2-135m-instruct.Q4_1.gguf"))
	for b.Loop() {
		fromGGUF(b, meta)
	}
}

func BenchmarkTemplate(b *testing.B) {
	c, err := NewChatTemplate(smolLM2(b).TemplateSource(), "", "")
	if err != nil {
		b.Fatal(err)
	}
	messages := []Message{{"user", "What is the boiling point of water?"}, {"assistant", "100 °C."}, {"user", "In kelvin?"}}
	for b.Loop() {
		if _, err := c.Render(messages, true, nil); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkLoadJSON builds the same tokenizer from tokenizer.json.
func BenchmarkLoadJSON(b *testing.B) {
	file, config := smolLM2(b).ToJSON()
	b.SetBytes(int64(len(file)))
	for b.Loop() {
		if _, err := FromJSON(file, config); err != nil {
			b.Fatal(err)
		}
	}
}
