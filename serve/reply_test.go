package serve

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"

	"hone/engine"
)

const chatBody = `{"model":"tiny","messages":[{"role":"user","content":"hi"}]`

// TestReplies holds the exact bytes of replies: clients parse them.
func TestReplies(t *testing.T) {
	cases := []struct{ name, path, body, want string }{
		{"chat", "/v1/chat/completions", chatBody + `}`,
			`{"id":"chatcmpl-x","object":"chat.completion","created":1,"model":"tiny","choices":[{"index":0,"message":{"role":"assistant","content":"hello","refusal":null},"logprobs":null,"finish_reason":"length"}],"usage":{"prompt_tokens":8,"completion_tokens":5,"total_tokens":13,"prompt_tokens_details":{"cached_tokens":1}}}` + "\n"},
		{"chat stream", "/v1/chat/completions", chatBody + `,"stream":true}`,
			`data: {"id":"chatcmpl-x","object":"chat.completion.chunk","created":1,"model":"tiny","choices":[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]}

data: {"id":"chatcmpl-x","object":"chat.completion.chunk","created":1,"model":"tiny","choices":[{"index":0,"delta":{"content":"hel"},"logprobs":null,"finish_reason":null}]}

data: {"id":"chatcmpl-x","object":"chat.completion.chunk","created":1,"model":"tiny","choices":[{"index":0,"delta":{"content":"lo"},"logprobs":null,"finish_reason":null}]}

data: {"id":"chatcmpl-x","object":"chat.completion.chunk","created":1,"model":"tiny","choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"length"}]}

data: [DONE]

`},
		{"completion stream with usage", "/v1/completions", `{"model":"tiny:latest","prompt":"ab","stream":true,"stream_options":{"include_usage":true}}`,
			`data: {"id":"cmpl-x","object":"text_completion","created":1,"model":"tiny:latest","choices":[{"index":0,"text":"hel","logprobs":null,"finish_reason":null}],"usage":null}

data: {"id":"cmpl-x","object":"text_completion","created":1,"model":"tiny:latest","choices":[{"index":0,"text":"lo","logprobs":null,"finish_reason":"length"}],"usage":null}

data: {"id":"cmpl-x","object":"text_completion","created":1,"model":"tiny:latest","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":5,"total_tokens":8,"prompt_tokens_details":{"cached_tokens":1}}}

data: [DONE]

`},
		{"completion, two prompts, echo, n", "/v1/completions", `{"model":"tiny","prompt":[[97],[98]],"n":2,"echo":true}`,
			`{"id":"cmpl-x","object":"text_completion","created":1,"model":"tiny","choices":[{"index":0,"text":"ahello","logprobs":null,"finish_reason":"length"},{"index":1,"text":"ahello","logprobs":null,"finish_reason":"length"},{"index":2,"text":"bhello","logprobs":null,"finish_reason":"length"},{"index":3,"text":"bhello","logprobs":null,"finish_reason":"length"}],"usage":{"prompt_tokens":2,"completion_tokens":20,"total_tokens":22,"prompt_tokens_details":{"cached_tokens":2}}}` + "\n"},
	}
	s := testServer(t, &fakeEngine{})
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := post(s, c.path, c.body)
			if got := stable(w.Body); w.Code != 200 || got != c.want {
				t.Errorf("status %d\n%s\nwant\n%s", w.Code, got, c.want)
			}
		})
	}
}

func TestLogprobs(t *testing.T) {
	s := testServer(t, &fakeEngine{})
	w := post(s, "/v1/chat/completions", chatBody+`,"logprobs":true,"top_logprobs":2}`)
	want := `{"token":"h","logprob":-0.1,"bytes":[104],"top_logprobs":[{"token":"h","logprob":-0.1,"bytes":[104]},{"token":"i","logprob":-1.1,"bytes":[105]}]}`
	if !strings.Contains(w.Body.String(), `"logprobs":{"content":[`+want+`,`) || strings.Count(w.Body.String(), `"top_logprobs"`) != 5 {
		t.Errorf("chat logprobs: %s", w.Body)
	}
	whole := between(w.Body.String(), `"content":[`, `],"refusal"`)
	w = post(s, "/v1/chat/completions", chatBody+`,"logprobs":true,"top_logprobs":2,"stream":true}`)
	parts := strings.Split(w.Body.String(), "\n\n")
	streamed := between(parts[1], `"content":[`, `],"refusal"`) + "," + between(parts[2], `"content":[`, `],"refusal"`)
	if streamed != whole {
		t.Errorf("a stream's logprobs differ from the whole reply's:\n%s\n%s", streamed, whole)
	}
	w = post(s, "/v1/completions", `{"model":"tiny","prompt":"a","logprobs":1}`)
	want = `"logprobs":{"tokens":["h","e","l","l","o"],"token_logprobs":[-0.1,-0.1,-0.1,-0.1,-0.1],"top_logprobs":[{"h":-0.1},{"e":-0.1},{"l":-0.1},{"l":-0.1},{"o":-0.1}],"text_offset":[0,1,2,3,4]}`
	if !strings.Contains(w.Body.String(), want) {
		t.Errorf("legacy logprobs: %s", w.Body)
	}
	w = post(s, "/v1/completions", `{"model":"tiny","prompt":"a","logprobs":1,"stream":true}`)
	if !strings.Contains(w.Body.String(), `"text_offset":[3,4]`) {
		t.Errorf("offsets do not go on from event to event: %s", w.Body)
	}
}

func between(s, from, to string) string {
	_, s, _ = strings.Cut(s, from)
	s, _, _ = strings.Cut(s, to)
	return s
}

// The token that ends a choice is no part of its text, so it has no logprobs either.
func TestEndTokenHasNoLogprob(t *testing.T) {
	f := &fakeEngine{script: func(r engine.Request) []engine.Event {
		return []engine.Event{{Tokens: []int32{65, 256}, Text: "A", Logprobs: []engine.TokenLogprob{{Token: 65}, {Token: 256}}, Finish: engine.FinishStop}}
	}}
	w := post(testServer(t, f), "/v1/chat/completions", chatBody+`,"logprobs":true}`)
	if strings.Contains(w.Body.String(), "<s>") || !strings.Contains(w.Body.String(), `"token":"A"`) {
		t.Error(w.Body)
	}
}

// A choice whose tokens bring no text yet still brings their logprobs; without logprobs there is nothing to send.
func TestEventWithoutText(t *testing.T) {
	f := &fakeEngine{script: func(r engine.Request) []engine.Event {
		return []engine.Event{
			{Tokens: []int32{0xc3}, Logprobs: chances(r, "\xc3")},
			{Tokens: []int32{0xa9}, Text: "é", Logprobs: chances(r, "\xa9"), Finish: engine.FinishLength}}
	}}
	s := testServer(t, f)
	w := post(s, "/v1/completions", `{"model":"tiny","prompt":"a","stream":true}`)
	if n := strings.Count(w.Body.String(), "data: "); n != 2 {
		t.Errorf("%d events: %s", n, w.Body)
	}
	w = post(s, "/v1/completions", `{"model":"tiny","prompt":"a","stream":true,"logprobs":0}`)
	if !strings.Contains(w.Body.String(), `"text":"","logprobs":{"tokens":["bytes:\\xc3"]`) || !strings.Contains(w.Body.String(), `"text_offset":[1]`) {
		t.Error(w.Body)
	}
}

func TestEngineErrors(t *testing.T) {
	cases := []struct {
		name       string
		refuse     error
		status     int
		code       string
		retryAfter string
	}{
		{"queue full", engine.ErrQueueFull, 429, "queue_full", "1"},
		{"draining", engine.ErrDraining, 503, "draining", "5"},
		{"too long", engine.ErrTooLong, 400, "context_length_exceeded", ""},
		{"unknown", errors.New("secret /path"), 500, "internal_error", ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := post(testServer(t, &fakeEngine{refuse: c.refuse}), "/v1/chat/completions", chatBody+`,"stream":true}`)
			checkError(t, w, c.status, "", c.code)
			if got := w.Header().Get("Retry-After"); got != c.retryAfter {
				t.Errorf("Retry-After %q", got)
			}
			if strings.Contains(w.Body.String(), "secret") {
				t.Errorf("an internal detail is in the reply: %s", w.Body)
			}
		})
	}
}

// An error after the first event is an event of its own, and the stream has no [DONE].
func TestErrorInStream(t *testing.T) {
	f := &fakeEngine{script: func(r engine.Request) []engine.Event {
		return []engine.Event{{Tokens: []int32{65}, Text: "A"}, {Finish: engine.FinishError, Err: errors.New("secret")}}
	}}
	s := testServer(t, f)
	body := post(s, "/v1/chat/completions", chatBody+`,"stream":true}`).Body.String()
	if !strings.Contains(body, `data: {"error":{"message":"an internal error`) || strings.Contains(body, "secret") || strings.Contains(body, "[DONE]") {
		t.Error(body)
	}
	checkError(t, post(s, "/v1/chat/completions", chatBody+`}`), 500, "", "internal_error")
}

func TestEmbeddings(t *testing.T) {
	s := testServer(t, nil, asEncoder)
	w := post(s, "/v1/embeddings", `{"model":"tiny","input":["ab",[98,99,100]],"dimensions":4}`)
	want := `{"object":"list","data":[{"object":"embedding","index":0,"embedding":[3,0.1,-1e-07,256]},{"object":"embedding","index":1,"embedding":[3,0.1,-1e-07,98]}],"model":"tiny","usage":{"prompt_tokens":6,"total_tokens":6}}` + "\n"
	if w.Body.String() != want {
		t.Error(w.Body)
	}
	w = post(s, "/v1/embeddings", `{"model":"tiny","input":[98,99,100],"encoding_format":"base64","user":"u"}`)
	if !strings.Contains(w.Body.String(), `"embedding":"AABAQM3MzD2Vv9azAADEQg=="`) {
		t.Error(w.Body)
	}
	checkError(t, post(s, "/v1/chat/completions", chatBody+`}`), 400, "model", "unsupported_model")
	checkError(t, post(s, "/v1/completions", `{"model":"tiny","prompt":"a"}`), 400, "model", "unsupported_model")
	checkError(t, post(testServer(t, &fakeEngine{}), "/v1/embeddings", `{"model":"tiny","input":"a"}`), 400, "model", "unsupported_model")
}

func TestAppendString(t *testing.T) {
	for _, s := range []string{"", "plain", "q\"b\\", "\x00\x1f\x7f", "tab\tnl\nret\r", "é😀\u2028</script>", "bad\xff\xc3", "\xe2\x82"} {
		var got, want string
		if err := json.Unmarshal(appendString(nil, s), &got); err != nil {
			t.Errorf("%q: %v", s, err)
		}
		json.Unmarshal(mustJSON(s), &want)
		if got != want {
			t.Errorf("%q reads back as %q, by encoding/json as %q", s, got, want)
		}
	}
	for x, want := range map[float32]string{-0.1: "-0.1", 0: "0", float32(math.Inf(-1)): "-9999", float32(math.NaN()): "-9999", -1.5e-7: "-1.5e-07"} {
		if got := string(appendLogprob(nil, x)); got != want {
			t.Errorf("%v is written %s, want %s", x, got, want)
		}
	}
}

// TestSampling: what a request says reaches the engine as it says it.
func TestSampling(t *testing.T) {
	f := &fakeEngine{}
	s := testServer(t, f)
	w := post(s, "/v1/chat/completions", chatBody+`,"temperature":0.5,"top_p":0.9,"top_k":-1,"min_p":0.05,"repetition_penalty":1.1,"frequency_penalty":-2,"presence_penalty":2,
		"logit_bias":{"5":-100,"6":3.5},"seed":-1,"n":3,"max_completion_tokens":7,"min_tokens":2,"ignore_eos":true,"stop":["a","b"],"user":"me","metadata":{"a":1},"tools":[],"response_format":{"type": "text"},"audio":null}`)
	if w.Code != 200 {
		t.Fatal(w.Body)
	}
	r := f.last()
	p := r.Sampling
	if p.Temperature != 0.5 || p.TopP != 0.9 || p.TopK != 0 || p.MinP != 0.05 || p.RepetitionPenalty != 1.1 || p.FrequencyPenalty != -2 || p.PresencePenalty != 2 ||
		p.LogitBias[5] != -100 || p.LogitBias[6] != 3.5 || *p.Seed != math.MaxUint64 {
		t.Errorf("%+v", p)
	}
	if r.N != 3 || r.MaxTokens != 7 || r.MinTokens != 2 || !r.IgnoreEOS || len(r.Stop) != 2 || string(rune(r.Prompt[0])) != "[" {
		t.Errorf("%+v", r)
	}
	post(s, "/v1/chat/completions", chatBody+`}`)
	if r := f.last(); r.Sampling.Temperature != 1 || r.Sampling.Seed != nil || r.N != 1 || r.MaxTokens != 0 {
		t.Errorf("defaults: %+v", r)
	}
	post(s, "/v1/completions", `{"model":"tiny","prompt":"ab"}`)
	if r := f.last(); r.MaxTokens != 16 || r.Prompt[0] != 256 || len(r.Prompt) != 3 {
		t.Errorf("defaults: %+v", r)
	}
	post(s, "/v1/chat/completions", `{"model":"tiny","messages":[{"role":"developer","content":[{"type":"text","text":"x"},{"type":"text","text":"y"}]},{"role":"assistant","content":"z","tool_calls":[],"refusal":null}]}`)
	if got := (byteTokenizer{}).Decode(f.last().Prompt, false); got != "[system]x\ny[assistant]z" {
		t.Errorf("chat is rendered as %q", got)
	}
}
