package serve

import (
	"encoding/json"
	"math"
	"strconv"
	"unicode/utf8"

	"hone/engine"
)

// Parts of replies that are written once per token, by hand: no reflection, no allocation.

const hexDigits = "0123456789abcdef"

// appendString appends s as a JSON string. Bytes that are not valid UTF-8 become U+FFFD.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && n == 1 {
				b = append(append(b, s[from:i]...), "\ufffd"...)
				from = i + 1
			}
			i += n
			continue
		}
		if c < ' ' || c == '"' || c == '\\' {
			b = appendEscape(append(b, s[from:i]...), c)
			from = i + 1
		}
		i++
	}
	return append(append(b, s[from:]...), '"')
}

func appendEscape(b []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(b, '\\', c)
	case '\n':
		return append(b, `\n`...)
	case '\r':
		return append(b, `\r`...)
	case '\t':
		return append(b, `\t`...)
	}
	return append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
}

// appendLogprob appends the shortest decimal that reads back as the same float32. JSON has no infinity: what a mask
// ruled out is -9999, OpenAI's figure for "very unlikely".
func appendLogprob(b []byte, x float32) []byte {
	if !(x >= -9999) || math.IsInf(float64(x), 1) {
		x = -9999
	}
	return strconv.AppendFloat(b, float64(x), 'g', -1, 32)
}

// tokenText is a token's text. One that is no whole text by itself is spelled as OpenAI does: bytes:\xe2\x82.
func tokenText(raw []byte) string {
	if utf8.Valid(raw) {
		return string(raw)
	}
	b := []byte("bytes:")
	for _, c := range raw {
		b = append(b, '\\', 'x', hexDigits[c>>4], hexDigits[c&15])
	}
	return string(b)
}

// characters counts the characters that begin in raw.
func characters(raw []byte) int {
	n := 0
	for _, c := range raw {
		if utf8.RuneStart(c) {
			n++
		}
	}
	return n
}

// appendChatLogprobs appends a choice's logprobs object of the chat endpoint.
func appendChatLogprobs(b []byte, t Tokenizer, tokens []engine.TokenLogprob) []byte {
	b = append(b, `{"content":[`...)
	for i, token := range tokens {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendChance(b, t, token.Token, token.Logprob)
		b = append(b, `,"top_logprobs":[`...)
		for k, top := range token.Top {
			if k > 0 {
				b = append(b, ',')
			}
			b = append(appendChance(b, t, top.Token, top.Logprob), '}')
		}
		b = append(b, "]}"...)
	}
	return append(b, `],"refusal":null}`...)
}

// appendChance appends a token with its bytes and leaves the object open.
func appendChance(b []byte, t Tokenizer, id int32, logprob float32) []byte {
	raw := t.TokenBytes(id)
	b = append(b, `{"token":`...)
	b = appendString(b, tokenText(raw))
	b = append(b, `,"logprob":`...)
	b = appendLogprob(b, logprob)
	b = append(b, `,"bytes":[`...)
	for i, c := range raw {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendUint(b, uint64(c), 10)
	}
	return append(b, ']')
}

// appendLegacyLogprobs appends a choice's logprobs object of the completions endpoint. offset is where the first token
// stands in the choice's text, in characters; the offset after the last one is returned.
func appendLegacyLogprobs(b []byte, t Tokenizer, tokens []engine.TokenLogprob, offset int) ([]byte, int) {
	b = appendList(append(b, `{"tokens":[`...), tokens, func(b []byte, token engine.TokenLogprob) []byte {
		return appendString(b, tokenText(t.TokenBytes(token.Token)))
	})
	b = appendList(append(b, `],"token_logprobs":[`...), tokens, func(b []byte, token engine.TokenLogprob) []byte {
		return appendLogprob(b, token.Logprob)
	})
	b = appendList(append(b, `],"top_logprobs":[`...), tokens, func(b []byte, token engine.TokenLogprob) []byte {
		b = appendList(append(b, '{'), token.Top, func(b []byte, top engine.TokenChance) []byte {
			b = append(appendString(b, tokenText(t.TokenBytes(top.Token))), ':')
			return appendLogprob(b, top.Logprob)
		})
		return append(b, '}')
	})
	b = appendList(append(b, `],"text_offset":[`...), tokens, func(b []byte, token engine.TokenLogprob) []byte {
		b = strconv.AppendInt(b, int64(offset), 10)
		offset += characters(t.TokenBytes(token.Token))
		return b
	})
	return append(b, "]}"...), offset
}

// appendList appends items with commas between them.
func appendList[T any](b []byte, items []T, one func([]byte, T) []byte) []byte {
	for i, item := range items {
		if i > 0 {
			b = append(b, ',')
		}
		b = one(b, item)
	}
	return b
}

// mustJSON marshals what always marshals.
func mustJSON(v any) json.RawMessage {
	out, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return out
}
