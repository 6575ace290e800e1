package manual

import (
	"strings"
	"testing"
)

var page = Page{Name: "hone-up", Short: "Find a variant", Sections: []Section{
	{"Synopsis", []Block{{Code: []string{"hone up MODEL"}}}},
	{"Description", Prose("First paragraph\nover two lines with `code_span` and a_b*c.\n  indented\n    more\n\n.dot first")},
	{"Options", []Block{{Items: []Item{{"--a-flag FILE|-", "what it does"}, {"--b", "back\\slash"}}}}},
}}

func TestText(t *testing.T) {
	want := `hone up: find a variant

SYNOPSIS
    hone up MODEL

DESCRIPTION
  First paragraph over two
  lines with ` + "`code_span`" + ` and
  a_b*c.

    indented
      more

  .dot first

OPTIONS
  --a-flag FILE|-
      what it does
  --b
      back\slash
`
	if got := page.Text(28); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

func TestMarkdown(t *testing.T) {
	want := "# hone up\n\nFind a variant.\n\n## Synopsis\n\n    hone up MODEL\n\n## Description\n\n" +
		"First paragraph over two lines with `code_span` and a\\_b\\*c.\n\n    indented\n      more\n\n.dot first\n\n" +
		"## Options\n\n| | |\n|---|---|\n| `--a-flag FILE\\|-` | what it does |\n| `--b` | back\\slash |\n"
	if got := page.Markdown(); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

func TestRoff(t *testing.T) {
	got := page.Roff("hone 1")
	for _, want := range []string{
		".TH HONE-UP 1 \"\" \"hone 1\" \"User Commands\"\n.SH NAME\nhone\\-up \\- find a variant\n.SH SYNOPSIS\n.nf\nhone up MODEL\n.fi\n",
		".nf\nindented\n  more\n.fi\n.PP\n\\&.dot first\n", ".TP\n.B \\-\\-a\\-flag FILE|\\-\nwhat it does\n", "back\\eslash",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}
