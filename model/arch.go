// Package model turns model files into programs: one file an architecture, from a config to a program and from
// canonical weight names to the file's.
package model

import (
	"fmt"
	"sort"
	"strings"

	"hone/nn"
)

// Arch is one architecture.
type Arch struct {
	Name string   // as GGUF's general.architecture has it
	Type string   // Hugging Face's model_type, where it is another name
	HF   []string // class names in config.json's "architectures"
	// Design reads the config and builds the program.
	Design func(c *Config) (*Design, error)
}

// Design is what an architecture makes of a config.
type Design struct {
	Program *nn.Program
	Context int  // positions that the model was trained for
	Tied    bool // the output matrix is the token embedding
	// HF and GGUF say where the two kinds of file keep the weights. In a Hugging Face file a weight without a row stands
	// under its canonical name; without GGUF the model has no GGUF form.
	HF, GGUF Layout
	// Prefixes are tried before a canonical name in Hugging Face files.
	Prefixes []string
	// Unused are parts of names of tensors that change nothing here; any other tensor without a use is refused.
	Unused []string

	arch     Arch
	settings []setting
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
	return Arch{}, unserved("architecture %.80q is not served; Hone runs %s", name, strings.Join(Archs(), ", "))
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
