// Package manual lays out the manual of a program: one page, written as plain text, as Markdown, or for man.
package manual

import (
	"fmt"
	"strings"
)

// Page is the manual of one command.
type Page struct {
	Name     string // hone-up
	Short    string // what it does, without a full stop
	Sections []Section
}

// Section is a part of a page.
type Section struct {
	Title  string // Options
	Blocks []Block
}

// Block is a paragraph, lines that stand as they are, or a list of terms. One field is set.
type Block struct {
	Text  string
	Code  []string
	Items []Item
}

// Item is a term and what it means.
type Item struct{ Term, Text string }

// Prose makes blocks of a text: paragraphs end with an empty line, and indented lines stand as they are.
func Prose(text string) []Block {
	var out []Block
	var held []string
	var code bool
	flush := func() {
		switch {
		case len(held) == 0:
		case code:
			out = append(out, Block{Code: Unindent(strings.Join(held, "\n"))})
		default:
			out = append(out, Block{Text: strings.Join(held, " ")})
		}
		held = nil
	}
	for line := range strings.SplitSeq(text, "\n") {
		if indented := strings.HasPrefix(line, "  "); line == "" || indented != code {
			flush()
			code = indented
		}
		if line != "" {
			held = append(held, line)
		}
	}
	flush()
	return out
}

// Unindent splits lines and takes away what all of them are indented by.
func Unindent(text string) []string {
	lines := strings.Split(strings.Trim(text, "\n"), "\n")
	least := -1
	for _, l := range lines {
		if n := len(l) - len(strings.TrimLeft(l, " ")); strings.TrimSpace(l) != "" && (least < 0 || n < least) {
			least = n
		}
	}
	for i, l := range lines {
		lines[i] = strings.TrimRight(l[min(max(least, 0), len(l)):], " ")
	}
	return lines
}

// Text is the page for a terminal of so many columns.
func (p *Page) Text(columns int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n", strings.ReplaceAll(p.Name, "-", " "), lowerFirst(p.Short))
	for _, s := range p.Sections {
		fmt.Fprintf(&b, "\n%s\n", strings.ToUpper(s.Title))
		for i, block := range s.Blocks {
			if i > 0 {
				b.WriteByte('\n')
			}
			block.text(&b, columns)
		}
	}
	return b.String()
}

func (k Block) text(b *strings.Builder, columns int) {
	switch {
	case k.Text != "":
		wrap(b, k.Text, "  ", columns)
	case len(k.Items) > 0:
		for _, item := range k.Items {
			b.WriteString("  " + item.Term + "\n")
			wrap(b, item.Text, "      ", columns)
		}
	}
	for _, line := range k.Code {
		b.WriteString("    " + line + "\n")
	}
}

// wrap writes a text in lines of at most so many columns, each behind an indent.
func wrap(b *strings.Builder, text, indent string, columns int) {
	used := 0
	for _, word := range strings.Fields(text) {
		n := len([]rune(word))
		switch {
		case used == 0:
			b.WriteString(indent)
			used = len(indent)
		case used+1+n > columns:
			b.WriteString("\n" + indent)
			used = len(indent)
		default:
			b.WriteByte(' ')
			used++
		}
		b.WriteString(word)
		used += n
	}
	if used > 0 {
		b.WriteByte('\n')
	}
}

func lowerFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToLower(s[:1]) + s[1:]
}

// Markdown is the page for reading on the web.
func (p *Page) Markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\n%s.\n", strings.ReplaceAll(p.Name, "-", " "), p.Short)
	for _, s := range p.Sections {
		fmt.Fprintf(&b, "\n## %s\n", s.Title)
		for _, k := range s.Blocks {
			b.WriteByte('\n')
			if k.Text != "" {
				wrap(&b, escapeMarkdown(k.Text), "", 120)
			}
			for _, line := range k.Code {
				b.WriteString(strings.TrimRight("    "+line, " ") + "\n")
			}
			if len(k.Items) > 0 {
				b.WriteString("| | |\n|---|---|\n")
			}
			for _, item := range k.Items {
				fmt.Fprintf(&b, "| `%s` | %s |\n", strings.ReplaceAll(item.Term, "|", `\|`), strings.ReplaceAll(escapeMarkdown(item.Text), "|", `\|`))
			}
		}
	}
	return b.String()
}

// escapeMarkdown keeps signs of the text from being read as marks; what stands in backquotes is left alone.
func escapeMarkdown(s string) string {
	parts := strings.Split(s, "`")
	for i := 0; i < len(parts); i += 2 {
		parts[i] = strings.NewReplacer("*", `\*`, "_", `\_`, "<", `\<`).Replace(parts[i])
	}
	return strings.Join(parts, "`")
}

// Roff is the page for man, in section 1. source stands in its footer.
func (p *Page) Roff(source string) string {
	var b strings.Builder
	fmt.Fprintf(&b, ".TH %s 1 \"\" %q \"User Commands\"\n.SH NAME\n%s \\- %s\n", strings.ToUpper(p.Name), source, escapeRoff(p.Name), escapeRoff(lowerFirst(p.Short)))
	for _, s := range p.Sections {
		fmt.Fprintf(&b, ".SH %s\n", strings.ToUpper(s.Title))
		for i, k := range s.Blocks {
			if i > 0 {
				b.WriteString(".PP\n")
			}
			if k.Text != "" {
				b.WriteString(escapeRoff(k.Text) + "\n")
			}
			if len(k.Code) > 0 {
				fmt.Fprintf(&b, ".nf\n%s\n.fi\n", escapeRoff(strings.Join(k.Code, "\n")))
			}
			for _, item := range k.Items {
				fmt.Fprintf(&b, ".TP\n.B %s\n%s\n", escapeRoff(item.Term), escapeRoff(item.Text))
			}
		}
	}
	return b.String()
}

// escapeRoff keeps a text from being read as requests.
func escapeRoff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`, "`", `\(ga`).Replace(s)
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		if strings.HasPrefix(l, ".") || strings.HasPrefix(l, "'") {
			lines[i] = `\&` + l
		}
	}
	return strings.Join(lines, "\n")
}
