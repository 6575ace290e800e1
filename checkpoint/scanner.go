package checkpoint

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"
)

// scanner reads JSON of a known shape in one pass over the bytes, without building a tree: a header of 100 MB costs no
// more than what is kept of it. It is strict (RFC 8259) and remembers the first error; after one, every call is idle.
type scanner struct {
	data []byte
	pos  int
	err  error
}

// maxDepth bounds the nesting of JSON values; no model file needs more than a few levels.
const maxDepth = 64

func (s *scanner) fail(format string, args ...any) {
	if s.err == nil {
		s.err = fmt.Errorf("JSON at byte %d: %w", s.pos, fmt.Errorf(format, args...))
	}
}

// peek skips white space and returns the next byte, 0 at the end or after an error.
func (s *scanner) peek() byte {
	if s.err != nil {
		return 0
	}
	for s.pos < len(s.data) {
		switch c := s.data[s.pos]; c {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return c
		}
	}
	return 0
}

// eat consumes c if it comes next.
func (s *scanner) eat(c byte) bool {
	if s.peek() != c || s.err != nil || s.pos >= len(s.data) {
		return false
	}
	s.pos++
	return true
}

func (s *scanner) expect(c byte) {
	if !s.eat(c) {
		if s.pos >= len(s.data) {
			s.fail("ends where %q should stand", c)
			return
		}
		s.fail("%q where %q should stand", s.data[s.pos], c)
	}
}

// end fails unless only white space is left.
func (s *scanner) end() {
	if s.peek(); s.err == nil && s.pos < len(s.data) {
		s.fail("more follows the value")
	}
}

// object calls field for every key; field must consume the value.
func (s *scanner) object(field func(key string)) {
	s.expect('{')
	if s.eat('}') {
		return
	}
	for s.err == nil {
		key := s.str()
		s.expect(':')
		if s.err != nil {
			return
		}
		field(key)
		if s.eat('}') {
			return
		}
		s.expect(',')
	}
}

// array calls element for every element; element must consume it.
func (s *scanner) array(element func()) {
	s.expect('[')
	if s.eat(']') {
		return
	}
	for s.err == nil {
		element()
		if s.eat(']') {
			return
		}
		s.expect(',')
	}
}

// rawString returns the bytes of a string with its quotes.
func (s *scanner) rawString() []byte {
	s.expect('"')
	if s.err != nil {
		return nil
	}
	start := s.pos - 1
	for s.pos < len(s.data) {
		switch c := s.data[s.pos]; {
		case c == '"':
			s.pos++
			return s.data[start:s.pos]
		case c == '\\':
			s.pos += 2
		case c < 0x20:
			s.fail("control character %#x in a string", c)
			return nil
		default:
			s.pos++
		}
	}
	s.pos = min(s.pos, len(s.data))
	s.fail("string without an end")
	return nil
}

func (s *scanner) str() string {
	raw := s.rawString()
	if s.err != nil {
		return ""
	}
	inner := raw[1 : len(raw)-1]
	plain := utf8.Valid(inner)
	for _, c := range inner {
		plain = plain && c != '\\'
	}
	if plain {
		return string(inner)
	}
	if !utf8.Valid(inner) {
		s.fail("string is not valid UTF-8")
		return ""
	}
	var out string
	if err := json.Unmarshal(raw, &out); err != nil {
		s.fail("bad string: %v", err)
	}
	return out
}

// count reads a whole number that is not negative and fits an int.
func (s *scanner) count() int {
	s.peek()
	start := s.pos
	for s.err == nil && s.pos < len(s.data) && s.data[s.pos] >= '0' && s.data[s.pos] <= '9' {
		s.pos++
	}
	digits := s.data[start:s.pos]
	if s.err == nil && s.pos < len(s.data) {
		switch s.data[s.pos] {
		case '.', 'e', 'E', '-', '+':
			s.fail("not a whole number of 0 or more")
			return 0
		}
	}
	if s.err == nil && (len(digits) == 0 || len(digits) > 1 && digits[0] == '0') {
		s.fail("a whole number of 0 or more should stand here")
		return 0
	}
	if s.err != nil {
		return 0
	}
	n, err := strconv.ParseUint(string(digits[:min(len(digits), 24)]), 10, 64)
	if err != nil || n > math.MaxInt {
		s.fail("number %s… is out of range", digits[:min(len(digits), 24)])
		return 0
	}
	return int(n)
}

// skip passes over any value, at most depth levels deep.
func (s *scanner) skip(depth int) {
	if depth <= 0 {
		s.fail("nested deeper than %d levels", maxDepth)
		return
	}
	switch s.peek() {
	case '{':
		s.object(func(string) { s.skip(depth - 1) })
	case '[':
		s.array(func() { s.skip(depth - 1) })
	case '"':
		s.rawString()
	default:
		s.literal()
	}
}

// literal passes over a number, true, false or null.
func (s *scanner) literal() {
	if s.err != nil {
		return
	}
	start := s.pos
	for s.pos < len(s.data) {
		c := s.data[s.pos]
		if c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c == 'E' || c == '-' || c == '+' || c == '.' {
			s.pos++
			continue
		}
		break
	}
	if word := s.data[start:s.pos]; len(word) > 64 || !json.Valid(word) {
		s.pos = start
		s.fail("a JSON value should stand here")
	}
}

// jsonObject parses a side file into a map after its nesting was checked; numbers stay json.Number. Doubled keys at the
// top level are refused, since readers differ on which of them counts.
func jsonObject(data []byte) (map[string]any, error) {
	s := &scanner{data: data}
	seen := map[string]bool{}
	s.object(func(key string) {
		if seen[key] {
			s.fail("key %s stands twice", quoteName(key))
		}
		seen[key] = true
		s.skip(maxDepth)
	})
	s.end()
	if s.err != nil {
		return nil, s.err
	}
	return decodeObject(data)
}

var errNoObject = errors.New("JSON: an object should stand here")

// decodeObject decodes JSON whose nesting was checked.
func decodeObject(data []byte) (map[string]any, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var out map[string]any
	if err := d.Decode(&out); err != nil {
		return nil, fmt.Errorf("JSON: %w", err)
	}
	if out == nil {
		return nil, errNoObject
	}
	return out, nil
}
