package model

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"

	"hone/checkpoint"
	"hone/nn"
)

// Config reads a model's settings under either of its two names: Hugging Face's and GGUF's (without the architecture's
// prefix). The first missing or wrong setting is kept in Err.
type Config struct {
	raw      checkpoint.Config
	file     checkpoint.File
	settings []setting

	positions  []string // what is known of them, in words
	used       []string // tensors that were read with the config
	extras     []Stored // tensors of a GGUF file that are no weights
	unwritable string   // why it cannot be written as GGUF
	said       []string // what was taken for granted
	unheard    []string // what other programs do not read of a GGUF file of it

	Err error
}

// UnservedError is the error of a file that is whole, but asks for what Hone does not run.
type UnservedError struct{ text string }

func (e *UnservedError) Error() string { return e.text }

func unserved(format string, args ...any) error { return &UnservedError{fmt.Sprintf(format, args...)} }

// unserved is fail with an UnservedError.
func (c *Config) unserved(format string, args ...any) {
	if c.Err == nil {
		c.Err = unserved(format, args...)
	}
}

func (c *Config) fail(format string, args ...any) {
	if c.Err == nil {
		c.Err = fmt.Errorf(format, args...)
	}
}

// maxSize bounds any size in a config, so that products of two of them fit an int64; maxBlocks bounds the size of a
// program, and with it the memory that a config alone can ask for.
const (
	maxSize   = 1 << 28
	maxBlocks = 1024
)

// Int reads a whole number from 1 to maxSize that must be there.
func (c *Config) Int(hf, gguf string) int {
	n, ok := c.int(hf, gguf)
	if !ok {
		c.fail("config has no %s", c.key(hf, gguf))
	}
	c.note(hf, gguf, n)
	return n
}

// Ints reads a whole number for each of n blocks: one that all share, or a list. Without either the default holds; 0 is no
// default.
func (c *Config) Ints(hf, gguf string, n, otherwise int) []int {
	out := make([]int, n)
	var list []int
	ok := false
	switch v := c.value(hf, gguf).(type) {
	case []any:
		list, ok = wholes(v)
	case nil:
	default:
		if c.raw.GGUF != nil {
			list, ok = c.raw.GGUF.Ints(c.ggufKey(gguf))
		}
	}
	if !ok {
		one := c.IntOr(hf, gguf, otherwise)
		if one == 0 {
			one = c.Int(hf, gguf)
		}
		for i := range out {
			out[i] = one
		}
		return out
	}
	if len(list) != n {
		c.fail("%s has %d values, the model has %d blocks", c.key(hf, gguf), len(list), n)
		return out
	}
	for i, v := range list {
		if v < 1 || v > maxSize {
			c.fail("%s of block %d is %d; it must be from 1 to %d", c.key(hf, gguf), i, v, maxSize)
		}
	}
	c.note(hf, gguf, list)
	return list
}

// wholes takes a JSON list of whole numbers.
func wholes(v []any) ([]int, bool) {
	out := make([]int, len(v))
	for i, x := range v {
		f, ok := number(x)
		if !ok || f != math.Trunc(f) || math.Abs(f) > maxSize {
			return nil, false
		}
		out[i] = int(f)
	}
	return out, true
}

// IntOr is Int with a default.
func (c *Config) IntOr(hf, gguf string, otherwise int) int {
	n, ok := c.int(hf, gguf)
	if !ok {
		n = otherwise
	}
	c.note(hf, gguf, n)
	return n
}

func (c *Config) int(hf, gguf string) (int, bool) {
	f, ok := c.float(hf, gguf)
	if ok && !(f >= 1 && f <= maxSize && f == math.Trunc(f)) {
		c.fail("%s is %v; it must be a whole number from 1 to %d", c.key(hf, gguf), f, maxSize)
		return 1, true
	}
	return int(f), ok
}

// Float reads a positive number, with a default.
func (c *Config) Float(hf, gguf string, otherwise float64) float64 {
	f, ok := c.float(hf, gguf)
	if !ok {
		f = otherwise
	} else {
		f = c.positive(c.key(hf, gguf), f)
	}
	c.note(hf, gguf, f)
	return f
}

// Optional reads a positive number whose null, or in GGUF 0, switches something off: then it is 0. Where nothing is said the
// default holds.
func (c *Config) Optional(hf, gguf string, otherwise float64) float64 {
	if v, said := c.raw.HF[hf]; said && v == nil {
		c.note(hf, gguf, nil)
		return 0
	}
	f, ok := c.float(hf, gguf)
	switch {
	case !ok:
		f = otherwise
	case f != 0 || c.raw.GGUF == nil:
		f = c.positive(c.key(hf, gguf), f)
	}
	if c.note(hf, gguf, f); f == 0 {
		c.note(hf, gguf, nil)
	}
	return f
}

// Window reads the size of a sliding window, 0 for none.
func (c *Config) Window(otherwise int) int {
	f := c.Optional("sliding_window", "attention.sliding_window", float64(otherwise))
	if f != math.Trunc(f) || f > maxSize {
		c.fail("%s is %v; it must be a whole number up to %d", c.key("sliding_window", "attention.sliding_window"), f, maxSize)
		return 0
	}
	if f > 0 {
		c.note("sliding_window", "attention.sliding_window", int(f))
	}
	return int(f)
}

// positive refuses what is not a positive number of a size that 32-bit floats hold.
func (c *Config) positive(key string, f float64) float64 {
	if !(f >= 1e-30 && f <= 1e30) {
		c.fail("%s is %v; it must be a positive number", key, f)
	}
	return f
}

// float reads a number; what is there and is none is a fault, JSON's null is not there.
func (c *Config) float(hf, gguf string) (float64, bool) {
	v := c.value(hf, gguf)
	if v == nil {
		return 0, false
	}
	var f float64
	var ok bool
	if c.raw.GGUF != nil {
		f, ok = c.raw.GGUF.Float(c.ggufKey(gguf))
		f = shortest(f)
	} else {
		f, ok = number(v)
	}
	if !ok {
		c.fail("%s is %s; it must be a number", c.key(hf, gguf), brief(v))
		return 1, true
	}
	return f, true
}

// value is the setting as the file's own kind names it, nil when absent or null.
func (c *Config) value(hf, gguf string) any {
	if c.raw.GGUF != nil {
		return c.raw.GGUF[c.ggufKey(gguf)]
	}
	return c.raw.HF[hf]
}

// shortest undoes the widening of a 32-bit float: 0.1 as f32 is 0.1 again.
func shortest(f float64) float64 {
	if float64(float32(f)) == f {
		f, _ = strconv.ParseFloat(strconv.FormatFloat(f, 'g', -1, 32), 64)
	}
	return f
}

// number takes what JSON decoders make of a number.
func number(v any) (float64, bool) {
	switch n := v.(type) {
	case json.Number:
		f, err := n.Float64()
		return f, err == nil
	case int:
		return float64(n), true
	case float32:
		return float64(n), true
	case float64:
		return n, true
	}
	return 0, false
}

// brief shows a value of any size in an error.
func brief(v any) string {
	s := fmt.Sprint(v)
	if len(s) > 60 {
		s = s[:60] + "…"
	}
	if _, text := v.(string); text {
		return strconv.Quote(s)
	}
	return s
}

// Flag reads a boolean of a Hugging Face config, false when absent.
func (c *Config) Flag(hf string) bool { return c.FlagOr(hf, "", false) }

// FlagOr reads a boolean, with a default.
func (c *Config) FlagOr(hf, gguf string, otherwise bool) bool {
	v := c.value(hf, gguf)
	b, ok := v.(bool)
	switch {
	case v == nil:
		b = otherwise
	case !ok:
		c.fail("%s is %s; it must be true or false", c.key(hf, gguf), brief(v))
	}
	c.note(hf, gguf, b)
	return b
}

// Has tells whether the model has an optional weight: a flag of a Hugging Face config, with a default; a GGUF file has the
// tensor or not.
func (c *Config) Has(hf, tensor string, otherwise bool) bool {
	if c.raw.GGUF == nil {
		return c.FlagOr(hf, "", otherwise)
	}
	c.note(hf, "", c.holds(tensor))
	return c.holds(tensor)
}

// Activation reads the name of a plain MLP's activation.
func (c *Config) Activation(hf, otherwise string) func(b *nn.Builder, x nn.Value) nn.Value {
	name := otherwise
	if v := c.value(hf, "hidden_activation"); v != nil {
		name = fmt.Sprint(v)
	}
	c.note(hf, "", name)
	if name != otherwise {
		c.note("", "hidden_activation", name)
	}
	act := activations[name].plain
	if act == nil {
		c.refuse(c.key(hf, "hidden_activation"), name)
	}
	return act
}

// activations are those that MLPs have, by transformers' names, and the gates that are made of them.
var activations = map[string]struct {
	plain func(b *nn.Builder, x nn.Value) nn.Value
	gate  func(b *nn.Builder, gate, up nn.Value) nn.Value
}{
	"silu":              {nil, (*nn.Builder).SiLUMul},
	"swish":             {nil, (*nn.Builder).SiLUMul},
	"relu":              {(*nn.Builder).ReLU, (*nn.Builder).ReLUMul},
	"gelu":              {(*nn.Builder).GELU, (*nn.Builder).GELUMul},
	"gelu_python":       {(*nn.Builder).GELU, (*nn.Builder).GELUMul},
	"gelu_new":          {(*nn.Builder).GELUTanh, (*nn.Builder).GELUTanhMul},
	"gelu_fast":         {(*nn.Builder).GELUTanh, (*nn.Builder).GELUTanhMul},
	"gelu_accurate":     {(*nn.Builder).GELUTanh, (*nn.Builder).GELUTanhMul},
	"gelu_pytorch_tanh": {(*nn.Builder).GELUTanh, (*nn.Builder).GELUTanhMul},
	"gelu_python_tanh":  {(*nn.Builder).GELUTanh, (*nn.Builder).GELUTanhMul},
}

// Refuse fails when a Hugging Face setting is present and not one of the allowed values: what Hone would ignore it
// must not ignore silently. The first of them is what the model is.
func (c *Config) Refuse(hf string, allowed ...any) {
	c.note(hf, "", allowed[0])
	v, ok := c.raw.HF[hf]
	if !ok || v == nil {
		return
	}
	for _, a := range allowed {
		if equal(a, v) {
			return
		}
	}
	c.refuse(hf, v)
}

// equal compares settings; numbers by value, since files write 0 and 0.0.
func equal(a, v any) bool {
	x, isNumber := number(a)
	y, ok := number(v)
	return isNumber && ok && x == y || fmt.Sprint(a) == fmt.Sprint(v)
}

// RefuseGGUF is Refuse for a setting of a GGUF file.
func (c *Config) RefuseGGUF(key string, allowed any) {
	if c.raw.GGUF == nil {
		return
	}
	if v := c.raw.GGUF[c.ggufKey(key)]; v != nil && fmt.Sprint(v) != fmt.Sprint(allowed) {
		c.refuse(c.ggufKey(key), v)
	}
}

func (c *Config) refuse(key string, v any) {
	c.unserved("config sets %s to %s, which Hone does not serve yet", key, brief(v))
}

func (c *Config) ggufKey(key string) string { return c.arch() + "." + key }

func (c *Config) key(hf, gguf string) string {
	if c.raw.GGUF != nil {
		return c.ggufKey(gguf)
	}
	return hf
}

// Tied tells whether the output matrix is the token embedding: where the file has no matrix of its own under either
// name, unless its config says that there is one. One that is there is used whatever the config says, as transformers 5
// does. Without a file the config alone decides.
func (c *Config) Tied(hf, gguf string) (tied bool) {
	said := c.Flag("tie_word_embeddings")
	defer func() { c.note("tie_word_embeddings", "", tied) }()
	if c.file == nil {
		return said
	}
	name := hf
	if c.raw.GGUF != nil {
		name = gguf
	}
	if c.holds(name) {
		return false
	}
	if !said && c.raw.HF["tie_word_embeddings"] != nil {
		c.fail("config sets tie_word_embeddings to false, but the file has no %s", hf)
	}
	return true
}

// holds tells whether the file has a tensor of this name of its own.
func (c *Config) holds(name string) bool {
	if c.file == nil {
		return false
	}
	_, ok := c.file.Info(name)
	return ok
}

// Vocab reads the number of token embeddings, which some GGUF files tell by the shape of the matrix alone.
func (c *Config) Vocab() int {
	n, ok := c.int("vocab_size", "vocab_size")
	if ok {
		c.note("vocab_size", "vocab_size", n)
		return n
	}
	if c.raw.GGUF != nil && c.file != nil {
		if info, ok := c.file.Info("token_embd.weight"); ok && len(info.Shape) > 0 && info.Shape[0] > 0 {
			c.note("vocab_size", "vocab_size", info.Shape[0])
			return info.Shape[0]
		}
	}
	c.fail("config has no %s", c.key("vocab_size", "vocab_size"))
	return 0
}

// Blocks reads the number of blocks and bounds it before anything is built from it.
func (c *Config) Blocks(hf, gguf string) int {
	n := c.Int(hf, gguf)
	if n > maxBlocks {
		c.fail("%s is %d; Hone takes at most %d", c.key(hf, gguf), n, maxBlocks)
		return 0
	}
	return n
}

// HeadSize reads the width of an attention head, the hidden width shared evenly by the heads where nothing is said.
func (c *Config) HeadSize(hf, gguf string, width, heads int) int {
	n, ok := c.int(hf, gguf)
	if !ok {
		n = width / max(heads, 1)
		if heads > 0 && width%heads != 0 {
			c.fail("a hidden size of %d is not shared evenly by %d attention heads", width, heads)
		}
	}
	c.note(hf, gguf, n)
	return n
}

// CheckHeads refuses attention that no program can be built of.
func (c *Config) CheckHeads(a nn.Attention) {
	switch {
	case c.Err != nil:
	case a.Heads%a.KVHeads != 0:
		c.fail("%d attention heads do not share %d key/value heads evenly", a.Heads, a.KVHeads)
	case a.Size > maxHead || a.Heads > maxSize/a.Size:
		c.fail("%d attention heads of size %d are too large; a head may have %d features", a.Heads, a.Size, maxHead)
	}
}

// maxHead is the most features of a head: it bounds the tables of rotary frequencies.
const maxHead = 4096
