// Package model turns model files into programs: one file an architecture, from a config to a program and from
// canonical weight names to the file's.
package model

import (
	"fmt"
	"math"
	"sort"
	"strings"

	"hone/checkpoint"
	"hone/nn"
)

// Arch is one architecture.
type Arch struct {
	Name string   // as GGUF's general.architecture and Hugging Face's model_type have it
	HF   []string // class names in config.json's "architectures"
	// Design reads the config and builds the program.
	Design func(c *Config) (*Design, error)
}

// Design is what an architecture makes of a config.
type Design struct {
	Program *nn.Program
	Context int  // positions that the model was trained for
	Tied    bool // the output matrix is the token embedding
	// GGUF maps canonical names to GGUF's; %d stands for the block. Suffixes .weight and .bias are carried over.
	GGUF map[string]string
	// RowOrder returns, for a matrix that GGUF stores with its rows in another order, the GGUF row of each canonical
	// row; nil for all others.
	RowOrder func(name string) []int
	// HF is the model's config in Hugging Face's words, for saving a model that came from GGUF.
	HF map[string]any
	// Prefixes are tried before a canonical name in Hugging Face files.
	Prefixes []string
	// Unused are parts of names of tensors that change nothing here; any other tensor without a use is refused.
	Unused []string
}

var archs = map[string]Arch{}

func register(a Arch) {
	if _, twice := archs[a.Name]; twice {
		panic("model: architecture " + a.Name + " is registered twice")
	}
	archs[a.Name] = a
}

// Archs lists the architectures by name.
func Archs() []string {
	var names []string
	for n := range archs {
		names = append(names, n)
	}
	sort.Strings(names)
	return names
}

// archOf finds the architecture that a file names.
func archOf(c *Config) (Arch, error) {
	name := c.arch()
	if a, ok := archs[name]; ok {
		return a, nil
	}
	return Arch{}, fmt.Errorf("architecture %q is not served; Hone runs %s", name, strings.Join(Archs(), ", "))
}

// arch is the model type that the file gives itself.
func (c *Config) arch() string {
	if c.raw.GGUF != nil {
		name, _ := c.raw.GGUF.String("general.architecture")
		return name
	}
	if class, ok := c.raw.HF["architectures"].([]any); ok && len(class) > 0 {
		for _, a := range archs {
			for _, hf := range a.HF {
				if hf == class[0] {
					return a.Name
				}
			}
		}
		return fmt.Sprint(class[0])
	}
	name, _ := c.raw.HF["model_type"].(string)
	return name
}

// Config reads a model's settings under either of its two names: Hugging Face's and GGUF's (without the architecture's
// prefix). The first missing or wrong setting is kept in Err.
type Config struct {
	raw  checkpoint.Config
	file checkpoint.File
	Err  error
}

func (c *Config) fail(format string, args ...any) {
	if c.Err == nil {
		c.Err = fmt.Errorf(format, args...)
	}
}

// maxSize bounds any size in a config, so that products of two of them fit an int64.
const maxSize = 1 << 28

// Int reads a positive integer.
func (c *Config) Int(hf, gguf string) int {
	n, ok := c.int(hf, gguf)
	if !ok {
		c.fail("config has no %s", c.key(hf, gguf))
	}
	return n
}

// IntOr reads a positive integer with a default.
func (c *Config) IntOr(hf, gguf string, otherwise int) int {
	if n, ok := c.int(hf, gguf); ok {
		return n
	}
	return otherwise
}

func (c *Config) int(hf, gguf string) (int, bool) {
	f, ok := c.float(hf, gguf)
	if !ok {
		return 0, false
	}
	if f < 1 || f > maxSize || f != float64(int(f)) {
		c.fail("%s is %v; it must be a whole number from 1 to %d", c.key(hf, gguf), f, maxSize)
		return 1, true
	}
	return int(f), true
}

// Float reads a positive number with a default.
func (c *Config) Float(hf, gguf string, otherwise float64) float64 {
	f, ok := c.float(hf, gguf)
	if !ok {
		return otherwise
	}
	if !(f > 0) || math.IsInf(f, 1) {
		c.fail("%s is %v; it must be a positive number", c.key(hf, gguf), f)
	}
	return f
}

func (c *Config) float(hf, gguf string) (float64, bool) {
	if c.raw.GGUF != nil {
		if f, ok := c.raw.GGUF.Float(c.ggufKey(gguf)); ok {
			return f, true
		}
		n, ok := c.raw.GGUF.Int(c.ggufKey(gguf))
		return float64(n), ok
	}
	return number(c.raw.HF[hf])
}

func number(v any) (float64, bool) {
	switch n := v.(type) {
	case interface{ Float64() (float64, error) }: // json.Number
		f, err := n.Float64()
		return f, err == nil
	case int:
		return float64(n), true
	case float64:
		return n, true
	}
	return 0, false
}

// Text reads a string, "" when absent.
func (c *Config) Text(hf, gguf string) string {
	if c.raw.GGUF != nil {
		s, _ := c.raw.GGUF.String(c.ggufKey(gguf))
		return s
	}
	s, _ := c.raw.HF[hf].(string)
	return s
}

// Flag reads a boolean of a Hugging Face config, false when absent.
func (c *Config) Flag(hf string) bool {
	b, _ := c.raw.HF[hf].(bool)
	return b
}

// Refuse fails when a Hugging Face setting is present and not one of the allowed values: what Hone would ignore it
// must not ignore silently.
func (c *Config) Refuse(hf string, allowed ...any) {
	v, ok := c.raw.HF[hf]
	if !ok || v == nil {
		return
	}
	for _, a := range allowed {
		if fmt.Sprint(a) == fmt.Sprint(v) {
			return
		}
	}
	c.fail("config sets %s to %v, which Hone does not serve yet", hf, v)
}

func (c *Config) ggufKey(key string) string { return c.arch() + "." + key }

func (c *Config) key(hf, gguf string) string {
	if c.raw.GGUF != nil {
		return c.ggufKey(gguf)
	}
	return hf
}

// Has tells whether the file holds a tensor under either name.
func (c *Config) Has(hf, gguf string) bool {
	if c.file == nil { // a shape without a file
		return !c.Flag("tie_word_embeddings")
	}
	name := hf
	if c.raw.GGUF != nil {
		name = gguf
	}
	_, ok := c.file.Info(name)
	return ok
}

// Rows is the number of rows of a tensor, 0 when absent: GGUF keeps the vocabulary's size there alone.
func (c *Config) Rows(gguf string) int {
	if c.file != nil {
		if info, ok := c.file.Info(gguf); ok && len(info.Shape) > 0 {
			return info.Shape[0]
		}
	}
	return 0
}

// Blocks reads the number of blocks and checks it against the file, before anything is built from it.
func (c *Config) Blocks(hf, gguf string) int {
	n := c.Int(hf, gguf)
	if c.file == nil {
		return n
	}
	if have := len(c.file.Names()); n > have {
		c.fail("%s is %d, but the file holds only %d tensors", c.key(hf, gguf), n, have)
		return 0
	}
	return n
}
