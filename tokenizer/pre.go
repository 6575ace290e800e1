package tokenizer

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// preRule is a pre-tokenizer that GGUF files name (tokenizer.ggml.pre), as a sequence of tokenizer.json components.
type preRule struct {
	splits       []preSplit
	gpt2         bool // ByteLevel cuts by the pattern of GPT-2 at the end
	raw          bool // the pieces stay text: BPE over characters, which falls back to tokens of bytes
	escape       bool // spaces are written as U+2581
	words        bool // white space is dropped
	ignoreMerges bool
	addBOS       bool // unless the file says otherwise
}

// preSplit is one step: each digit for itself, or a pattern whose matches are pieces.
type preSplit struct {
	digits  bool
	pattern string
}

const (
	patternLlama3  = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	patternCL100K  = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s+\z|\s*[\r\n]+|\s+(?!\S)|\s+`
	patternQwen2   = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	patternGPT4o   = `[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	patternTekken  = `[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	patternCJK     = "[\u4E00-\u9FA5\u0800-\u4E00\uAC00-\uD7FF]+"
	patternDSWord  = "\\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚ\u1E00-\u1F15\u1F18-\u1F1D\u1F20-\u1F45\u1F48-\u1F4D\u1F50-\u1F57\u1F59\u1F5B\u1F5D\u1F5F-\u1F7D\u1F80-\u1FB4\u1FB6-\u1FBC\u1FBE\u1FC2-\u1FC4\u1FC6-\u1FCC\u1FD0-\u1FD3\u1FD6-\u1FDB\u1FE0-\u1FEC\u1FF2-\u1FF4\u1FF6-\u1FFC\u2102\u2107\u210A-\u2113\u2115\u2119-\u211D\u2124\u2126\u2128\u212A-\u212D\u212F-\u2134\u2139\u213C-\u213F\u2145-\u2149\u214E\u2183\u2184Ⰰ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]+"
	patternDSMark  = "\\s?[!-/:-~\uFF01-\uFF0F\uFF1A-\uFF5E\u2018-\u201F\u3000-\u3002]+"
	patternDSV3    = "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
	patternKanji   = "[\u4E00-\u9FA5\u3040-\u309F\u30A0-\u30FF]+"
	patternLineEnd = `[\r\n]`
	patternSigns   = "[\\p{P}\\$\\+<=>\\^~\\|`]+"
	patternQwen35  = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	patternSeed    = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+`
	patternMiniCPM = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}+| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	patternJais2   = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s{512}(?!\S)|\s{256}(?!\S)|\s{128}(?!\S)|\s{64}(?!\S)|\s{32}(?!\S)|\s{16}(?!\S)|\s{8}(?!\S)|\s{4}(?!\S)|\s{1,2}(?!\S)|\s{1}`
	patternExaone  = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+`
	patternAsian   = "[\uAC00-\uD7A3\u3131-\u318E]+|[\uFF01\u2026\u201C\u201D\u2018\u2019\u2014\uFF1A\uFF1B\uFF0C\u3001-\u303F\uFE30-\uFE4F]+|[\u3105-\u312F]+|[\u4E00-\u9FA5\u3040-\u309F\u30A0-\u30FF]+"
	patternYoutu   = `[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	patternKimi    = `\p{Han}+|[^\r\n\p{L}\p{N}]?(?:(?!\p{Han})[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}])*(?:(?!\p{Han})[\p{Ll}\p{Lm}\p{Lo}\p{M}])+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?(?:(?!\p{Han})[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}])+(?:(?!\p{Han})[\p{Ll}\p{Lm}\p{Lo}\p{M}])*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	patternBloom   = ` ?[^(\s|.,!?…。，、।۔،)]+`
	patternAFMoE   = "[\u4E00-\u9FFF\u3400-\u4DBF\uF900-\uFAFF\u3040-\u309F\u30A0-\u30FF\uFF65-\uFF9F\u2F00-\u2FDF\u0E40-\u0E7F\u0E80-\u0EFF\u1780-\u17FF\u1000-\u109F\uAA60-\uAA7F\uA9E0-\uA9FF\uAC00-\uD7AF\u1100-\u11FF]+"
)

// scanners are the patterns that have a hand-written form.
var scanners = map[string]scanner{
	patternGPT2: scanGPT2, patternLlama3: scanLlama3, patternQwen2: scanQwen2, patternCL100K: scanCL100K,
	patternGPT4o: scanGPT4o, patternTekken: scanTekken, patternDSV3: scanDSV3,
}

// runs are the patterns that match runs of characters.
var runs = map[string]*runMatcher{
	patternLineEnd: {set: classSet(`[\r\n]`), least: 1, most: 1}, patternDSWord: {set: classSet(patternDSWord[len(`\s?`) : len(patternDSWord)-1]), least: 1, space: true},
	patternDSMark: {set: classSet(patternDSMark[len(`\s?`) : len(patternDSMark)-1]), least: 1, space: true}, patternCJK: {set: classSet(patternCJK[:len(patternCJK)-1]), least: 1},
	patternKanji: {set: classSet(patternKanji[:len(patternKanji)-1]), least: 1}, `\p{N}+`: {set: kindSet(kindNumber), least: 1},
	`\p{N}{1,3}`: {set: kindSet(kindNumber), least: 1, most: 3}, `\s?\p{L}+`: {set: kindSet(kindLetter), least: 1, space: true},
	`\s?\p{P}+`: {set: kindSet(kindPunct), least: 1, space: true}, `[0-9][0-9][0-9]`: {set: classSet(`[0-9]`), least: 3, most: 3},
	patternSigns: {set: newRuneSet(func(r rune) bool {
		return slowOrFastKind(r)&kindPunct != 0 || r < 128 && strings.ContainsRune("$+<=>^~|`", r)
	}), least: 1},
}

// Rules that several names stand for.
var (
	preGPT2   = preRule{gpt2: true}
	preDigits = preRule{splits: []preSplit{{digits: true}}, gpt2: true}
	preLlama3 = preRule{splits: []preSplit{{pattern: patternLlama3}}, ignoreMerges: true, addBOS: true}
	preWords3 = preRule{splits: preLlama3.splits}
	preQwen2  = preRule{splits: []preSplit{{pattern: patternQwen2}}}
	preGPT4o  = preRule{splits: []preSplit{{pattern: patternGPT4o}}}
	preBloom  = preRule{splits: []preSplit{{pattern: patternBloom}}}
	preDSV3   = preRule{splits: []preSplit{{pattern: `\p{N}{1,3}`}, {pattern: patternKanji}, {pattern: patternDSV3}}}
	preBaling = preQwen2 // its pattern is written in another way and cuts alike
	preLines  = preRule{splits: []preSplit{{pattern: `[^\n]+|[\n]+`}}, raw: true, escape: true}
	preAya    = preRule{splits: []preSplit{{pattern: `\d{1,3}(?=(?:\d{3})*\b)`}, {pattern: patternGPT4o}}}
)

// ggufPre maps the names that converters write to rules.
var ggufPre = map[string]preRule{
	"default": {splits: []preSplit{{pattern: patternSigns}, {pattern: patternGPT2}, {pattern: `\p{N}+`}, {pattern: `[0-9][0-9][0-9]`}}},
	"gpt-2":   preGPT2, "gpt2": preGPT2, "mpt": preGPT2, "olmo": preGPT2, "jais": preGPT2, "phi-2": preGPT2, "roberta-bpe": preGPT2,
	"gigachat": preGPT2, "jina-es": preGPT2, "jina-de": preGPT2, "jina-v1-en": preGPT2, "jina-v2-code": preGPT2, "jina-v2-es": preGPT2,
	"jina-v2-de": preGPT2, "a.x-4.0": preGPT2, "mellum": preGPT2, "modern-bert": preGPT2, "exaone4": preGPT2, "trillion": preGPT2,
	"granite-docling": preGPT2,
	"starcoder":       preDigits, "smollm": preDigits, "refact": preDigits, "command-r": preDigits, "codeshell": preDigits, "exaone": preDigits,
	"minerva-7b": preDigits, "mellum2": preDigits,
	"llama-bpe": preLlama3, "llama3": preLlama3, "llama-v3": preLlama3, "falcon3": preLlama3, "falcon-h1": preLlama3, "pixtral": preLlama3,
	"midm-2.0": preLlama3, "lfm2": preLlama3, "jina-v5-nano": preLlama3,
	"dbrx": preWords3, "smaug-bpe": preWords3, "chatglm-bpe": preWords3, "glm4": preWords3,
	"qwen2": preQwen2, "deepseek-r1-qwen": preQwen2, "stablelm2": preQwen2, "megrez": preQwen2, "kormo": preQwen2, "f2llmv2": preQwen2,
	"hunyuan": preQwen2, "solar-open": preQwen2, "grok-2": preQwen2, "bailingmoe": preBaling, "bailingmoe2": preBaling, "llada-moe": preBaling,
	"qwen35":     {splits: []preSplit{{pattern: patternQwen35}}},
	"seed-coder": {splits: []preSplit{{pattern: patternSeed}}},
	"laguna":     {splits: []preSplit{{pattern: `[^\n]+|[\n]+`}, {pattern: patternQwen2}}},
	"minicpm5":   {splits: []preSplit{{pattern: `\p{N}{1,3}`}, {pattern: patternMiniCPM}}, ignoreMerges: true},
	"jais-2":     {splits: []preSplit{{pattern: patternJais2}}},
	"exaone-moe": {splits: []preSplit{{pattern: patternExaone}}},
	"gpt-4o":     preGPT4o, "llama4": preGPT4o, "kanana2": preGPT4o, "talkie": preGPT4o, "minimax-m2": preGPT4o,
	"granite-embed-multi-97m": {splits: preGPT4o.splits, ignoreMerges: true},
	"tekken":                  {splits: []preSplit{{pattern: patternTekken}}, ignoreMerges: true, addBOS: true},
	"youtu":                   {splits: []preSplit{{pattern: patternAsian}, {pattern: patternYoutu}}, ignoreMerges: true},
	"kimi-k2":                 {splits: []preSplit{{pattern: patternKimi}}},
	"tiny_aya":                preAya, "cohere2moe": preAya,
	"falcon":         {splits: []preSplit{{pattern: patternSigns}, {pattern: patternGPT2}, {pattern: `[0-9][0-9][0-9]`}}},
	"deepseek-llm":   {splits: []preSplit{{pattern: patternLineEnd}, {pattern: patternDSWord}, {pattern: patternDSMark}, {pattern: patternTrailing}, {pattern: patternCJK}, {pattern: `\p{N}+`}}},
	"deepseek-coder": {splits: []preSplit{{pattern: patternLineEnd}, {pattern: `\s?\p{L}+`}, {pattern: `\s?\p{P}+`}, {pattern: patternCJK}, {digits: true}}},
	"deepseek-v3":    preDSV3, "hunyuan-dense": preDSV3, "joyai-llm": preDSV3,
	"afmoe": {splits: []preSplit{{pattern: `\p{N}{1,3}(?=(?:\p{N}{3})*(?!\p{N}))`}, {pattern: patternAFMoE}, {pattern: patternDSV3}}},
	"bloom": preBloom, "poro-chat": preBloom, "gpt3-finnish": preBloom,
	"viking":    {splits: []preSplit{{pattern: patternBloom}, {digits: true}}},
	"superbpe":  {splits: []preSplit{{pattern: `\p{N}+`}, {pattern: `(?=(\d{3})+(?!\d))`}}},
	"chameleon": {splits: []preSplit{{pattern: `<sentinel:[0-9]+>`}, {pattern: `(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z`}, {pattern: `([\t\n]|    |  )`}, {digits: true}, {pattern: `[\p{P}!-/:-@\[-` + "`{-~]" + `+`}}, gpt2: true, addBOS: true},
	"gemma4":    preLines, "granite-embed-multi-311m": preLines, "sarvam-moe": preLines,
	"whitespace": {raw: true, words: true},
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
	if r.words {
		steps = append(steps, map[string]any{"type": "WhitespaceSplit"})
	}
	if !r.raw {
		steps = append(steps, map[string]any{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": r.gpt2})
	}
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
