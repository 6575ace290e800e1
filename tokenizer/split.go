package tokenizer

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/dlclark/regexp2/v2"
)

// splitter is one step of a pre-tokenizer: it cuts a piece into smaller ones.
type splitter interface {
	split(dst []piece, p piece) []piece
}

// piece is a part of the text. front is how many bytes at its beginning come from the first character of the whole text.
type piece struct {
	text  string
	front int
}

// part cuts from a piece.
func (p piece) part(from, to int) piece { return piece{p.text[from:to], max(0, p.front-from)} }

// splitEach cuts a piece by all steps and calls yield for each part in order. bufs holds one list for each step, which
// are used again for the next piece, so that a long text costs no more memory than its first cut.
func splitEach(steps []splitter, p piece, bufs [][]piece, yield func(piece)) {
	if len(steps) == 0 {
		yield(p)
		return
	}
	parts := steps[0].split(bufs[0][:0], p)
	bufs[0] = parts
	for _, part := range parts {
		splitEach(steps[1:], part, bufs[1:], yield)
	}
}

// behavior says what becomes of the matches of a splitting pattern.
type behavior int

const (
	removed            behavior = iota // matches are dropped
	isolated                           // a match is a piece
	mergedWithPrevious                 // a match is joined to the text before it
	mergedWithNext                     // … after it
	contiguous                         // neighbouring matches are one piece
)

var behaviors = map[string]behavior{
	"Removed": removed, "Isolated": isolated, "MergedWithPrevious": mergedWithPrevious,
	"MergedWithNext": mergedWithNext, "Contiguous": contiguous,
}

// span is a part of a piece that matched or lay between matches.
type span struct {
	from, to int
	match    bool
}

// matcher lists the spans of a piece in order, without gaps.
type matcher interface {
	spans(piece string) []span
}

// patternSplit cuts by a matcher.
type patternSplit struct {
	m      matcher
	mode   behavior
	invert bool
}

// isolator is a matcher that appends its spans as pieces itself.
type isolator interface {
	isolate(dst []piece, p piece) []piece
}

func (s patternSplit) split(dst []piece, p piece) []piece {
	if s.mode == isolated && !s.invert {
		if m, ok := s.m.(isolator); ok {
			return m.isolate(dst, p)
		}
	}
	spans := s.m.spans(p.text)
	if s.invert {
		for i := range spans {
			spans[i].match = !spans[i].match
		}
	}
	for _, sp := range applyBehavior(spans, s.mode) {
		if sp.from < sp.to {
			dst = append(dst, p.part(sp.from, sp.to))
		}
	}
	return dst
}

func applyBehavior(spans []span, mode behavior) []span {
	switch mode {
	case isolated:
		return spans
	case removed:
		out := spans[:0]
		for _, sp := range spans {
			if !sp.match {
				out = append(out, sp)
			}
		}
		return out
	case mergedWithNext:
		return mergeNext(spans)
	}
	out := spans[:0:0]
	previous := false
	for _, sp := range spans {
		join := mode == mergedWithPrevious && sp.match && !previous || mode == contiguous && sp.match == previous
		previous = sp.match
		if join && len(out) > 0 {
			out[len(out)-1].to = sp.to
		} else {
			out = append(out, sp)
		}
	}
	return out
}

func mergeNext(spans []span) []span {
	out := make([]span, len(spans))
	at := len(spans)
	previous := false
	for i := len(spans) - 1; i >= 0; i-- {
		if spans[i].match && !previous && at < len(spans) {
			out[at].from = spans[i].from
		} else {
			at--
			out[at] = spans[i]
		}
		previous = spans[i].match
	}
	return out[at:]
}

// runeMatcher matches each character that a predicate takes.
type runeMatcher func(rune) bool

func (m runeMatcher) spans(piece string) []span {
	var out []span
	from := 0
	for i, r := range piece {
		if !m(r) {
			continue
		}
		if from < i {
			out = append(out, span{from, i, false})
		}
		from = i + utf8.RuneLen(r)
		out = append(out, span{i, from, true})
	}
	return closeSpans(out, from, len(piece))
}

func closeSpans(out []span, from, end int) []span {
	if from < end {
		out = append(out, span{from, end, false})
	}
	return out
}

// literalMatcher matches a string.
type literalMatcher string

func (m literalMatcher) spans(piece string) []span {
	var out []span
	from := 0
	for m != "" {
		at := strings.Index(piece[from:], string(m))
		if at < 0 {
			break
		}
		if at > 0 {
			out = append(out, span{from, from + at, false})
		}
		out = append(out, span{from + at, from + at + len(m), true})
		from += at + len(m)
	}
	return closeSpans(out, from, len(piece))
}

// patternTrailing as an expression takes quadratic time on long white space that is not at the end.
const patternTrailing = `\s+$`

// trailingSpace matches patternTrailing: white space up to the end of the piece, or up to the last newline in its run.
type trailingSpace struct{}

func (trailingSpace) spans(piece string) []span {
	var out []span
	from := 0
	for i := 0; i < len(piece); {
		class, size := classAt(piece, i)
		if class != classSpace {
			i += size
			continue
		}
		end := scanRun(piece, i, classSpace)
		stop := end
		if end < len(piece) {
			stop = i + max(0, strings.LastIndexByte(piece[i:end], '\n'))
		}
		if stop > i {
			out = append(closeSpans(out, from, i), span{i, stop, true})
			from = stop
		}
		i = end
	}
	return closeSpans(out, from, len(piece))
}

// isolate leaves a piece without white space as it is, which spares the usual case a list.
func (m trailingSpace) isolate(dst []piece, p piece) []piece {
	if p.text != "" && strings.IndexFunc(p.text, isSpace) < 0 {
		return append(dst, p)
	}
	for _, sp := range m.spans(p.text) {
		dst = append(dst, p.part(sp.from, sp.to))
	}
	return dst
}

// scanMatcher matches by a hand-written scanner: everything is a match.
type scanMatcher scanner

func (m scanMatcher) spans(piece string) []span {
	var out []span
	for i := 0; i < len(piece); {
		end := m(piece, i)
		out = append(out, span{i, end, true})
		i = end
	}
	return out
}

func (m scanMatcher) isolate(dst []piece, p piece) []piece {
	for i := 0; i < len(p.text); {
		end := m(p.text, i)
		dst = append(dst, p.part(i, end))
		i = end
	}
	return dst
}

// Limits of a pattern from a file, which is not trusted. They lie far above what an honest pattern takes (a megabyte a
// second and more), and a text that meets them is refused: cut in another way it would get other ids.
var (
	searchTimeout = 10 * time.Second // one search
	pieceTimeout  = 10 * time.Second // all searches in one piece, and
	byteTimeout   = 16 * time.Microsecond
)

// PatternError is the error of a text on which a pattern of the tokenizer's file takes too long.
type PatternError struct {
	Pattern string
	Bytes   int // of the text
}

func (e *PatternError) Error() string {
	return fmt.Sprintf("tokenizer: its pattern %s takes too long on a text of %d bytes: shorten the text, or use a tokenizer with a simpler pattern",
		quote(e.Pattern), e.Bytes)
}

// UnknownTextError is the error of a text for which the tokenizer has neither tokens nor an unknown token.
type UnknownTextError struct{ Text string }

func (e *UnknownTextError) Error() string {
	return "tokenizer: no token for " + quote(e.Text) + ", and the vocabulary has no unknown token"
}

// caughtPattern turns the panic of a regexMatcher, of a normalizer whose result is too long, or of a model without an unknown
// token, into an error without a result.
func caughtPattern[T any](result *T, err *error) {
	switch p := recover().(type) {
	case nil:
	case *PatternError:
		*result, *err = *new(T), p
	case *UnknownTextError:
		*result, *err = *new(T), p
	case *GrowthError:
		*result, *err = *new(T), p
	default:
		panic(p)
	}
}

// regexMatcher matches a pattern. One that takes too long panics with a PatternError, which Encode and build return.
type regexMatcher struct {
	re     *regexp2.Regexp
	limits time.Duration // of a piece, before what its length adds
}

// maxPattern bounds the work of reading a pattern, which grows with the square of its bytes; real ones have a few hundred.
const maxPattern = 1 << 16

func newRegexMatcher(pattern string) (*regexMatcher, error) {
	if len(pattern) > maxPattern {
		return nil, fmt.Errorf("a pattern has %d bytes, at most %d are allowed", len(pattern), maxPattern)
	}
	rewritten, err := portable(pattern)
	if err != nil {
		return nil, err
	}
	re, err := regexp2.Compile(rewritten, regexp2.Multiline) // the reference's ^ and $ are those of a line
	if err != nil {
		return nil, err
	}
	m := &regexMatcher{re: re}
	m.limit(searchTimeout, pieceTimeout)
	return m, nil
}

func (m *regexMatcher) limit(search, piece time.Duration) {
	m.re.MatchTimeout, m.limits = search, piece
}

func (m *regexMatcher) spans(piece string) []span {
	runes := []rune(piece)
	out := make([]span, 0, len(piece)/4+1)
	from, at, searches := 0, 0, 0 // bytes done, runes done
	deadline := time.Now().Add(m.limits + time.Duration(len(piece))*byteTimeout)
	late := false
	err := m.re.FindRunesMatches(runes, 0, func(v regexp2.MatchView) bool {
		searches++
		late = searches%64 == 0 && time.Now().After(deadline)
		index, length, _ := v.GroupRange(0)
		if length == 0 && index == at { // of empty matches the reference takes those that do not touch the one before
			return !late
		}
		start := from
		for ; at < index; at++ {
			start += utf8.RuneLen(runes[at])
		}
		end := start
		for ; at < index+length; at++ {
			end += utf8.RuneLen(runes[at])
		}
		out = closeSpans(out, from, start)
		out = append(out, span{start, end, true})
		from = end
		return !late
	})
	if err != nil || late {
		panic(&PatternError{m.re.String(), len(piece)})
	}
	return closeSpans(out, from, len(piece))
}

// prefixSpace puts a space before a piece that begins with none, then cuts by next.
type prefixSpace struct{ next splitter }

func (s prefixSpace) split(dst []piece, p piece) []piece {
	if !strings.HasPrefix(p.text, " ") {
		p.text = " " + p.text
	}
	if s.next == nil {
		return append(dst, p)
	}
	return s.next.split(dst, p)
}

// overBytes is a step that comes after the byte-level alphabet was applied: it sees that text.
type overBytes struct{ next splitter }

func (s overBytes) split(dst []piece, p piece) []piece {
	mapped := string(appendByteLevel(nil, p.text))
	for _, part := range s.next.split(nil, piece{mapped, p.front}) {
		dst = append(dst, piece{string(appendBytes(nil, part.text)), part.front})
	}
	return dst
}

// bertSplit drops white space and isolates punctuation.
type bertSplit struct{}

func (s bertSplit) split(dst []piece, p piece) []piece {
	s.each(p.text, func(from, to int) { dst = append(dst, p.part(from, to)) })
	return dst
}

// each yields the parts of piece in order.
func (bertSplit) each(piece string, yield func(from, to int)) {
	from := 0
	for i := 0; i < len(piece); {
		space, punct, size := bertClass(piece, i)
		if space || punct {
			if from < i {
				yield(from, i)
			}
			from = i + size
		}
		if punct {
			yield(i, i+size)
		}
		i += size
	}
	if from < len(piece) {
		yield(from, len(piece))
	}
}

func bertClass(s string, i int) (space, punct bool, size int) {
	if c := s[i]; c < utf8.RuneSelf {
		return asciiClass[c] == classSpace, isASCIIPunct(c), 1
	}
	r, n := utf8.DecodeRuneInString(s[i:])
	return isSpace(r), isPunct(r), n
}

func isASCIIPunct(c byte) bool {
	return c >= '!' && c <= '/' || c >= ':' && c <= '@' || c >= '[' && c <= '`' || c >= '{' && c <= '~'
}

func isNumeric(r rune) bool { return runeClass(r) == classNumber }
