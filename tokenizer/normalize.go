package tokenizer

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/rivo/uniseg"
)

// normalizer changes the text before it is split.
type normalizer interface {
	normalize(s string) string
}

// normalizers are applied in order.
type normalizers []normalizer

func (n normalizers) normalize(s string) string {
	size := len(s)
	for _, one := range n {
		s = one.normalize(s)
		checkGrowth(size, len(s))
	}
	return s
}

// A normalizer from a file is not trusted: its result is bounded. Those of honest ones, the longest Unicode decomposition
// included, stay below.
const (
	maxGrowth     = 16
	maxGrowthMore = 1 << 16
)

// GrowthError is the error of a text that the normalizer of the tokenizer's file makes too long.
type GrowthError struct{ From, To int } // bytes

func (e *GrowthError) Error() string {
	return fmt.Sprintf("tokenizer: its normalizer makes %d bytes and more of a text of %d: no honest one does; use another tokenizer", e.To, e.From)
}

// checkGrowth panics with a GrowthError, which Encode and build return.
func checkGrowth(from, to int) {
	if to > maxGrowth*from+maxGrowthMore {
		panic(&GrowthError{from, to})
	}
}

// normalizeFunc is a normalizer without settings.
type normalizeFunc func(string) string

func (f normalizeFunc) normalize(s string) string { return f(s) }

// lower maps each character by itself (no final sigma); only U+0130 becomes two.
func lower(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	for _, r := range s {
		if r == 'İ' {
			b.WriteString("i̇")
		} else {
			b.WriteRune(toLower(r))
		}
	}
	return b.String()
}

func stripAccents(s string) string {
	return strings.Map(func(r rune) rune {
		if isMark(r) {
			return -1
		}
		return r
	}, s)
}

// replaceLiteral replaces a string.
type replaceLiteral struct{ old, new string }

func (r replaceLiteral) normalize(s string) string {
	if more := len(r.new) - len(r.old); more > 0 {
		checkGrowth(len(s), len(s)+more*strings.Count(s, r.old)) // before it takes the memory
	}
	return strings.ReplaceAll(s, r.old, r.new)
}

// replaceRegex replaces each match of a pattern by a fixed text.
type replaceRegex struct {
	m   matcher
	new string
}

func (r replaceRegex) normalize(s string) string {
	var b strings.Builder
	for _, sp := range r.m.spans(s) {
		if sp.match {
			checkGrowth(len(s), b.Len()+len(r.new))
			b.WriteString(r.new)
		} else {
			b.WriteString(s[sp.from:sp.to])
		}
	}
	return b.String()
}

// prepend puts a text before every non-empty text.
type prepend string

func (p prepend) normalize(s string) string {
	if s == "" {
		return s
	}
	return string(p) + s
}

// nmt drops control characters and makes every kind of white space a space.
func nmt(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 1 && r <= 8 || r == 0xB || r >= 0xE && r <= 0x1F || r == 0x7F || r == 0x8F || r == 0x9F:
			return -1
		case r == '\t' || r == '\n' || r == '\f' || r == '\r' || r == 0x1680 || r >= 0x200B && r <= 0x200F ||
			r == 0x2028 || r == 0x2029 || r == 0x2581 || r == 0xFEFF || r == 0xFFFD:
			return ' '
		}
		return r
	}, s)
}

func byteLevelText(s string) string { return string(appendByteLevel(nil, s)) }

// normalize is the reference's reading of SentencePiece's table: a short grapheme cluster, else each of its characters,
// becomes what its shortest known beginning becomes.
func (c *charsmap) normalize(s string) string {
	out := make([]byte, 0, len(s)+len(s)/8)
	state, size := -1, len(s)
	for s != "" {
		checkGrowth(size, len(out))
		var cluster string
		if len(s) == 1 || s[0] < utf8.RuneSelf && s[1] < utf8.RuneSelf && s[0] != '\r' {
			cluster, s, state = s[:1], s[1:], -1
		} else {
			cluster, s, _, state = uniseg.FirstGraphemeClusterInString(s, state)
		}
		if len(cluster) < 6 {
			if text, size := c.shortest(cluster); size > 0 {
				out = append(out, text...)
				continue
			}
		}
		for i := 0; i < len(cluster); {
			_, n := utf8.DecodeRuneInString(cluster[i:])
			if text, size := c.shortest(cluster[i : i+n]); size > 0 {
				out = append(out, text...)
			} else {
				out = append(out, cluster[i:i+n]...)
			}
			i += n
		}
	}
	return validUTF8(string(out))
}

// strip takes white space away at the ends.
type strip struct{ left, right bool }

func (t strip) normalize(s string) string {
	if t.left {
		s = strings.TrimLeftFunc(s, isSpace)
	}
	if t.right {
		s = strings.TrimRightFunc(s, isSpace)
	}
	return s
}

// bertNormalizer is BERT's: control characters dropped, white space made plain, spaces around CJK ideographs, accents
// stripped, lower case.
type bertNormalizer struct {
	clean, chinese, accents, lower bool
}

func (n bertNormalizer) normalize(s string) string {
	out := make([]byte, 0, len(s)+len(s)/8)
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf { // a run of other characters, whose form does not depend on the ASCII around it
			end := i
			for end < len(s) && s[end] >= utf8.RuneSelf {
				end++
			}
			out = append(out, n.normalizeRun(s[i:end])...)
			i = end
			continue
		}
		i++
		switch {
		case n.clean && (c == '\t' || c == '\n' || c == '\r'):
			out = append(out, ' ')
		case n.clean && (c < ' ' || c == 0x7F):
		case n.lower && c >= 'A' && c <= 'Z':
			out = append(out, c+'a'-'A')
		default:
			out = append(out, c)
		}
	}
	return string(out)
}

func (n bertNormalizer) normalizeRun(s string) string {
	if n.clean || n.chinese {
		s = n.cleanAndSpace(s)
	}
	if n.accents {
		s = strings.Map(func(r rune) rune {
			if isNonspacing(r) {
				return -1
			}
			return r
		}, nfd(s))
	}
	if n.lower {
		s = lower(s)
	}
	return s
}

func (n bertNormalizer) cleanAndSpace(s string) string {
	var b strings.Builder
	b.Grow(len(s) + len(s)/2)
	for _, r := range s {
		switch {
		case n.clean && isControl(r):
		case n.clean && isSpace(r):
			b.WriteByte(' ')
		case n.chinese && isChinese(r):
			b.WriteByte(' ')
			b.WriteRune(r)
			b.WriteByte(' ')
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

func isChinese(r rune) bool {
	return r >= 0x4E00 && r <= 0x9FFF || r >= 0x3400 && r <= 0x4DBF || r >= 0x20000 && r <= 0x2A6DF ||
		r >= 0x2A700 && r <= 0x2B73F || r >= 0x2B740 && r <= 0x2B81F || r >= 0x2B920 && r <= 0x2CEAF ||
		r >= 0xF900 && r <= 0xFAFF || r >= 0x2F800 && r <= 0x2FA1F
}
