"""Logits and ids that transformers gives for a directory that Hone wrote, for the test that compares them with Hone's own.

    pip install torch==2.15.0 transformers==5.24.0 compressed-tensors==0.20.0
    python converted.py DIR...    # writes transformers.json into each directory
    HONE_CONVERTED=DIR:… go test ./recipe -run Transformers

A quantized directory (compressed-tensors) is run by its dequantized weights.
"""
import json
import os
import sys

sys.path.pop(0)  # tokenizers.py beside this file has a package's name

import torch
import transformers

TEXTS = ["The tower is 324 metres (1,063 ft) tall, about the same height as an 81-storey building.",
         "def f(x):\n    return  x + 1\n\n", "Ünïcödé 你好 😀  ", "<|im_start|>user\nHello<|im_end|>\n"]


def main(path):
    tokenizer = transformers.AutoTokenizer.from_pretrained(path)
    config = transformers.AutoConfig.from_pretrained(path)
    options = {}
    if getattr(config, "quantization_config", None):
        options["quantization_config"] = transformers.CompressedTensorsConfig(run_compressed=False)
    model = transformers.AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32, **options).eval()
    cases = []
    for text in TEXTS:
        ids = tokenizer(text)["input_ids"]
        with torch.no_grad():
            logits = model(torch.tensor([ids])).logits[0, -1]
        cases.append({"text": text, "ids": ids, "logits": [round(v, 5) for v in logits.float().tolist()]})
    chat = tokenizer.apply_chat_template([{"role": "user", "content": "Hi"}], tokenize=False, add_generation_prompt=True) if tokenizer.chat_template else None
    with open(os.path.join(path, "transformers.json"), "w") as f:
        json.dump({"cases": cases, "chat": chat}, f)
    print(path, [len(c["ids"]) for c in cases])


if __name__ == "__main__":
    for p in sys.argv[1:]:
        main(p)
