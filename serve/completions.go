package serve

import (
	"encoding/json"
	"strconv"
	"unicode/utf8"

	"hone/engine"
	"hone/tokenizer"
)

func init() {
	register(endpoint{pattern: "POST /v1/completions", work: true, serve: (*Server).serveCompletions})
}

// prompt is what one text continues: a text, or ids as they are.
type prompt struct {
	path string
	text string
	ids  []int32 // nil: text counts
}

var completionFields = with(samplingFields, fields[generation]{
	"prompt": func(g *generation, v value) (err error) {
		g.prompts, err = inputs(v, g.limits.Prompts, g.vocab)
		return
	},
	"echo": func(g *generation, v value) (err error) { g.echo, err = v.boolean(); return },
	"logprobs": func(g *generation, v value) (err error) {
		g.logprobs = true
		g.topLogprobs, err = count(v, 0, 20)
		return
	},
	"best_of": func(g *generation, v value) error {
		if _, err := v.integer(1, 1); err != nil {
			return invalid(v.path, "unsupported_parameter", "best_of is not served yet: leave it out or send 1")
		}
		return nil
	},
	"suffix": refused[generation](`""`),
})

// defaultMaxTokens is what OpenAI generates on this endpoint when a request does not say.
const defaultMaxTokens = 16

func (s *Server) serveCompletions(x *exchange) error {
	if err := s.generates("completions"); err != nil {
		return err
	}
	body, err := s.body(x)
	if err != nil {
		return err
	}
	g := newGeneration(s, x)
	if err := s.decodeGeneration(g, body, completionFields); err != nil {
		return err
	}
	requests, err := s.completionRequests(x, g)
	if err != nil {
		return err
	}
	return s.generate(x, g, requests, newCompletionFormat(s, x, g))
}

// completionRequests makes the engine's requests, one for each prompt.
func (s *Server) completionRequests(x *exchange, g *generation) ([]engine.Request, error) {
	switch {
	case len(g.prompts) == 0:
		return nil, missing("prompt")
	case len(g.prompts)*g.n > s.limits.Choices:
		return nil, invalid("n", "invalid_value", "%d prompts with n %d make %d choices, but at most %d are made at once", len(g.prompts), g.n, len(g.prompts)*g.n, s.limits.Choices)
	case g.echo && g.logprobs:
		return nil, invalid("echo", "unsupported_parameter", "echo with logprobs is not served yet, since it needs those of the prompt: leave one of them out")
	}
	set(&g.maxTokens, max(defaultMaxTokens, g.minTokens))
	var out []engine.Request
	for i := range g.prompts {
		p := &g.prompts[i]
		ids, err := s.ids(p)
		if err != nil {
			return nil, err
		}
		r, err := g.request(s, x, ids, p.path)
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
}

// inputs reads what completions call prompt and embeddings call input: a string, an array of strings, an array of ids,
// or an array of arrays of ids.
func inputs(v value, most, vocab int) ([]prompt, error) {
	const want = "a string, an array of strings, an array of token ids, or an array of those"
	if v.first() == '"' {
		text, err := v.text()
		return []prompt{{path: v.path, text: text}}, err
	}
	if v.first() != '[' {
		return nil, wrongType(v, want)
	}
	if len(v.raw) > 1 && startsWithNumber(v.raw[1:]) {
		ids, err := v.ids(vocab)
		return []prompt{{path: v.path, ids: ids}}, err
	}
	items, err := v.list(most)
	if err != nil {
		return nil, err
	}
	if len(items) == 0 {
		return nil, invalid(v.path, "invalid_value", "%s is an empty array", v.path)
	}
	out := make([]prompt, len(items))
	for i, item := range items {
		out[i].path = item.path
		switch item.first() {
		case '"':
			out[i].text, err = item.text()
		case '[':
			out[i].ids, err = item.ids(vocab)
		default:
			err = wrongType(item, "a string or an array of token ids")
		}
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

func startsWithNumber(raw []byte) bool {
	for _, c := range raw {
		switch {
		case c == ' ' || c == '\n' || c == '\r' || c == '\t':
		default:
			return c == '-' || c >= '0' && c <= '9'
		}
	}
	return false
}

// ids returns a prompt's tokens.
func (s *Server) ids(p *prompt) ([]int32, error) {
	if p.ids != nil {
		return p.ids, nil
	}
	if err := s.checkSize(p.path, len(p.text)); err != nil {
		return nil, err
	}
	return s.encode(p.path, p.text, tokenizer.EncodeOptions{AddSpecial: !s.config.NoSpecial, ParseSpecial: true})
}

// encode turns the text of a field into ids.
func (s *Server) encode(param, text string, opt tokenizer.EncodeOptions) ([]int32, error) {
	ids, err := s.config.Tokenizer.Encode(text, opt)
	if err != nil {
		return nil, invalid(param, "invalid_value", "%s: %v", param, err)
	}
	return ids, nil
}

// completionFormat writes text_completion objects, which are the same in a stream and whole.
type completionFormat struct {
	tokenizer  Tokenizer
	id, model  string
	created    int64
	logprobs   bool
	head, tail string
	echo       []string // by choice: the prompt that still has to be sent before the text
	offset     []int    // by choice: where the next token stands in the text, in characters
}

func newCompletionFormat(s *Server, x *exchange, g *generation) *completionFormat {
	f := &completionFormat{tokenizer: s.config.Tokenizer, id: "cmpl-" + x.id, model: g.model, created: x.created(s), logprobs: g.logprobs,
		echo: make([]string, len(g.prompts)*g.n), offset: make([]int, len(g.prompts)*g.n)}
	f.head, f.tail = eventFrame(f.id, "text_completion", f.model, f.created, g.usage)
	if g.echo {
		for i := range f.echo {
			f.echo[i] = s.promptText(&g.prompts[i/g.n])
			f.offset[i] = utf8.RuneCountInString(f.echo[i])
		}
	}
	return f
}

func (s *Server) promptText(p *prompt) string {
	if p.ids != nil {
		return s.config.Tokenizer.Decode(p.ids, false)
	}
	return p.text
}

func (f *completionFormat) event(b []byte, e *engine.Event, finish string) []byte {
	text := f.echo[e.Choice] + e.Text
	f.echo[e.Choice] = ""
	if text == "" && len(e.Logprobs) == 0 && finish == "" {
		return b
	}
	b = strconv.AppendInt(append(append(b, f.head...), `{"index":`...), int64(e.Choice), 10)
	b = appendString(append(b, `,"text":`...), text)
	b = f.appendLogprobs(append(b, `,"logprobs":`...), e.Choice, e.Logprobs)
	b = append(b, `,"finish_reason":`...)
	if finish == "" {
		b = append(b, "null"...)
	} else {
		b = append(append(append(b, '"'), finish...), '"')
	}
	return append(b, f.tail...)
}

func (f *completionFormat) appendLogprobs(b []byte, choice int, tokens []engine.TokenLogprob) []byte {
	if !f.logprobs {
		return append(b, "null"...)
	}
	b, f.offset[choice] = appendLegacyLogprobs(b, f.tokenizer, tokens, f.offset[choice])
	return b
}

func (f *completionFormat) usage(b []byte, u usage) []byte { return usageEvent(b, f.head, u) }

type completionChoice struct {
	Index    int             `json:"index"`
	Text     string          `json:"text"`
	Logprobs json.RawMessage `json:"logprobs"`
	Finish   string          `json:"finish_reason"`
}

func (f *completionFormat) whole(choices []choice, u usage) any {
	out := make([]completionChoice, len(choices))
	for i := range choices {
		c := &choices[i]
		out[i] = completionChoice{Index: i, Text: f.echo[i] + c.text.String(), Logprobs: f.appendLogprobs(nil, i, c.logprobs), Finish: c.finish}
	}
	return struct {
		ID      string             `json:"id"`
		Object  string             `json:"object"`
		Created int64              `json:"created"`
		Model   string             `json:"model"`
		Choices []completionChoice `json:"choices"`
		Usage   usage              `json:"usage"`
	}{f.id, "text_completion", f.created, f.model, out, u}
}
