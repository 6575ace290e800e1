package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"hone/internal/jinja"
)

// Message is one turn of a conversation.
type Message struct {
	Role    string
	Content string
}

// ChatTemplate turns conversations into prompts. It is safe for concurrent use. Templates come with model files and are
// not trusted: package jinja bounds them in time and size.
type ChatTemplate struct {
	template *jinja.Template
	bos, eos string
	now      func() time.Time
	mark     func(text string) string // nil: the special tokens are not known
}

// TemplateError is what a template says when it refuses a conversation (raise_exception).
type TemplateError = jinja.RaisedError

// NewChatTemplate compiles a Jinja chat template; bos and eos are the texts of those tokens.
func NewChatTemplate(source, bos, eos string) (*ChatTemplate, error) {
	t, err := jinja.Compile(source)
	if err != nil {
		return nil, fmt.Errorf("tokenizer: chat template: %w", err)
	}
	return &ChatTemplate{template: t, bos: bos, eos: eos, now: time.Now}, nil
}

// TemplateOf compiles the chat template that came with a tokenizer, with its own BOS and EOS texts. It is nil, without
// an error, when there is none.
func TemplateOf(t Tokenizer) (*ChatTemplate, error) {
	source := t.TemplateSource()
	if source == "" {
		return nil, nil
	}
	p, ok := t.(*pipeline)
	if !ok {
		return NewChatTemplate(source, "", "")
	}
	c, err := NewChatTemplate(source, p.source.bos, p.source.eos)
	if err == nil {
		c.mark = p.mark
	}
	return c, err
}

// Render returns the prompt for messages. extra holds further variables of the template (tools, enable_thinking, …); a
// json.RawMessage among them keeps the order of its keys. With messages nil, extra may hold them in full, with the fields
// that Message lacks. A conversation that the template refuses is a *TemplateError.
func (c *ChatTemplate) Render(messages []Message, addGenerationPrompt bool, extra map[string]any) (string, error) {
	return c.render(messages, addGenerationPrompt, extra, nil)
}

// Prompt is Render for encoding with EncodeOptions.Marked: texts of messages and of extra, and their keys, that spell special
// tokens or end as one begins are marked, so that they stay ordinary text, while those that the template writes are special tokens. Without such texts
// it is what Render returns. The template must be that of TemplateOf.
func (c *ChatTemplate) Prompt(messages []Message, addGenerationPrompt bool, extra map[string]any) (string, error) {
	if c.mark == nil {
		return "", errors.New("tokenizer: chat template: it belongs to no tokenizer, whose special tokens are needed")
	}
	return c.render(messages, addGenerationPrompt, extra, c.mark)
}

func (c *ChatTemplate) render(messages []Message, addGenerationPrompt bool, extra map[string]any, mark func(string) string) (text string, err error) {
	defer caughtPattern(&text, &err) // marking normalises
	vars := jinja.Variables{}
	for name, v := range extra {
		value, err := toValue(v)
		if err != nil {
			return "", fmt.Errorf("tokenizer: chat template: variable %s: %w", name, err)
		}
		vars[name] = value
	}
	if messages != nil || extra["messages"] == nil {
		list := make([]any, len(messages))
		for i, m := range messages {
			list[i] = jinja.NewObject("role", m.Role, "content", m.Content)
		}
		vars["messages"] = jinja.NewList(list)
	}
	if mark != nil {
		for name, v := range vars {
			vars[name] = jinja.MapTexts(v, mark)
		}
	}
	vars["bos_token"], vars["eos_token"], vars["add_generation_prompt"] = c.bos, c.eos, addGenerationPrompt
	out, err := c.template.Render(vars, c.now)
	if err != nil {
		return "", fmt.Errorf("tokenizer: chat template: %w", err)
	}
	return out, nil
}

// toValue converts a variable by way of JSON.
func toValue(v any) (any, error) {
	raw, ok := v.(json.RawMessage)
	if !ok {
		var err error
		if raw, err = json.Marshal(v); err != nil {
			return nil, err
		}
	}
	if !json.Valid(raw) {
		return nil, errors.New("it is not JSON")
	}
	return jinja.FromJSON(raw)
}
