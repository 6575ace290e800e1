"""Vocabularies of the Llama and Gemma style that are in a tokenizer.json alone: transformers beside llama.cpp on the GGUF files
that Hone writes of them. By hand, with sentencepiece 0.2.3, tokenizers 0.23.3, transformers 5.24.0, torch 2.9, and llama.cpp of
August 2026.

    python llama_vocabulary.py make DIR [COUNT]          # DIR/NAME: a directory with a tiny model; DIR/NAME.ids: texts with ids
    for d in DIR/*/; do hone convert $d ${d%/}.gguf; done
    python llama_vocabulary.py compare LLAMA_SERVER DIR  # llama.cpp's ids of the same texts
    HONE_TOKENIZER_VOCABULARIES=DIR go test ./tokenizer -run TestOracleVocabularies -v  # Hone's, from both kinds of file
    python llama_vocabulary.py golden DIR OUT            # the small ones, for tokenizer/testdata/vocabularies.json
"""
import importlib.util
import json
import os
import random
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

here = Path(__file__).parent
sys.path.pop(0)  # files here have the packages' names


def beside(name):
    spec = importlib.util.spec_from_file_location(name, here / (name + ".py"))
    module = importlib.util.module_from_spec(spec)
    path, sys.path = sys.path, ["", *sys.path]  # it drops the first
    spec.loader.exec_module(module)
    sys.path = path
    return module


common = beside("sentencepiece_models")
RUNS = ["\n" * i for i in range(2, 12)] + ["▁" * i for i in range(2, 12)] + ["\t\t", "<unused0>", "[@BOS@]", "<table>"]
BASE = dict(model_type="bpe", byte_fallback=True, remove_extra_whitespaces=False, normalization_rule_name="identity", hard_vocab_limit=False, minloglevel=2, num_threads=1)
LEGACY = {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]}
GEMMA_IDS = dict(pad_id=0, eos_id=1, bos_id=2, unk_id=3, pad_piece="<pad>", eos_piece="<eos>", bos_piece="<bos>")

# name: the class, options of training, settings of the tokenizer, what tokenizer.json says otherwise (the form that older
# versions of transformers wrote, which most published files have)
CASES = {
    "llama2": ("LlamaTokenizer", dict(vocab_size=700, split_digits=True), dict(legacy=True), dict(normalizer=LEGACY, pre_tokenizer=None, unk="<unk>")),
    "llama2-spaces": ("LlamaTokenizer", dict(vocab_size=900, allow_whitespace_only_pieces=True, split_by_whitespace=False), dict(), dict(normalizer=LEGACY, pre_tokenizer=None, unk="<unk>")),
    "llama-added": ("LlamaTokenizer", dict(vocab_size=700, user_defined_symbols=["[INST]", "[/INST]", "the"]), dict(), dict(normalizer=LEGACY, pre_tokenizer=None, unk="<unk>")),
    "llama-metaspace": ("LlamaTokenizer", dict(vocab_size=700), dict(legacy=True), {}),
    "mistral3": ("LlamaTokenizer", dict(vocab_size=700), dict(legacy=False), {}),
    "llama-noprefix": ("LlamaTokenizer", dict(vocab_size=700, add_dummy_prefix=False), dict(add_prefix_space=False), {}),
    "pairs": ("PreTrainedTokenizerFast", dict(vocab_size=500), {}, {}),
    "gemma": ("GemmaTokenizer", dict(vocab_size=900, add_dummy_prefix=False, allow_whitespace_only_pieces=True, split_digits=True, user_defined_symbols=RUNS, **GEMMA_IDS), dict(), {}),
}
LINES = ["a\n\nb\n", "def f(x):\n        return    x  # no", "x" + " " * 17 + "y", "<s> </s> <unk> s> </ <0x0A> [INST] hi [/INST]"]


def texts(name, count):
    random.seed(name)
    source = common.blocks()
    runs = ["\n" * random.randint(1, 40), " " * random.randint(1, 40), "\t\t\t", "[INST]", "[/INST]", "<eos>", "<bos>", "<unused0>", "[@BOS@]", "<table>", " the", "▁▁", "\n "]
    mixed = ["".join(random.choice(runs) if random.random() < 0.4 else common.random_string(source) for _ in range(random.randint(1, 4))) for _ in range(count // 2)]
    return common.HARD + mixed + [common.random_string(source) for _ in range(count - len(mixed))]


def by_rank(dir, vocab_size):
    """Merges that no sentencepiece made: the trainer's own order, and tokens that no merge makes."""
    from tokenizers import Tokenizer, decoders, models, normalizers, processors, trainers

    t = Tokenizer(models.BPE())
    t.normalizer = normalizers.Replace(" ", "▁")
    t.train_from_iterator(common.text(300), trainers.BpeTrainer(vocab_size=vocab_size, show_progress=False))
    trained = json.loads(t.to_str())["model"]
    names = ["<pad>", "<eos>", "<bos>", "<unk>", *(f"<0x{b:02X}>" for b in range(256)), *trained["vocab"], "\n", "\n\n", "th▁"]
    t.model = models.BPE({x: i for i, x in enumerate(names)}, [*map(tuple, trained["merges"][40:]), *map(tuple, trained["merges"][:40]), ("\n", "\n")], unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    t.add_special_tokens(names[:4])
    t.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    t.post_processor = processors.TemplateProcessing("<bos> $A", "<bos> $A <bos> $B", [("<bos>", 2)])
    t.save(os.path.join(dir, "tokenizer.json"))
    json.dump(dict(tokenizer_class="PreTrainedTokenizerFast", bos_token="<bos>", eos_token="<eos>", unk_token="<unk>"), open(os.path.join(dir, "tokenizer_config.json"), "w"))


def by_sentencepiece(dir, kind, options, settings):
    import sentencepiece
    import transformers

    lines = common.text(3000) + LINES * 300
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(lines), model_prefix=os.path.join(dir, "tokenizer"), **{**BASE, **options})
    os.remove(os.path.join(dir, "tokenizer.vocab"))
    getattr(transformers, kind).from_pretrained(dir, **settings).save_pretrained(dir)
    os.remove(os.path.join(dir, "tokenizer.model"))


def make_one(folder, name):
    import torch
    import transformers

    kind, options, settings, form = CASES[name]
    dir = os.path.join(folder, name)
    shutil.rmtree(dir, ignore_errors=True)
    os.makedirs(dir)
    if name == "pairs":
        by_rank(dir, **options)
    else:
        by_sentencepiece(dir, kind, options, settings)
    path = os.path.join(dir, "tokenizer.json")
    file = json.load(open(path))
    unk = form.pop("unk", None)
    file.update(form)
    if unk:
        file["model"]["unk_token"] = unk
    json.dump(file, open(path, "w"), ensure_ascii=False)
    t = transformers.PreTrainedTokenizerFast.from_pretrained(dir)
    torch.manual_seed(0)
    config = transformers.LlamaConfig(vocab_size=len(t) + 3, hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=2)
    transformers.LlamaForCausalLM(config).save_pretrained(dir)
    return t


def make(folder, count):
    for name in CASES:
        t = make_one(folder, name)
        with open(os.path.join(folder, name + ".ids"), "w") as f:
            for text in texts(name, count):
                f.write(json.dumps({"text": text, "ids": t.encode(text, add_special_tokens=False)}) + "\n")


def golden(folder, out):
    result = {}
    for name in CASES:
        t = make_one(folder, name)
        dir = os.path.join(folder, name)
        result[name] = {"file": json.load(open(os.path.join(dir, "tokenizer.json"))), "config": json.load(open(os.path.join(dir, "tokenizer_config.json"))),
                        "texts": [[text, t.encode(text, add_special_tokens=False)] for text in texts(name, 60)]}
    with open(out, "w") as f:
        json.dump(result, f, separators=(",", ":"), ensure_ascii=False)
        f.write("\n")


PORT = 18631


def ask(path, body=None):
    request = urllib.request.Request(f"http://127.0.0.1:{PORT}{path}", None if body is None else json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as reply:
        return json.load(reply)


def served(program, model):
    log = open(model + ".log", "w")
    server = subprocess.Popen([program, "-m", model, "--port", str(PORT), "-c", "128", "-np", "1", "-t", "1", "--no-warmup"], stdout=log, stderr=log)
    for _ in range(200):
        time.sleep(0.1)
        if server.poll() is not None:
            sys.exit(model + " does not load; see its log")
        try:
            ask("/health")
            return server
        except OSError:
            pass


def compare(program, folder):
    for name in sorted(os.listdir(folder)):
        model = os.path.join(folder, name[:-4] + ".gguf")
        if not name.endswith(".ids") or not os.path.exists(model):
            continue
        server = served(program, model)
        try:
            lines = [json.loads(line) for line in open(os.path.join(folder, name))]
            lines = [line for line in lines if "\0" not in line["text"]]
            bad = []
            for line in lines:
                got = ask("/tokenize", {"content": line["text"], "add_special": False, "parse_special": True})["tokens"]
                if got != line["ids"]:
                    bad.append((line["text"], got, line["ids"]))
            spaced = [b for b in bad if b[0].startswith((" ", "▁"))]
            print(f"{name[:-4]}: {len(lines)} texts, {len(bad)} differ, {len(spaced)} of them begin with a space", flush=True)
            for text, got, want in [b for b in bad if b not in spaced][:3]:
                print(f"   {text!r}\n   llama.cpp    {got}\n   transformers {want}")
        finally:
            server.kill()
            server.wait()


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 1000)
    elif sys.argv[1] == "golden":
        golden(sys.argv[2], sys.argv[3])
    else:
        compare(sys.argv[2], sys.argv[3])
