package model

import (
	"math"
	"strings"

	"hone/nn"
)

// Llama (Touvron et al. 2023): pre-norm blocks of grouped-query attention with rotary positions and a gated MLP.
func init() {
	register(Arch{Name: "llama", HF: []string{"LlamaForCausalLM"}, Design: designLlama})
}

func designLlama(c *Config) (*Design, error) {
	width := c.Int("hidden_size", "embedding_length")
	heads := c.Int("num_attention_heads", "attention.head_count")
	attention := nn.Attention{
		Q: "q_proj", K: "k_proj", V: "v_proj", O: "o_proj",
		Bias: c.Flag("attention_bias"), Heads: heads, Causal: true,
		KVHeads: c.IntOr("num_key_value_heads", "attention.head_count_kv", heads),
		Size:    c.IntOr("head_dim", "attention.key_length", width/max(heads, 1)),
	}
	mlp := c.Int("intermediate_size", "feed_forward_length")
	eps := float32(c.Float("rms_norm_eps", "attention.layer_norm_rms_epsilon", 1e-6))
	theta := c.ropeTheta()
	blocks := c.Blocks("num_hidden_layers", "block_count")
	vocab := c.IntOr("vocab_size", "vocab_size", max(1, c.Rows("token_embd.weight")))
	context := c.Int("max_position_embeddings", "context_length")
	tied := !c.Has("lm_head.weight", "output.weight")
	c.Refuse("rope_scaling")
	c.Refuse("hidden_act", "silu")
	c.Refuse("mlp_bias", false)
	if s := c.Text("", "rope.scaling.type"); s != "" && s != "none" {
		c.fail("config sets rope.scaling.type to %q, which Hone does not serve yet", s)
	}
	if n := c.IntOr("", "rope.dimension_count", attention.Size); n != attention.Size {
		c.fail("%s is %d, but only rotation of a whole head (%d) is served yet", c.key("", "rope.dimension_count"), n, attention.Size)
	}
	c.Refuse("partial_rotary_factor", 1)
	checkHeads(c, attention)
	if c.Err != nil {
		return nil, c.Err
	}
	attention.InvFreq = ropeFrequencies(theta, attention.Size)

	b := nn.NewBuilder()
	x := b.Embed("model.embed_tokens.weight", vocab, width)
	for i := range blocks {
		b.Block(blockName("model.layers.%d.", i), func() {
			x = b.Add(x, b.Attention(b.RMSNorm(x, "input_layernorm", eps), "self_attn", attention))
			h := b.RMSNorm(x, "post_attention_layernorm", eps)
			gu := b.ColumnLinears(h, nn.Linear{Name: "mlp.gate_proj.weight", Out: mlp, Unit: 1}, nn.Linear{Name: "mlp.up_proj.weight", Out: mlp, Unit: 1})
			x = b.Add(x, b.RowLinear(b.SiLUMul(gu[0], gu[1]), "mlp.down_proj.weight", "", width))
		})
	}
	head := "lm_head.weight"
	if tied {
		head = "model.embed_tokens.weight"
	}
	b.Head(b.RMSNorm(x, "model.norm", eps), head, vocab)
	return &Design{
		Program: b.Program(), Context: context, Tied: tied, GGUF: llamaGGUF, Unused: []string{"rotary_emb.inv_freq"},
		RowOrder: func(name string) []int { return llamaRowOrder(name, attention) },
		HF: map[string]any{
			"architectures": []any{"LlamaForCausalLM"}, "model_type": "llama", "hidden_act": "silu",
			"hidden_size": width, "intermediate_size": mlp, "num_hidden_layers": blocks, "num_attention_heads": heads,
			"num_key_value_heads": attention.KVHeads, "head_dim": attention.Size, "vocab_size": vocab,
			"max_position_embeddings": context, "rms_norm_eps": eps, "rope_theta": theta, "tie_word_embeddings": tied,
			"attention_bias": attention.Bias, "mlp_bias": false,
		},
	}, nil
}

var llamaGGUF = map[string]string{
	"model.embed_tokens":                       "token_embd",
	"model.norm":                               "output_norm",
	"lm_head":                                  "output",
	"model.layers.%d.input_layernorm":          "blk.%d.attn_norm",
	"model.layers.%d.self_attn.q_proj":         "blk.%d.attn_q",
	"model.layers.%d.self_attn.k_proj":         "blk.%d.attn_k",
	"model.layers.%d.self_attn.v_proj":         "blk.%d.attn_v",
	"model.layers.%d.self_attn.o_proj":         "blk.%d.attn_output",
	"model.layers.%d.post_attention_layernorm": "blk.%d.ffn_norm",
	"model.layers.%d.mlp.gate_proj":            "blk.%d.ffn_gate",
	"model.layers.%d.mlp.up_proj":              "blk.%d.ffn_up",
	"model.layers.%d.mlp.down_proj":            "blk.%d.ffn_down",
}

// llamaRowOrder: GGUF interleaves the two halves of each rotated head, canonical row (head, half, i) is GGUF's row
// (head, i, half).
func llamaRowOrder(name string, a nn.Attention) []int {
	heads := a.Heads
	switch {
	case strings.HasSuffix(name, ".q_proj.weight"):
	case strings.HasSuffix(name, ".k_proj.weight"):
		heads = a.KVHeads
	default:
		return nil
	}
	order := make([]int, heads*a.Size)
	for r := range order {
		head, in := r/a.Size, r%a.Size
		half, i := in/(a.Size/2), in%(a.Size/2)
		order[r] = head*a.Size + 2*i + half
	}
	return order
}

// ropeTheta reads the base of the rotation. Newer configs keep it in rope_parameters, with the kind of scaling.
func (c *Config) ropeTheta() float64 {
	theta := c.Float("rope_theta", "rope.freq_base", 10000)
	rope, ok := c.raw.HF["rope_parameters"].(map[string]any)
	if !ok {
		c.Refuse("rope_parameters")
		return theta
	}
	if kind, ok := rope["rope_type"]; ok && kind != "default" {
		c.fail("config sets rope_parameters.rope_type to %v, which Hone does not serve yet", kind)
	}
	if x, ok := number(rope["rope_theta"]); ok && x > 0 {
		theta = x
	} else {
		c.fail("rope_parameters.rope_theta is %v; it must be a positive number", rope["rope_theta"])
	}
	return theta
}

// ropeFrequencies are theta^(-2i/dim) (Su et al. 2021), rounded to f32 as the reference keeps them.
func ropeFrequencies(theta float64, dim int) []float64 {
	freq := make([]float64, dim/2)
	for i := range freq {
		freq[i] = float64(float32(1 / math.Pow(theta, float64(2*i)/float64(dim))))
	}
	return freq
}

func checkHeads(c *Config, a nn.Attention) {
	if a.KVHeads < 1 || a.Heads%max(a.KVHeads, 1) != 0 {
		c.fail("%d attention heads do not share %d key/value heads evenly", a.Heads, a.KVHeads)
	}
	if a.Size < 2 || a.Size%2 != 0 {
		c.fail("head size %d is not a positive even number", a.Size)
	}
}
