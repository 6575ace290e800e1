"""Tiny quantized Llama directories, packed by the tools' own code, and the logits of their dequantized weights in float32.

    pip install torch==2.15.0 transformers==5.24.0 compressed-tensors==0.20.0 safetensors==0.8.0
    pip download --no-deps auto-gptq==0.7.1 autoawq==0.2.7.post3    # then unzip both into WHEELS
    python quantized.py WHEELS OUT    # OUT/NAME/{config.json,model.safetensors,logits.json} (model/testdata/quantized)

Neither wheel is imported whole (their kernels are for GPUs): the linear layers that pack are loaded from their files.
"""
import importlib.util
import json
import os
import sys
import types

sys.path.pop(0)  # tokenizers.py beside this file has a package's name

import torch
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM

CONFIG = dict(hidden_size=64, intermediate_size=96, num_hidden_layers=1, num_attention_heads=4, num_key_value_heads=2, vocab_size=48,
              max_position_embeddings=64, rms_norm_eps=1e-5, tie_word_embeddings=True, hidden_act="silu", rope_theta=10000.0)
IDS = [1, 7, 33, 2, 40, 18, 18, 5, 29, 11, 46, 3]


def tiny():
    torch.manual_seed(7)
    model = LlamaForCausalLM(LlamaConfig(**CONFIG)).float().eval()
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.copy_(torch.randn_like(p) * (0.3 if p.dim() == 2 else 0.2) + (p.dim() == 1))
            if "embed" in name:
                p.copy_(p.half().float())
    return model


def linears(model):
    return {n: m for n, m in model.named_modules() if isinstance(m, torch.nn.Linear) and n != "lm_head"}


def write(out, name, model, tensors, quantization, files={}):
    """Writes one directory: dense tensors of the model with the packed ones, and the logits of the model as it is now."""
    path = os.path.join(out, name)
    os.makedirs(path, exist_ok=True)
    packed = tuple(linears(model))
    for n, p in model.named_parameters():
        if not n.startswith(packed):
            tensors[n] = p.detach().half() if "embed" in n else p.detach()
    save_file({n: t.contiguous() for n, t in tensors.items()}, os.path.join(path, "model.safetensors"), {"format": "pt"})
    config = dict(CONFIG, architectures=["LlamaForCausalLM"], model_type="llama")
    if quantization:
        config["quantization_config"] = quantization
    with open(os.path.join(path, "config.json"), "w") as f:
        json.dump(config, f, indent=1)
    for file, value in files.items():
        with open(os.path.join(path, file), "w") as f:
            json.dump(value, f)
    with torch.no_grad():
        logits = model(torch.tensor([IDS])).logits[0]
    with open(os.path.join(path, "logits.json"), "w") as f:
        json.dump({"ids": IDS, "last": [round(float(v), 6) for v in logits[-1]], "first": [round(float(v), 6) for v in logits[2]]}, f)
    print(name, "logit std %.2f" % logits.std())


def grid(w, bits, groups, symmetric, scale_type):
    """Scales and zero points [rows, groups] by minimum and maximum; groups is the list of column lists."""
    top = 2**bits - 1
    scales, zeros = [], []
    for columns in groups:
        x = w[:, columns]
        low, high = x.amin(1).clamp(max=0), x.amax(1).clamp(min=0)
        if symmetric:
            s = 2 * torch.maximum(-low, high) / top
            z = torch.full_like(s, 2 ** (bits - 1))
        else:
            s = (high - low) / top
            z = (-low / s).round().clamp(0, top)
        scales.append(s.to(scale_type).float())
        zeros.append(z)
    return torch.stack(scales, 1), torch.stack(zeros, 1)


def module(name, path):
    spec = importlib.util.spec_from_file_location(name, path)
    m = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(m)
    return m


def gptq(wheels, out, name, bits, group, symmetric, desc_act=False, version=1, scale_type=torch.float16, old=False):
    layer_type = module("qlinear_cuda", os.path.join(wheels, "auto_gptq/nn_modules/qlinear/qlinear_cuda.py")).QuantLinear
    model, tensors = tiny(), {}
    for n, linear in linears(model).items():
        k = linear.in_features
        width = k if group == -1 else group
        index = torch.arange(k) // width
        if desc_act:
            torch.manual_seed(len(n))
            index = torch.empty_like(index).scatter_(0, torch.randperm(k), index)
        index = index.int()
        columns = [torch.nonzero(index == g)[:, 0] for g in range(int(index.max()) + 1)]
        scale, zero = grid(linear.weight.data, bits, columns, symmetric, scale_type)
        q = layer_type(bits, group, k, linear.out_features, False, weight_dtype=scale_type)
        half = torch.nn.Linear(k, linear.out_features, bias=False, dtype=scale_type)  # pack takes the type of the scales from it
        half.weight.data = linear.weight.data.to(scale_type)
        codes = ((linear.weight.data / scale[:, index.long()]).round() + zero[:, index.long()]).clamp(0, 2**bits - 1)
        value = (codes - zero[:, index.long()]) * scale[:, index.long()]
        half.weight.data = value.to(scale_type)
        q.pack(half, scale.clone(), zero.clone().contiguous(), index)
        linear.weight.data.copy_(dequantized(q))
        if version == 2:
            q.qzeros = torch.from_numpy((q.qzeros.numpy().view("uint32") + sum(1 << b for b in range(0, 32, bits))).view("int32"))
        for part in ("qweight", "qzeros", "scales", "g_idx"):
            tensors[f"{n}.{part}"] = getattr(q, part)
    config = {"bits": bits, "group_size": group, "damp_percent": 0.01, "desc_act": desc_act, "static_groups": False, "sym": symmetric,
              "true_sequential": True, "model_name_or_path": None, "model_file_base_name": None}
    if old:
        return write(out, name, model, tensors, None, {"quantize_config.json": config})
    config.update(quant_method="gptq", checkpoint_format="gptq" if version == 1 else "gptq_v2")
    write(out, name, model, tensors, config)


def dequantized(q):
    """The layer's weight [rows, columns] in float32, by the tool's own forward pass over the unit vectors."""
    q.scales = q.scales.float()
    with torch.no_grad():
        w = q(torch.eye(q.infeatures)).t().contiguous()
    q.scales = q.scales.to(torch.float16) if torch.equal(q.scales, q.scales.half().float()) else q.scales
    return w


def awq(wheels, out, name, group, old=False):
    for n in ["", ".modules", ".modules.linear", ".utils"]:  # packages without their __init__, which import everything
        m = types.ModuleType("awq" + n)
        m.__path__ = [os.path.join(wheels, "awq" + n.replace(".", "/"))]
        sys.modules["awq" + n] = m
    from awq.modules.linear import gemm
    from awq.utils.packing_utils import dequantize_gemm

    gemm.get_best_device = lambda: "cpu"
    model, tensors = tiny(), {}
    for n, linear in linears(model).items():
        width = linear.in_features if group == -1 else group
        columns = list(torch.arange(linear.in_features).split(width))
        scale, zero = grid(linear.weight.data, 4, columns, False, torch.float16)
        index = torch.arange(linear.in_features) // width
        codes = ((linear.weight.data / scale[:, index]).round() + zero[:, index]).clamp(0, 15)
        linear.weight.data = (codes - zero[:, index]) * scale[:, index]
        q = gemm.WQLinear_GEMM.from_linear(linear, 4, width, False, scale.t().contiguous(), zero.t().contiguous())
        linear.weight.data.copy_(dequantize_gemm(q.qweight, q.qzeros, q.scales.float(), 4, width).t())
        for part in ("qweight", "qzeros", "scales"):
            tensors[f"{n}.{part}"] = getattr(q, part)
    if old:
        return write(out, name, model, tensors, None, {"quant_config.json": {"zero_point": True, "q_group_size": group, "w_bit": 4, "version": "GEMM"}})
    write(out, name, model, tensors, {"quant_method": "awq", "bits": 4, "group_size": group, "zero_point": True, "version": "gemm",
                                      "modules_to_not_convert": None})


def compressed(out, name, groups, format, ignore=("lm_head",), scale_type=torch.bfloat16, order=False):
    """groups: [(targets, weight arguments, input arguments or None)]; the first whose target is in a layer's name takes it."""
    from compressed_tensors.compressors import BaseCompressor
    from compressed_tensors.quantization import QuantizationArgs, QuantizationConfig, QuantizationScheme

    model, tensors = tiny(), {}
    schemes = {}
    for i, (targets, weights, inputs) in enumerate(groups):
        schemes[f"group_{i}"] = QuantizationScheme(targets=targets, weights=QuantizationArgs(**weights),
                                                   input_activations=QuantizationArgs(**inputs) if inputs else None)
    for n, linear in linears(model).items():
        if any(n.startswith(i) for i in ignore):
            tensors[n + ".weight"] = linear.weight.data
            continue
        scheme = next((s for s in schemes.values() if any(t != "Linear" and t.removeprefix("re:.*") in n for t in s.targets)), None)
        scheme = scheme or next(s for s in schemes.values() if "Linear" in s.targets)
        a = scheme.weights
        k = linear.in_features
        width = a.group_size if a.strategy == "group" else k
        index = torch.arange(k) // width
        if order:
            torch.manual_seed(len(n))
            index = torch.empty_like(index).scatter_(0, torch.randperm(k), index)
        columns = [torch.nonzero(index == g)[:, 0] for g in range(k // width)]
        w = linear.weight.data
        if a.strategy == "tensor":
            scale, zero = (2 * w.abs().max() / (2**a.num_bits - 1)).reshape(1).to(scale_type), torch.zeros(1, dtype=torch.int8)
        else:
            scale, zero = grid(w, a.num_bits, columns, a.symmetric, scale_type)
            scale, zero = scale.to(scale_type), (zero - 2 ** (a.num_bits - 1)).to(torch.int8)
        compressor = BaseCompressor.load_from_registry(format if format != "mixed-precision" else
                                                       ("int-quantized" if a.num_bits == 8 else "pack-quantized"))
        inner = torch.argsort(index, stable=True)  # groups are runs in the order that act-order sorts columns into
        parts = compressor.compress({"weight": w[:, inner].to(scale_type), "weight_scale": scale, "weight_zero_point": zero}, scheme)
        back = compressor.decompress(dict(parts, weight_scale=scale.float()), scheme)["weight"].float()
        if order:  # the codes themselves stand in the model's order
            from compressed_tensors.compressors.pack_quantized.helpers import pack_to_int32, unpack_from_int32
            codes = unpack_from_int32(parts["weight_packed"], a.num_bits, w.shape)
            parts["weight_packed"] = pack_to_int32(codes[:, torch.argsort(inner)].contiguous(), a.num_bits)
            parts["weight_g_idx"] = index.int()
            back = back[:, torch.argsort(inner)]
        linear.weight.data.copy_(back)
        if scheme.input_activations and scheme.input_activations.dynamic is False:
            parts["input_scale"] = torch.tensor([0.03], dtype=scale_type)
        for part, t in parts.items():
            tensors[f"{n}.{part}"] = t
    config = QuantizationConfig(config_groups=schemes, format=format, ignore=list(ignore), quantization_status="compressed").model_dump()
    if order:
        for g in config["config_groups"].values():
            g["weights"]["actorder"] = "group"
    write(out, name, model, tensors, json.loads(json.dumps(config, default=str)))


def main(wheels, out):
    gptq(wheels, out, "gptq-4-g32", 4, 32, True)
    gptq(wheels, out, "gptq-4-g32-asym-v2", 4, 32, False, version=2)
    gptq(wheels, out, "gptq-4-g32-act", 4, 32, True, desc_act=True)
    gptq(wheels, out, "gptq-4-g64-asym-old", 4, 64, False, old=True)  # 64 does not divide the 96 columns of down_proj
    gptq(wheels, out, "gptq-4-g16", 4, 16, True)
    gptq(wheels, out, "gptq-8-row-asym", 8, -1, False)
    gptq(wheels, out, "gptq-3-g32", 3, 32, True)
    gptq(wheels, out, "gptq-2-g32-asym", 2, 32, False)
    awq(wheels, out, "awq-g32", 32)
    awq(wheels, out, "awq-row-old", -1, old=True)
    w4 = dict(num_bits=4, symmetric=True, strategy="group", group_size=32)
    w8 = dict(num_bits=8, symmetric=True, strategy="channel")
    token = dict(num_bits=8, symmetric=True, strategy="token", dynamic=True)
    compressed(out, "ct-4-g32", [(["Linear"], w4, None)], "pack-quantized")
    compressed(out, "ct-4-g32-asym-f32", [(["Linear"], dict(w4, symmetric=False), None)], "pack-quantized", scale_type=torch.float32)
    compressed(out, "ct-4-g32-act", [(["Linear"], w4, None)], "pack-quantized", order=True)
    compressed(out, "ct-6-channel", [(["Linear"], dict(w8, num_bits=6), None)], "pack-quantized")
    compressed(out, "ct-w8a8", [(["Linear"], w8, token)], "int-quantized")
    compressed(out, "ct-w8a8-static", [(["Linear"], dict(w8, strategy="tensor"), dict(num_bits=8, symmetric=True, strategy="tensor"))], "int-quantized")
    compressed(out, "ct-mixed", [(["re:.*mlp"], w4, None), (["Linear"], dict(w8, symmetric=False), None)], "mixed-precision",
               ignore=("lm_head", "model.layers.0.self_attn.o_proj"))


if __name__ == "__main__":
    main(*sys.argv[1:])
