package tokenizer

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestRaiseException(t *testing.T) {
	c, err := NewChatTemplate("{{ raise_exception('no ' + messages[0].role) }}", "", "")
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Render([]Message{{"user", "hi"}}, true, nil)
	var refused *TemplateError
	if !errors.As(err, &refused) || refused.Message != "no user" {
		t.Errorf("got %v", err)
	}
}

func TestStrftimeNow(t *testing.T) {
	c, err := NewChatTemplate("{{ strftime_now('%d %b %Y, %A %H:%M %%') }}|{{ strftime_now('%-d') }}", "", "")
	if err != nil {
		t.Fatal(err)
	}
	c.now = func() time.Time { return time.Date(2026, 7, 4, 9, 5, 0, 0, time.UTC) }
	got, err := c.Render(nil, false, nil)
	if want := "04 Jul 2026, Saturday 09:05 %|4"; err != nil || got != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

// TestLargeConversation is within the limits: a megabyte of prompt in a thousand messages.
func TestLargeConversation(t *testing.T) {
	c, err := NewChatTemplate("{% set ns = namespace(all='') %}{% for m in messages %}{% set text = m.content | trim %}{{ m.role }}: {{ text }}\n{% endfor %}", "", "")
	if err != nil {
		t.Fatal(err)
	}
	messages := make([]Message, 1000)
	for i := range messages {
		messages[i] = Message{"user", strings.Repeat("word ", 200)}
	}
	out, err := c.Render(messages, true, nil)
	if want := 1000 * (len("user: ") + 999 + 1); err != nil || len(out) != want {
		t.Errorf("%d bytes, %v, want %d", len(out), err, want)
	}
}

// SmolLM2's own template puts its default system text in only when there is no system message.
func TestDefaultSystemText(t *testing.T) {
	c, err := NewChatTemplate(smolLM2(t).TemplateSource(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	without, err := c.Render([]Message{{"user", "hi"}}, false, nil)
	if err != nil || !strings.HasPrefix(without, "<|im_start|>system\nYou are a helpful AI assistant") {
		t.Errorf("%q, %v", without, err)
	}
	with, err := c.Render([]Message{{"system", "S"}, {"user", "hi"}}, false, nil)
	if want := "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nhi<|im_end|>\n"; err != nil || with != want {
		t.Errorf("%q, %v, want %q", with, err, want)
	}
}
