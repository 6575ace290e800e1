package model

import "maps"

// Phi-3 and Phi-4 (Abdin et al. 2024): Llama with q, k and v in one matrix and gate and up in another, rotary positions of
// a part of the head, stretched by longrope.
func init() {
	register(Arch{Name: "phi3", HF: []string{"Phi3ForCausalLM"}, decoder: phi3})
}

func phi3(c *Config) *decoder {
	d := c.decoder()
	d.epsilon(1e-5)
	d.sameWindow(c.Window(0))
	d.attention.Rope = c.Rope(d.size, ropeDefault{part: 1})
	d.activation("hidden_act", "silu")
	if c.Err != nil {
		return d
	}
	q, kv, mlp := d.heads[0]*d.size, d.kv[0]*d.size, d.mlp[0]
	fused := func(qkv, gateUp string) Layout {
		return Layout{
			"model.layers.%d.self_attn.q_proj": rows(qkv, 0, q),
			"model.layers.%d.self_attn.k_proj": rows(qkv, q, q+kv),
			"model.layers.%d.self_attn.v_proj": rows(qkv, q+kv, q+2*kv),
			"model.layers.%d.mlp.gate_proj":    rows(gateUp, 0, mlp),
			"model.layers.%d.mlp.up_proj":      rows(gateUp, mlp, 2*mlp),
		}
	}
	d.hf = fused("model.layers.%d.self_attn.qkv_proj", "model.layers.%d.mlp.gate_up_proj")
	maps.Copy(d.gguf, fused("blk.%d.attn_qkv", "blk.%d.ffn_up"))
	return d
}
