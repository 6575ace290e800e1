package serve

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// asCrossEncoder serves the number of tokens of the second text minus three as the logit.
func asCrossEncoder(c *Config) {
	asClassifier("score")(c)
	c.Classes.Scores = "none"
	c.Embedder = func(inputs []Text) ([][]float32, error) {
		var out [][]float32
		for _, in := range inputs {
			var n float32
			for _, kind := range in.Types {
				n += float32(kind)
			}
			out = append(out, []float32{n - 3})
		}
		return out, nil
	}
}

func TestRerank(t *testing.T) {
	const request = `{"model":"tiny","query":"ab","documents":["b",{"text":"bcd"},"x","yz"]`
	const all = `{"index":1,"relevance_score":1,"document":{"text":"bcd"}},{"index":3,"relevance_score":0,"document":{"text":"yz"}},` +
		`{"index":0,"relevance_score":-1,"document":{"text":"b"}},{"index":2,"relevance_score":-1,"document":{"text":"x"}}`
	for _, c := range []struct{ name, body, results string }{
		{"all", request + `}`, all},
		{"top of all", request + `,"top_n":0}`, all},
		{"more than there are", request + `,"top_n":9}`, all},
		{"two, without documents", request + `,"top_n":2,"return_documents":false}`, `{"index":1,"relevance_score":1},{"index":3,"relevance_score":0}`},
	} {
		for _, path := range []string{rerank, "/v2/rerank", "/rerank"} {
			w := post(testServer(t, nil, asCrossEncoder), path, c.body)
			got := w.Body.String()
			// Every pair has the query's 3 tokens, and those of its document.
			want := `"model":"tiny","usage":{"prompt_tokens":23,"total_tokens":23},"results":[` + c.results + "]}\n"
			if w.Code != http.StatusOK || !strings.HasPrefix(got, `{"id":"rerank-`) || !strings.HasSuffix(got, want) {
				t.Errorf("%s: status %d\n got %s\nwant %s", c.name, w.Code, got, want)
			}
		}
	}
	w := post(testServer(t, nil, asClassifier("score")), rerank, `{"model":"tiny","query":"ab","documents":["b"]}`)
	if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `"relevance_score":1,`) { // softmax of one
		t.Error(w.Body)
	}
}

// TestRerankByVectors: an embedding model ranks by cosine; the query is read once.
func TestRerankByVectors(t *testing.T) {
	asVectors := func(c *Config) {
		asEncoder(c)
		c.Embedder = func(inputs []Text) ([][]float32, error) {
			var out [][]float32
			for _, in := range inputs {
				last := in.IDs[len(in.IDs)-1]
				out = append(out, map[int32][]float32{'q': {2, 0}, 'a': {0, 3}, 'b': {1, 1}, 'c': {-1, 0}, 'z': {0, 0}}[last])
			}
			return out, nil
		}
	}
	w := post(testServer(t, nil, asVectors), rerank, `{"model":"tiny","query":"q","documents":["c","a","b","z"],"return_documents":false}`)
	want := `"usage":{"prompt_tokens":10,"total_tokens":10},"results":[{"index":2,"relevance_score":0.70710677},{"index":1,"relevance_score":0},{"index":3,"relevance_score":0},{"index":0,"relevance_score":-1}]}`
	if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), want) {
		t.Errorf("%s\nwant %s", w.Body, want)
	}
}

// TestRerankManyDocuments: the bound on inputs holds, and says so.
func TestRerankManyDocuments(t *testing.T) {
	s := testServer(t, nil, asCrossEncoder, func(c *Config) { c.Limits.EmbeddingInputs = 3 })
	w := post(s, rerank, fmt.Sprintf(`{"model":"tiny","query":"q","documents":[%s"d"]}`, strings.Repeat(`"d",`, 3)))
	checkError(t, w, 400, "documents", "invalid_value")
}

func FuzzRerankBody(f *testing.F) {
	fuzzBody(f, rerank, asCrossEncoder, `{"model":"tiny","query":"a","documents":["b"]}`, `{"model":"tiny","query":"a","documents":[{"text":"b"}],"top_n":1,"return_documents":true}`)
}
