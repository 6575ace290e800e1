"""Reference values for the GGUF block formats of package quant, from PyPI gguf 0.19.0 (numpy 2).

    pip install gguf==0.19.0
    python blocks.py decode > quant/testdata/gguf.json    # blocks of any codes and extreme scales, and what they decode to
    python blocks.py errors LLAMA_QUANTIZE DIR > quant/testdata/gguf_errors.json
        # mean squared errors of llama-quantize (llama.cpp 3f545bec, no importance matrix) on a matrix made by a formula
"""
import base64
import json
import os
import subprocess
import sys

import numpy as np
from gguf import GGMLQuantizationType as T
from gguf import GGUFReader, GGUFWriter
from gguf.quants import dequantize

# The block's bytes and where its f16 numbers stand.
FORMATS = {
    T.F16: (64, ()), T.BF16: (64, ()), T.Q4_0: (18, (0,)), T.Q4_1: (20, (0, 2)), T.Q5_0: (22, (0,)), T.Q5_1: (24, (0, 2)), T.Q8_0: (34, (0,)),
    T.Q2_K: (84, (80, 82)), T.Q3_K: (110, (108,)), T.Q4_K: (144, (0, 2)), T.Q5_K: (176, (0, 2)), T.Q6_K: (210, (208,)),
    T.IQ4_NL: (18, (0,)), T.IQ4_XS: (136, (0,)), T.TQ1_0: (54, (52,)), T.TQ2_0: (66, (64,)), T.MXFP4: (17, ()),
}
# Scales: usual ones, then zeros, the least subnormal, a subnormal, the least normal and the largest number of f16.
SCALES = [0.01, -0.7, 1.0, 0.0, -0.0, 2.0**-24, -3e-6, 2.0**-14, 65504, -65504]


def random_blocks(rng, kind):
    size, halves = FORMATS[kind]
    data = rng.integers(0, 256, (2, len(SCALES), size), dtype=np.uint8)
    for n, at in enumerate(halves):
        scales = np.array(SCALES, dtype=np.float16)
        rows = np.stack([scales, rng.permutation(scales)] if n == 0 else [rng.permutation(scales), scales])
        data[:, :, at:at + 2] = rows.view(np.uint8).reshape(2, len(SCALES), 2)
    if kind in (T.F16, T.BF16):
        values = rng.normal(size=(2, len(SCALES), size // 2)).astype(np.float32)
        data = values.astype(np.float16).view(np.uint8) if kind == T.F16 else (values.view(np.uint32) >> 16).astype(np.uint16).view(np.uint8)
    if kind == T.MXFP4:
        data[:, :, 0] = [[0, 1, 2, 3, 4, 100, 120, 127, 200, 252], [127, 128, 126, 0, 60, 110, 130, 140, 0, 251]]
    if len(data.tobytes()) > 2000:  # one row of the large ones
        data = data[:1]
    return data.reshape(data.shape[0], -1)


def decode():
    rng, out = np.random.default_rng(20), []
    for kind in FORMATS:
        raw = random_blocks(rng, kind)
        values = dequantize(raw, kind).astype(np.float32)
        assert np.isfinite(values).all()
        text = lambda a: base64.b64encode(a.tobytes()).decode()
        out.append({"format": kind.name.lower(), "rows": raw.shape[0], "cols": values.shape[1], "data": text(raw), "values": text(values)})
    print(json.dumps(out, indent=1))


WRITTEN = "Q8_0 Q4_0 Q4_1 Q5_0 Q5_1 Q2_K Q3_K_M Q4_K_M Q5_K_M Q6_K IQ4_NL".split()
ROWS, COLS = 192, 512


def formula(kind):
    """Four sums of 16 random bits; `heavy` has a few weights that are four times as large, `shifted` means that differ by group."""
    with np.errstate(over="ignore"):
        z = np.arange(1, ROWS * COLS + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    parts = [(z >> np.uint64(16 * k)) & np.uint64(0xFFFF) for k in range(4)]
    x = (sum(p.astype(np.float64) for p in parts) - 131070) / 1892000
    i = np.arange(ROWS * COLS)
    if kind == "heavy":
        x = np.where(z % np.uint64(61) == 0, x * 4, x)
    if kind == "shifted":
        x = x + ((i // 32) % 7 - 3) / 200
    return x.astype(np.float32).reshape(ROWS, COLS)


def errors():
    quantize, folder = sys.argv[2:4]
    source = os.path.join(folder, "source.gguf")
    w = GGUFWriter(source, "llama")
    w.add_block_count(3)
    w.add_context_length(64)
    w.add_embedding_length(COLS)
    w.add_feed_forward_length(ROWS)
    w.add_head_count(8)
    w.add_layer_norm_rms_eps(1e-5)
    kinds = ["plain", "heavy", "shifted"]
    for i, kind in enumerate(kinds):
        w.add_tensor(f"blk.{i}.ffn_up.weight", formula(kind))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()
    out = []
    for name in WRITTEN:
        target = os.path.join(folder, "target.gguf")
        subprocess.run([quantize, "--pure", source, target, name], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        tensors = {t.name: t for t in GGUFReader(target).tensors}
        for i, kind in enumerate(kinds):
            t = tensors[f"blk.{i}.ffn_up.weight"]
            e = dequantize(t.data, t.tensor_type).astype(np.float64) - formula(kind)
            out.append({"format": t.tensor_type.name.lower(), "matrix": kind, "mse": float((e * e).mean())})
    print(json.dumps(out, indent=1))


if __name__ == "__main__":
    {"decode": decode, "errors": errors}[sys.argv[1]]()
