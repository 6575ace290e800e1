package tokenizer

import (
	"fmt"

	"github.com/ardanlabs/jinja"
)

// Message is one turn of a conversation.
type Message struct {
	Role    string
	Content string
}

// ChatTemplate turns conversations into prompts.
type ChatTemplate struct {
	template *jinja.Template
	bos, eos string
}

// NewChatTemplate compiles a Jinja chat template; bos and eos are the texts of those tokens.
func NewChatTemplate(source, bos, eos string) (*ChatTemplate, error) {
	t, err := jinja.Compile(source)
	if err != nil {
		return nil, fmt.Errorf("tokenizer: chat template: %w", err)
	}
	return &ChatTemplate{t, bos, eos}, nil
}

// Render returns the prompt for messages. extra holds further variables of the template.
func (c *ChatTemplate) Render(messages []Message, addGenerationPrompt bool, extra map[string]any) (out string, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("tokenizer: chat template: %v", r)
		}
	}()
	list := make([]jinja.Value, len(messages))
	for i, m := range messages {
		d := jinja.NewDict()
		d.AsDict().Set("role", jinja.NewString(m.Role))
		d.AsDict().Set("content", jinja.NewString(m.Content))
		list[i] = d
	}
	data := map[string]jinja.Value{"bos_token": jinja.NewString(c.bos), "eos_token": jinja.NewString(c.eos),
		"messages": jinja.NewList(list), "add_generation_prompt": jinja.NewBool(addGenerationPrompt)}
	for k, v := range extra {
		data[k] = jinja.FromGoValue(v)
	}
	return c.template.RenderValues(data)
}
