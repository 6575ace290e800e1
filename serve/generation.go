package serve

import (
	"math"
	"strconv"

	"hone/engine"
)

// generation is a decoded request for text, from either of the two endpoints.
type generation struct {
	limits *Limits // bounds while it is decoded
	vocab  int

	model    string
	messages []Message // chat
	prompts  []prompt  // completions
	echo     bool      // completions: the prompt stands before the text

	stream bool
	usage  bool // a stream ends with its usage

	n                   int
	maxTokens           int // 0: not given
	maxCompletionTokens int // chat's newer name of it
	minTokens           int
	ignoreEOS           bool
	stop                []string
	logprobs            bool
	topLogprobs         int
	sampling            engine.SamplingParams
}

func newGeneration(s *Server, x *exchange) *generation {
	return &generation{limits: &s.limits, vocab: s.config.Tokenizer.VocabSize(), n: 1, sampling: engine.SamplingParams{Temperature: 1, Seed: x.seed}}
}

// samplingFields are the fields that both endpoints share. The ranges are OpenAI's, and vLLM's for its extensions.
var samplingFields = fields[generation]{
	"model":  func(g *generation, v value) (err error) { g.model, err = v.text(); return },
	"stream": func(g *generation, v value) (err error) { g.stream, err = v.boolean(); return },
	"stream_options": func(g *generation, v value) error {
		return decode(g, v, fields[generation]{
			"include_usage":          func(g *generation, v value) (err error) { g.usage, err = v.boolean(); return },
			"include_obfuscation":    refused[generation]("false"),
			"continuous_usage_stats": refused[generation]("false"),
		})
	},
	"n": func(g *generation, v value) (err error) { g.n, err = count(v, 1, g.limits.Choices); return },
	"max_tokens": func(g *generation, v value) (err error) {
		g.maxTokens, err = count(v, 1, math.MaxInt32)
		return
	},
	"min_tokens": func(g *generation, v value) (err error) {
		g.minTokens, err = count(v, 0, math.MaxInt32)
		return
	},
	"ignore_eos": func(g *generation, v value) (err error) { g.ignoreEOS, err = v.boolean(); return },
	"stop":       func(g *generation, v value) (err error) { g.stop, err = stops(v, g.limits); return },
	"seed": func(g *generation, v value) error {
		n, err := v.integer(math.MinInt64, math.MaxInt64)
		seed := uint64(n)
		g.sampling.Seed = &seed
		return err
	},
	"temperature":       func(g *generation, v value) error { return float(&g.sampling.Temperature, v, 0, 2) },
	"top_p":             func(g *generation, v value) error { return positive(&g.sampling.TopP, v, 1) },
	"min_p":             func(g *generation, v value) error { return float(&g.sampling.MinP, v, 0, 1) },
	"frequency_penalty": func(g *generation, v value) error { return float(&g.sampling.FrequencyPenalty, v, -2, 2) },
	"presence_penalty":  func(g *generation, v value) error { return float(&g.sampling.PresencePenalty, v, -2, 2) },
	"repetition_penalty": func(g *generation, v value) error {
		return positive(&g.sampling.RepetitionPenalty, v, 10)
	},
	"top_k": func(g *generation, v value) error {
		k, err := v.integer(-1, math.MaxInt32) // vLLM: 0 and -1 both mean all
		g.sampling.TopK = int(max(k, 0))
		return err
	},
	"logit_bias": func(g *generation, v value) (err error) { g.sampling.LogitBias, err = bias(v, g); return },

	"user":              ignored[generation],
	"metadata":          ignored[generation],
	"store":             ignored[generation],
	"service_tier":      ignored[generation],
	"safety_identifier": ignored[generation], // the newer name of user
	"prompt_cache_key":  ignored[generation], // a hint for the routing between replicas

	"add_special_tokens":            refused[generation](),
	"allowed_token_ids":             refused[generation]("[]"),
	"bad_words":                     refused[generation]("[]"),
	"cache_salt":                    refused[generation](),
	"guided_choice":                 refused[generation](),
	"guided_grammar":                refused[generation](),
	"guided_json":                   refused[generation](),
	"guided_regex":                  refused[generation](),
	"include_stop_str_in_output":    refused[generation]("false"),
	"length_penalty":                refused[generation]("1", "1.0"),
	"logits_processors":             refused[generation]("[]"),
	"moderation":                    refused[generation](),
	"priority":                      refused[generation]("0"),
	"prompt_cache_options":          refused[generation](),
	"prompt_cache_retention":        refused[generation](),
	"prompt_logprobs":               refused[generation](),
	"response_format":               refused[generation](`{"type":"text"}`),
	"return_token_ids":              refused[generation]("false"),
	"return_tokens_as_token_ids":    refused[generation]("false"),
	"skip_special_tokens":           refused[generation]("true"),
	"spaces_between_special_tokens": refused[generation]("true"),
	"stop_token_ids":                refused[generation]("[]"),
	"structured_outputs":            refused[generation](),
	"truncate_prompt_tokens":        refused[generation](),
	"use_beam_search":               refused[generation]("false"),
}

// check holds what depends on more than one field.
func (g *generation) check() error {
	if g.maxCompletionTokens != 0 {
		if g.maxTokens != 0 && g.maxTokens != g.maxCompletionTokens {
			return invalid("max_tokens", "invalid_value", "max_tokens is %d and max_completion_tokens is %d: send one of them", g.maxTokens, g.maxCompletionTokens)
		}
		g.maxTokens = g.maxCompletionTokens
	}
	if g.topLogprobs > 0 && !g.logprobs {
		return invalid("top_logprobs", "invalid_value", "top_logprobs needs logprobs to be true")
	}
	if g.maxTokens > 0 && g.minTokens > g.maxTokens {
		return invalid("min_tokens", "invalid_value", "min_tokens is %d, more than max_tokens, which is %d", g.minTokens, g.maxTokens)
	}
	if g.usage && !g.stream {
		return invalid("stream_options", "invalid_value", "stream_options needs stream to be true")
	}
	return nil
}

// request makes the engine's request for one prompt; param names the field that the prompt came from.
func (g *generation) request(s *Server, x *exchange, ids []int32, param string) (engine.Request, error) {
	if len(ids) == 0 {
		return engine.Request{}, invalid(param, "invalid_value", "%s has no tokens", param)
	}
	if limit := s.config.Context; len(ids) >= limit || len(ids)+g.maxTokens > limit {
		return engine.Request{}, contextExceeded(param, limit, len(ids), g.maxTokens)
	}
	return engine.Request{
		ID: x.id, Principal: x.principal, Salt: x.principal,
		Prompt: ids, N: g.n, MaxTokens: g.maxTokens, MinTokens: g.minTokens, IgnoreEOS: g.ignoreEOS,
		Stop: g.stop, Sampling: g.sampling, Logprobs: g.logprobs, TopLogprobs: g.topLogprobs,
	}, nil
}

func count(v value, low, high int) (int, error) {
	n, err := v.integer(int64(low), int64(high))
	return int(n), err
}

func float(dst *float32, v value, low, high float64) error {
	x, err := v.number(low, high)
	*dst = float32(x)
	return err
}

// positive reads a number above 0. One too small for a float32 is refused: it would turn into 0, which means off.
func positive(dst *float32, v value, high float64) error {
	x, err := v.number(0, high)
	if err == nil && float32(x) <= 0 {
		return outOfRange(v, "above 0 and at most "+decimal(high))
	}
	*dst = float32(x)
	return err
}

// stops reads one stop string or an array of them.
func stops(v value, l *Limits) ([]string, error) {
	items := []value{v}
	if v.first() == '[' {
		var err error
		if items, err = v.list(l.Stops); err != nil {
			return nil, err
		}
	}
	out := make([]string, len(items))
	for i, item := range items {
		s, err := item.text()
		if err != nil {
			return nil, err
		}
		if s == "" || len(s) > l.StopBytes {
			return nil, invalid(item.path, "invalid_value", "%s has %d bytes, but a stop string has from 1 to %d", item.path, len(s), l.StopBytes)
		}
		out[i] = s
	}
	return out, nil
}

// bias reads logit_bias: an object from token ids to numbers from -100 to 100.
func bias(v value, g *generation) (map[int32]float32, error) {
	members, err := v.members()
	if err != nil {
		return nil, err
	}
	if len(members) > g.limits.LogitBias {
		return nil, invalid(v.path, "invalid_value", "%s has %d entries, but at most %d are taken", v.path, len(members), g.limits.LogitBias)
	}
	out := make(map[int32]float32, len(members))
	for _, m := range members {
		id, err := strconv.ParseUint(m.key, 10, 31)
		if err != nil || id >= uint64(g.vocab) || strconv.FormatUint(id, 10) != m.key {
			return nil, invalid(m.path, "invalid_value", "%s: %s is not a token id from 0 to %d", v.path, quote(m.key), g.vocab-1)
		}
		x, err := m.number(-100, 100)
		if err != nil {
			return nil, err
		}
		out[int32(id)] = float32(x)
	}
	return out, nil
}
