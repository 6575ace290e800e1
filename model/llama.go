package model

import (
	"fmt"
	"math"

	"hone/nn"
)

// Llama (Touvron et al. 2023): pre-norm blocks of grouped-query attention with rotary positions and a gated MLP.
func init() {
	register(Arch{Name: "llama", HF: []string{"LlamaForCausalLM"}, Design: designLlama})
}

func designLlama(c *Config) (*Design, error) {
	width := c.Int("hidden_size", "embedding_length")
	heads := c.Int("num_attention_heads", "attention.head_count")
	bias := c.Has("attention_bias", "blk.0.attn_output.bias")
	attention := nn.Attention{
		Q: "q_proj", K: "k_proj", V: "v_proj", O: "o_proj",
		QKVBias: bias, OBias: bias, Heads: heads, Causal: true,
		KVHeads: c.IntOr("num_key_value_heads", "attention.head_count_kv", heads),
		Size:    c.HeadSize("head_dim", "attention.key_length", width, heads),
	}
	mlp := c.Int("intermediate_size", "feed_forward_length")
	eps := float32(c.Float("rms_norm_eps", "attention.layer_norm_rms_epsilon", 1e-6))
	theta := ropeTheta(c, attention.Size)
	blocks := c.Blocks("num_hidden_layers", "block_count")
	vocab := c.Vocab()
	context := c.Int("max_position_embeddings", "context_length")
	tied := c.Tied("lm_head.weight", "output.weight")
	c.Refuse("hidden_act", "silu")
	c.Refuse("mlp_bias", false)
	c.RefuseGGUF("expert_count", 0)
	c.RefuseGGUF("attention.value_length", attention.Size)
	c.note("", "attention.value_length", attention.Size)
	c.CheckHeads(attention)
	if c.Err != nil {
		return nil, c.Err
	}
	attention.Rope = &nn.Rope{InvFreq: ropeFrequencies(theta, attention.Size)}

	b := nn.NewBuilder()
	x := b.Embed("model.embed_tokens.weight", vocab, width)
	for i := range blocks {
		b.Block(fmt.Sprintf("model.layers.%d.", i), func() {
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
		Program: b.Program(), Context: context, Tied: tied, Unused: []string{"rotary_emb.inv_freq"},
		GGUF: llamaGGUF(attention.Size),
	}, nil
}

// llamaGGUF: q and k are interleaved.
func llamaGGUF(size int) Layout {
	return Layout{
		"model.embed_tokens":                       at("token_embd"),
		"model.norm":                               at("output_norm"),
		"lm_head":                                  at("output"),
		"model.layers.%d.input_layernorm":          at("blk.%d.attn_norm"),
		"model.layers.%d.self_attn.q_proj":         at("blk.%d.attn_q").interleaved(size),
		"model.layers.%d.self_attn.k_proj":         at("blk.%d.attn_k").interleaved(size),
		"model.layers.%d.self_attn.v_proj":         at("blk.%d.attn_v"),
		"model.layers.%d.self_attn.o_proj":         at("blk.%d.attn_output"),
		"model.layers.%d.post_attention_layernorm": at("blk.%d.ffn_norm"),
		"model.layers.%d.mlp.gate_proj":            at("blk.%d.ffn_gate"),
		"model.layers.%d.mlp.up_proj":              at("blk.%d.ffn_up"),
		"model.layers.%d.mlp.down_proj":            at("blk.%d.ffn_down"),
	}
}

// ropeFrequencies are theta^(-2i/dim) (Su et al. 2021), rounded to f32 as the reference keeps them.
func ropeFrequencies(theta float64, dim int) []float64 {
	freq := make([]float64, dim/2)
	for i := range freq {
		freq[i] = float64(float32(1 / math.Pow(theta, float64(2*i)/float64(dim))))
	}
	return freq
}

// ropeTheta reads the base of the rotary frequencies. Frequencies that are scaled, or of a part of the head, are
// refused: a model that runs without them gives wrong text.
func ropeTheta(c *Config, size int) float64 {
	if size%2 != 0 {
		c.fail("head size %d is odd; rotary positions need an even one", size)
	}
	theta := c.Float("rope_theta", "rope.freq_base", 10000)
	c.RefuseGGUF("rope.scaling.type", "none")
	c.RefuseGGUF("rope.dimension_count", size)
	c.Refuse("partial_rotary_factor", 1, 1.0)
	for _, key := range []string{"rope_scaling", "rope_parameters"} { // transformers 4 and 5
		switch v := c.raw.HF[key].(type) {
		case nil:
		case map[string]any:
			theta = ropeSettings(c, key, v, theta)
		default:
			c.refuse(key, v)
		}
	}
	c.note("rope_theta", "rope.freq_base", theta)
	return theta
}

// ropeSettings reads transformers' description of rotary positions: only the plain kind is served.
func ropeSettings(c *Config, key string, settings map[string]any, theta float64) float64 {
	for _, name := range []string{"rope_type", "type"} {
		if kind := settings[name]; kind != nil && kind != "default" {
			c.refuse(key+"."+name, kind)
		}
	}
	for name, v := range settings {
		if _, nested := v.(map[string]any); nested { // a description for each kind of layer
			c.refuse(key+"."+name, v)
		}
	}
	if part, ok := number(settings["partial_rotary_factor"]); ok && part != 1 {
		c.refuse(key+".partial_rotary_factor", part)
	}
	v := settings["rope_theta"]
	if v == nil {
		return theta
	}
	f, ok := number(v)
	if !ok {
		c.fail("%s.rope_theta is %s; it must be a number", key, brief(v))
	}
	return c.positive(key+".rope_theta", f)
}
