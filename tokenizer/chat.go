package tokenizer

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/ardanlabs/jinja"
)

// Message is one turn of a conversation.
type Message struct {
	Role    string
	Content string
}

// ChatTemplate turns conversations into prompts. It is safe for concurrent use.
//
// Templates come with model files and are not trusted. The template engine has no limits of its own, so the source is
// rewritten first (chat_guard.go): loops, macro calls, outputs and assignments report to a budget, operations that can
// multiply the size of a value are replaced by bounded ones, and what cannot be bounded is refused by name.
type ChatTemplate struct {
	template *jinja.Template
	bos, eos string
	now      func() time.Time
}

// TemplateError is what a template says when it refuses a conversation (raise_exception).
type TemplateError struct{ Message string }

func (e *TemplateError) Error() string { return e.Message }

// NewChatTemplate compiles a Jinja chat template; bos and eos are the texts of those tokens.
func NewChatTemplate(source, bos, eos string) (c *ChatTemplate, err error) {
	defer recoverTemplate(&err)
	guarded, err := guardTemplate(source)
	if err != nil {
		return nil, fmt.Errorf("tokenizer: chat template: %w", err)
	}
	t, err := jinja.Compile(guarded)
	if err != nil {
		return nil, fmt.Errorf("tokenizer: chat template: %w", err)
	}
	return &ChatTemplate{t, bos, eos, time.Now}, nil
}

// recoverTemplate turns a panic of the template engine into an error: the template is data.
func recoverTemplate(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("tokenizer: chat template: %v", r)
	}
}

// Render returns the prompt for messages. extra holds further variables of the template (tools, enable_thinking, …); a
// json.RawMessage among them keeps the order of its keys. A conversation that the template refuses is a *TemplateError.
func (c *ChatTemplate) Render(messages []Message, addGenerationPrompt bool, extra map[string]any) (out string, err error) {
	defer recoverTemplate(&err)
	b := newBudget(c.now)
	list := make([]jinja.Value, len(messages))
	for i, m := range messages {
		d := jinja.NewDict()
		d.AsDict().Set("role", jinja.NewString(m.Role))
		d.AsDict().Set("content", jinja.NewString(m.Content))
		list[i] = d
	}
	data := b.functions()
	set := func(name string, v jinja.Value) error {
		data[name] = v
		return b.input(v)
	}
	for _, name := range slices.Sorted(mapKeys(extra)) {
		v, err := toValue(extra[name])
		if err == nil {
			err = set(name, v)
		}
		if err != nil {
			return "", fmt.Errorf("tokenizer: chat template: variable %s: %w", name, err)
		}
	}
	data["bos_token"], data["eos_token"] = jinja.NewString(c.bos), jinja.NewString(c.eos)
	data["add_generation_prompt"] = jinja.NewBool(addGenerationPrompt)
	if err := set("messages", jinja.NewList(list)); err != nil {
		return "", fmt.Errorf("tokenizer: chat template: %w", err)
	}
	if out, err = c.template.RenderValues(data); err != nil {
		return "", fmt.Errorf("tokenizer: chat template: %w", err)
	}
	return out, nil
}

func mapKeys(m map[string]any) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// toValue converts a variable; Go maps lose their order, so JSON text is the better form for them.
func toValue(v any) (jinja.Value, error) {
	switch v := v.(type) {
	case json.RawMessage:
		d := json.NewDecoder(bytes.NewReader(v))
		d.UseNumber()
		return decodeOrdered(d, 0)
	case []string:
		list := make([]jinja.Value, len(v))
		for i, s := range v {
			list[i] = jinja.NewString(s)
		}
		return jinja.NewList(list), nil
	}
	return jinja.FromGoValue(v), nil
}

// decodeOrdered reads one JSON value and keeps the order of keys.
func decodeOrdered(d *json.Decoder, depth int) (jinja.Value, error) {
	if depth > maxValueDepth {
		return jinja.None(), fmt.Errorf("JSON is nested more than %d deep", maxValueDepth)
	}
	token, err := d.Token()
	if err != nil {
		return jinja.None(), err
	}
	switch t := token.(type) {
	case json.Delim:
		if t == '[' {
			return decodeList(d, depth)
		}
		return decodeDict(d, depth)
	case json.Number:
		if n, err := t.Int64(); err == nil {
			return jinja.NewInt(n), nil
		}
		f, err := t.Float64()
		return jinja.NewFloat(f), err
	}
	return jinja.FromGoValue(token), nil
}

func decodeList(d *json.Decoder, depth int) (jinja.Value, error) {
	var items []jinja.Value
	for d.More() {
		v, err := decodeOrdered(d, depth+1)
		if err != nil {
			return v, err
		}
		items = append(items, v)
	}
	_, err := d.Token()
	return jinja.NewList(items), err
}

func decodeDict(d *json.Decoder, depth int) (jinja.Value, error) {
	out := jinja.NewDict()
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return out, err
		}
		v, err := decodeOrdered(d, depth+1)
		if err != nil {
			return out, err
		}
		out.AsDict().Set(key.(string), v)
	}
	_, err := d.Token()
	return out, err
}
