package serve

import (
	"bytes"
	"encoding/json"
	"math"
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"

	"hone/internal/spelling"
)

// value is one JSON value of a request and the path that leads to it, such as messages[0].content. Its readers take
// exactly the type they name and return an error that says what was there instead.
type value struct {
	path string // "" for the body itself
	raw  json.RawMessage
}

// fields is everything that an object of the API may hold: a name that is not in it is refused. null counts as absent.
type fields[R any] map[string]func(*R, value) error

// parseBody checks what holds for the whole body: valid UTF-8 and valid JSON.
func parseBody(body []byte) (value, error) {
	if i := invalidUTF8(body); i >= 0 {
		return value{}, invalid("", "invalid_utf8", "the request body is not valid UTF-8: byte %d is 0x%02x", i, body[i])
	}
	var probe json.RawMessage
	if err := json.Unmarshal(body, &probe); err != nil {
		return value{}, invalid("", "invalid_json", "the request body is not valid JSON: %v", err)
	}
	return value{raw: bytes.TrimSpace(body)}, nil
}

// invalidUTF8 returns the index of the first byte that is no part of valid UTF-8, or -1.
func invalidUTF8(b []byte) int {
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return -1
}

// decode fills r from an object, field by field in the order in which they stand.
func decode[R any](r *R, v value, known fields[R]) error {
	members, err := v.members()
	if err != nil {
		return err
	}
	for _, m := range members {
		set, ok := known[m.key]
		if !ok {
			near := nearest(m.key, known)
			return invalid(m.path, "unknown_parameter", "unknown field %s; the nearest known one is %q", quote(m.path), near)
		}
		if m.isNull() {
			continue
		}
		if err := set(r, m.value); err != nil {
			return err
		}
	}
	return nil
}

// ignored is the setter of a field that changes nothing here and does no harm.
func ignored[R any](*R, value) error { return nil }

// refused is the setter of a known field that is not served: it takes null and the given neutral values (compact JSON).
func refused[R any](neutral ...string) func(*R, value) error {
	return func(_ *R, v value) error {
		compact := v.compact()
		for _, n := range neutral {
			if compact == n {
				return nil
			}
		}
		hint := "leave it out"
		if len(neutral) > 0 {
			hint = "leave it out or send " + strings.Join(neutral, " or ")
		}
		return invalid(v.path, "unsupported_parameter", "%s is not served yet: %s", v.name(), hint)
	}
}

// with merges field tables; a later one wins.
func with[R any](tables ...fields[R]) fields[R] {
	out := fields[R]{}
	for _, t := range tables {
		for k, v := range t {
			out[k] = v
		}
	}
	return out
}

type member struct {
	value
	key string
}

// members splits an object. A name that stands twice is refused: readers disagree about which one counts.
func (v value) members() ([]member, error) {
	if v.first() != '{' {
		return nil, wrongType(v, "an object")
	}
	dec := json.NewDecoder(bytes.NewReader(v.raw))
	dec.Token()
	var out []member
	seen := map[string]bool{}
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return nil, invalid(v.path, "invalid_json", "%s is not valid JSON", v.name())
		}
		key, _ := t.(string)
		m := member{value: value{path: v.child(key)}, key: key}
		if seen[key] {
			return nil, invalid(m.path, "invalid_json", "the field %s stands twice", quote(m.path))
		}
		seen[key] = true
		if err := dec.Decode(&m.raw); err != nil {
			return nil, invalid(m.path, "invalid_json", "%s is not valid JSON", m.name())
		}
		out = append(out, m)
	}
	return out, nil
}

// list splits an array of at most most items.
func (v value) list(most int) ([]value, error) {
	if v.first() != '[' {
		return nil, wrongType(v, "an array")
	}
	var raw []json.RawMessage
	if err := json.Unmarshal(v.raw, &raw); err != nil {
		return nil, wrongType(v, "an array")
	}
	if len(raw) > most {
		return nil, invalid(v.path, "invalid_value", "%s has %d items, but at most %d are taken", v.name(), len(raw), most)
	}
	out := make([]value, len(raw))
	for i, r := range raw {
		out[i] = value{path: v.path + "[" + strconv.Itoa(i) + "]", raw: r}
	}
	return out, nil
}

func (v value) text() (string, error) {
	if v.first() != '"' {
		return "", wrongType(v, "a string")
	}
	var s string
	if err := json.Unmarshal(v.raw, &s); err != nil {
		return "", wrongType(v, "a string")
	}
	if loneSurrogate(v.raw) {
		return "", invalid(v.path, "invalid_utf8", `%s holds half of a surrogate pair (\ud800 to \udfff), which is no character`, v.name())
	}
	return s, nil
}

func (v value) boolean() (bool, error) {
	switch string(v.raw) {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, wrongType(v, "true or false")
}

// integer reads a whole number from low to high.
func (v value) integer(low, high int64) (int64, error) {
	if !v.isNumber() {
		return 0, wrongType(v, "an integer")
	}
	n, err := strconv.ParseInt(string(v.raw), 10, 64)
	if err != nil && bytes.ContainsAny(v.raw, ".eE") {
		return 0, wrongType(v, "an integer")
	}
	if err != nil || n < low || n > high {
		return 0, outOfRange(v, "from "+strconv.FormatInt(low, 10)+" to "+strconv.FormatInt(high, 10))
	}
	return n, nil
}

// number reads a finite number from low to high.
func (v value) number(low, high float64) (float64, error) {
	if !v.isNumber() {
		return 0, wrongType(v, "a number")
	}
	x, err := strconv.ParseFloat(string(v.raw), 64)
	if err != nil || !(x >= low && x <= high) {
		return 0, outOfRange(v, "from "+decimal(low)+" to "+decimal(high))
	}
	return x, nil
}

func decimal(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }

// ids reads an array of token ids below vocab. It takes a path of its own since prompts of ids are long.
func (v value) ids(vocab int) ([]int32, error) {
	var raw []json.Number
	quoted := bytes.IndexByte(v.raw, '"') >= 0 // encoding/json reads "1" as a number too
	if v.first() != '[' || quoted || json.Unmarshal(v.raw, &raw) != nil {
		return nil, wrongType(v, "an array of token ids")
	}
	out := make([]int32, len(raw))
	for i, s := range raw {
		n, err := strconv.ParseUint(string(s), 10, 31)
		if err != nil || n >= uint64(vocab) {
			item := value{path: v.path + "[" + strconv.Itoa(i) + "]", raw: json.RawMessage(s)}
			return nil, outOfRange(item, "a token id from 0 to "+strconv.Itoa(vocab-1))
		}
		out[i] = int32(n)
	}
	return out, nil
}

func (v value) first() byte {
	if len(v.raw) == 0 {
		return 0
	}
	return v.raw[0]
}

func (v value) isNull() bool   { return v.first() == 'n' }
func (v value) isNumber() bool { c := v.first(); return c == '-' || c >= '0' && c <= '9' }

func (v value) name() string {
	if v.path == "" {
		return "the request body"
	}
	return strings.ToValidUTF8(v.path, "")
}

func (v value) child(key string) string {
	if len(key) > 64 {
		key = strings.ToValidUTF8(key[:64], "") + "…"
	}
	if v.path == "" {
		return key
	}
	return v.path + "." + key
}

// show is the value for a message: scalars as they stand, cut; the kind of anything longer.
func (v value) show() string {
	switch c := v.first(); {
	case c == '{':
		return "an object"
	case c == '[':
		return "an array"
	case c == '"' && len(v.raw) > 60:
		return "a string of " + strconv.Itoa(len(v.raw)-2) + " bytes"
	case len(v.raw) > 60:
		return string(v.raw[:60]) + "…"
	case c == 0:
		return "nothing"
	}
	return string(v.raw)
}

func (v value) compact() string {
	var b bytes.Buffer
	if json.Compact(&b, v.raw) != nil {
		return ""
	}
	return b.String()
}

// loneSurrogate tells whether a JSON string holds an escape that is half of a pair. encoding/json would replace it with
// U+FFFD without a word.
func loneSurrogate(raw []byte) bool {
	unit := func(i int) (uint64, bool) {
		if i+6 > len(raw) || raw[i] != '\\' || raw[i+1] != 'u' {
			return 0, false
		}
		u, err := strconv.ParseUint(string(raw[i+2:i+6]), 16, 16)
		return u, err == nil
	}
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' {
			continue
		}
		u, ok := unit(i)
		if !ok {
			i++ // the escaped character
			continue
		}
		i += 5
		switch {
		case u>>10 == 0xd800>>10: // a high half needs a low one behind it
			if low, ok := unit(i + 1); !ok || low>>10 != 0xdc00>>10 {
				return true
			}
			i += 6
		case u>>10 == 0xdc00>>10:
			return true
		}
	}
	return false
}

// nearest returns the known name with the least edit distance from name; the first in alphabetical order on a tie.
func nearest[R any](name string, known fields[R]) string {
	if len(name) > 64 {
		name = name[:64]
	}
	names := make([]string, 0, len(known))
	for k := range known {
		names = append(names, k)
	}
	sort.Strings(names)
	best, least := "", math.MaxInt
	for _, k := range names {
		if d := spelling.Distance(strings.ToLower(name), k); d < least {
			best, least = k, d
		}
	}
	return best
}
