package model

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"hone/nn"
)

// decoder is what the decoders that follow Llama have in common: an architecture reads a config into one and says how its
// block is built. Sizes are told for each block, since pruning makes them unequal; where a config tells one, all blocks
// have it.
type decoder struct {
	c              *Config
	width, blocks  int
	vocab, context int
	mlp, heads, kv []int
	windows        []int // 0: a block sees all keys
	size           int   // of a head
	eps            float32
	tied           bool

	block     func(b *nn.Builder, x nn.Value, i int) nn.Value
	attention nn.Attention         // of every block but for its heads, window and ropes
	ropes     func(i int) *nn.Rope // of block i; nil: attention's
	mlpBias   bool
	gate      func(b *nn.Builder, gate, up nn.Value) nn.Value // of the gated MLP
	experts   nn.Experts                                      // of every block, Count 0: a gated MLP
	dense     []bool                                          // blocks that have none; nil: none
	plusOne   bool                                            // norms' gains are 1 + the weight
	embedding float64                                         // multiplies embeddings; 0: nothing
	residual  float64                                         // multiplies what a residual sum gets; 0: nothing
	logits    float64                                         // multiplies logits; 0: nothing
	softcap   float64                                         // of logits; 0: none

	hf, gguf   Layout
	prefixes   []string
	repeatHead string
}

// decoder reads the common settings.
func (c *Config) decoder() *decoder {
	d := &decoder{c: c, width: c.Int("hidden_size", "embedding_length"), blocks: c.Blocks("num_hidden_layers", "block_count")}
	d.heads = c.Ints("num_attention_heads", "attention.head_count", d.blocks, 0)
	most := 1
	if d.blocks > 0 {
		most = d.heads[0]
	}
	d.kv = c.Ints("num_key_value_heads", "attention.head_count_kv", d.blocks, most)
	d.size = c.HeadSize("head_dim", "attention.key_length", d.width, most)
	c.RefuseGGUF("attention.value_length", d.size)
	c.note("", "attention.value_length", d.size)
	d.mlp = c.Ints("intermediate_size", "feed_forward_length", d.blocks, 0)
	d.eps = float32(c.Float("rms_norm_eps", "attention.layer_norm_rms_epsilon", 1e-6))
	d.vocab = c.Vocab()
	d.context = c.Int("max_position_embeddings", "context_length")
	d.tied = c.Tied("lm_head.weight", "output.weight")
	d.windows = make([]int, d.blocks)
	d.attention = nn.Attention{Q: "q_proj", K: "k_proj", V: "v_proj", O: "o_proj", Size: d.size, Causal: true, NormEps: d.eps}
	d.gguf = maps.Clone(decoderGGUF)
	d.block = d.plain
	d.gate = (*nn.Builder).SiLUMul
	return d
}

// epsilon is what the norms of the family add where nothing is said.
func (d *decoder) epsilon(otherwise float64) {
	d.eps = float32(d.c.Float("rms_norm_eps", "attention.layer_norm_rms_epsilon", otherwise))
	d.attention.NormEps = d.eps
}

// sharedMLP is the MLP size of a family whose blocks are all of one.
func (d *decoder) sharedMLP() int {
	for i, n := range d.mlp {
		if n != d.mlp[0] {
			d.c.fail("block %d has %d features in its MLP, block 0 has %d; this architecture has one size", i, n, d.mlp[0])
		}
	}
	if len(d.mlp) == 0 {
		return 0
	}
	return d.mlp[0]
}

// learnedWords describe the attention of such a decoder.
func (d *decoder) learnedWords() string {
	positions := d.c.positions
	if positions == nil {
		positions = []string{"learned positions"}
	}
	return strings.Join(append([]string{fmt.Sprintf("%d heads of %d", d.attention.Heads, d.attention.Size)}, positions...), "; ")
}

// attentionBias reads whether the four linears of attention have biases.
func (d *decoder) attentionBias() {
	bias := d.c.Has("attention_bias", "blk.0.attn_output.bias", false)
	d.attention.QKVBias, d.attention.OBias = bias, bias
}

// learned reads the settings of a decoder of GPT-2's time under the family's own names: heads that share the width, LayerNorms,
// a plain MLP.
func (c *Config) learned(head, width, blocks, heads, mlp, context string) *decoder {
	d := &decoder{c: c, width: c.Int(width, "embedding_length"), blocks: c.Blocks(blocks, "block_count")}
	n := c.Int(heads, "attention.head_count")
	d.heads = []int{n}
	d.mlp = []int{c.IntOr(mlp, "feed_forward_length", 4*d.width)}
	d.vocab, d.context = c.Vocab(), c.Int(context, "context_length")
	d.tied = c.Tied(head, "output.weight")
	d.attention = nn.Attention{Heads: n, KVHeads: max(n, 1), Size: c.HeadSize("", "", d.width, n), Causal: true, QKVBias: true, OBias: true}
	c.CheckHeads(d.attention)
	return d
}

// attend emits the attention of block i.
func (d *decoder) attend(b *nn.Builder, x nn.Value, i int) nn.Value {
	a := d.attention
	a.Heads, a.KVHeads, a.Window = d.heads[i], d.kv[i], d.windows[i]
	if d.ropes != nil {
		a.Rope = d.ropes(i)
	}
	return b.Attention(x, "self_attn", a)
}

// gated emits the gated MLP of block i.
func (d *decoder) gated(b *nn.Builder, x nn.Value, i int) nn.Value {
	lin := func(name string) nn.Linear {
		l := nn.Linear{Name: "mlp." + name + ".weight", Out: d.mlp[i], Unit: 1}
		if d.mlpBias {
			l.Bias = "mlp." + name + ".bias"
		}
		return l
	}
	h := b.ColumnLinears(x, lin("gate_proj"), lin("up_proj"))
	down := lin("down_proj")
	return b.RowLinear(d.gate(b, h[0], h[1]), down.Name, down.Bias, d.width)
}

// activation reads which gate the MLP has, under the family's key; GGUF has no word for another than the usual one.
func (d *decoder) activation(hf, usual string) {
	c, name := d.c, usual
	if v := c.raw.HF[hf]; v != nil {
		name = fmt.Sprint(v)
	}
	c.note(hf, "", name)
	act, ok := activations[name]
	if !ok {
		c.refuse(hf, name)
		return
	}
	if d.gate = act.gate; name != usual && name != "swish" {
		c.noGGUF(fmt.Sprintf("the activation of its MLPs is %s, not %s", name, usual))
	}
}

func (d *decoder) norm(b *nn.Builder, x nn.Value, name string) nn.Value {
	if d.plusOne {
		return b.RMSNormPlusOne(x, name, d.eps)
	}
	return b.RMSNorm(x, name, d.eps)
}

// add is the residual sum.
func (d *decoder) add(b *nn.Builder, x, y nn.Value) nn.Value {
	return b.Add(x, scaled(b, y, d.residual))
}

func scaled(b *nn.Builder, x nn.Value, by float64) nn.Value {
	if by == 0 || by == 1 {
		return x
	}
	return b.Scale(x, by)
}

// plain is the block of Llama and most that followed: a norm before the attention and one before the gated MLP.
func (d *decoder) plain(b *nn.Builder, x nn.Value, i int) nn.Value {
	x = d.add(b, x, d.attend(b, d.norm(b, x, "input_layernorm"), i))
	return d.add(b, x, d.gated(b, d.norm(b, x, "post_attention_layernorm"), i))
}

// check refuses what no program can be built of, and what no decoder here does.
func (d *decoder) check() error {
	if v := d.c.raw.HF["is_causal"]; v != nil && v != true {
		d.c.refuse("is_causal", v)
	}
	for i := range d.kv {
		a := d.attention
		a.Heads, a.KVHeads = d.heads[i], d.kv[i]
		d.c.CheckHeads(a)
	}
	if d.experts.Count == 0 {
		d.c.RefuseGGUF("expert_count", 0)
	}
	if len(d.windows) > 0 && slices.Max(d.windows) == 0 && d.c.noted("layer_types") == nil {
		d.c.windowless()
	}
	return d.c.Err
}

// design builds the program: embedding, blocks, norm, head.
func (d *decoder) design() (*Design, error) {
	if err := d.check(); err != nil {
		return nil, err
	}
	b := nn.NewBuilder()
	x := scaled(b, b.Embed("model.embed_tokens.weight", d.vocab, d.width), d.embedding)
	for i := range d.blocks {
		b.Block(fmt.Sprintf("model.layers.%d.", i), func() { x = d.block(b, x, i) })
	}
	name := "lm_head.weight"
	if d.tied {
		name = "model.embed_tokens.weight"
	}
	head := b.Head(d.norm(b, x, "model.norm"), name, d.vocab)
	head.Scale, head.Softcap = d.logits, d.softcap
	return &Design{Program: b.Program(), Context: d.context, Tied: d.tied, HF: d.hf, GGUF: d.gguf, Prefixes: d.prefixes, Base: "model.",
		RepeatHead: d.repeatHead, Attention: d.words(), Unused: []string{"rotary_emb.inv_freq"}}, nil
}

// words describe the attention for a person.
func (d *decoder) words() string {
	out := fmt.Sprintf("%s heads of %d", between(d.heads), d.size)
	if !slices.Equal(d.heads, d.kv) {
		out += fmt.Sprintf(", %s for keys and values", between(d.kv))
	}
	windows := 0
	for _, w := range d.windows {
		windows += min(w, 1)
	}
	if windows > 0 {
		out += fmt.Sprintf("; a window of %d in %d of %d blocks", slices.Max(d.windows), windows, d.blocks)
	}
	return strings.Join(append([]string{out}, d.c.positions...), "; ")
}

func between(v []int) string {
	low, high := slices.Min(v), slices.Max(v)
	if low == high {
		return fmt.Sprint(low)
	}
	return fmt.Sprintf("%d to %d", low, high)
}

// decoderGGUF holds GGUF's names for Llama's; a family adds its own.
var decoderGGUF = Layout{
	"model.embed_tokens":                       at("token_embd"),
	"model.norm":                               at("output_norm"),
	"lm_head":                                  at("output"),
	"model.layers.%d.input_layernorm":          at("blk.%d.attn_norm"),
	"model.layers.%d.self_attn.q_proj":         at("blk.%d.attn_q"),
	"model.layers.%d.self_attn.k_proj":         at("blk.%d.attn_k"),
	"model.layers.%d.self_attn.v_proj":         at("blk.%d.attn_v"),
	"model.layers.%d.self_attn.o_proj":         at("blk.%d.attn_output"),
	"model.layers.%d.post_attention_layernorm": at("blk.%d.ffn_norm"),
	"model.layers.%d.mlp.gate_proj":            at("blk.%d.ffn_gate"),
	"model.layers.%d.mlp.up_proj":              at("blk.%d.ffn_up"),
	"model.layers.%d.mlp.down_proj":            at("blk.%d.ffn_down"),
}

// interleave tells that GGUF holds the rotated halves of q and k in turns.
func (d *decoder) interleave() {
	d.gguf["model.layers.%d.self_attn.q_proj"] = at("blk.%d.attn_q").interleaved(d.size)
	d.gguf["model.layers.%d.self_attn.k_proj"] = at("blk.%d.attn_k").interleaved(d.size)
}

// Windows reads each block's sliding window of a family that mixes blocks with and without: a Hugging Face config lists
// layer_types, a GGUF file has a pattern; where neither says so, slides tells which blocks have one.
func (c *Config) Windows(blocks, window int, slides func(i int) bool) []int {
	out := make([]int, blocks)
	kinds := make([]any, blocks)
	pattern := make([]bool, blocks)
	said := c.slides(blocks)
	if window == 0 {
		c.windowless()
	}
	for i := range out {
		kinds[i] = "full_attention"
		if said == nil && slides(i) || said != nil && said[i] {
			out[i], kinds[i], pattern[i] = window, "sliding_attention", true
		}
	}
	c.note("layer_types", "", kinds)
	if n := period(pattern); n > 0 {
		c.note("", "attention.sliding_window_pattern", n)
	} else {
		c.note("", "attention.sliding_window_pattern", pattern)
	}
	return out
}

// windowless refuses a Hugging Face config that has blocks with a sliding window, but no window.
func (c *Config) windowless() {
	kinds, _ := c.raw.HF["layer_types"].([]any)
	if slices.Contains(kinds, any("sliding_attention")) {
		c.fail("layer_types has blocks of sliding_attention, but the model has no sliding window")
	}
}

// slides is what the file says of each block, nil where it says nothing.
func (c *Config) slides(blocks int) []bool {
	v := c.value("layer_types", "attention.sliding_window_pattern")
	out := make([]bool, blocks)
	switch v := v.(type) {
	case nil:
		return nil
	case []bool:
		copy(out, v)
		if len(v) == blocks {
			return out
		}
	case []any:
		for i, kind := range v[:min(len(v), blocks)] {
			if kind != "full_attention" && kind != "sliding_attention" {
				c.refuse("layer_types", kind)
			}
			out[i] = kind == "sliding_attention"
		}
		if len(v) == blocks {
			return out
		}
	default:
		n := c.IntOr("", "attention.sliding_window_pattern", 1)
		for i := range out {
			out[i] = i%n < n-1
		}
		return out
	}
	c.fail("%s has not one entry for each of %d blocks", c.key("layer_types", "attention.sliding_window_pattern"), blocks)
	return out
}

// period finds n such that every n-th block, and no other, sees all keys; 0 when there is none.
func period(slides []bool) int {
	for n := 1; n <= len(slides)+1; n++ {
		ok := true
		for i, s := range slides {
			ok = ok && s == (i%n < n-1)
		}
		if ok {
			return n
		}
	}
	return 0
}
