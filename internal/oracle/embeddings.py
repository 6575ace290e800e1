"""Speed of sentence vectors beside onnxruntime 1.32.0 and torch 2.15.0 (transformers 5.24.0, tokenizers 0.23.3, onnx 1.23.2).

    pip install onnxruntime==1.32.0 torch==2.15.0 transformers==5.24.0 onnx==1.23.2
    python embeddings.py export MODEL FILE.onnx       # MODEL: all-minilm-l6-v2
    python embeddings.py bench MODEL FILE.onnx DATA GO_TEST_BINARY [PAIRS]

bench runs the fastest of torch, onnxruntime and onnxruntime with fused attention, and
`GO_TEST_BINARY -test.bench Embeddings` (go test -c ./cmd/hone, started in cmd/hone), by turns on the same texts with two
threads, and prints texts a second, the ratio of medians and the least cosine. The peers get the texts sorted by length in
batches of 32, as sentence-transformers does. Tokenizing counts on both sides.
"""
import json
import os
import re
import subprocess
import sys
import tempfile
import time

sys.path.pop(0)

import numpy as np


def texts(data, n=128):
    out = []
    for line in open(os.path.join(data, "text/wikitext-2/wiki.test.raw"), encoding="utf-8").read().split("\n"):
        words = line.split()
        if len(words) >= 20 and len(out) < n:
            out.append(" ".join(words[:1 + len(out) * 37 % 120]))
    return out


def load(path):
    import torch
    import transformers

    class Vectors(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.m = transformers.AutoModel.from_pretrained(path, attn_implementation=os.environ.get("ATTENTION", "sdpa")).eval()

        def forward(self, input_ids, attention_mask, token_type_ids):
            h = self.m(input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids).last_hidden_state
            k = attention_mask[..., None].to(h.dtype)
            return torch.nn.functional.normalize((h * k).sum(1) / k.sum(1), dim=1)

    return Vectors()


NAMES = ["input_ids", "attention_mask", "token_type_ids"]


def export(path, to):
    import torch
    os.environ["ATTENTION"] = "eager"
    x = torch.randint(5, 1000, (2, 9))
    axes = {name: {0: "batch", 1: "tokens"} for name in NAMES}
    torch.onnx.export(load(path), (x, torch.ones_like(x), torch.zeros_like(x)), to, input_names=NAMES, output_names=["vectors"],
                      dynamic_axes=axes | {"vectors": {0: "batch"}}, opset_version=17, dynamo=False)
    from onnxruntime.transformers import optimizer
    optimizer.optimize_model(to, model_type="bert", num_heads=12, hidden_size=384).save_model_to_file(to + ".fused")


def vectors_of(run, tok, all_texts):
    """Sorted by length, batches of 32, padded to the longest."""
    encoded = tok.encode_batch(all_texts)
    order = sorted(range(len(encoded)), key=lambda i: -len(encoded[i].ids))
    out = [None] * len(encoded)
    for at in range(0, len(order), 32):
        chunk = order[at:at + 32]
        width = len(encoded[chunk[0]].ids)
        ids, mask = np.zeros((len(chunk), width), np.int64), np.zeros((len(chunk), width), np.int64)
        for r, i in enumerate(chunk):
            ids[r, :len(encoded[i].ids)], mask[r, :len(encoded[i].ids)] = encoded[i].ids, 1
        for i, v in zip(chunk, run(ids, mask, np.zeros_like(ids))):
            out[i] = v
    return np.array(out)


def bench(path, onnx, data, binary, pairs=5):
    import onnxruntime as ort
    import tokenizers
    import torch
    torch.set_num_threads(2)
    tok = tokenizers.Tokenizer.from_file(os.path.join(path, "tokenizer.json"))
    tok.no_padding()
    tok.no_truncation()
    model = load(path)

    def in_torch(*args):
        with torch.inference_mode():
            return model(*(torch.from_numpy(a) for a in args)).numpy()

    def in_ort(file):
        options = ort.SessionOptions()
        options.intra_op_num_threads = 2
        session = ort.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        return lambda *args: session.run(None, dict(zip(NAMES, args)))[0]

    peers = {"torch": in_torch, "onnxruntime": in_ort(onnx), "onnxruntime, fused": in_ort(onnx + ".fused")}
    all_texts, once, vectors = texts(data), {}, {}
    for name, run in peers.items():
        once[name] = min(timed(lambda: vectors.update({name: vectors_of(run, tok, all_texts)})) for _ in range(2))
        print(f"{name}: {len(all_texts) / once[name]:.1f} texts/s, the better of two")
    fastest = min(once, key=once.get)
    speeds = {fastest: [], "hone": []}
    with tempfile.NamedTemporaryFile() as f:
        for _ in range(int(pairs)):
            speeds[fastest].append(len(all_texts) / timed(lambda: vectors_of(peers[fastest], tok, all_texts)))
            out = subprocess.run([binary, "-test.run", "^$", "-test.bench", "Embeddings", "-test.benchtime", "1x", "-test.cpu", "2"],
                                 env={**os.environ, "HONE_EMBED_OUT": f.name}, capture_output=True, text=True, check=True).stdout
            speeds["hone"].append(float(re.search(r"([\d.]+) texts/s", out)[1]))
        got = np.array(json.load(open(f.name)))
    for name, v in vectors.items():
        print(f"{name}: least cosine {(got * v).sum(1).min():.8f}")
    for name, s in speeds.items():
        print(f"{name}: median {np.median(s):.1f} texts/s,", [round(x, 1) for x in s])
    each = sorted(h / p for h, p in zip(speeds["hone"], speeds[fastest]))
    print(f"hone / {fastest}: {np.median(speeds['hone']) / np.median(speeds[fastest]):.2f}, pairs {each[0]:.2f} to {each[-1]:.2f}")


def timed(work):
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


{"export": export, "bench": bench}[sys.argv[1]](*sys.argv[2:])
