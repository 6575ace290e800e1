package tokenizer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// maxFile bounds the files of a directory; the largest tokenizer.json in use has 35 MB.
const maxFile = 256 << 20

// readFile reads a file of a stranger's directory: a link in it may lead to a device that never ends.
func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxFile {
		return nil, fmt.Errorf("%s is not a regular file of at most %d bytes", path, maxFile)
	}
	b, err := os.ReadFile(path)
	if bytes.HasPrefix(b, []byte("version https://git-lfs")) {
		return nil, fmt.Errorf("%s is a Git LFS pointer, not the file itself; fetch it with git lfs pull", path)
	}
	return b, err
}

// readBeside reads a file of a directory that may be missing: then it is nil.
func readBeside(dir, name string) ([]byte, error) {
	b, err := readFile(filepath.Join(dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return b, err
}

// vocabularyFiles are the files that a directory's tokenizer is looked for in, in order.
var vocabularyFiles = []string{"tokenizer.json", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "spm.model", "vocab.json", "vocab.txt"}

// FromHF builds the tokenizer of a Hugging Face directory: from tokenizer.json or, without it, from a SentencePiece
// model, a rank file, vocab.json with merges.txt, or vocab.txt, whose rules tokenizer_config.json's class decides.
// A rank file or a model may have a name of its own where it is the only one. tokenizer_config.json, generation_config.json,
// config.json and chat_template.jinja are read where they are there.
func FromHF(dir string) (Tokenizer, error) {
	for _, name := range vocabularyFiles {
		path := filepath.Join(dir, name)
		if _, err := os.Stat(path); err == nil {
			return FromFile(path)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("tokenizer: %w", err)
		}
	}
	return fromOnly(dir)
}

// fromOnly reads the tokenizer file of a directory under a name of its own, if there is one alone of a kind.
func fromOnly(dir string) (Tokenizer, error) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("tokenizer: %w", err)
	}
	only, found := map[string][]string{}, ""
	for _, f := range files {
		name := f.Name()
		kind := filepath.Ext(name)
		if kind == ".model" || kind == ".tiktoken" {
			only[kind] = append(only[kind], name)
		}
		if only[kind] != nil || strings.Contains(strings.ToLower(name), "tok") || strings.Contains(strings.ToLower(name), "vocab") {
			found += ", " + strconv.Quote(name)
		}
	}
	for _, kind := range []string{".tiktoken", ".model"} {
		if len(only[kind]) == 1 {
			return FromFile(filepath.Join(dir, only[kind][0]))
		}
	}
	if found != "" {
		found = "; it has " + found[2:]
	}
	return nil, fmt.Errorf("%s holds no tokenizer that is known by its name: none of %s, and no *.tiktoken or *.model that is the only one%s (%w)",
		dir, strings.Join(vocabularyFiles, ", "), found, fs.ErrNotExist)
}

// FromFile builds a tokenizer from one file of any form that FromHF knows, told by its name, with the files beside it
// that FromHF reads.
func FromFile(path string) (Tokenizer, error) {
	d := directory{dir: filepath.Dir(path), name: filepath.Base(path)}
	p, err := d.open(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return p, nil
}

// directory is the files of a tokenizer.
type directory struct {
	dir, name  string
	vocabulary []byte
	config     []byte // tokenizer_config.json
	model      []byte // config.json
	generation []byte
	template   []byte
	settings   hfConfig // of config
}

func (d *directory) open(path string) (*pipeline, error) {
	var err error
	if d.vocabulary, err = readFile(path); err != nil {
		return nil, err
	}
	for name, b := range map[string]*[]byte{"tokenizer_config.json": &d.config, "generation_config.json": &d.generation, "chat_template.jinja": &d.template, "config.json": &d.model} {
		if *b, err = readBeside(d.dir, name); err != nil {
			return nil, err
		}
	}
	if filepath.Ext(d.name) == ".json" && d.name != "vocab.json" {
		return fromJSON(d.vocabulary, d.config, d.endings(), string(d.template))
	}
	s, err := d.source()
	if err != nil {
		return nil, err
	}
	if err := d.finish(&s); err != nil {
		return nil, err
	}
	return build(s)
}

// endings are the files that tell which tokens end a generation, the first to do so counts.
func (d *directory) endings() [][]byte { return [][]byte{d.generation, d.model} }

// source reads a vocabulary that is no tokenizer.json.
func (d *directory) source() (source, error) {
	if len(d.config) > 0 {
		if err := json.Unmarshal(d.config, &d.settings); err != nil {
			return source{}, fmt.Errorf("tokenizer: tokenizer_config.json: %w", err)
		}
	}
	if err := d.inferClass(); err != nil {
		return source{}, err
	}
	switch {
	case filepath.Ext(d.name) == ".tiktoken":
		return readTiktoken(d.name, d.vocabulary)
	case filepath.Ext(d.name) == ".model":
		return d.sentencePiece()
	case d.name == "vocab.json":
		return d.byteBPE()
	case filepath.Ext(d.name) == ".txt":
		return d.wordPiece()
	}
	return source{}, &UnsupportedError{"tokenizer file", d.name, "tokenizer.json, *.model, *.tiktoken, vocab.json with merges.txt, vocab.txt"}
}

// class is the tokenizer's class without "Fast", "" if the directory names none.
func (d *directory) class() string { return strings.TrimSuffix(d.settings.Class, "Fast") }

// modelClasses are the classes that a model's type stands for where no class is named.
var modelClasses = map[string]string{
	"roberta": "RobertaTokenizer", "bart": "BartTokenizer", "longformer": "LongformerTokenizer", "xlm-roberta": "XLMRobertaTokenizer",
	"qwen2": "Qwen2Tokenizer", "qwen2_moe": "Qwen2Tokenizer", "qwen3": "Qwen2Tokenizer", "qwen3_moe": "Qwen2Tokenizer",
	"llama": "LlamaTokenizer", "mistral": "LlamaTokenizer", "mixtral": "LlamaTokenizer", "phi3": "LlamaTokenizer",
	"gemma": "GemmaTokenizer", "gemma2": "GemmaTokenizer", "gemma3_text": "GemmaTokenizer", "t5": "T5Tokenizer", "mpnet": "MPNetTokenizer",
}

// inferClass takes the class of a directory that names none from config.json: old repositories hold no tokenizer_config.json, or
// one without it.
func (d *directory) inferClass() error {
	if d.settings.Class != "" || len(d.model) == 0 {
		return nil
	}
	var c struct {
		Class string `json:"tokenizer_class"`
		Model string `json:"model_type"`
	}
	if err := json.Unmarshal(d.model, &c); err != nil {
		return fmt.Errorf("tokenizer: config.json: %w", err)
	}
	d.settings.Class = orElse(c.Class, modelClasses[c.Model])
	return nil
}

// finish adds what the files beside the vocabulary say: added tokens, template, ends.
func (d *directory) finish(s *source) error {
	if err := d.addTokens(s); err != nil {
		return err
	}
	bos, eos, pad := s.bos, s.eos, s.pad
	if err := readConfig(s, d.config); err != nil {
		return err
	}
	s.bos, s.eos, s.pad = orElse(s.bos, bos), orElse(s.eos, eos), orElse(s.pad, pad)
	if len(d.template) > 0 {
		s.chat = string(d.template)
	}
	readGeneration(s, d.endings())
	return nil
}

func orElse(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// addTokens lists the tokens of added_tokens_decoder (tokenizer_config.json) and of added_tokens.json.
func (d *directory) addTokens(s *source) error {
	put := func(t addedToken) {
		for i, old := range s.added {
			if old.Content == t.Content {
				s.added[i] = t
				return
			}
		}
		s.added = append(s.added, t)
	}
	for id, t := range d.settings.Added {
		t.ID = id
		put(t)
	}
	beside, err := readBeside(d.dir, "added_tokens.json")
	if err != nil || len(beside) == 0 {
		return err
	}
	ids, err := parseVocab(beside)
	if err != nil {
		return fmt.Errorf("added_tokens.json: %w", err)
	}
	for token, id := range ids {
		if !slices.ContainsFunc(s.added, func(t addedToken) bool { return t.Content == token }) {
			put(addedToken{ID: id, Content: token, Normalized: true})
		}
	}
	slices.SortFunc(s.added, func(a, b addedToken) int { return int(a.ID) - int(b.ID) })
	return nil
}

// special marks tokens of the vocabulary as special ones.
func (s *source) special(tokens ...string) {
	for _, token := range tokens {
		id, ok := s.vocab[token]
		known := slices.ContainsFunc(s.added, func(t addedToken) bool { return t.Content == token })
		if ok && !known {
			s.added = append(s.added, addedToken{ID: id, Content: token, Special: true})
		}
	}
}

// mask marks the mask token, which may take the white space before it if tokenizer_config.json says so.
func (d *directory) mask(s *source, usual string) {
	t := addedToken{Content: usual}
	_ = json.Unmarshal(d.settings.Mask, &t.Content)
	_ = json.Unmarshal(d.settings.Mask, &t) // an object, or a text as above
	s.special(t.Content)
	for i := range s.added {
		if s.added[i].Content == t.Content {
			s.added[i].LStrip, s.added[i].RStrip = t.LStrip, t.RStrip
		}
	}
}

// frame writes the post-processor that puts tokens around the text.
func (s *source) frame(before, after []string) error {
	item := func(token string) (int32, error) {
		if id, ok := s.vocab[token]; ok {
			return id, nil
		}
		for _, t := range s.added {
			if t.Content == token {
				return t.ID, nil
			}
		}
		return 0, fmt.Errorf("tokenizer: the token %s, which goes around a text, is not in the vocabulary", quote(token))
	}
	names := map[int32]string{}
	ids := func(tokens []string) ([]int32, error) {
		var list []int32
		for _, t := range tokens {
			id, err := item(t)
			if err != nil {
				return nil, err
			}
			list, names[id] = append(list, id), t
		}
		return list, nil
	}
	first, err := ids(before)
	if err != nil {
		return err
	}
	last, err := ids(after)
	if err == nil && len(first)+len(last) > 0 {
		s.post = templateJSON(func(id int32) string { return names[id] }, first, last, nil)
	}
	return err
}

// flagOr is a setting of tokenizer_config.json or what is usual.
func flagOr(flag *bool, usual bool) bool {
	if flag != nil {
		return *flag
	}
	return usual
}

// ends returns BOS and EOS as they go around a text.
func (d *directory) ends(bos, eos string, addBOS, addEOS bool) (before, after []string) {
	if flagOr(d.settings.AddBOS, addBOS) {
		before = []string{orElse(string(d.settings.BOS), bos)}
	}
	if flagOr(d.settings.AddEOS, addEOS) {
		after = []string{orElse(string(d.settings.EOS), eos)}
	}
	return before, after
}

const classHint = "a tokenizer.json beside it is read for every class"

// byteBPE reads vocab.json and merges.txt: byte-level BPE.
func (d *directory) byteBPE() (s source, err error) {
	if s.vocab, err = parseVocab(d.vocabulary); err != nil {
		return s, err
	}
	merges, err := readFile(filepath.Join(d.dir, "merges.txt"))
	if err != nil {
		return s, err
	}
	s.modelType, s.decoder = "BPE", json.RawMessage(`{"type":"ByteLevel"}`)
	if err := readMerges(&s, merges); err != nil {
		return s, err
	}
	prefix := flagOr(d.settings.AddPrefixSpace, false)
	s.pre = mustJSON(map[string]any{"type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": true, "use_regex": true})
	var before, after []string
	switch d.class() {
	case "", "GPT2Tokenizer", "CodeGenTokenizer", "GPTNeoXTokenizer":
		s.bos, s.eos = "<|endoftext|>", "<|endoftext|>"
		before, after = d.ends(s.bos, s.eos, false, false)
	case "Qwen2Tokenizer":
		s.normalizer, s.pre, s.eos = json.RawMessage(`{"type":"NFC"}`), preQwen2.json(), "<|endoftext|>"
		before, after = d.ends("", s.eos, false, false)
	case "RobertaTokenizer", "BartTokenizer", "LongformerTokenizer", "LEDTokenizer":
		s.bos, s.eos, s.pad = "<s>", "</s>", "<pad>"
		s.special("<s>", "<pad>", "</s>", "<unk>")
		d.mask(&s, "<mask>")
		before, after = []string{s.bos}, []string{s.eos}
	default:
		return s, &UnsupportedError{"tokenizer class", d.settings.Class, classHint}
	}
	s.special(string(d.settings.BOS), string(d.settings.EOS), string(d.settings.Pad), string(d.settings.Unk), s.bos, s.eos)
	return s, s.frame(before, after)
}

// readMerges reads merges.txt: one merge a line, after a line that says the version.
func readMerges(s *source, file []byte) error {
	lines := bytes.Split(bytes.TrimSuffix(file, []byte("\n")), []byte("\n"))
	if len(lines) > 0 && bytes.HasPrefix(lines[0], []byte("#version")) {
		lines = lines[1:]
	}
	for len(lines) > 0 && len(lines[len(lines)-1]) == 0 {
		lines = lines[:len(lines)-1]
	}
	s.merges = len(lines)
	s.merge = func(i int) (string, string, error) { return splitMerge(i, strings.TrimSuffix(string(lines[i]), "\r")) }
	return nil
}

// wordPiece reads vocab.txt: one token a line.
func (d *directory) wordPiece() (s source, err error) {
	switch d.class() {
	case "", "BertTokenizer", "DistilBertTokenizer", "ElectraTokenizer", "MobileBertTokenizer", "MPNetTokenizer":
	default:
		return s, &UnsupportedError{"tokenizer class", d.settings.Class, classHint}
	}
	s.modelType, s.prefix, s.maxChars, s.unk = "WordPiece", "##", 100, orElse(string(d.settings.Unk), "[UNK]")
	s.vocab = map[string]int32{}
	for id, line := range strings.Split(strings.TrimSuffix(string(d.vocabulary), "\n"), "\n") {
		s.vocab[validUTF8(strings.TrimSuffix(line, "\r"))] = int32(id)
	}
	c := &d.settings
	s.normalizer = mustJSON(map[string]any{"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": flagOr(c.Chinese, true),
		"strip_accents": c.StripAccents, "lowercase": flagOr(c.LowerCase, true)})
	s.pre, s.decoder = json.RawMessage(`{"type":"BertPreTokenizer"}`), json.RawMessage(`{"type":"WordPiece","prefix":"##","cleanup":true}`)
	s.bos, s.eos, s.pad = orElse(string(c.CLS), "[CLS]"), orElse(string(c.SEP), "[SEP]"), orElse(string(c.Pad), "[PAD]")
	mask := "[MASK]"
	if d.class() == "MPNetTokenizer" {
		mask = "<mask>"
		s.bos, s.eos, s.pad = orElse(string(c.CLS), "<s>"), orElse(string(c.SEP), "</s>"), orElse(string(c.Pad), "<pad>")
	}
	s.special(s.pad, s.unk, s.bos, s.eos)
	d.mask(&s, mask)
	return s, s.frame([]string{s.bos}, []string{s.eos})
}
