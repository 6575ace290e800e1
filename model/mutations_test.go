package model

import (
	"maps"
	"testing"

	"hone/kernel"
	"hone/nn"
)

// mutation is a wrong reading of a case's config, or a wrong program of its weights.
type mutation struct {
	name, what string
	config     m
	decoder    func(d *decoder)
}

func ropeOf(change m) m { return m{"rope_parameters": change} }

var mutations = []mutation{
	{"llama", "biases of q, k, v", nil, func(d *decoder) { d.attention.QKVBias = false }},
	{"llama", "bias of the output", nil, func(d *decoder) { d.attention.OBias = false }},
	{"llama", "biases of the MLP", nil, func(d *decoder) { d.mlpBias = false }},
	{"llama", "rotary positions", nil, func(d *decoder) { d.attention.Rope = nil }},
	{"llama", "their base", ropeOf(m{"rope_type": "default", "rope_theta": 990}), nil},
	{"llama", "epsilon", m{"rms_norm_eps": 1e-2}, nil},
	{"llama-linear", "stretching", ropeOf(m{"rope_type": "default", "rope_theta": 100}), nil},
	{"llama-llama3", "stretching", ropeOf(m{"rope_type": "default", "rope_theta": 500}), nil},
	{"llama-llama3", "its bounds", ropeOf(m{"rope_type": "llama3", "rope_theta": 500, "factor": 8, "low_freq_factor": 1, "high_freq_factor": 3, "original_max_position_embeddings": 32}), nil},
	{"llama-yarn", "stretching", ropeOf(m{"rope_type": "default", "rope_theta": 1000}), nil},
	{"llama-yarn", "the factor of cos and sin", ropeOf(m{"rope_type": "yarn", "rope_theta": 1000, "factor": 4, "original_max_position_embeddings": 32, "attention_factor": 1}), nil},
	{"llama-yarn-mscale", "mscale", ropeOf(m{"rope_type": "yarn", "rope_theta": 1000, "factor": 4, "original_max_position_embeddings": 32}), nil},
	{"llama-yarn-betas", "beta_fast and beta_slow", ropeOf(m{"rope_type": "yarn", "rope_theta": 1000, "factor": 4, "original_max_position_embeddings": 32}), nil},
	{"llama-yarn-ramp", "a ramp that is not cut", ropeOf(m{"rope_type": "yarn", "rope_theta": 1000, "factor": 4, "original_max_position_embeddings": 32, "attention_factor": 1.3}), nil},
	{"llama-dynamic", "their base", ropeOf(m{"rope_type": "default", "rope_theta": 290}), nil},
	{"llama-relu", "activation", m{"hidden_act": "silu"}, nil},
	{"llama-gelu", "exact GELU", m{"hidden_act": "gelu_new"}, nil},
	{"mistral", "window", m{"sliding_window": nil}, nil},
	{"mistral", "window, by one", m{"sliding_window": 38}, nil},
	{"qwen2", "biases", nil, func(d *decoder) { d.attention.QKVBias = false }},
	{"qwen2-window", "windows", nil, func(d *decoder) { clear(d.windows) }},
	{"qwen2-window", "the blocks that have one", nil, func(d *decoder) { d.sameWindow(d.windows[1]) }},
	{"qwen3", "norm of q", nil, func(d *decoder) { d.attention.QNorm = "" }},
	{"qwen3", "norm of k", nil, func(d *decoder) { d.attention.KNorm = "" }},
	{"gemma2", "soft cap of scores", m{"attn_logit_softcapping": nil}, nil},
	{"gemma2", "soft cap of logits", m{"final_logit_softcapping": nil}, nil},
	{"gemma2", "scale of embeddings", nil, func(d *decoder) { d.embedding = 0 }},
	{"gemma2", "gains of 1 + the weight", nil, func(d *decoder) { d.plusOne = false }},
	{"gemma2", "norms after attention and MLP", nil, func(d *decoder) { d.block = withoutPostNorms(d) }},
	{"gemma2", "windows", nil, func(d *decoder) { clear(d.windows) }},
	{"gemma2", "windows in turn", m{"layer_types": []any{"full_attention", "sliding_attention", "full_attention"}}, nil},
	{"gemma2-scale", "scale of scores", m{"query_pre_attn_scalar": 8}, nil},
	{"gemma3", "norm of q", nil, func(d *decoder) { d.attention.QNorm = "" }},
	{"gemma3", "its gain of 1 + the weight", nil, func(d *decoder) { d.attention.NormPlusOne = false }},
	{"gemma3", "rotary positions of sliding blocks", nil, func(d *decoder) { d.attention.Rope, d.ropes = d.ropes(2), nil }},
	{"gemma3", "rotary positions of the others", nil, func(d *decoder) { d.attention.Rope, d.ropes = d.ropes(0), nil }},
	{"gemma3-cap", "soft cap of logits", m{"final_logit_softcapping": nil}, nil},
	{"phi3", "window", m{"sliding_window": nil}, nil},
	{"phi3-longrope", "frequencies of long contexts", nil, func(d *decoder) { d.attention.Rope.Original = 0 }},
	{"phi3-longrope", "the factor of cos and sin", nil, func(d *decoder) { d.attention.Rope.LongFactor = 1 }},
	{"phi3-short", "frequencies of short contexts", nil, func(d *decoder) { d.attention.Rope.Original = 100 }},
	{"phi4-mini", "part of the head", nil, func(d *decoder) { d.attention.Rope.Long = append(d.attention.Rope.Long, 0.01) }},
	{"olmo2", "norm of q", nil, func(d *decoder) { d.attention.QNorm = "" }},
	{"olmo2", "norms after attention and MLP", nil, func(d *decoder) { d.block = d.bare }},
	{"granite", "multiplier of embeddings", m{"embedding_multiplier": 1}, nil},
	{"granite", "multiplier of scores", m{"attention_multiplier": 1}, nil},
	{"granite", "multiplier of residuals", m{"residual_multiplier": 1}, nil},
	{"granite", "divisor of logits", m{"logits_scaling": 1}, nil},
	{"gpt2", "tanh form of GELU", m{"activation_function": "gelu"}, nil},
	{"gpt2-inner", "activation", m{"activation_function": "gelu"}, nil},
	{"opt", "activation", m{"activation_function": "gelu"}, nil},
	{"opt", "last norm", m{"_remove_final_layer_norm": true}, nil},
	{"gpt2-scaled", "scores as they are", m{"scale_attn_weights": true}, nil},
	{"gpt2-scaled", "scores by the number of the block", m{"scale_attn_by_inverse_layer_idx": false}, nil},
	{"opt-after", "norms after the sums", m{"do_layer_norm_before": true, "_remove_final_layer_norm": true}, nil},
	{"opt-bare", "activation", m{"activation_function": "relu"}, nil},
	{"gptneox", "attention and MLP side by side", m{"use_parallel_residual": false}, nil},
	{"gptneox", "part of the head", ropeOf(m{"rope_type": "default", "rope_theta": 10000, "partial_rotary_factor": 0.5}), nil},
	{"gptneox", "exact GELU", m{"hidden_act": "gelu_new"}, nil},
	{"mixtral", "sum of the weights", nil, func(d *decoder) { d.experts.Normalize = false }},
	{"mixtral", "an expert", m{"num_experts_per_tok": 1}, nil},
	{"mixtral-window", "window", m{"sliding_window": nil}, nil},
	{"qwen3moe", "sum of the weights", m{"norm_topk_prob": false}, nil},
	{"qwen3moe", "norm of q", nil, func(d *decoder) { d.attention.QNorm = "" }},
	{"qwen3moe-all", "weights that sum to less", m{"norm_topk_prob": true}, nil},
	{"qwen3moe-dense", "windows", nil, func(d *decoder) { clear(d.windows) }},
	{"qwen3moe-dense", "windows in the first blocks", nil, func(d *decoder) { clear(d.windows[:2]) }},
	{"qwen3moe-window", "windows", m{"use_sliding_window": false}, nil},
	{"olmoe-clip", "clipping", m{"clip_qkv": nil}, nil},
	{"olmoe-clip", "its limit", m{"clip_qkv": 0.9}, nil},
	{"olmoe", "weights that sum to less", m{"norm_topk_prob": true}, nil},
	{"olmoe", "norm of k", nil, func(d *decoder) { d.attention.KNorm = "" }},
	{"olmoe-sum", "sum of the weights", m{"norm_topk_prob": false}, nil},
	{"gptoss", "sinks", nil, func(d *decoder) { d.attention.Sinks = "" }},
	{"gptoss", "bias of the router", nil, func(d *decoder) { d.experts.RouterBias = "" }},
	{"gptoss", "biases of the experts", nil, func(d *decoder) { d.experts.Bias = false }},
	{"gptoss", "windows", nil, func(d *decoder) { clear(d.windows) }},
	{"gptoss", "the activation", nil, func(d *decoder) { d.experts.Limit = 0 }},
	{"gptoss", "its slope", m{"swiglu_alpha": 1.0}, nil},
	{"gptoss", "a ramp that is not cut", nil, func(d *decoder) { d.attention.Rope = cutRamp(d) }},
	{"gptoss-usual", "stretching", ropeOf(m{"rope_type": "default", "rope_theta": 150000}), nil},
	{"gptoss-clamped", "the clamp", m{"swiglu_limit": 50.0}, nil},
	{"gptneox-serial", "one after the other", m{"use_parallel_residual": true}, nil},
}

// cutRamp reads YaRN as other families do.
func cutRamp(d *decoder) *nn.Rope {
	c := &Config{raw: d.c.raw}
	c.raw.HF = maps.Clone(c.raw.HF)
	rope := maps.Clone(c.raw.HF["rope_parameters"].(map[string]any))
	rope["truncate"] = true
	c.raw.HF["rope_parameters"] = rope
	return c.Rope(d.size, ropeDefault{})
}

func withoutPostNorms(d *decoder) func(b *nn.Builder, x nn.Value, i int) nn.Value {
	return func(b *nn.Builder, x nn.Value, i int) nn.Value {
		x = b.Add(x, d.attend(b, d.norm(b, x, "input_layernorm"), i))
		return b.Add(x, d.gated(b, d.norm(b, x, "pre_feedforward_layernorm"), i))
	}
}

// bare is a block without norms.
func (d *decoder) bare(b *nn.Builder, x nn.Value, i int) nn.Value {
	x = b.Add(x, d.attend(b, x, i))
	return b.Add(x, d.gated(b, x, i))
}

// TestMutations: the comparison with the oracle notices each thing that could be left out.
func TestMutations(t *testing.T) {
	pool := kernel.NewPool(2)
	defer pool.Close()
	cases := map[string]oracleCase{}
	paths := map[string]string{}
	for _, c := range oracleCases(t) {
		cases[c.Name] = c
	}
	for _, mu := range mutations {
		c := cases[mu.name]
		if paths[mu.name] == "" {
			paths[mu.name] = c.write(t)
		}
		if d := c.difference(t, c.exec(t, mu.open(t, paths[mu.name]), pool)); d <= 3*tolerance {
			t.Errorf("%s without %s differs by %.2g of the largest logit: the test would not notice", mu.name, mu.what, d)
		}
	}
}

// open designs the mutated model; tensors without a use are let pass.
func (mu mutation) open(t *testing.T, path string) *Model {
	t.Helper()
	right := expect(t, mu.name, path, "")
	c := &Config{raw: right.config.raw, file: right.File}
	if mu.config != nil {
		c.raw.HF = maps.Clone(c.raw.HF)
		maps.Copy(c.raw.HF, mu.config)
	}
	var design *Design
	var err error
	if mu.decoder == nil {
		design, err = archs[right.Arch].Design(c)
	} else {
		d := archs[right.Arch].decoder(c)
		mu.decoder(d)
		design, err = d.design()
	}
	if err != nil {
		t.Fatalf("%s without %s: %v", mu.name, mu.what, err)
	}
	design.arch, design.config, design.Unused = archs[right.Arch], c, []string{""}
	wrong := &Model{Path: path, Arch: right.Arch, Design: design, File: right.File, config: c}
	if err := wrong.checkNames(); err != nil {
		t.Fatalf("%s without %s: %v", mu.name, mu.what, err)
	}
	return wrong
}

// spellings are other words for what a case's config says: transformers 4's, or nothing where the family's own default holds.
var spellings = []mutation{
	{"llama", "", m{"rope_parameters": nil, "rope_theta": 1000.0}, nil},
	{"llama-linear", "", m{"rope_parameters": nil, "rope_theta": 100.0, "rope_scaling": m{"type": "linear", "factor": 3.0}}, nil},
	{"llama-llama3", "", m{"rope_parameters": nil, "rope_theta": 500.0, "rope_scaling": m{"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
		"high_freq_factor": 4.0, "original_max_position_embeddings": 32}}, nil},
	{"llama-dynamic", "", m{"rope_parameters": nil, "rope_theta": 300.0, "rope_scaling": m{"type": "dynamic", "factor": 9.0}}, nil},
	{"llama-yarn", "", m{"rope_parameters": nil, "rope_theta": 1000.0, "max_position_embeddings": 128, "rope_scaling": m{"type": "yarn", "original_max_position_embeddings": 32}}, nil},
	{"qwen2", "", m{"rope_parameters": nil, "layer_types": nil, "use_sliding_window": false, "sliding_window": 4096}, nil},
	{"qwen2-window", "", m{"layer_types": nil}, nil},
	{"gemma2", "", m{"rope_parameters": nil, "layer_types": nil, "hidden_activation": nil, "hidden_act": "gelu_pytorch_tanh"}, nil},
	{"gemma3", "", m{"rope_parameters": nil, "rope_theta": 5000.0, "rope_local_base_freq": 700.0, "rope_scaling": m{"rope_type": "linear", "factor": 8.0},
		"layer_types": nil, "sliding_window_pattern": 3}, nil},
	{"gemma3-cap", "", m{"rope_parameters": nil, "layer_types": nil}, nil},
	{"phi3", "", m{"rope_parameters": nil}, nil},
	{"phi3-longrope", "", m{"rope_parameters": nil, "rope_scaling": m{"type": "su", "short_factor": []any{1.0, 1.1, 1.3}, "long_factor": []any{1.0, 2.0, 3.5}}}, nil},
	{"phi4-mini", "", m{"rope_parameters": nil, "partial_rotary_factor": 0.75, "rope_scaling": m{"type": "longrope", "short_factor": []any{1.0, 1.1, 1.3}, "long_factor": []any{1.0, 2.0, 3.5}}}, nil},
	{"gpt2", "", m{"n_inner": nil, "activation_function": nil, "tie_word_embeddings": nil}, nil},
	{"gpt2", "", m{"architectures": []any{"GPT2Model"}}, nil}, // the output matrix is the embedding, whatever the class
	{"gpt2-scaled", "", m{"reorder_and_upcast_attn": true}, nil},
	{"opt-after", "", m{"_remove_final_layer_norm": true}, nil},
	{"opt", "", m{"activation_function": nil, "enable_bias": nil, "do_layer_norm_before": nil, "tie_word_embeddings": nil}, nil},
	{"gptoss-usual", "", m{"rope_parameters": nil}, nil},
	{"mixtral", "", m{"output_router_logits": true, "router_jitter_noise": 0.1, "hidden_act": "swish"}, nil},
	{"gptneox", "", m{"rope_parameters": nil, "use_parallel_residual": nil, "attention_bias": nil, "hidden_act": nil}, nil},
	{"gptneox-serial", "", m{"rope_parameters": nil, "rotary_emb_base": 300, "rotary_pct": 0.5}, nil},
}

// TestSpellings: a config of transformers 4 is the same model.
func TestSpellings(t *testing.T) {
	pool := kernel.NewPool(2)
	defer pool.Close()
	for _, c := range oracleCases(t) {
		for _, other := range spellings {
			if other.name != c.Name {
				continue
			}
			config := maps.Clone(c.Config)
			for key, v := range other.config {
				if config[key] = v; v == nil {
					delete(config, key)
				}
			}
			same := c
			same.Config = config
			if m := expect(t, c.Name, same.write(t), ""); m != nil {
				c.check(t, c.Name+" by other words", m, pool)
			}
		}
	}
}
