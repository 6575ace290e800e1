package tokenizer

import (
	"testing"
)

// TestTemplates compares with Python's Jinja2, set up as transformers does (internal/oracle/tokenizers.py golden).
func TestTemplates(t *testing.T) {
	o := readOracle(t)
	for _, c := range o.Templates {
		template, err := NewChatTemplate(c.Source, "<s>", "</s>")
		if err != nil {
			t.Errorf("%q: %v", c.Source, err)
			continue
		}
		got, err := template.Render(o.Messages, true, map[string]any{"tools": o.Tools})
		if err != nil || got != c.Text {
			t.Errorf("%q: %v\n got %q\nwant %q", c.Source, err, got, c.Text)
		}
	}
}
