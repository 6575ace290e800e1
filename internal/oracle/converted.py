"""Logits and ids that transformers gives for a directory that Hone wrote, for the test that compares them with Hone's own.

    pip install torch==2.15.0 transformers==5.24.0 compressed-tensors==0.20.0
    python converted.py DIR...    # writes transformers.json into each directory
    HONE_CONVERTED=DIR:… go test ./recipe -run Transformers

A quantized directory (compressed-tensors) is run by its dequantized weights, from a copy whose scales are f32: the tool rounds what
it dequantizes to the type of the scales. Inputs that the directory asks to be rounded are rounded, so such logits differ.
"""
import json
import os
import shutil
import sys
import tempfile

sys.path.pop(0)  # tokenizers.py beside this file has a package's name

import safetensors.torch
import torch
import transformers

transformers.utils.logging.disable_progress_bar()

TEXTS = ["The tower is 324 metres (1,063 ft) tall, about the same height as an 81-storey building.",
         "def f(x):\n    return  x + 1\n\n", "Ünïcödé 你好 😀  ", "<|im_start|>user\nHello<|im_end|>\n"]


def wide(path):
    """A copy of a quantized directory with f32 scales."""
    copy = tempfile.mkdtemp()
    shutil.copytree(path, copy, dirs_exist_ok=True)
    tensors = safetensors.torch.load_file(os.path.join(path, "model.safetensors"))
    tensors = {n: t.float() if n.endswith("_scale") else t for n, t in tensors.items()}
    safetensors.torch.save_file(tensors, os.path.join(copy, "model.safetensors"), {"format": "pt"})
    return copy


def main(path):
    tokenizer = transformers.AutoTokenizer.from_pretrained(path)
    config = transformers.AutoConfig.from_pretrained(path)
    options = {}
    source = path
    if getattr(config, "quantization_config", None):
        options["quantization_config"], source = transformers.CompressedTensorsConfig(dequantize=True), wide(path)
    model = transformers.AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32, **options).eval()
    if source != path:
        shutil.rmtree(source)
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
