"""Reference logits for package model, from transformers 5.24.0 and torch 2.15.0 in float64.

    pip install torch==2.15.0 transformers==5.24.0 safetensors==0.8.0
    python architectures.py golden OUT [CASE ...]   # model/testdata/architectures.json, or only some of its cases

A case is a tiny model: its config.json, the names and shapes of the tensors that transformers saves, token sequences, and
logits of some positions. The weights are not kept: value() draws them from the tensor's name, here and in the Go test.
"""
import json
import os
import sys
import tempfile

sys.path.pop(0)

import numpy as np
import safetensors.numpy
import torch
import transformers
from transformers import AutoModelForCausalLM

MASK = (1 << 64) - 1


def value(name, shape):
    """Uniform values from splitmix64 over an FNV-1a hash of the name: gains 1 + 0.3u, biases 0.3u, matrices scaled by their last side."""
    seed = 0xCBF29CE484222325
    for byte in name.encode():
        seed = (seed ^ byte) * 0x100000001B3 & MASK
    n = int(np.prod(shape))
    with np.errstate(over="ignore"):
        z = np.uint64(seed) + np.arange(1, n + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ z >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ z >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
        z = z ^ z >> np.uint64(31)
    u = ((z >> np.uint64(40)).astype(np.float64) / (1 << 23) - 1).astype(np.float32)
    if len(shape) == 1:
        one = np.float32(1 if name.endswith("weight") else 0)
        return one + np.float32(0.3) * u
    return (np.float32(2.5 / np.sqrt(shape[-1])) * u).reshape(shape)


BASE = dict(vocab_size=61, hidden_size=24, intermediate_size=40, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2,
            max_position_embeddings=256, bos_token_id=1, eos_token_id=2, pad_token_id=0, tie_word_embeddings=False, rms_norm_eps=1e-5)
LLAMA3 = dict(rope_type="llama3", rope_theta=500.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=32)
YARN = dict(rope_type="yarn", rope_theta=1000.0, factor=4.0, original_max_position_embeddings=32)
SHORT = [1.0, 1.1, 1.3, 1.4, 1.5, 1.7]
LONG = [1.0, 2.0, 3.5, 5.0, 7.0, 9.0]
LONGROPE = dict(rope_type="longrope", rope_theta=10000.0, short_factor=SHORT[:3], long_factor=LONG[:3], original_max_position_embeddings=48)
LENGTHS = [150, 61]  # past a tile of 128 keys, every window and every original context


def base(**more):
    return {**BASE, **more}


def sized(**more):
    """Sizes by another name, heads that share the width."""
    return dict(vocab_size=61, max_position_embeddings=160, bos_token_id=1, eos_token_id=2, pad_token_id=0, **more)


CASES = {
    "llama": ("LlamaConfig", base(attention_bias=True, mlp_bias=True, head_dim=8, rope_parameters=dict(rope_type="default", rope_theta=1000.0))),
    "llama-unequal": ("LlamaConfig", base(tie_word_embeddings=True)),
    "llama-linear": ("LlamaConfig", base(rope_parameters=dict(rope_type="linear", rope_theta=100.0, factor=3.0))),
    "llama-llama3": ("LlamaConfig", base(hidden_size=48, rope_parameters=LLAMA3)),
    "llama-yarn": ("LlamaConfig", base(hidden_size=48, rope_parameters=YARN)),
    "llama-yarn-mscale": ("LlamaConfig", base(hidden_size=48, rope_parameters=dict(YARN, mscale=0.7, mscale_all_dim=0.4))),
    "llama-yarn-betas": ("LlamaConfig", base(hidden_size=48, rope_parameters=dict(YARN, beta_fast=16, beta_slow=2))),
    "llama-yarn-ramp": ("LlamaConfig", base(hidden_size=48, rope_parameters=dict(YARN, truncate=False, attention_factor=1.3))),
    "llama-dynamic": ("LlamaConfig", base(max_position_embeddings=150, rope_parameters=dict(rope_type="dynamic", rope_theta=300.0, factor=4.0))),
    "llama-relu": ("LlamaConfig", base(hidden_act="relu", num_hidden_layers=1)),
    "llama-gelu": ("LlamaConfig", base(hidden_act="gelu", num_hidden_layers=2)),
    "mistral": ("MistralConfig", base(sliding_window=37, head_dim=6)),
    "mistral-whole": ("MistralConfig", base(sliding_window=None)),
    "qwen2": ("Qwen2Config", base(tie_word_embeddings=True)),
    "qwen2-window": ("Qwen2Config", base(use_sliding_window=True, sliding_window=21, max_window_layers=1)),
    "qwen3": ("Qwen3Config", base(head_dim=8)),
    "qwen3-bias": ("Qwen3Config", base(head_dim=10, attention_bias=True, use_sliding_window=True, sliding_window=30, max_window_layers=2)),
    "gemma2": ("Gemma2Config", base(head_dim=8, query_pre_attn_scalar=8, sliding_window=33, attn_logit_softcapping=3.0, final_logit_softcapping=4.0,
                                    tie_word_embeddings=True)),
    "gemma2-scale": ("Gemma2Config", base(head_dim=8, query_pre_attn_scalar=13, sliding_window=19, layer_types=["full_attention", "sliding_attention", "full_attention"],
                                          attn_logit_softcapping=20.0, final_logit_softcapping=9.0, tie_word_embeddings=True)),
    "gemma2-uncapped": ("Gemma2Config", base(head_dim=8, query_pre_attn_scalar=8, attn_logit_softcapping=None, final_logit_softcapping=None, sliding_window=50)),
    "gemma3": ("Gemma3TextConfig", base(num_hidden_layers=4, head_dim=8, query_pre_attn_scalar=8, sliding_window=27, sliding_window_pattern=3, tie_word_embeddings=True,
                                        rope_parameters=dict(full_attention=dict(rope_type="linear", factor=8.0, rope_theta=5000.0),
                                                             sliding_attention=dict(rope_type="default", rope_theta=700.0)))),
    "gemma3-usual": ("Gemma3TextConfig", base(num_hidden_layers=7, head_dim=8, query_pre_attn_scalar=8, sliding_window=23, tie_word_embeddings=True)),
    "gemma3-cap": ("Gemma3TextConfig", base(head_dim=8, query_pre_attn_scalar=21, sliding_window=40, final_logit_softcapping=8.0, tie_word_embeddings=True)),
    "phi3": ("Phi3Config", base(sliding_window=45, num_key_value_heads=4, original_max_position_embeddings=256)),
    "phi3-longrope": ("Phi3Config", base(rope_parameters=LONGROPE, original_max_position_embeddings=48)),
    "phi3-short": ("Phi3Config", base(rope_parameters=dict(LONGROPE, original_max_position_embeddings=300), original_max_position_embeddings=300, max_position_embeddings=500)),
    "phi4-mini": ("Phi3Config", base(hidden_size=32, original_max_position_embeddings=48, rope_parameters=dict(
        LONGROPE, partial_rotary_factor=0.75, short_factor=SHORT[:3], long_factor=LONG[:3]), tie_word_embeddings=True)),
    "olmo2": ("Olmo2Config", base()),
    "olmo2-tied": ("Olmo2Config", base(tie_word_embeddings=True)),
    "granite": ("GraniteConfig", base(attention_bias=True, mlp_bias=True, embedding_multiplier=3.0, attention_multiplier=0.2, residual_multiplier=0.6, logits_scaling=0.7,
                                      tie_word_embeddings=True)),
    "gpt2": ("GPT2Config", sized(n_embd=24, n_layer=3, n_head=4, n_positions=160)),
    "gpt2-inner": ("GPT2Config", sized(n_embd=24, n_layer=2, n_head=3, n_positions=160, n_inner=56, activation_function="relu", tie_word_embeddings=False)),
    "opt": ("OPTConfig", sized(hidden_size=24, num_hidden_layers=3, num_attention_heads=4, ffn_dim=56)),
    "opt-plain": ("OPTConfig", sized(hidden_size=24, num_hidden_layers=2, num_attention_heads=2, ffn_dim=40, enable_bias=False, tie_word_embeddings=False)),
    "gpt2-scaled": ("GPT2Config", sized(n_embd=24, n_layer=3, n_head=4, n_positions=160, scale_attn_by_inverse_layer_idx=True, scale_attn_weights=False)),
    "opt-after": ("OPTConfig", sized(hidden_size=24, num_hidden_layers=3, num_attention_heads=4, ffn_dim=56, do_layer_norm_before=False, word_embed_proj_dim=16)),
    "opt-bare": ("OPTConfig", sized(hidden_size=24, num_hidden_layers=2, num_attention_heads=4, ffn_dim=56, word_embed_proj_dim=32, _remove_final_layer_norm=True, enable_bias=False,
                                    layer_norm_elementwise_affine=False, activation_function="gelu", tie_word_embeddings=False)),
    "gptneox": ("GPTNeoXConfig", sized(hidden_size=32, num_hidden_layers=3, num_attention_heads=4, intermediate_size=56)),
    "gptneox-serial": ("GPTNeoXConfig", sized(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=56, use_parallel_residual=False, hidden_act="gelu_fast",
                                              tie_word_embeddings=True, rope_parameters=dict(rope_type="default", rope_theta=300.0, partial_rotary_factor=0.5))),
    "mixtral": ("MixtralConfig", base(num_local_experts=5, num_experts_per_tok=2, head_dim=8)),
    "mixtral-window": ("MixtralConfig", base(num_local_experts=4, num_experts_per_tok=3, sliding_window=37)),
    "qwen3moe": ("Qwen3MoeConfig", base(num_experts=7, num_experts_per_tok=3, moe_intermediate_size=16, head_dim=8, norm_topk_prob=True)),
    "qwen3moe-all": ("Qwen3MoeConfig", base(num_experts=5, num_experts_per_tok=2, moe_intermediate_size=20, head_dim=8, norm_topk_prob=False, tie_word_embeddings=True)),
    "qwen3moe-dense": ("Qwen3MoeConfig", base(num_experts=5, num_experts_per_tok=2, moe_intermediate_size=20, head_dim=8, norm_topk_prob=True, num_hidden_layers=4,
                                              mlp_only_layers=[3], decoder_sparse_step=2, use_sliding_window=True, sliding_window=31, max_window_layers=2)),
    "qwen3moe-window": ("Qwen3MoeConfig", base(num_experts=4, num_experts_per_tok=2, moe_intermediate_size=16, head_dim=8, norm_topk_prob=True, num_hidden_layers=2,
                                               use_sliding_window=True, sliding_window=31)),
    "olmoe-clip": ("OlmoeConfig", base(num_experts=6, num_experts_per_tok=2, clip_qkv=0.8)),
    "olmoe": ("OlmoeConfig", base(num_experts=6, num_experts_per_tok=2, num_key_value_heads=4)),
    "olmoe-sum": ("OlmoeConfig", base(num_experts=6, num_experts_per_tok=3, norm_topk_prob=True, attention_bias=True)),
    "gptoss": ("GptOssConfig", base(num_local_experts=6, num_experts_per_tok=3, head_dim=12, num_hidden_layers=4, sliding_window=29, swiglu_limit=7.0,
                                    rope_parameters=dict(YARN, truncate=False, beta_fast=32.0, beta_slow=1.0))),
    "gptoss-usual": ("GptOssConfig", base(num_local_experts=3, num_experts_per_tok=2, head_dim=12, num_hidden_layers=2)),
    "gptoss-clamped": ("GptOssConfig", base(num_local_experts=4, num_experts_per_tok=2, head_dim=12, swiglu_limit=0.5, swiglu_alpha=1.1, layer_types=["full_attention"] * 3,
                                            rope_parameters=dict(rope_type="default", rope_theta=500.0))),
}


def unequal(model, config):
    """Gives block 1 fewer heads and a wider MLP, as pruning leaves a model. The config that says so is Hone's own."""
    block, width, size = model.model.layers[1], config.hidden_size, config.head_dim
    for name, rows, cols in [("q_proj", 2 * size, width), ("k_proj", size, width), ("v_proj", size, width), ("o_proj", width, 2 * size)]:
        setattr(block.self_attn, name, torch.nn.Linear(cols, rows, bias=False))
    block.self_attn.num_key_value_groups = 2
    for name, rows, cols in [("gate_proj", 56, width), ("up_proj", 56, width), ("down_proj", width, 56)]:
        setattr(block.mlp, name, torch.nn.Linear(cols, rows, bias=False))
    said = config.to_dict()
    said.update(num_attention_heads=[4, 2, 4], num_key_value_heads=[2, 1, 2], intermediate_size=[40, 56, 40])
    return said


def run(name, kind, settings):
    config = getattr(transformers, kind)(**settings)
    config._attn_implementation = "eager"
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager")
    said = unequal(model, config) if name == "llama-unequal" else config.to_dict()
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        path = os.path.join(folder, "model.safetensors")
        weights = {n: value(n, t.shape) for n, t in safetensors.numpy.load_file(path).items()}
        if name == "llama-unequal":
            model.load_state_dict({n: torch.from_numpy(t) for n, t in weights.items()}, strict=False)
            model.tie_weights()
            model = model.to(torch.float64)
        else:
            safetensors.numpy.save_file(weights, path, metadata={"format": "pt"})
            model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64, attn_implementation="eager", experts_implementation="eager")
    model.eval()
    said["architectures"] = [type(model).__name__]
    said = {k: v for k, v in said.items() if k not in ("transformers_version", "dtype", "_name_or_path")}
    sequences = []
    for i, length in enumerate(LENGTHS):
        tokens = [(37 * t * t + 11 * t + 5 * i + 3) % config.vocab_size for t in range(length)]
        with torch.no_grad():
            logits = model(torch.tensor([tokens])).logits[0].numpy()
        if logits.std() < 1:
            raise SystemExit(f"{name}: the logits' standard deviation is {logits.std():.3f}")
        rows = [0, 40, length - 1] if length > 100 else [length - 1]
        sequences.append(dict(length=length, rows=rows, logits=[[float(f"{x:.7g}") for x in logits[r]] for r in rows]))
    return dict(name=name, config=said, tensors={n: list(t.shape) for n, t in sorted(weights.items())}, sequences=sequences)


def main():
    transformers.utils.logging.disable_progress_bar()
    transformers.logging.set_verbosity_error()
    verb, out, names = sys.argv[1], sys.argv[2], sys.argv[3:]
    if verb != "golden":
        raise SystemExit(__doc__)
    done = {}
    if names and os.path.exists(out):
        done = {c["name"]: c for c in json.load(open(out))["cases"]}
    for name in names or CASES:
        done[name] = run(name, *CASES[name])
        print(name, flush=True)
    with open(out, "w") as f:
        f.write('{"cases": [\n' + ",\n".join(json.dumps(c, sort_keys=True) for c in done.values()) + "\n]}\n")


if __name__ == "__main__":
    main()
