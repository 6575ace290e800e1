"""Reference values for the GGUF block formats of package quant, from PyPI gguf 0.19.0 (numpy 2).

    pip install gguf==0.19.0
    python blocks.py decode > quant/testdata/gguf.json    # blocks of any codes and extreme scales, and what they decode to
"""
import base64
import json
import sys

import numpy as np
from gguf import GGMLQuantizationType as T
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


if __name__ == "__main__":
    {"decode": decode}[sys.argv[1]]()
