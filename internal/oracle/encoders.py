"""Reference vectors and scores of tiny encoders for package model, from transformers 5.24.0 and torch 2.15.0.

    pip install transformers==5.24.0 torch==2.15.0
    python encoders.py OUT    # model/testdata/encoders.json

Weights are made by a formula from a tensor's name and an element's number (weights below, seeded in the Go test), so none
are committed. Each model reads ragged texts of ids, one at a time, in float64. A model without a head gives its pooled rows,
for every kind of pooling and not normalised; one with a head gives its logits.
"""
import json
import sys

sys.path.pop(0)

import numpy as np
import torch
import transformers as tf

M = (1 << 64) - 1


def fnv(name):
    h = 0xCBF29CE484222325
    for b in name.encode():
        h = (h ^ b) * 0x100000001B3 & M
    return h


def weights(name, shape):
    """Uniform in [-1, 1) from splitmix64 of the name's hash and the element's number, scaled by what the tensor is."""
    n = int(np.prod(shape))
    with np.errstate(over="ignore"):
        z = np.uint64(fnv(name)) + np.arange(1, n + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    u = (z >> np.uint64(40)).astype(np.float64) / (1 << 23) - 1
    if len(shape) == 2:
        u *= 2.5 / np.sqrt(shape[1])
    elif name.endswith(".weight"):
        u = 1 + 0.5 * u
    else:
        u *= 0.5
    return torch.tensor(u.astype(np.float32).astype(np.float64).reshape(shape))


TEXTS = [[3, 7, 11, 30, 2], [5], [int(i * i % 37) + 3 for i in range(1, 40)]]
SIZES = {"hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 41}
DISTIL = {"dim": 24, "hidden_dim": 40, "n_layers": 2, "n_heads": 4, "vocab_size": 41, "max_position_embeddings": 40, "architectures": None}


def cases():
    bert = {**SIZES, "max_position_embeddings": 40, "type_vocab_size": 2}
    roberta = {**SIZES, "max_position_embeddings": 42, "type_vocab_size": 1, "layer_norm_eps": 1e-5, "pad_token_id": 1}
    yield "bert", tf.BertConfig, tf.BertModel, bert
    yield "bert relu", tf.BertConfig, tf.BertModel, {**bert, "hidden_act": "relu", "layer_norm_eps": 0.01}
    yield "bert classifier", tf.BertConfig, tf.BertForSequenceClassification, {**bert, "num_labels": 3, "hidden_act": "gelu_new"}
    yield "bert cross-encoder", tf.BertConfig, tf.BertForSequenceClassification, {**bert, "num_labels": 1}
    yield "roberta", tf.RobertaConfig, tf.RobertaModel, roberta
    yield "roberta classifier", tf.RobertaConfig, tf.RobertaForSequenceClassification, {**roberta, "num_labels": 5}
    yield "xlm-roberta", tf.XLMRobertaConfig, tf.XLMRobertaModel, {**roberta, "pad_token_id": 2, "max_position_embeddings": 43}
    yield "xlm-roberta cross-encoder", tf.XLMRobertaConfig, tf.XLMRobertaForSequenceClassification, {**roberta, "num_labels": 1}
    distil = {k: v for k, v in DISTIL.items() if v is not None}
    yield "distilbert", tf.DistilBertConfig, tf.DistilBertModel, distil
    yield "distilbert classifier", tf.DistilBertConfig, tf.DistilBertForSequenceClassification, {**distil, "num_labels": 2}


def run(make, kind, sizes):
    config = make(**sizes, attn_implementation="eager")
    model = kind(config).double().eval()
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.copy_(weights(name, tuple(p.shape)))
    typed = sizes.get("type_vocab_size", 0) > 1
    out = []
    for ids in TEXTS:
        if config.model_type != "bert":  # no padding inside a text
            ids = [i + 3 if i == config.pad_token_id else i for i in ids]
        types = [int(i >= len(ids) // 2) if typed else 0 for i in range(len(ids))]
        args = {"input_ids": torch.tensor([ids])}
        if typed:
            args["token_type_ids"] = torch.tensor([types])
        with torch.no_grad():
            got = model(**args)
        text = {"ids": ids, "types": types}
        if hasattr(got, "logits"):
            text["logits"] = got.logits[0].tolist()
        else:
            rows = got.last_hidden_state[0]
            text |= {"mean": rows.mean(0).tolist(), "cls": rows[0].tolist(), "lasttoken": rows[-1].tolist(), "max": rows.max(0).values.tolist()}
        out.append({k: [round(x, 8) for x in v] if k not in ("ids", "types") else v for k, v in text.items()})
    settings = {**sizes, "architectures": [kind.__name__], "model_type": config.model_type}
    settings.pop("num_labels", None)
    if "num_labels" in sizes:
        settings["id2label"] = {str(i): f"label {i}" for i in range(sizes["num_labels"])}
    return {"config": settings, "texts": out}


def main(to):
    golden = {name: run(make, kind, sizes) for name, make, kind, sizes in cases()}
    with open(to, "w") as f:
        json.dump(golden, f, separators=(",", ":"))


main(*sys.argv[1:])
