# Writes gguf.json: random blocks of the GGUF formats and their values as PyPI gguf 0.19.0 (numpy) decodes them.
# python make_gguf.py > gguf.json
import json
import numpy as np
from gguf import GGMLQuantizationType as T
from gguf.quants import dequantize

rng = np.random.default_rng(20)
out = []
for t, size, scales in [(T.Q4_0, 18, 1), (T.Q4_1, 20, 2), (T.Q8_0, 34, 1), (T.F16, 64, 0), (T.BF16, 64, 0)]:
    rows, blocks = 2, 3
    data = rng.integers(0, 256, (rows, blocks, size), dtype=np.uint8)
    for i in range(scales):
        values = rng.normal(size=(rows, blocks)).astype(np.float16)
        values[0, 0] = 3e-7  # a denormal
        data[:, :, 2 * i:2 * i + 2] = values.view(np.uint8).reshape(rows, blocks, 2)
    if not scales:
        values = rng.normal(size=(rows, blocks, size // 2)).astype(np.float32)
        data = values.astype(np.float16).view(np.uint8) if t == T.F16 else (values.view(np.uint32) >> 16).astype(np.uint16).view(np.uint8)
    raw = data.reshape(rows, -1)
    values = dequantize(raw, t).astype(np.float32)
    out.append({"format": t.name.lower(), "rows": rows, "cols": values.shape[1], "data": raw.tobytes().hex(), "values": values.tobytes().hex()})
print(json.dumps(out, indent=1))
