package serve

import (
	"encoding/json"
	"math"
	"net/http"
	"slices"
	"strconv"

	"hone/tokenizer"
)

func init() {
	for _, path := range []string{"/v1/rerank", "/v2/rerank", "/rerank"} {
		register(endpoint{pattern: "POST " + path, work: true, serve: (*Server).serveRerank})
	}
}

// reranking is a decoded request to order documents by how well they answer a query, in the shape of Jina and Cohere.
type reranking struct {
	limits *Limits

	model     string
	query     string
	documents []prompt
	top       int  // 0: all
	bare      bool // documents are not sent back
}

var rerankFields = fields[reranking]{
	"model": func(r *reranking, v value) (err error) { r.model, err = v.text(); return },
	"query": func(r *reranking, v value) (err error) { r.query, err = v.text(); return },
	"documents": func(r *reranking, v value) (err error) {
		r.documents, err = documents(v, r.limits.EmbeddingInputs)
		return
	},
	"top_n": func(r *reranking, v value) (err error) { r.top, err = count(v, 0, math.MaxInt32); return },
	"return_documents": func(r *reranking, v value) error {
		send, err := v.boolean()
		r.bare = !send
		return err
	},
	"user":     ignored[reranking],
	"metadata": ignored[reranking],

	"max_chunks_per_doc":     refused[reranking](),
	"max_tokens_per_doc":     refused[reranking](),
	"overlap_tokens":         refused[reranking](),
	"priority":               refused[reranking]("0"),
	"rank_fields":            refused[reranking](`["text"]`),
	"truncate_prompt_tokens": refused[reranking](),
}

// documents reads an array of strings, or of objects that hold a text.
func documents(v value, most int) ([]prompt, error) {
	items, err := v.list(most)
	if err != nil {
		return nil, err
	}
	out := make([]prompt, len(items))
	for i, item := range items {
		out[i].path = item.path
		if item.first() != '{' {
			out[i].text, err = item.text()
		} else if err = decode(&out[i], item, documentFields); err == nil && out[i].text == "" {
			err = missing(item.child("text"))
		}
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

var documentFields = fields[prompt]{
	"text": func(p *prompt, v value) (err error) { p.text, err = v.text(); return },
}

func (s *Server) serveRerank(x *exchange) error {
	body, err := s.body(x)
	if err != nil {
		return err
	}
	r := reranking{limits: &s.limits}
	if err := decode(&r, body, rerankFields); err != nil {
		return err
	}
	if err := s.checkRerank(&r); err != nil {
		return err
	}
	scores, tokens, err := s.rerank(x, &r)
	if err != nil {
		return err
	}
	s.metrics.embeddings.Add(float64(tokens))
	return x.json(http.StatusOK, rerankReply(x, &r, scores, tokens))
}

func (s *Server) checkRerank(r *reranking) error {
	if err := s.checkModelOrNone(&r.model); err != nil {
		return err
	}
	c := s.config.Classes
	switch {
	case s.config.Embedder == nil:
		return invalid("model", "unsupported_model", "the model %s does not rank documents, since it %s: serve a cross-encoder or an embedding model", r.model, s.kind())
	case c != nil && len(c.Labels) != 1:
		return invalid("model", "unsupported_model", "the model %s does not rank documents, since it gives %d scores: serve a cross-encoder, which gives one", r.model, len(c.Labels))
	case r.query == "":
		return missing("query")
	case len(r.documents) == 0:
		return missing("documents")
	}
	return nil
}

// rerank scores the documents: with a cross-encoder query and document are read together, with an embedding model the
// score is the cosine of their vectors.
func (s *Server) rerank(x *exchange, r *reranking) (scores []float32, tokens int, err error) {
	var batch []Text
	read := func(t Text, path string, err error) error {
		if err == nil && len(t.IDs) > s.config.Context {
			err = contextExceeded(path, s.config.Context, len(t.IDs), 0)
		}
		batch = append(batch, t)
		tokens += len(t.IDs)
		return err
	}
	if s.config.Classes == nil {
		ids, err := s.ids(&prompt{path: "query", text: r.query})
		if err := read(Text{IDs: ids}, "query", err); err != nil {
			return nil, 0, err
		}
	}
	for i := range r.documents {
		d := &r.documents[i]
		var t Text
		if s.config.Classes == nil {
			t.IDs, err = s.ids(d)
		} else {
			t, err = s.pair(r.query, d)
		}
		if err := read(t, d.path, err); err != nil {
			return nil, 0, err
		}
	}
	vectors, err := s.vectors(x.context(), batch)
	if err != nil {
		return nil, 0, err
	}
	if s.config.Classes == nil {
		for _, v := range vectors[1:] {
			scores = append(scores, cosine(vectors[0], v))
		}
		return scores, tokens, nil
	}
	for _, v := range vectors {
		scores = append(scores, s.config.Classes.scores(v, false)[0])
	}
	return scores, tokens, nil
}

// pair reads query and document as one text.
func (s *Server) pair(query string, d *prompt) (t Text, err error) {
	t.IDs, t.Types, err = s.config.Tokenizer.EncodePair(query, d.text, tokenizer.EncodeOptions{AddSpecial: !s.config.NoSpecial, ParseSpecial: true})
	if err != nil {
		err = invalid(d.path, "invalid_value", "%s with the query: %v", d.path, err)
	}
	return t, err
}

// cosine of two vectors, 0 when one is zero.
func cosine(a, b []float32) float32 {
	var ab, aa, bb float64
	for i := range a {
		x, y := float64(a[i]), float64(b[i])
		ab += x * y
		aa += x * x
		bb += y * y
	}
	if aa == 0 || bb == 0 {
		return 0
	}
	return float32(ab / math.Sqrt(aa*bb))
}

type rankedText struct {
	Text string `json:"text"`
}

type ranked struct {
	Index    int             `json:"index"`
	Score    json.RawMessage `json:"relevance_score"`
	Document *rankedText     `json:"document,omitempty"`
}

// rerankReply orders the documents by score; of equal ones the first of the request comes first.
func rerankReply(x *exchange, r *reranking, scores []float32, tokens int) any {
	order := make([]int, len(scores))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case scores[a] > scores[b]:
			return -1
		case scores[a] < scores[b]:
			return 1
		}
		return 0
	})
	if r.top > 0 && r.top < len(order) {
		order = order[:r.top]
	}
	results := make([]ranked, len(order))
	for k, i := range order {
		results[k] = ranked{Index: i, Score: strconv.AppendFloat(nil, float64(scores[i]), 'g', -1, 32)}
		if !r.bare {
			results[k].Document = &rankedText{r.documents[i].text}
		}
	}
	return struct {
		ID      string         `json:"id"`
		Model   string         `json:"model"`
		Usage   embeddingUsage `json:"usage"`
		Results []ranked       `json:"results"`
	}{"rerank-" + x.id, r.model, embeddingUsage{tokens, tokens}, results}
}
