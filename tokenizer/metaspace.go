package tokenizer

import "strings"

// metaspace writes spaces as a replacement character, puts one before the text, and cuts before each.
type metaspace struct {
	replacement string
	scheme      string // where the first goes: "always", "first" (at the front of the whole text), "never"
	cut         bool
}

// newMetaspace reads both forms of the component: prepend_scheme, or add_prefix_space in older files.
func newMetaspace(p *part) (metaspace, error) {
	m := metaspace{replacement: p.Replacement, scheme: "always", cut: p.Split == nil || *p.Split}
	if m.replacement == "" {
		m.replacement = phantomSpace
	}
	if p.AddPrefixSpace != nil && !*p.AddPrefixSpace {
		m.scheme = "never"
	}
	if p.PrependScheme != nil {
		m.scheme = *p.PrependScheme
	}
	switch m.scheme {
	case "always", "first", "never":
		return m, nil
	}
	return m, &UnsupportedError{"prepend_scheme", m.scheme, "always, first and never are supported"}
}

func (m metaspace) split(dst []piece, p piece) []piece {
	text := strings.ReplaceAll(p.text, " ", m.replacement)
	if (m.scheme == "always" || m.scheme == "first" && p.front > 0) && !strings.HasPrefix(text, m.replacement) {
		text = m.replacement + text
	}
	if !m.cut {
		return append(dst, piece{text, p.front})
	}
	return patternSplit{literalMatcher(m.replacement), mergedWithNext, false}.split(dst, piece{text, p.front})
}
