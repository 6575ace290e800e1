package tokenizer

import (
	"encoding/json"
	"testing"
	"time"
)

type chatFile struct {
	Cases     map[string]map[string]json.RawMessage
	Templates []struct {
		Name, Source string
		Texts        map[string]*string
	}
}

// TestChatTemplates compares with Python's Jinja2 (internal/oracle/chat.py): text equal, or an error where it raises.
func TestChatTemplates(t *testing.T) {
	var f chatFile
	if err := json.Unmarshal([]byte(readText(t, "testdata/chat.json")), &f); err != nil {
		t.Fatal(err)
	}
	if len(f.Templates) < 30 {
		t.Fatal("the oracle's file is too small")
	}
	for _, template := range f.Templates {
		t.Run(template.Name, func(t *testing.T) {
			c, err := NewChatTemplate(template.Source, "<s>", "</s>")
			if err != nil {
				t.Fatal(err)
			}
			c.now = func() time.Time { return time.Date(2026, 7, 4, 9, 5, 0, 0, time.UTC) }
			for name, want := range template.Texts {
				got, err := renderCase(c, f.Cases[name])
				switch {
				case want == nil && err == nil:
					t.Errorf("%s: no error, but %q", name, got)
				case want != nil && (err != nil || got != *want):
					t.Errorf("%s: %v\n got %q\nwant %q", name, err, got, *want)
				}
			}
		})
	}
}

func renderCase(c *ChatTemplate, variables map[string]json.RawMessage) (string, error) {
	extra := map[string]any{}
	for name, raw := range variables {
		if name != "add_generation_prompt" {
			extra[name] = raw
		}
	}
	return c.Render(nil, string(variables["add_generation_prompt"]) == "true", extra)
}
