package tokenizer

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// tiktokenRules are what a rank file does not hold: its name tells them.
type tiktokenRules struct {
	rule    preRule
	special map[string]int32
}

var tiktokenNames = map[string]tiktokenRules{
	"r50k_base": {preGPT2, map[string]int32{"<|endoftext|>": 50256}},
	"gpt2":      {preGPT2, map[string]int32{"<|endoftext|>": 50256}},
	"p50k_base": {preGPT2, map[string]int32{"<|endoftext|>": 50256}},
	"p50k_edit": {preGPT2, map[string]int32{"<|endoftext|>": 50256, "<|fim_prefix|>": 50281, "<|fim_middle|>": 50282, "<|fim_suffix|>": 50283}},
	"cl100k_base": {preRule{splits: []preSplit{{pattern: patternCL100K}}}, map[string]int32{"<|endoftext|>": 100257,
		"<|fim_prefix|>": 100258, "<|fim_middle|>": 100259, "<|fim_suffix|>": 100260, "<|endofprompt|>": 100276}},
	"o200k_base": {preRule{splits: []preSplit{{pattern: patternGPT4o}}}, map[string]int32{"<|endoftext|>": 199999, "<|endofprompt|>": 200018}},
	"o200k_harmony": {preRule{splits: []preSplit{{pattern: patternGPT4o}}}, map[string]int32{"<|startoftext|>": 199998, "<|endoftext|>": 199999,
		"<|return|>": 200002, "<|constrain|>": 200003, "<|channel|>": 200005, "<|start|>": 200006, "<|end|>": 200007, "<|message|>": 200008,
		"<|call|>": 200012, "<|endofprompt|>": 200018}},
}

// FromTiktoken builds a tokenizer from a rank file of tiktoken: each line a token in base64 and its rank, which is its id.
// The file's name (r50k_base, p50k_base, p50k_edit, cl100k_base, o200k_base, o200k_harmony) chooses pattern and special
// tokens.
func FromTiktoken(name string, file []byte) (Tokenizer, error) {
	s, err := readTiktoken(name, file)
	if err != nil {
		return nil, err
	}
	p, err := build(s)
	if err != nil {
		return nil, err
	}
	return p, nil
}

func readTiktoken(name string, file []byte) (s source, err error) {
	rules, ok := tiktokenNames[strings.TrimSuffix(name, ".tiktoken")]
	if !ok {
		return s, &UnsupportedError{"rank file", name, "its name chooses the pattern: " + strings.Join(sortedNames(tiktokenNames), ", ")}
	}
	ranks, err := parseRanks(file)
	if err != nil {
		return s, err
	}
	s.modelType, s.ignoreMerges, s.vocab = "BPE", true, make(map[string]int32, len(ranks))
	for token, id := range ranks {
		s.vocab[string(appendByteLevel(nil, token))] = id
	}
	merges, err := rankMerges(ranks)
	if err != nil {
		return s, err
	}
	s.merges, s.rankByResult = len(merges), true
	s.merge = func(i int) (string, string, error) {
		return string(appendByteLevel(nil, merges[i][0])), string(appendByteLevel(nil, merges[i][1])), nil
	}
	s.pre, s.decoder = rules.rule.json(), json.RawMessage(`{"type":"ByteLevel"}`)
	for _, token := range sortedNames(rules.special) {
		s.added = append(s.added, addedToken{ID: rules.special[token], Content: token, Special: true})
	}
	s.eos = "<|endoftext|>"
	return s, nil
}

func parseRanks(file []byte) (map[string]int32, error) {
	ranks := make(map[string]int32, bytes.Count(file, []byte("\n"))+1)
	for n, line := range bytes.Split(file, []byte("\n")) {
		if line = bytes.TrimSuffix(line, []byte("\r")); len(line) == 0 {
			continue
		}
		token, rank, err := rankLine(line)
		if err != nil {
			return nil, fmt.Errorf("tokenizer: line %d of the rank file: %w", n+1, err)
		}
		if _, ok := ranks[token]; ok {
			return nil, fmt.Errorf("tokenizer: line %d of the rank file repeats the token %s", n+1, quote(token))
		}
		ranks[token] = rank
	}
	for b := range 256 {
		if _, ok := ranks[string([]byte{byte(b)})]; !ok {
			return nil, fmt.Errorf("tokenizer: the rank file has no token for byte %d", b)
		}
	}
	return ranks, nil
}

func rankLine(line []byte) (token string, rank int32, err error) {
	text, number, ok := bytes.Cut(line, []byte(" "))
	if !ok {
		return "", 0, errors.New("want base64, a space and a rank")
	}
	b, err := base64.StdEncoding.DecodeString(string(text))
	if err != nil {
		return "", 0, err
	}
	n, err := strconv.ParseInt(string(number), 10, 32)
	if err == nil && (len(b) == 0 || len(b) > maxPiece || n < 0 || n > math.MaxInt32/4) {
		err = fmt.Errorf("a token of %d bytes with rank %d", len(b), n)
	}
	return string(b), int32(n), err
}

// rankMerges lists each way to make a token from two others, by the rank of what is made.
func rankMerges(ranks map[string]int32) ([][2]string, error) {
	var merges [][2]string
	var work pieceWork
	for token, rank := range ranks {
		if err := work.add(int(rank), len(token), 1); err != nil {
			return nil, err
		}
		for i := 1; i < len(token); i++ {
			if _, ok := ranks[token[:i]]; !ok {
				continue
			}
			if _, ok := ranks[token[i:]]; ok {
				merges = append(merges, [2]string{token[:i], token[i:]})
			}
		}
	}
	slices.SortFunc(merges, func(a, b [2]string) int {
		return cmp.Or(cmp.Compare(ranks[a[0]+a[1]], ranks[b[0]+b[1]]), cmp.Compare(len(a[0]), len(b[0])))
	})
	return merges, nil
}
