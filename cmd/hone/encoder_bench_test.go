package main

import (
	"encoding/json"
	"io"
	"os"
	"strings"
	"testing"

	"hone/internal/testdata"
	"hone/model"
	"hone/serve"
)

// raggedTexts are pieces of an encyclopedia of 1 to 120 words, the same as those of internal/oracle/embeddings.py.
func raggedTexts(t testing.TB, n int) []string {
	raw, err := os.ReadFile(testdata.Data(t, "text/wikitext-2/wiki.test.raw"))
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	for _, line := range strings.Split(string(raw), "\n") {
		words := strings.Fields(line)
		if len(words) < 20 || len(texts) == n {
			continue
		}
		texts = append(texts, strings.Join(words[:min(len(words), 1+len(texts)*37%120)], " "))
	}
	return texts
}

// BenchmarkEmbeddings embeds 128 ragged texts as the service does, on two threads, and reports texts a second; text and all.
// HONE_EMBED_OUT names a file for the vectors.
func BenchmarkEmbeddings(b *testing.B) {
	m, err := openModel(testdata.Models(b, "all-minilm-l6-v2"))
	if err != nil {
		b.Fatal(err)
	}
	tok, err := m.Tokenizer()
	if err != nil {
		b.Fatal(err)
	}
	s, err := load(b.Context(), m, model.Weights{}, 2, encoderSizes(m), io.Discard)
	if err != nil {
		b.Fatal(err)
	}
	defer s.close()
	texts := raggedTexts(b, 128)
	var vectors [][]float32
	tokens := 0
	for b.Loop() {
		tokens = 0
		batch := make([]serve.Text, len(texts))
		for i, text := range texts {
			ids, err := plainText(tok, text, true)
			if err != nil {
				b.Fatal(err)
			}
			batch[i].IDs = ids
			tokens += len(ids)
		}
		for vectors = vectors[:0]; len(vectors) < len(batch); {
			some, err := embed(s.exec, batch[len(vectors):])
			if err != nil {
				b.Fatal(err)
			}
			vectors = append(vectors, some...)
		}
	}
	b.ReportMetric(float64(len(texts)*b.N)/b.Elapsed().Seconds(), "texts/s")
	b.ReportMetric(float64(tokens*b.N)/b.Elapsed().Seconds(), "tokens/s")
	if path := os.Getenv("HONE_EMBED_OUT"); path != "" {
		out, err := json.Marshal(vectors)
		if err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(path, out, 0o600); err != nil {
			b.Fatal(err)
		}
	}
}
