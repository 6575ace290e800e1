package hub

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
)

// needed are the files beside the weights that a model or its tokenizer is made of.
var needed = regexp.MustCompile(`^(config|generation_config|tokenizer|tokenizer_config|special_tokens_map|added_tokens|vocab|chat_template|` +
	`quantize_config|quant_config|modules|config_sentence_transformers|sentence_bert_config)\.json$` +
	`|^(merges|vocab)\.txt$|^(tokenizer|spiece|spm|sentencepiece|sentencepiece\.bpe)\.model$|^[\w.-]+\.tiktoken$|^chat_template\.jinja$` +
	`|^\d_[A-Za-z]+/(config\.json|model\.safetensors)$`)

// pickles are the endings of files that run code when they are read.
var pickles = []string{".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib"}

const (
	lone  = "model.safetensors"
	index = "model.safetensors.index.json"
)

var (
	shardOf = regexp.MustCompile(`^model-\d{5}-of-\d{5}\.safetensors$`)
	splitOf = regexp.MustCompile(`^(.*)-\d{5}-of-(\d{5})\.gguf$`)
)

// Choose picks the files of a listing that a model needs: safetensors with config and tokenizer, or one GGUF file with
// all of its parts. word is a file's path or the tag of a GGUF file; "" picks the weights when there is no choice.
func Choose(l *Listing, word string) ([]File, error) {
	files, err := choose(l, word)
	if err != nil {
		return nil, fmt.Errorf("%s%s: %w", Scheme, l.Repo, err)
	}
	seen := map[string]bool{}
	for i, f := range files {
		if err := f.check(); err != nil {
			return nil, fmt.Errorf("%s%s: %w", Scheme, l.Repo, err)
		}
		files[i].To = place(f.Path, word)
		key := strings.ToLower(files[i].To)
		if seen[key] {
			return nil, fmt.Errorf("%s%s: the name %q stands twice", Scheme, l.Repo, f.Path)
		}
		seen[key] = true
	}
	return files, nil
}

// place is where a file lies in the model's directory: where checkpoint.Open looks for it.
func place(p, word string) string {
	switch {
	case strings.HasSuffix(p, ".gguf"):
		return path.Base(p)
	case p == word && strings.HasSuffix(p, ".safetensors"):
		return lone
	}
	return p
}

func choose(l *Listing, word string) ([]File, error) {
	if word != "" {
		return l.named(word)
	}
	switch {
	case l.has(index):
		return append(l.match(func(p string) bool { return p == index || shardOf.MatchString(p) }), l.side()...), nil
	case l.has(lone):
		return append(l.match(func(p string) bool { return p == lone }), l.side()...), nil
	}
	ggufs := l.match(isModelGGUF)
	groups := map[string]bool{}
	for _, f := range ggufs {
		groups[splitName(f.Path)] = true
	}
	switch {
	case len(groups) == 1:
		return ggufs, nil
	case len(groups) > 1:
		return nil, fmt.Errorf("it holds several GGUF files; choose one with %s%s:FILE:\n%s", Scheme, l.Repo, choices(ggufs))
	}
	return nil, l.none()
}

// none says why a repository has nothing to run.
func (l *Listing) none() error {
	if found := l.match(func(p string) bool { return strings.HasSuffix(p, ".safetensors") }); len(found) > 0 {
		return fmt.Errorf("it has no %s and no %s, but other files:\n%schoose one with %s%s:FILE", lone, index, choices(found), Scheme, l.Repo)
	}
	if found := l.match(isPickle); len(found) > 0 {
		return fmt.Errorf("its weights are pickles (%s), which are code and never loaded: look for a repository with safetensors or GGUF files", found[0].Path)
	}
	return errors.New("it has no weights in safetensors or GGUF files")
}

// named finds what a word stands for.
func (l *Listing) named(word string) ([]File, error) {
	switch {
	case isPickle(word):
		return nil, fmt.Errorf("%s is a pickle, which is code and never loaded: choose safetensors or GGUF", word)
	case l.has(word) && strings.HasSuffix(word, ".gguf"):
		return l.match(func(p string) bool { return splitName(p) == splitName(word) }), nil
	case l.has(word) && strings.HasSuffix(word, ".safetensors"):
		return append(l.match(func(p string) bool { return p == word }), l.side()...), nil
	case l.has(word):
		return nil, fmt.Errorf("%s holds no weights: choose a .safetensors or .gguf file", word)
	}
	tagged := l.match(func(p string) bool { return isModelGGUF(p) && hasTag(splitName(p), word) })
	names := map[string]bool{}
	for _, f := range tagged {
		names[splitName(f.Path)] = true
	}
	if len(names) == 1 {
		return tagged, nil
	}
	if all := l.match(isModelGGUF); len(all) > 0 {
		return nil, fmt.Errorf("there is no file %q; there are:\n%s", word, choices(all))
	}
	return nil, fmt.Errorf("there is no file %q", word)
}

// hasTag tells whether a GGUF file's name ends in a tag such as Q4_K_M.
func hasTag(name, tag string) bool {
	stem := strings.ToLower(strings.TrimSuffix(path.Base(name), ".gguf"))
	rest, ok := strings.CutSuffix(stem, strings.ToLower(tag))
	return ok && (rest == "" || strings.ContainsAny(rest[len(rest)-1:], "-._"))
}

// splitName is the name that all parts of a GGUF file share.
func splitName(p string) string {
	if m := splitOf.FindStringSubmatch(p); m != nil {
		return m[1] + "-of-" + m[2] + ".gguf"
	}
	return p
}

// isModelGGUF leaves out what lies beside models: projectors of images and importance matrices.
func isModelGGUF(p string) bool {
	base := strings.ToLower(path.Base(p))
	return strings.HasSuffix(base, ".gguf") && !strings.HasPrefix(base, "mmproj") && !strings.Contains(base, "imatrix")
}

func isPickle(p string) bool { return slices.Contains(pickles, strings.ToLower(path.Ext(p))) }

func (l *Listing) side() []File { return l.match(needed.MatchString) }

func (l *Listing) has(p string) bool {
	return slices.ContainsFunc(l.Files, func(f File) bool { return f.Path == p })
}

func (l *Listing) match(ok func(string) bool) []File {
	var out []File
	for _, f := range l.Files {
		if ok(f.Path) {
			out = append(out, f)
		}
	}
	return out
}

// choices lists files with their sizes, one a line.
func choices(files []File) string {
	const most = 60
	var b strings.Builder
	for i, f := range files {
		if i == most {
			fmt.Fprintf(&b, "  and %d more\n", len(files)-most)
			break
		}
		fmt.Fprintf(&b, "  %-50q %8.1f MB\n", f.Path, float64(f.Size)/1e6)
	}
	return b.String()
}
