package tokenizer

import (
	"encoding/json"
	"fmt"
	"strconv"
)

// jsonCursor reads the two large parts of tokenizer.json, vocabulary and merges, several times faster than by reflection.
// The text was found to be valid JSON before.
type jsonCursor struct {
	b  []byte
	at int
}

// next skips white space and returns the byte there, 0 at the end.
func (c *jsonCursor) next() byte {
	for c.at < len(c.b) {
		switch c.b[c.at] {
		case ' ', '\t', '\n', '\r':
			c.at++
		default:
			return c.b[c.at]
		}
	}
	return 0
}

// skip takes one byte if it is the next.
func (c *jsonCursor) skip(want byte) bool {
	if c.next() != want {
		return false
	}
	c.at++
	return true
}

// text reads a string.
func (c *jsonCursor) text() (string, error) {
	if !c.skip('"') {
		return "", fmt.Errorf("want a string at byte %d", c.at)
	}
	start, escaped := c.at, false
	for ; c.at < len(c.b) && c.b[c.at] != '"'; c.at++ {
		if c.b[c.at] == '\\' {
			escaped = true
			c.at++
		}
	}
	if c.at >= len(c.b) {
		return "", fmt.Errorf("a string is not closed")
	}
	raw := c.b[start:c.at]
	c.at++
	if !escaped {
		return validUTF8(string(raw)), nil
	}
	var s string
	err := json.Unmarshal(c.b[start-1:c.at], &s)
	return s, err
}

// integer reads an id.
func (c *jsonCursor) integer() (int32, error) {
	c.next()
	start := c.at
	for c.at < len(c.b) && c.b[c.at] != ',' && c.b[c.at] != '}' && c.b[c.at] > ' ' {
		c.at++
	}
	n, err := strconv.ParseInt(string(c.b[start:c.at]), 10, 32)
	return int32(n), err
}

// parseVocab reads {"token": id, …}.
func parseVocab(raw []byte) (map[string]int32, error) {
	c := jsonCursor{b: raw}
	if !c.skip('{') {
		return nil, fmt.Errorf("tokenizer: the vocabulary is no JSON object")
	}
	vocab := make(map[string]int32, len(raw)/24)
	for !c.skip('}') {
		token, err := c.text()
		if err != nil || !c.skip(':') {
			return nil, fmt.Errorf("tokenizer: vocabulary at byte %d: %w", c.at, err)
		}
		id, err := c.integer()
		if err != nil {
			return nil, fmt.Errorf("tokenizer: the id of token %s: %w", quote(token), err)
		}
		vocab[token] = id
		c.skip(',')
	}
	return vocab, nil
}

// parseScores reads [["token", score], …].
func parseScores(raw []byte) ([]scoredToken, error) {
	c := jsonCursor{b: raw}
	if !c.skip('[') {
		return nil, fmt.Errorf("tokenizer: the Unigram vocabulary is no JSON array")
	}
	list := make([]scoredToken, 0, len(raw)/24)
	for !c.skip(']') {
		t, err := c.scored()
		if err != nil {
			return nil, fmt.Errorf("tokenizer: token %d of the Unigram vocabulary: %w", len(list), err)
		}
		list = append(list, t)
		c.skip(',')
	}
	return list, nil
}

func (c *jsonCursor) scored() (t scoredToken, err error) {
	if !c.skip('[') {
		return t, fmt.Errorf("want an array at byte %d", c.at)
	}
	if t.token, err = c.text(); err != nil {
		return t, err
	}
	if !c.skip(',') {
		return t, fmt.Errorf("want a score at byte %d", c.at)
	}
	c.next()
	start := c.at
	for c.at < len(c.b) && c.b[c.at] != ']' && c.b[c.at] > ' ' {
		c.at++
	}
	if t.score, err = strconv.ParseFloat(string(c.b[start:c.at]), 64); err == nil && !c.skip(']') {
		err = fmt.Errorf("more than a score at byte %d", c.at)
	}
	return t, err
}

// parseMerges reads merges in both forms: "a b" and ["a", "b"].
func parseMerges(raw []byte) ([][2]string, error) {
	c := jsonCursor{b: raw}
	if c.next() == 0 || c.next() == 'n' {
		return nil, nil
	}
	if !c.skip('[') {
		return nil, fmt.Errorf("tokenizer: the merges are no JSON array")
	}
	merges := make([][2]string, 0, len(raw)/16)
	for !c.skip(']') {
		m, err := c.merge(len(merges))
		if err != nil {
			return nil, err
		}
		merges = append(merges, m)
		c.skip(',')
	}
	return merges, nil
}

func (c *jsonCursor) merge(i int) (m [2]string, err error) {
	if !c.skip('[') {
		s, err := c.text()
		if err != nil {
			return m, fmt.Errorf("tokenizer: merge %d: %w", i, err)
		}
		m[0], m[1], err = splitMerge(i, s)
		return m, err
	}
	parts := 0
	for ; !c.skip(']'); parts++ {
		s, err := c.text()
		if err != nil {
			return m, fmt.Errorf("tokenizer: merge %d: %w", i, err)
		}
		if parts < 2 {
			m[parts] = s
		}
		c.skip(',')
	}
	if parts != 2 {
		return m, fmt.Errorf("tokenizer: merge %d has %d parts, want 2", i, parts)
	}
	return m, nil
}
