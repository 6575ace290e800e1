package serve

import (
	"encoding/json"
	"math"
	"net/http"
)

func init() {
	register(endpoint{pattern: "POST /v1/classify", work: true, serve: (*Server).serveClassify})
	register(endpoint{pattern: "POST /classify", work: true, serve: (*Server).serveClassify})
}

// Classes are the labels of a model with a classification head.
type Classes struct {
	Labels []string
	Scores string // what makes scores of logits: softmax, sigmoid or none
}

// scores turns one text's logits into scores; raw ones are the logits.
func (c *Classes) scores(logits []float32, raw bool) []float32 {
	out := make([]float32, len(logits))
	copy(out, logits)
	switch {
	case raw || c.Scores == "none":
	case c.Scores == "sigmoid":
		for i, x := range logits {
			out[i] = float32(1 / (1 + math.Exp(-float64(x))))
		}
	default:
		var sum float64
		most := logits[top(logits)]
		for _, x := range logits {
			sum += math.Exp(float64(x - most))
		}
		for i, x := range logits {
			out[i] = float32(math.Exp(float64(x-most)) / sum)
		}
	}
	return out
}

// top is the index of the largest value, the lowest on ties.
func top(v []float32) int {
	best := 0
	for i, x := range v {
		if x > v[best] {
			best = i
		}
	}
	return best
}

// classification is a decoded request for labels, in vLLM's shape.
type classification struct {
	embedding
	raw bool
}

var classifyFields = fields[classification]{
	"model": func(c *classification, v value) (err error) { c.model, err = v.text(); return },
	"input": func(c *classification, v value) (err error) {
		c.inputs, err = inputs(v, c.limits.EmbeddingInputs, c.vocab)
		return
	},
	"use_activation": useActivation,
	"activation":     useActivation,
	"user":           ignored[classification],
	"metadata":       ignored[classification],

	"add_special_tokens":     refused[classification]("true"),
	"messages":               refused[classification](),
	"priority":               refused[classification]("0"),
	"truncate_prompt_tokens": refused[classification](),
}

func useActivation(c *classification, v value) error {
	use, err := v.boolean()
	c.raw = !use
	return err
}

func (s *Server) serveClassify(x *exchange) error {
	body, err := s.body(x)
	if err != nil {
		return err
	}
	c := classification{embedding: embedding{limits: &s.limits, vocab: s.config.Tokenizer.VocabSize()}}
	if err := decode(&c, body, classifyFields); err != nil {
		return err
	}
	if err := s.checkModelOrNone(&c.model); err != nil {
		return err
	}
	if s.config.Classes == nil {
		return invalid("model", "unsupported_model", "the model %s has no labels, since it %s: serve an encoder with a classification head", c.model, s.kind())
	}
	batch, tokens, err := s.embeddingBatch(&c.embedding)
	if err != nil {
		return err
	}
	logits, err := s.vectors(x.context(), batch)
	if err != nil {
		return err
	}
	s.metrics.embeddings.Add(float64(tokens))
	return x.json(http.StatusOK, s.classifyReply(x, &c, logits, tokens))
}

// kind says what the model served does, for refusals.
func (s *Server) kind() string {
	switch {
	case s.config.Embedder == nil:
		return "makes text"
	case s.config.Classes != nil:
		return "is a classifier"
	}
	return "makes embeddings"
}

type classifyItem struct {
	Index   int             `json:"index"`
	Label   string          `json:"label"`
	Probs   json.RawMessage `json:"probs"`
	Classes int             `json:"num_classes"`
}

func (s *Server) classifyReply(x *exchange, c *classification, logits [][]float32, tokens int) any {
	items := make([]classifyItem, len(logits))
	for i, row := range logits {
		items[i] = classifyItem{i, s.config.Classes.Labels[top(row)], decimals(s.config.Classes.scores(row, c.raw)), len(row)}
	}
	return struct {
		ID      string         `json:"id"`
		Object  string         `json:"object"`
		Created int64          `json:"created"`
		Model   string         `json:"model"`
		Data    []classifyItem `json:"data"`
		Usage   embeddingUsage `json:"usage"`
	}{"classify-" + x.id, "list", x.created(s), c.model, items, embeddingUsage{tokens, tokens}}
}
