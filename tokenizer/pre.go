package tokenizer

import (
	"encoding/json"
	"maps"
	"slices"
)

// preRule is a pre-tokenizer that GGUF files name (tokenizer.ggml.pre), as a sequence of tokenizer.json components.
type preRule struct {
	splits       []preSplit
	gpt2         bool // ByteLevel cuts by the pattern of GPT-2 at the end
	ignoreMerges bool
	addBOS       bool // unless the file says otherwise
}

// preSplit is one step: each digit for itself, or a pattern whose matches are pieces.
type preSplit struct {
	digits  bool
	pattern string
}

const (
	patternLlama3 = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	patternCL100K = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s+\z|\s*[\r\n]+|\s+(?!\S)|\s+`
	patternQwen2  = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	patternGPT4o  = `[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	patternTekken = `[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	patternCJK    = "[\u4E00-\u9FA5\u0800-\u4E00\uAC00-\uD7FF]+"
	patternDSWord = "\\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚ\u1E00-\u1F15\u1F18-\u1F1D\u1F20-\u1F45\u1F48-\u1F4D\u1F50-\u1F57\u1F59\u1F5B\u1F5D\u1F5F-\u1F7D\u1F80-\u1FB4\u1FB6-\u1FBC\u1FBE\u1FC2-\u1FC4\u1FC6-\u1FCC\u1FD0-\u1FD3\u1FD6-\u1FDB\u1FE0-\u1FEC\u1FF2-\u1FF4\u1FF6-\u1FFC\u2102\u2107\u210A-\u2113\u2115\u2119-\u211D\u2124\u2126\u2128\u212A-\u212D\u212F-\u2134\u2139\u213C-\u213F\u2145-\u2149\u214E\u2183\u2184Ⰰ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]+"
	patternDSMark = "\\s?[!-/:-~\uFF01-\uFF0F\uFF1A-\uFF5E\u2018-\u201F\u3000-\u3002]+"
)

// scanners are the patterns that have a hand-written form.
var scanners = map[string]scanner{patternGPT2: scanGPT2, patternLlama3: scanLlama3, patternQwen2: scanQwen2, patternCL100K: scanCL100K}

var (
	preGPT2     = preRule{gpt2: true}
	preDigits   = preRule{splits: []preSplit{{digits: true}}, gpt2: true}
	preLlama3   = preRule{splits: []preSplit{{pattern: patternLlama3}}, ignoreMerges: true, addBOS: true}
	preQwen2    = preRule{splits: []preSplit{{pattern: patternQwen2}}}
	preDefault  = preRule{splits: []preSplit{{pattern: "[\\p{P}\\$\\+<=>\\^~\\|`]+"}, {pattern: patternGPT2}, {pattern: `\p{N}+`}, {pattern: `[0-9][0-9][0-9]`}}}
	preFalcon   = preRule{splits: []preSplit{{pattern: "[\\p{P}\\$\\+<=>\\^~\\|`]+"}, {pattern: patternGPT2}, {pattern: `[0-9][0-9][0-9]`}}}
	preDeepseek = preRule{splits: []preSplit{{pattern: `[\r\n]`}, {pattern: patternDSWord}, {pattern: patternDSMark}, {pattern: patternTrailing}, {pattern: patternCJK}, {pattern: `\p{N}+`}}}
	preDSCoder  = preRule{splits: []preSplit{{pattern: `[\r\n]`}, {pattern: `\s?\p{L}+`}, {pattern: `\s?\p{P}+`}, {pattern: patternCJK}, {digits: true}}}
	preDSV3     = preRule{splits: []preSplit{{pattern: `\p{N}{1,3}`}, {pattern: "[\u4E00-\u9FA5\u3040-\u309F\u30A0-\u30FF]+"},
		{pattern: "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"}}}
)

// ggufPre maps the names that converters write to rules.
var ggufPre = map[string]preRule{
	"default": preDefault,
	"gpt-2":   preGPT2, "gpt2": preGPT2, "mpt": preGPT2, "olmo": preGPT2, "jais": preGPT2, "phi-2": preGPT2, "roberta-bpe": preGPT2,
	"gigachat": preGPT2, "jina-es": preGPT2, "jina-de": preGPT2, "jina-v1-en": preGPT2, "jina-v2-code": preGPT2,
	"jina-v2-es": preGPT2, "jina-v2-de": preGPT2, "a.x-4.0": preGPT2, "mellum": preGPT2,
	"starcoder": preDigits, "smollm": preDigits, "refact": preDigits, "command-r": preDigits, "codeshell": preDigits, "exaone": preDigits, "minerva-7b": preDigits,
	"llama-bpe": preLlama3, "llama3": preLlama3, "llama-v3": preLlama3, "falcon3": preLlama3, "pixtral": preLlama3,
	"dbrx":      {splits: preLlama3.splits},
	"smaug-bpe": {splits: preLlama3.splits}, "chatglm-bpe": {splits: preLlama3.splits}, "glm4": {splits: preLlama3.splits},
	"qwen2": preQwen2, "deepseek-r1-qwen": preQwen2, "stablelm2": preQwen2, "megrez": preQwen2,
	"gpt-4o": {splits: []preSplit{{pattern: patternGPT4o}}}, "llama4": {splits: []preSplit{{pattern: patternGPT4o}}},
	"tekken":       {splits: []preSplit{{pattern: patternTekken}}, ignoreMerges: true, addBOS: true},
	"falcon":       preFalcon,
	"deepseek-llm": preDeepseek, "deepseek-coder": preDSCoder, "deepseek-v3": preDSV3,
}

// sortedNames lists the keys of a table.
func sortedNames[T any](table map[string]T) []string { return slices.Sorted(maps.Keys(table)) }

// json writes the rule as tokenizer.json does.
func (r preRule) json() json.RawMessage {
	var steps []any
	for _, s := range r.splits {
		if s.digits {
			steps = append(steps, map[string]any{"type": "Digits", "individual_digits": true})
		} else {
			steps = append(steps, map[string]any{"type": "Split", "pattern": map[string]string{"Regex": s.pattern}, "behavior": "Isolated", "invert": false})
		}
	}
	steps = append(steps, map[string]any{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": r.gpt2})
	if len(steps) == 1 {
		return mustJSON(steps[0])
	}
	return mustJSON(map[string]any{"type": "Sequence", "pretokenizers": steps})
}

// mustJSON writes a value made of maps, slices and strings, which cannot fail.
func mustJSON(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		panic("tokenizer: " + err.Error())
	}
	return b
}
