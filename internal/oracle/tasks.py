"""Reference answers for package eval's tasks, from transformers 5.24.0, torch 2.15.0 and gguf 0.19.0.

    pip install transformers==5.24.0 torch==2.15.0 gguf==0.19.0
    python tasks.py MODEL.gguf DATA OUT [COUNT]   # the first COUNT (200) items of each task -> OUT (eval/testdata/tasks/smollm2.json)

MODEL.gguf is the SmolLM2 whose weights are stored in f32 (smollm2-135m-offgrid.F32.gguf), DATA the folder of test data.
For each item: ll, the summed log-probability of each choice; choice and margin (best minus second, in nats); the same
after division by the number of characters (norm, norm_margin). LAMBADA: ll of the last word; choice is 1 when each of its
tokens is the first choice, margin the distance of the closest token to the other outcome.
"""
import json
import os
import re
import sys

sys.path.pop(0)

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer


def hellaswag(data):
    lines = open(os.path.join(data, "eval/hellaswag/hellaswag_val_full.txt"), encoding="utf-8").read().split("\n")
    for i in range(0, len(lines) - 5, 6):
        yield lines[i], lines[i + 2:i + 6]


def arc_easy(data):
    for r in json.load(open(os.path.join(data, "eval/llm-adapters/ARC-Easy/test.json"), encoding="utf-8")):
        m = re.fullmatch(r"Please choose the correct answer to the question: (.*?)\n\n(Answer1: .*?)\n\nAnswer format: .*", r["instruction"], re.S)
        yield f"Question: {m[1]}\nAnswer:", [c.strip() for c in re.split(r"(?:^| )Answer\d: ", m[2])[1:]]


def sst2(data):
    for line in open(os.path.join(data, "eval/glue/SST-2/dev.tsv"), encoding="utf-8").read().split("\n")[1:]:
        if line:
            yield f"{line.split(chr(9))[0].strip()}\nQuestion: Is this sentence positive or negative?\nAnswer:", ["negative", "positive"]


def lambada(data):
    for line in open(os.path.join(data, "eval/lambada/lambada_test.jsonl"), encoding="utf-8"):
        words = json.loads(line)["text"].split(" ")
        yield " ".join(words[:-1]), [words[-1]]


def score(model, tok, context, choice):
    """The summed log-probability of the choice after the context, and the least lead of a token over all others."""
    spaces = len(context) - len(context.rstrip())
    if spaces:
        context, choice = context[:-spaces], context[-spaces:] + " " + choice
    else:
        choice = " " + choice
    first = len(tok(context, add_special_tokens=False).input_ids)
    ids = torch.tensor([tok(context + choice, add_special_tokens=False).input_ids])
    with torch.no_grad():
        logits = model(ids[:, :-1]).logits[0, first - 1:].double()
    targets = ids[0, first:, None]
    ll = logits.log_softmax(-1).gather(1, targets).sum().item()
    own = logits.gather(1, targets)[:, 0]
    lead = (own - logits.scatter(1, targets, -torch.inf).max(-1).values).min().item()
    return ll, lead


def choose(values):
    order = sorted(range(len(values)), key=lambda i: -values[i])
    return order[0], round(values[order[0]] - values[order[1]], 6)


def run(model, tok, items):
    out = {"ll": [], "choice": [], "margin": [], "norm": [], "norm_margin": []}
    for context, choices in items:
        scores = [score(model, tok, context, c) for c in choices]
        ll = [s[0] for s in scores]
        out["ll"].append([round(v, 4) for v in ll])
        if len(choices) == 1:
            lead = scores[0][1]
            out["choice"].append(int(lead > 0))
            out["margin"].append(round(abs(lead), 6))
            continue
        for key, values in (("", ll), ("norm", [v / len(c) for v, c in zip(ll, choices)])):
            best, margin = choose(values)
            out[key or "choice"].append(best)
            out[(key and key + "_") + "margin"].append(margin)
    return {k: v for k, v in out.items() if v}


def main(path, data, to, count=200):
    torch.set_num_threads(2)
    where = {"pretrained_model_name_or_path": os.path.dirname(path), "gguf_file": os.path.basename(path)}
    tok = AutoTokenizer.from_pretrained(**where)
    model = AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32).eval()
    golden = {}
    for name, items in (("lambada", lambada), ("sst2", sst2), ("arc-easy", arc_easy), ("hellaswag", hellaswag)):
        picked = [item for _, item in zip(range(int(count)), items(data))]
        golden[name] = run(model, tok, picked)
        print(name, len(picked), flush=True)
    with open(to, "w") as f:
        json.dump(golden, f, separators=(",", ":"))


main(*sys.argv[1:])
