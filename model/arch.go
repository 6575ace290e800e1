// Package model turns model files into programs: one file an architecture, from a config to a program and from
// canonical weight names to the file's.
package model

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"hone/nn"
)

// Arch is one architecture.
type Arch struct {
	Name string   // Hugging Face's model_type
	GGUF string   // general.architecture, where it is another name
	HF   []string // class names in config.json's "architectures"
	// Claims tells, of GGUF files whose name several architectures share, whether this is its own; nil takes the rest.
	Claims func(c *Config) bool
	// Design reads the config and builds the program. A decoder of Llama's line gives decoder instead.
	Design  func(c *Config) (*Design, error)
	decoder func(c *Config) *decoder
}

func (a Arch) gguf() string {
	if a.GGUF != "" {
		return a.GGUF
	}
	return a.Name
}

// Design is what an architecture makes of a config.
type Design struct {
	Program *nn.Program
	Context int  // positions that the model was trained for
	Tied    bool // the output matrix is the token embedding
	// HF and GGUF say where the two kinds of file keep the weights. In a Hugging Face file a weight without a row stands
	// under its canonical name; without GGUF the model has no GGUF form.
	HF, GGUF Layout
	// Attention tells in words what the attention of the blocks is; "" where the family has one way alone.
	Attention string
	// RepeatHead names the tensor as which a GGUF file holds a tied embedding once more, "": it does not.
	RepeatHead string
	// Classes are the labels of an encoder with a classification head; nil: there is none.
	Classes *Classes
	// Prefixes are tried before a canonical name in Hugging Face files. Base is a prefix of canonical names that files of
	// the bare model lack.
	Prefixes []string
	Base     string
	// Unused are parts of names of tensors that change nothing here; any other tensor without a use is refused.
	Unused []string

	arch   Arch
	config *Config
}

var archs = map[string]Arch{}

func register(a Arch) {
	if _, twice := archs[a.Name]; twice {
		panic("model: architecture " + a.Name + " is registered twice")
	}
	if a.decoder != nil {
		a.Design = func(c *Config) (*Design, error) { return a.decoder(c).design() }
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
	if kind, _ := c.raw.GGUF.String("general.type"); kind != "" && kind != "model" {
		return Arch{}, unserved("general.type is %.80q: the file is no model of its own, but belongs to one", kind)
	}
	var found *Arch
	for _, key := range Archs() {
		a := archs[key]
		if !c.names(a, name) {
			continue
		}
		if c.raw.GGUF == nil || a.Claims == nil && found == nil || a.Claims != nil && a.Claims(c) {
			found = &a
		}
	}
	if found == nil {
		return Arch{}, unserved("architecture %.80q is not served; Hone runs %s", name, strings.Join(Archs(), ", "))
	}
	return *found, nil
}

// names tells whether a file's name of its architecture is one of a's.
func (c *Config) names(a Arch, name string) bool {
	switch {
	case c.raw.GGUF != nil:
		return name == a.gguf()
	case c.raw.HF["architectures"] == nil:
		return name == a.Name
	}
	return slices.Contains(a.HF, name)
}

// arch is what the file calls its architecture: GGUF's word, or Hugging Face's class, or its model type where no class is
// named.
func (c *Config) arch() string {
	if c.raw.GGUF != nil {
		name, _ := c.raw.GGUF.String("general.architecture")
		return name
	}
	classes, ok := c.raw.HF["architectures"].([]any)
	if ok && len(classes) > 0 {
		return fmt.Sprint(classes[0])
	}
	name, _ := c.raw.HF["model_type"].(string)
	return name
}
