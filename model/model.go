package model

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"hone/checkpoint"
	"hone/kernel"
	"hone/nn"
	"hone/quant"
	"hone/tokenizer"
)

// Model is an opened model file: names and shapes are read and checked, weights are not yet loaded.
type Model struct {
	Path   string
	Arch   string
	Design *Design
	File   checkpoint.File
	config *Config
	places map[string]Place // by canonical name
	zeros  []string         // tensors of zeros that were left out
	banks  struct {
		sync.Mutex
		views map[string]quant.Matrix // by tensor
	}
}

// Open opens a GGUF file or a Hugging Face directory and builds its program. A file whose config and tensors do not fit
// each other is an error that names the file and the fault. The caller closes the model's File.
func Open(path string) (*Model, error) {
	file, err := checkpoint.Open(path)
	if err != nil {
		return nil, err
	}
	m, err := OpenFile(path, file)
	if err != nil {
		file.Close()
	}
	return m, err
}

// OpenFile is Open of a file that is open already. The caller closes it, after an error too.
func OpenFile(path string, file checkpoint.File) (*Model, error) {
	m, err := fromFile(path, file)
	if err != nil {
		return nil, named(path, err)
	}
	return m, nil
}

// named puts a file's name before an error, unless that is a fault in a file, which names it.
func named(path string, err error) error {
	if fault := (*checkpoint.Error)(nil); errors.As(err, &fault) {
		return err
	}
	return fmt.Errorf("%s: %w", path, err)
}

func fromFile(path string, file checkpoint.File) (*Model, error) {
	c := &Config{raw: file.Config(), file: file}
	arch, err := archOf(c)
	if err != nil {
		return nil, err
	}
	if len(file.Names()) == 0 {
		return nil, unserved("the file holds no weights, at most a vocabulary")
	}
	design, err := arch.Design(c)
	if err != nil {
		return nil, err
	}
	design.arch, design.config = arch, c
	m := &Model{Path: path, Arch: arch.Name, Design: design, File: file, config: c}
	if !m.Encoder() {
		c.sayEmbeds()
	}
	return m, m.checkNames()
}

// sayEmbeds tells of a decoder that was trained to make vectors.
func (c *Config) sayEmbeds() {
	var modules []any
	kind, _ := c.float("", "pooling_type")
	if c.raw.GGUF != nil && kind > 0 || c.raw.GGUF == nil && c.readBeside("modules.json", &modules) {
		c.say("the model was made to turn texts into vectors; Hone runs a decoder as a language model, and takes encoders for vectors")
	}
}

// FromConfig designs a model from a Hugging Face config alone (numbers as json.Number, float64 or int), without a file of
// weights. What is missing, wrong or not served is an error that names it; memory is bounded whatever the config says.
func FromConfig(hf map[string]any) (*Design, error) {
	c := &Config{raw: checkpoint.Config{HF: hf}}
	arch, err := archOf(c)
	if err != nil {
		return nil, err
	}
	d, err := arch.Design(c)
	if err != nil {
		return nil, err
	}
	d.arch, d.config = arch, c
	return d, nil
}

// HFConfig is the model's config.json, made up from GGUF metadata where it came from there.
func (m *Model) HFConfig() map[string]any {
	if m.config.raw.HF != nil {
		return m.config.raw.HF
	}
	return m.Design.HFConfig()
}

// Dir is the folder of the model's files.
func (m *Model) Dir() string { return m.config.raw.Dir }

// Encoder tells whether the model gives vectors rather than text.
func (m *Model) Encoder() bool { return m.Design.Program.Head == nil }

// Tokenizer reads the model's tokenizer: GGUF metadata, or tokenizer.json beside the weights.
func (m *Model) Tokenizer() (tokenizer.Tokenizer, error) {
	if m.config.raw.GGUF != nil {
		return tokenizer.FromGGUF(m.config.raw.GGUF)
	}
	return tokenizer.FromHF(m.config.raw.Dir)
}

// readBeside reads an optional JSON file of the model's directory; false when it is absent. One that cannot be read is a
// fault of the model.
func (c *Config) readBeside(name string, v any) bool {
	if c.raw.Dir == "" {
		return false
	}
	ok, err := readJSON(filepath.Join(c.raw.Dir, name), v)
	if err != nil {
		c.fail("%s: %w", name, err)
	}
	return ok
}

// readJSON reads a small optional JSON file; false when it is absent.
func readJSON(path string, v any) (bool, error) {
	const most = 1 << 20
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if info.Size() > most {
		return false, fmt.Errorf("it has %d bytes, at most %d are read", info.Size(), most)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return false, err
	}
	return true, json.Unmarshal(b, v)
}

// LoadOptions says how a model is made ready to run.
type LoadOptions struct {
	Weights    Weights // number formats; the zero value keeps what the file has
	MaxTokens  int     // rows of one batch, at least 1
	MaxContext int     // positions of one sequence; 0: MaxTokens
	KV         nn.KVConfig
	Pool       *kernel.Pool
	Stop       func() error // of nn.Options: its error ends the load
}

// Load reads the weights and gives the executor. The file's pages are released afterwards; embeddings read them again
// as they need them.
func (m *Model) Load(opt LoadOptions) (*nn.Exec, error) {
	x, err := nn.New(m.Design.Program, m, nn.Options{
		MaxTokens: opt.MaxTokens, MaxContext: opt.MaxContext, KV: opt.KV, Pool: opt.Pool,
		Formats: opt.Weights.Formats(m.Design.Tied), Stop: opt.Stop,
	})
	if err != nil {
		return nil, named(m.Path, err)
	}
	m.File.Release()
	return x, nil
}
