package serve

import (
	"math"
	"net/http"
	"strings"
	"testing"
)

const classify, rerank = "/v1/classify", "/v1/rerank"

// asClassifier serves logits that depend on the number of tokens: the length, its negative and a third of it.
func asClassifier(labels ...string) func(*Config) {
	return func(c *Config) {
		c.Generator, c.Template, c.Classes = nil, nil, &Classes{Labels: labels, Scores: "softmax"}
		c.Embedder = func(inputs []Text) ([][]float32, error) {
			var out [][]float32
			for _, in := range inputs {
				n := float32(len(in.IDs))
				out = append(out, []float32{n, -n, n / 3}[:len(labels)])
			}
			return out, nil
		}
	}
}

// scored is asClassifier with another function of the logits.
func scored(scores string, labels ...string) func(*Config) {
	return func(c *Config) {
		asClassifier(labels...)(c)
		c.Classes.Scores = scores
	}
}

func TestClassify(t *testing.T) {
	for _, c := range []struct{ name, scores, body, data string }{
		{"one", "softmax", `{"model":"tiny","input":"a"}`, `[{"index":0,"label":"good","probs":[0.78008425,0.014287742,0.205628],"num_classes":3}],"usage":{"prompt_tokens":2,"total_tokens":2}`},
		{"logits", "softmax", `{"model":"tiny","input":["ab","a"],"use_activation":false}`, `[{"index":0,"label":"good","probs":[3,-3,1],"num_classes":3},{"index":1,"label":"good","probs":[2,-2,0.6666667],"num_classes":3}],"usage":{"prompt_tokens":5,"total_tokens":5}`},
		{"ids", "sigmoid", `{"model":"tiny","input":[[1,2],[3]],"user":"x"}`, `[{"index":0,"label":"good","probs":[0.8807971,0.11920292,0.66075635],"num_classes":3},{"index":1,"label":"good","probs":[0.7310586,0.26894143,0.5825702],"num_classes":3}],"usage":{"prompt_tokens":3,"total_tokens":3}`},
		{"a number", "none", `{"model":"tiny","input":[7]}`, `[{"index":0,"label":"good","probs":[1,-1,0.33333334],"num_classes":3}],"usage":{"prompt_tokens":1,"total_tokens":1}`},
	} {
		for _, path := range []string{classify, "/classify"} {
			w := post(testServer(t, nil, scored(c.scores, "good", "bad", "so")), path, c.body)
			got := w.Body.String()
			if w.Code != http.StatusOK || !strings.Contains(got, `"object":"list","created":1`) || !strings.HasPrefix(got, `{"id":"classify-`) || !strings.Contains(got, `"model":"tiny","data":`+c.data+"}\n") {
				t.Errorf("%s: status %d\n got %s\nwant %s", c.name, w.Code, got, c.data)
			}
		}
	}
}

// TestSoftmax: scores of a row sum to 1 however large the logits are.
func TestSoftmax(t *testing.T) {
	c := &Classes{Labels: []string{"a", "b", "c"}, Scores: "softmax"}
	got := c.scores([]float32{3e38, 0, -3e38}, false)
	if got[0] != 1 || got[1] != 0 || got[2] != 0 {
		t.Error(got)
	}
	var sum float64
	for _, v := range c.scores([]float32{1, 2, 3}, false) {
		sum += float64(v)
	}
	if math.Abs(sum-1) > 1e-6 {
		t.Error(sum)
	}
}

// TestClassifyRefusals: what a classifier, an encoder and a language model do not do is refused by name.
func TestClassifyRefusals(t *testing.T) {
	text, encoder := testServer(t, &fakeEngine{}), testServer(t, nil, asEncoder)
	three, one := testServer(t, nil, asClassifier("a", "b", "c")), testServer(t, nil, asClassifier("a"))
	input := `{"model":"tiny","input":"a"}`
	ranking := `{"model":"tiny","query":"a","documents":["b"]`
	for _, c := range []struct {
		s                   *Server
		path, body          string
		status              int
		param, code, saying string
	}{
		{text, classify, input, 400, "model", "unsupported_model", "since it makes text: serve an encoder with a classification head"},
		{encoder, classify, input, 400, "model", "unsupported_model", "since it makes embeddings"},
		{three, embeddings, input, 400, "model", "unsupported_model", "has no embeddings, since it is a classifier"},
		{three, "/v1/completions", `{"model":"tiny","prompt":"a"}`, 400, "model", "unsupported_model", "it serves /v1/classify and has no completions"},
		{encoder, "/v1/completions", `{"model":"tiny","prompt":"a"}`, 400, "model", "unsupported_model", "it serves /v1/embeddings and has no completions"},
		{text, embeddings, input, 400, "model", "unsupported_model", "has no embeddings, since it makes text"},
		{three, classify, `{"model":"other","input":"a"}`, 404, "model", "model_not_found", "other"},
		{three, classify, `{"model":"tiny"}`, 400, "input", "missing_required_parameter", "input"},
		{three, classify, `{"model":"tiny","input":["a",""]}`, 400, "input[1]", "invalid_value", "empty"},
		{three, classify, `{"model":"tiny","input":"a","messages":[]}`, 400, "messages", "unsupported_parameter", "not served yet"},
		{three, classify, `{"model":"tiny","inputs":"a"}`, 400, "inputs", "unknown_parameter", `"input"`},
		{three, classify, `{"model":"tiny","input":"a","use_activation":1}`, 400, "use_activation", "invalid_type", "true or false"},
		{three, classify, `{"model":"tiny","input":"` + long + `"}`, 400, "input", "context_length_exceeded", "102 tokens"},
		{three, classify, `{"model":"tiny","input":"a","truncate_prompt_tokens":5}`, 400, "truncate_prompt_tokens", "unsupported_parameter", ""},

		{text, rerank, ranking + `}`, 400, "model", "unsupported_model", "does not rank documents, since it makes text"},
		{three, rerank, ranking + `}`, 400, "model", "unsupported_model", "gives 3 scores: serve a cross-encoder"},
		{one, rerank, `{"model":"tiny","documents":["b"]}`, 400, "query", "missing_required_parameter", ""},
		{one, rerank, `{"model":"tiny","query":"a"}`, 400, "documents", "missing_required_parameter", ""},
		{one, rerank, `{"model":"tiny","query":"a","documents":[]}`, 400, "documents", "missing_required_parameter", ""},
		{one, rerank, `{"model":"tiny","query":"a","documents":"b"}`, 400, "documents", "invalid_type", "an array"},
		{one, rerank, `{"model":"tiny","query":"a","documents":["b",1]}`, 400, "documents[1]", "invalid_type", "a string"},
		{one, rerank, `{"model":"tiny","query":"a","documents":["b",{"title":"x"}]}`, 400, "documents[1].title", "unknown_parameter", `"text"`},
		{one, rerank, `{"model":"tiny","query":"a","documents":[{}]}`, 400, "documents[0].text", "missing_required_parameter", ""},
		{one, rerank, `{"model":"tiny","query":["a"],"documents":["b"]}`, 400, "query", "invalid_type", "a string"},
		{one, rerank, ranking + `,"top_n":-1}`, 400, "top_n", "invalid_value", "from 0"},
		{one, rerank, ranking + `,"rank_fields":["title"]}`, 400, "rank_fields", "unsupported_parameter", `send ["text"]`},
		{one, rerank, ranking + `,"top":1}`, 400, "top", "unknown_parameter", `"top_n"`},
		{one, rerank, `{"model":"tiny","query":"a","documents":["b","` + long + `"]}`, 400, "documents[1]", "context_length_exceeded", "104 tokens"},
		{one, rerank, `{"model":"tiny","query":"a","documents":["slow"]}`, 400, "documents[0]", "invalid_value", "takes too long"},
		{encoder, rerank, `{"model":"tiny","query":"slow","documents":["b"]}`, 400, "query", "invalid_value", "takes too long"},
	} {
		w := post(c.s, c.path, c.body)
		checkError(t, w, c.status, c.param, c.code)
		if !strings.Contains(strings.ReplaceAll(w.Body.String(), `\"`, `"`), c.saying) {
			t.Errorf("%s: the message does not say %q: %s", c.body, c.saying, w.Body)
		}
	}
}

// TestNoModelNamed: OpenAI's own endpoints want a model; the others take the one that is served, and the reply names it.
func TestNoModelNamed(t *testing.T) {
	for _, c := range []struct {
		path, body string
		as         func(*Config)
		status     int
	}{
		{chat, `{"messages":[{"role":"user","content":"hi"}]}`, nil, 400},
		{"/v1/completions", `{"prompt":"a"}`, nil, 400},
		{embeddings, `{"input":"a"}`, asEncoder, 400},
		{classify, `{"input":"a"}`, asClassifier("a", "b"), 200},
		{rerank, `{"query":"a","documents":["b"]}`, asCrossEncoder, 200},
	} {
		options := []func(*Config){}
		if c.as != nil {
			options = append(options, c.as)
		}
		w := post(testServer(t, &fakeEngine{}, options...), c.path, c.body)
		if c.status == 400 {
			checkError(t, w, 400, "model", "missing_required_parameter")
		} else if w.Code != c.status || !strings.Contains(w.Body.String(), `"model":"tiny"`) {
			t.Errorf("%s: status %d: %s", c.path, w.Code, w.Body)
		}
	}
}

func FuzzClassifyBody(f *testing.F) {
	fuzzBody(f, classify, asClassifier("a", "b"), `{"model":"tiny","input":"a"}`, `{"model":"tiny","input":[[1],[2]],"use_activation":false}`)
}
