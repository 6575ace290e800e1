package serve

import (
	"encoding/json"
	"strconv"
	"strings"

	"hone/engine"
	"hone/tokenizer"
)

func init() {
	register(endpoint{pattern: "POST /v1/chat/completions", work: true, serve: (*Server).serveChat})
}

var chatFields = with(samplingFields, fields[generation]{
	"messages": func(g *generation, v value) (err error) { g.messages, err = messages(v, g.limits); return },
	"max_completion_tokens": func(g *generation, v value) (err error) {
		g.maxCompletionTokens, err = count(v, 1, 1<<31-1)
		return
	},
	"logprobs":     func(g *generation, v value) (err error) { g.logprobs, err = v.boolean(); return },
	"top_logprobs": func(g *generation, v value) (err error) { g.topLogprobs, err = count(v, 0, 20); return },

	"add_generation_prompt":  refused[generation]("true"),
	"audio":                  refused[generation](),
	"chat_template":          refused[generation](),
	"chat_template_kwargs":   refused[generation]("{}"),
	"continue_final_message": refused[generation]("false"),
	"documents":              refused[generation](),
	"echo":                   refused[generation]("false"),
	"function_call":          refused[generation](`"none"`),
	"functions":              refused[generation]("[]"),
	"modalities":             refused[generation](`["text"]`),
	"parallel_tool_calls":    refused[generation]("true"),
	"prediction":             refused[generation](),
	"reasoning_effort":       refused[generation](`"none"`),
	"tool_choice":            refused[generation](`"none"`, `"auto"`),
	"tools":                  refused[generation]("[]"),
	"verbosity":              refused[generation](`"medium"`),
	"web_search_options":     refused[generation](),
})

// turn is a message that is being decoded.
type turn struct {
	Message
	hasContent bool
}

var turnFields = fields[turn]{
	"role":    role,
	"content": func(t *turn, v value) (err error) { t.Content, err = content(v); t.hasContent = true; return },

	"annotations":       refused[turn]("[]"),
	"audio":             refused[turn](),
	"function_call":     refused[turn](),
	"name":              refused[turn](),
	"reasoning":         refused[turn](),
	"reasoning_content": refused[turn](),
	"refusal":           refused[turn](),
	"tool_call_id":      refused[turn](),
	"tool_calls":        refused[turn]("[]"),
}

func (s *Server) serveChat(x *exchange) error {
	if err := s.generates("chat"); err != nil {
		return err
	}
	body, err := s.body(x)
	if err != nil {
		return err
	}
	g := newGeneration(s, x)
	if err := s.decodeGeneration(g, body, chatFields); err != nil {
		return err
	}
	if len(g.messages) == 0 {
		return missing("messages")
	}
	ids, err := s.chatPrompt(g.messages)
	if err != nil {
		return err
	}
	r, err := g.request(s, x, ids, "messages")
	if err != nil {
		return err
	}
	return s.generate(x, g, []engine.Request{r}, newChatFormat(s, x, g))
}

// generates refuses a request for text when the model makes none.
func (s *Server) generates(what string) error {
	if s.config.Generator == nil {
		path := "/v1/embeddings"
		if s.config.Classes != nil {
			path = "/v1/classify"
		}
		return invalid("model", "unsupported_model", "the model %s is an encoder: it serves %s and has no %s", s.config.Models[0], path, what)
	}
	return nil
}

// decodeGeneration fills g and checks it.
func (s *Server) decodeGeneration(g *generation, body value, known fields[generation]) error {
	if err := decode(g, body, known); err != nil {
		return err
	}
	if err := s.checkModel(g.model); err != nil {
		return err
	}
	return g.check()
}

// chatPrompt renders the chat and turns it into ids.
func (s *Server) chatPrompt(messages []Message) ([]int32, error) {
	if s.config.Template == nil {
		return nil, invalid("model", "unsupported_model", "the model %s has no chat template: use /v1/completions", s.config.Models[0])
	}
	size := 0
	for _, m := range messages {
		size += len(m.Content)
	}
	if err := s.checkSize("messages", size); err != nil {
		return nil, err
	}
	text, err := s.config.Template(messages)
	if err != nil {
		return nil, invalid("messages", "invalid_value", "the model's chat template refuses these messages: %s", quote(err.Error()))
	}
	return s.encode("messages", text, tokenizer.EncodeOptions{ParseSpecial: true, Marked: true})
}

func messages(v value, l *Limits) ([]Message, error) {
	items, err := v.list(l.Messages)
	if err != nil {
		return nil, err
	}
	if len(items) == 0 {
		return nil, invalid(v.path, "invalid_value", "%s is empty: a chat has at least one message", v.path)
	}
	out := make([]Message, len(items))
	for i, item := range items {
		var t turn
		if err := decode(&t, item, turnFields); err != nil {
			return nil, err
		}
		if t.Role == "" {
			return nil, missing(item.path + ".role")
		}
		if !t.hasContent {
			return nil, missing(item.path + ".content")
		}
		out[i] = t.Message
	}
	return out, nil
}

// role reads who speaks. developer is OpenAI's newer name of system, which templates do not know.
func role(t *turn, v value) error {
	name, err := v.text()
	if err != nil {
		return err
	}
	switch name {
	case "system", "user", "assistant":
		t.Role = name
	case "developer":
		t.Role = "system"
	case "tool", "function":
		return invalid(v.path, "unsupported_parameter", "%s is %q, but tools are not served yet", v.path, name)
	default:
		return outOfRange(v, "one of system, developer, user, assistant")
	}
	return nil
}

var partFields = fields[part]{
	"type": func(p *part, v value) (err error) { p.kind, err = v.text(); return },
	"text": func(p *part, v value) (err error) { p.text, err = v.text(); p.given = true; return },

	"file":        refused[part](),
	"image_url":   refused[part](),
	"input_audio": refused[part](),
	"refusal":     refused[part](),
	"video_url":   refused[part](),
}

// part is one piece of a message's content.
type part struct {
	kind  string
	text  string
	given bool
}

// content reads a message's text: a string, or an array of text parts, which are joined by line breaks as vLLM does.
func content(v value) (string, error) {
	switch v.first() {
	case '"':
		return v.text()
	case '[':
	default:
		return "", wrongType(v, "a string or an array of text parts")
	}
	items, err := v.list(4096)
	if err != nil {
		return "", err
	}
	texts := make([]string, len(items))
	for i, item := range items {
		var p part
		if err := decode(&p, item, partFields); err != nil {
			return "", err
		}
		if p.kind != "text" {
			return "", invalid(item.path+".type", "unsupported_parameter", "%s.type is %s, but only text parts are served", item.path, quote(p.kind))
		}
		if !p.given {
			return "", missing(item.path + ".text")
		}
		texts[i] = p.text
	}
	return strings.Join(texts, "\n"), nil
}

// chatFormat writes chat.completion and chat.completion.chunk objects.
type chatFormat struct {
	tokenizer  Tokenizer
	id, model  string
	created    int64
	logprobs   bool
	head, tail string // of each event: what stands before the choice's index, and after its finish reason
	greeted    []bool // choices whose role was sent
}

func newChatFormat(s *Server, x *exchange, g *generation) *chatFormat {
	f := &chatFormat{tokenizer: s.config.Tokenizer, id: "chatcmpl-" + x.id, model: g.model, created: x.created(s),
		logprobs: g.logprobs, greeted: make([]bool, g.n)}
	f.head, f.tail = eventFrame(f.id, "chat.completion.chunk", f.model, f.created, g.usage)
	return f
}

// eventFrame returns what all events of a stream have in common, framed for server-sent events.
func eventFrame(id, object, model string, created int64, withUsage bool) (head, tail string) {
	b := append([]byte(`data: {"id":"`), id...)
	b = append(append(b, `","object":"`...), object...)
	b = strconv.AppendInt(append(b, `","created":`...), created, 10)
	b = appendString(append(b, `,"model":`...), model)
	tail = "}]}\n\n"
	if withUsage {
		tail = "}],\"usage\":null}\n\n"
	}
	return string(append(b, `,"choices":[`...)), tail
}

// usageEvent ends a stream: no choices, but the usage.
func usageEvent(b []byte, head string, u usage) []byte {
	b = append(append(b, head...), `],"usage":`...)
	return append(append(b, mustJSON(u)...), "}\n\n"...)
}

func (f *chatFormat) event(b []byte, e *engine.Event, finish string) []byte {
	if !f.greeted[e.Choice] {
		f.greeted[e.Choice] = true
		b = f.open(b, e.Choice, `{"role":"assistant","content":""}`)
		b = append(append(b, `,"logprobs":null,"finish_reason":null`...), f.tail...)
	}
	if e.Text != "" || len(e.Logprobs) > 0 {
		b = f.open(b, e.Choice, `{"content":`)
		b = append(append(appendString(b, e.Text), '}'), `,"logprobs":`...)
		b = f.appendLogprobs(b, e.Logprobs)
		b = append(append(b, `,"finish_reason":null`...), f.tail...)
	}
	if finish != "" {
		b = f.open(b, e.Choice, `{}`)
		b = append(append(b, `,"logprobs":null,"finish_reason":"`...), finish...)
		b = append(append(b, '"'), f.tail...)
	}
	return b
}

func (f *chatFormat) open(b []byte, index int, delta string) []byte {
	b = strconv.AppendInt(append(append(b, f.head...), `{"index":`...), int64(index), 10)
	return append(append(b, `,"delta":`...), delta...)
}

func (f *chatFormat) appendLogprobs(b []byte, tokens []engine.TokenLogprob) []byte {
	if !f.logprobs {
		return append(b, "null"...)
	}
	return appendChatLogprobs(b, f.tokenizer, tokens)
}

func (f *chatFormat) usage(b []byte, u usage) []byte { return usageEvent(b, f.head, u) }

type chatMessage struct {
	Role    string  `json:"role"`
	Content string  `json:"content"`
	Refusal *string `json:"refusal"`
}

type chatChoice struct {
	Index    int             `json:"index"`
	Message  chatMessage     `json:"message"`
	Logprobs json.RawMessage `json:"logprobs"`
	Finish   string          `json:"finish_reason"`
}

func (f *chatFormat) whole(choices []choice, u usage) any {
	out := make([]chatChoice, len(choices))
	for i := range choices {
		c := &choices[i]
		out[i] = chatChoice{Index: i, Message: chatMessage{Role: "assistant", Content: c.text.String()}, Logprobs: f.appendLogprobs(nil, c.logprobs), Finish: c.finish}
	}
	return struct {
		ID      string       `json:"id"`
		Object  string       `json:"object"`
		Created int64        `json:"created"`
		Model   string       `json:"model"`
		Choices []chatChoice `json:"choices"`
		Usage   usage        `json:"usage"`
	}{f.id, "chat.completion", f.created, f.model, out, u}
}
