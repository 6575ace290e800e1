package serve

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
)

func init() {
	register(endpoint{pattern: "POST /v1/embeddings", work: true, serve: (*Server).serveEmbeddings})
}

// embedding is a decoded request for vectors.
type embedding struct {
	limits *Limits
	vocab  int

	model      string
	inputs     []prompt
	base64     bool
	dimensions int // 0: not given
}

var embeddingFields = fields[embedding]{
	"model": func(e *embedding, v value) (err error) { e.model, err = v.text(); return },
	"input": func(e *embedding, v value) (err error) {
		e.inputs, err = inputs(v, e.limits.EmbeddingInputs, e.vocab)
		return
	},
	"encoding_format": func(e *embedding, v value) error {
		name, err := v.text()
		if err == nil && name != "float" && name != "base64" {
			return outOfRange(v, "float or base64")
		}
		e.base64 = name == "base64"
		return err
	},
	"dimensions": func(e *embedding, v value) (err error) { e.dimensions, err = count(v, 1, math.MaxInt32); return },
	"user":       ignored[embedding],
	"metadata":   ignored[embedding],

	"add_special_tokens":     refused[embedding](),
	"input_type":             refused[embedding](),
	"messages":               refused[embedding](),
	"priority":               refused[embedding]("0"),
	"truncate_prompt_tokens": refused[embedding](),
}

func (s *Server) serveEmbeddings(x *exchange) error {
	body, err := s.body(x)
	if err != nil {
		return err
	}
	e := embedding{limits: &s.limits, vocab: s.config.Tokenizer.VocabSize()}
	if err := decode(&e, body, embeddingFields); err != nil {
		return err
	}
	if err := s.checkModel(e.model); err != nil {
		return err
	}
	if s.config.Embedder == nil || s.config.Classes != nil {
		return invalid("model", "unsupported_model", "the model %s has no embeddings, since it %s", e.model, s.kind())
	}
	batch, tokens, err := s.embeddingBatch(&e)
	if err != nil {
		return err
	}
	vectors, err := s.vectors(x.context(), batch)
	if err != nil {
		return err
	}
	if width := len(vectors[0]); e.dimensions != 0 && e.dimensions != width {
		return invalid("dimensions", "unsupported_parameter", "dimensions is %d, but this model's vectors have %d: leave it out (shortened vectors are not served yet)", e.dimensions, width)
	}
	s.metrics.embeddings.Add(float64(tokens))
	return x.json(http.StatusOK, embeddingReply(e.model, vectors, tokens, e.base64))
}

// embeddingBatch turns the inputs into ids and counts them.
func (s *Server) embeddingBatch(e *embedding) (batch []Text, tokens int, err error) {
	if len(e.inputs) == 0 {
		return nil, 0, missing("input")
	}
	for i := range e.inputs {
		in := &e.inputs[i]
		if in.ids == nil && in.text == "" {
			return nil, 0, invalid(in.path, "invalid_value", "%s is an empty string", in.path)
		}
		ids, err := s.ids(in)
		if err != nil {
			return nil, 0, err
		}
		if len(ids) == 0 {
			return nil, 0, invalid(in.path, "invalid_value", "%s has no tokens", in.path)
		}
		if len(ids) > s.config.Context {
			return nil, 0, contextExceeded(in.path, s.config.Context, len(ids), 0)
		}
		batch = append(batch, Text{IDs: ids})
		tokens += len(ids)
	}
	return batch, tokens, nil
}

// vectors waits for the encoder's vectors of a request's texts.
func (s *Server) vectors(ctx context.Context, batch []Text) ([][]float32, error) {
	vectors, err := s.embed.vectors(ctx, batch)
	if err != nil {
		return nil, err
	}
	for i, v := range vectors {
		if slices.ContainsFunc(v, func(x float32) bool { return x-x != 0 }) {
			return nil, fmt.Errorf("embedding: the vector of input %d has a number that is not finite", i)
		}
	}
	return vectors, nil
}

type embeddingItem struct {
	Object    string          `json:"object"`
	Index     int             `json:"index"`
	Embedding json.RawMessage `json:"embedding"`
}

type embeddingUsage struct {
	PromptTokens int `json:"prompt_tokens"`
	TotalTokens  int `json:"total_tokens"`
}

func embeddingReply(model string, vectors [][]float32, tokens int, packed bool) any {
	items := make([]embeddingItem, len(vectors))
	for i, v := range vectors {
		text := decimals(v)
		if packed {
			text = packedFloats(v)
		}
		items[i] = embeddingItem{Object: "embedding", Index: i, Embedding: text}
	}
	return struct {
		Object string          `json:"object"`
		Data   []embeddingItem `json:"data"`
		Model  string          `json:"model"`
		Usage  embeddingUsage  `json:"usage"`
	}{"list", items, model, embeddingUsage{tokens, tokens}}
}

// decimals writes each number with as many digits as read back the same float32.
func decimals(v []float32) json.RawMessage {
	b := []byte{'['}
	b = appendList(b, v, func(b []byte, x float32) []byte { return strconv.AppendFloat(b, float64(x), 'g', -1, 32) })
	return append(b, ']')
}

// packedFloats is the base64 of the little-endian float32 values.
func packedFloats(v []float32) json.RawMessage {
	raw := make([]byte, 0, 4*len(v))
	for _, x := range v {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(x))
	}
	return mustJSON(base64.StdEncoding.EncodeToString(raw))
}
