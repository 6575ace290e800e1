package serve

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
)

// checkError checks that a reply is an error in OpenAI's shape, with that status, field and code.
func checkError(t *testing.T, w *httptest.ResponseRecorder, status int, param, code string) {
	t.Helper()
	var body struct {
		Error *struct {
			Message *string
			Type    *string
			Param   *string
			Code    *string
		}
	}
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || body.Error == nil || body.Error.Message == nil || body.Error.Type == nil {
		t.Fatalf("status %d: not an error in OpenAI's shape: %s", w.Code, w.Body)
	}
	got := func(s *string) string {
		if s == nil {
			return ""
		}
		return *s
	}
	if w.Code != status || got(body.Error.Param) != param || got(body.Error.Code) != code {
		t.Errorf("status %d param %q code %q, want %d %q %q: %s", w.Code, got(body.Error.Param), got(body.Error.Code), status, param, code, *body.Error.Message)
	}
	if !strings.Contains(w.Body.String(), `"param":`) || !strings.Contains(w.Body.String(), `"code":`) {
		t.Errorf("param and code must stand even when null: %s", w.Body)
	}
}

const chat, completions, embeddings = "/v1/chat/completions", "/v1/completions", "/v1/embeddings"

var long = strings.Repeat("x", 101)

// refusals has one row for each way a body can be wrong. say must be in the message.
var refusals = []struct {
	path, body  string
	param, code string
	say         string
}{
	{chat, ``, "", "invalid_json", "not valid JSON"},
	{chat, `[1]`, "", "invalid_type", "an object"},
	{chat, `{"model":"tiny"`, "", "invalid_json", "unexpected end"},
	{chat, "{\"model\":\"\xff\"}", "", "invalid_utf8", "byte 10 is 0xff"},
	{chat, `{"model":"tiny","messages":[{"role":"user","content":"\ud800"}]}`, "messages[0].content", "invalid_utf8", "surrogate"},
	{chat, `{"model":"tiny","messages":[{"role":"user","content":"\ud83d\ude00 \ude00"}]}`, "messages[0].content", "invalid_utf8", "surrogate"},
	{chat, chatBody + `,"model":"tiny"}`, "model", "invalid_json", "twice"},
	{chat, `{"messages":[{"role":"user","content":"hi"}]}`, "model", "missing_required_parameter", "model"},
	{chat, `{"model":"tiny"}`, "messages", "missing_required_parameter", "messages"},
	{chat, `{"model":"tiny","messages":[]}`, "messages", "invalid_value", "empty"},
	{chat, `{"model":"tiny","messages":"hi"}`, "messages", "invalid_type", "an array"},
	{chat, `{"model":"tiny","messages":[{"content":"hi"}]}`, "messages[0].role", "missing_required_parameter", "role"},
	{chat, `{"model":"tiny","messages":[{"role":"user"}]}`, "messages[0].content", "missing_required_parameter", "content"},
	{chat, `{"model":"tiny","messages":[{"role":"user","content":null}]}`, "messages[0].content", "missing_required_parameter", "content"},
	{chat, `{"model":"tiny","messages":[{"role":"wizard","content":"hi"}]}`, "messages[0].role", "invalid_value", "developer"},
	{chat, `{"model":"tiny","messages":[{"role":"tool","content":"hi"}]}`, "messages[0].role", "unsupported_parameter", "tools"},
	{chat, `{"model":"tiny","messages":[{"role":"user","content":"hi","nmae":"x"}]}`, "messages[0].nmae", "unknown_parameter", `"name"`},
	{chat, `{"model":"tiny","messages":[{"role":"user","content":[{"type":"image_url","image_url":{}}]}]}`, "messages[0].content[0].image_url", "unsupported_parameter", "image_url"},
	{chat, `{"model":"tiny","messages":[{"role":"user","content":[{"type":"text"}]}]}`, "messages[0].content[0].text", "missing_required_parameter", "text"},
	{chat, `{"model":"tiny","messages":[{"role":"user","content":[{"type":"image","text":"x"}]}]}`, "messages[0].content[0].type", "unsupported_parameter", "text parts"},
	{"/v1/completions", `{"model":"tiny","prompt":["x","slow"]}`, "prompt[1]", "invalid_value", "takes too long"},
	{chat, `{"model":"tiny","messages":[{"role":"user","content":"refuse me"}]}`, "messages", "invalid_value", "not taken"},
	{chat, chatBody + `,"temprature":1}`, "temprature", "unknown_parameter", `"temperature"`},
	{chat, chatBody + `,"max_token":1}`, "max_token", "unknown_parameter", `"max_tokens"`},
	{chat, chatBody + `,"tools":[{"type":"function"}]}`, "tools", "unsupported_parameter", "tools"},
	{chat, chatBody + `,"tool_choice":"required"}`, "tool_choice", "unsupported_parameter", "tool_choice"},
	{chat, chatBody + `,"functions":[{}]}`, "functions", "unsupported_parameter", "functions"},
	{chat, chatBody + `,"response_format":{"type":"json_object"}}`, "response_format", "unsupported_parameter", "response_format"},
	{chat, chatBody + `,"audio":{}}`, "audio", "unsupported_parameter", "audio"},
	{chat, chatBody + `,"modalities":["text","audio"]}`, "modalities", "unsupported_parameter", "modalities"},
	{chat, chatBody + `,"prediction":{}}`, "prediction", "unsupported_parameter", "prediction"},
	{chat, chatBody + `,"web_search_options":{}}`, "web_search_options", "unsupported_parameter", "web_search_options"},
	{chat, chatBody + `,"logits_processors":["x"]}`, "logits_processors", "unsupported_parameter", "logits_processors"},
	{chat, chatBody + `,"temperature":2.1}`, "temperature", "invalid_value", "from 0 to 2"},
	{chat, chatBody + `,"temperature":-1}`, "temperature", "invalid_value", "from 0 to 2"},
	{chat, chatBody + `,"temperature":1e400}`, "temperature", "invalid_value", "from 0 to 2"},
	{chat, chatBody + `,"temperature":"hot"}`, "temperature", "invalid_type", "a number"},
	{chat, chatBody + `,"top_p":0}`, "top_p", "invalid_value", "above 0"},
	{chat, chatBody + `,"top_p":1e-60}`, "top_p", "invalid_value", "above 0"},
	{chat, chatBody + `,"top_p":1.01}`, "top_p", "invalid_value", "from 0 to 1"},
	{chat, chatBody + `,"n":0}`, "n", "invalid_value", "from 1"},
	{chat, chatBody + `,"n":65}`, "n", "invalid_value", "to 64"},
	{chat, chatBody + `,"n":1.5}`, "n", "invalid_type", "an integer"},
	{chat, chatBody + `,"max_tokens":-1}`, "max_tokens", "invalid_value", "from 1"},
	{chat, chatBody + `,"max_tokens":99999999999999999999}`, "max_tokens", "invalid_value", "from 1"},
	{chat, chatBody + `,"max_tokens":3,"max_completion_tokens":4}`, "max_tokens", "invalid_value", "one of them"},
	{chat, chatBody + `,"max_completion_tokens":0}`, "max_completion_tokens", "invalid_value", "from 1"},
	{chat, chatBody + `,"min_tokens":9,"max_tokens":4}`, "min_tokens", "invalid_value", "more than max_tokens"},
	{chat, chatBody + `,"top_logprobs":21,"logprobs":true}`, "top_logprobs", "invalid_value", "to 20"},
	{chat, chatBody + `,"top_logprobs":2}`, "top_logprobs", "invalid_value", "needs logprobs"},
	{chat, chatBody + `,"logprobs":1}`, "logprobs", "invalid_type", "true or false"},
	{chat, chatBody + `,"logit_bias":{"257":1}}`, "logit_bias.257", "invalid_value", "from 0 to 256"},
	{chat, chatBody + `,"logit_bias":{"-1":1}}`, "logit_bias.-1", "invalid_value", "token id"},
	{chat, chatBody + `,"logit_bias":{"1":101}}`, "logit_bias.1", "invalid_value", "from -100 to 100"},
	{chat, chatBody + `,"stop":""}`, "stop", "invalid_value", "from 1"},
	{chat, chatBody + `,"stop":[` + strings.Repeat(`"x",`, 16) + `"x"]}`, "stop", "invalid_value", "at most 16"},
	{chat, chatBody + `,"stop":["` + strings.Repeat("x", 257) + `"]}`, "stop[0]", "invalid_value", "257 bytes"},
	{chat, chatBody + `,"frequency_penalty":-2.5}`, "frequency_penalty", "invalid_value", "from -2 to 2"},
	{chat, chatBody + `,"repetition_penalty":0}`, "repetition_penalty", "invalid_value", "above 0"},
	{chat, chatBody + `,"top_k":-2}`, "top_k", "invalid_value", "from -1"},
	{chat, chatBody + `,"seed":1e3}`, "seed", "invalid_type", "an integer"},
	{chat, chatBody + `,"stream":"yes"}`, "stream", "invalid_type", "true or false"},
	{chat, chatBody + `,"stream_options":{"include_usage":true}}`, "stream_options", "invalid_value", "stream"},
	{chat, chatBody + `,"stream":true,"stream_options":{"usage":true}}`, "stream_options.usage", "unknown_parameter", "include_usage"},
	{chat, chatBody + `,"max_tokens":95}`, "messages", "context_length_exceeded", "at most 92"},
	{chat, `{"model":"tiny","messages":[{"role":"user","content":"` + long + `"}]}`, "messages", "context_length_exceeded", "107 tokens"},
	{chat, `{"model":"tiny","messages":[{"role":"user","content":"` + strings.Repeat(long, 20) + `"}]}`, "messages", "context_length_exceeded", "2020 bytes"},
	{completions, `{"model":"tiny"}`, "prompt", "missing_required_parameter", "prompt"},
	{completions, `{"model":"tiny","prompt":[]}`, "prompt", "invalid_value", "empty"},
	{completions, `{"model":"tiny","prompt":[[]]}`, "prompt[0]", "invalid_value", "no tokens"},
	{completions, `{"model":"tiny","prompt":{}}`, "prompt", "invalid_type", "a string"},
	{completions, `{"model":"tiny","prompt":[1,-2]}`, "prompt[1]", "invalid_value", "from 0 to 256"},
	{completions, `{"model":"tiny","prompt":[4294967295]}`, "prompt[0]", "invalid_value", "from 0 to 256"},
	{completions, `{"model":"tiny","prompt":[1.5]}`, "prompt[0]", "invalid_value", "from 0 to 256"},
	{completions, `{"model":"tiny","prompt":[1,"2"]}`, "prompt", "invalid_type", "token ids"},
	{completions, `{"model":"tiny","prompt":["a",1]}`, "prompt[1]", "invalid_type", "a string"},
	{completions, `{"model":"tiny","prompt":"a","suffix":"b"}`, "suffix", "unsupported_parameter", "suffix"},
	{completions, `{"model":"tiny","prompt":"a","best_of":2}`, "best_of", "unsupported_parameter", "best_of"},
	{completions, `{"model":"tiny","prompt":"a","echo":true,"logprobs":1}`, "echo", "unsupported_parameter", "echo"},
	{completions, `{"model":"tiny","prompt":["a","b"],"n":33}`, "n", "invalid_value", "66 choices"},
	{completions, `{"model":"tiny","prompt":"a","messages":[]}`, "messages", "unknown_parameter", "nearest"},
	{completions, `{"model":"tiny","prompt":"` + long + `"}`, "prompt", "context_length_exceeded", "102 tokens"},
	{completions, `{"model":"tiny","prompt":"` + long + `","max_tokens":5}`, "prompt", "context_length_exceeded", "shorten the prompt (nothing"},
	{completions, `{"model":"tiny","prompt":["a","` + long + `"]}`, "prompt[1]", "context_length_exceeded", "102 tokens"},
	{embeddings, `{"model":"tiny"}`, "input", "missing_required_parameter", "input"},
	{embeddings, `{"model":"tiny","input":""}`, "input", "invalid_value", "empty"},
	{embeddings, `{"model":"tiny","input":["a",""]}`, "input[1]", "invalid_value", "empty"},
	{embeddings, `{"model":"tiny","input":"a","dimensions":3}`, "dimensions", "unsupported_parameter", "have 4"},
	{embeddings, `{"model":"tiny","input":"a","dimensions":-1}`, "dimensions", "invalid_value", "from 1"},
	{embeddings, `{"model":"tiny","input":"a","encoding_format":"hex"}`, "encoding_format", "invalid_value", "base64"},
	{embeddings, `{"model":"tiny","inputs":"a"}`, "inputs", "unknown_parameter", `"input"`},
	{embeddings, `{"model":"tiny","input":"` + long + `"}`, "input", "context_length_exceeded", "102 tokens"},
}

func TestRefusals(t *testing.T) {
	f := &fakeEngine{}
	text, encoder := testServer(t, f), testServer(t, nil, asEncoder)
	for i, c := range refusals {
		t.Run(fmt.Sprint(i, c.param), func(t *testing.T) {
			s := text
			if c.path == embeddings {
				s = encoder
			}
			w := post(s, c.path, c.body)
			if c.body == "" {
				w = call(s, "POST", c.path, "", "Content-Type", "application/json")
			}
			checkError(t, w, 400, c.param, c.code)
			if !strings.Contains(strings.ReplaceAll(w.Body.String(), `\"`, `"`), c.say) {
				t.Errorf("the message does not say %q: %s", c.say, w.Body)
			}
		})
	}
	if len(f.got) > 0 {
		t.Errorf("%d refused requests reached the engine", len(f.got))
	}
}

func TestModelNotServed(t *testing.T) {
	s := testServer(t, &fakeEngine{})
	checkError(t, post(s, "/v1/chat/completions", `{"model":"gpt-9","messages":[{"role":"user","content":"hi"}]}`), 404, "model", "model_not_found")
	checkError(t, call(s, "GET", "/v1/models/org/other", ""), 404, "model", "model_not_found")
	w := call(s, "GET", "/v1/models", "")
	want := `{"object":"list","data":[{"id":"tiny","object":"model","created":1700000000,"owned_by":"hone","max_model_len":100},{"id":"tiny:latest","object":"model","created":1700000000,"owned_by":"hone","max_model_len":100}]}` + "\n"
	if w.Body.String() != want {
		t.Error(w.Body)
	}
	if w = call(s, "GET", "/v1/models/tiny:latest", ""); w.Code != 200 || !strings.Contains(w.Body.String(), `"id":"tiny:latest"`) {
		t.Error(w.Body)
	}
}

func fuzzBody(f *testing.F, path string, change func(*Config), seeds ...string) {
	s := testServer(f, &fakeEngine{}, change)
	for _, seed := range seeds {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		w := call(s, "POST", path, string(body), "Content-Type", "application/json")
		if w.Code != 200 && (w.Code < 400 || w.Code > 499) {
			t.Errorf("status %d: %s", w.Code, w.Body)
		}
		if strings.HasPrefix(w.Header().Get("Content-Type"), "application/json") && !json.Valid(w.Body.Bytes()) {
			t.Errorf("the reply is no JSON: %s", w.Body)
		}
	})
}

func FuzzChatBody(f *testing.F) {
	fuzzBody(f, "/v1/chat/completions", func(*Config) {}, chatBody+`}`, chatBody+`,"stream":true,"logprobs":true,"n":2,"stop":["a"],"logit_bias":{"1":2}}`,
		`{"model":"tiny","messages":[{"role":"user","content":[{"type":"text","text":"\ud83d\ude00"}]}],"seed":-9223372036854775808}`)
}

func FuzzCompletionBody(f *testing.F) {
	fuzzBody(f, "/v1/completions", func(*Config) {}, `{"model":"tiny","prompt":"a","echo":true}`, `{"model":"tiny","prompt":[[1,2],[3]],"n":2,"logprobs":3}`,
		`{"model":"tiny","prompt":[1,2],"max_tokens":5,"temperature":0.5,"top_p":1e-300}`)
}

func FuzzEmbeddingBody(f *testing.F) {
	fuzzBody(f, "/v1/embeddings", asEncoder, `{"model":"tiny","input":"a"}`, `{"model":"tiny","input":[[1],[2]],"encoding_format":"base64","dimensions":4}`, `{"model":"tiny","input":[1,2]}`)
}
