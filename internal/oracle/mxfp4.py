"""A tiny gpt-oss directory with experts in MXFP4, and the logits that transformers 5.24.0 and torch 2.15.0 give for its decoded weights in float64.

    pip install torch==2.15.0 transformers==5.24.0 safetensors==0.8.0
    python mxfp4.py OUT    # OUT/{config.json,model.safetensors,logits.json} (model/testdata/gptoss-mxfp4)

The blocks are random bytes; transformers' own function decodes them.
"""
import json
import os
import sys

sys.path.pop(0)  # tokenizers.py beside this file has a package's name

import torch
from safetensors.torch import save_file
from transformers import GptOssConfig, GptOssForCausalLM
from transformers.integrations.mxfp4 import convert_moe_packed_tensors

SETTINGS = dict(vocab_size=48, hidden_size=64, intermediate_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, head_dim=16,
                num_local_experts=3, num_experts_per_tok=2, sliding_window=6, max_position_embeddings=64, tie_word_embeddings=False,
                rope_parameters=dict(rope_type="default", rope_theta=500.0))
IDS = [1, 7, 33, 2, 40, 18, 18, 5, 29, 11, 46, 3]


def main(out):
    torch.manual_seed(5)
    model = GptOssForCausalLM._from_config(GptOssConfig(**SETTINGS), attn_implementation="eager", experts_implementation="eager").double().eval()
    tensors = {}
    with torch.no_grad():
        for name, p in model.named_parameters():
            if name.endswith(("gate_up_proj", "down_proj")):
                experts, inner, outer = p.shape
                blocks = torch.randint(0, 256, (experts, outer, inner // 32, 16), dtype=torch.uint8)
                scales = torch.randint(122, 126, (experts, outer, inner // 32), dtype=torch.uint8)
                tensors[name + "_blocks"], tensors[name + "_scales"] = blocks, scales
                p.copy_(convert_moe_packed_tensors(blocks, scales, dtype=torch.float64))
                continue
            p.copy_((torch.randn_like(p) * (0.3 if p.dim() == 2 else 0.2) + ("norm" in name)).bfloat16())
            tensors[name] = p.bfloat16()
        logits = model(torch.tensor([IDS])).logits[0]
    os.makedirs(out, exist_ok=True)
    save_file(tensors, os.path.join(out, "model.safetensors"), {"format": "pt"})
    config = {k: v for k, v in model.config.to_dict().items() if k not in ("transformers_version", "dtype", "_name_or_path")}
    config.update(architectures=["GptOssForCausalLM"], quantization_config=dict(quant_method="mxfp4", modules_to_not_convert=[
        "model.layers.*.self_attn", "model.layers.*.mlp.router", "model.embed_tokens", "lm_head"]))
    with open(os.path.join(out, "config.json"), "w") as f:
        json.dump(config, f, indent=1)
    with open(os.path.join(out, "logits.json"), "w") as f:
        json.dump(dict(ids=IDS, last=[round(float(v), 6) for v in logits[-1]], first=[round(float(v), 6) for v in logits[2]]), f)
    print("logit std %.2f" % logits.std())


if __name__ == "__main__":
    main(*sys.argv[1:])
