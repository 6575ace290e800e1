"""Random compositions of the parts of tokenizer.json, and vocabularies with affixes, read by PyPI tokenizers 0.23.3.

    pip install tokenizers==0.23.3
    python tokenizer_compositions.py fuzz DIR FIRST COUNT   # seeds FIRST.. : DIR/SEED.json, each a tokenizer with texts and what becomes of them
    python tokenizer_compositions.py golden OUT             # a few of them, and those of CLIP's, GPT-1's and XLM's kind (tokenizer/testdata/compositions.json)
    HONE_TOKENIZER_COMPOSITIONS=DIR go test ./tokenizer -run TestOracleCompositions
"""
import json
import os
import random
import resource
import signal
import sys

sys.path.pop(0)  # this folder has a file of the package's name
import tokenizers
from tokenizers import Tokenizer, trainers

WORDS = ("the cat sat on the mat, isn't it? A Cat's HAT 123 4567 hello world don't foo_bar x = [1, 2]; é naïve Straße ŒUVRE İI ﬁ ① ½ 你好世界 "
         "漢字かな 안녕 привет Мир שלום مرحبا नमस्ते 🙂👍 a\u0301 e\u0301\u0323 ½ ＡＢ ▁x __y «q» \u00a0 \u3000 \u200b …").split(" ")
BITS = [" ", "  ", "   ", "\n", "\n\n", "\t", "\r\n", "\u00a0", "\u3000", "▁", "▁▁", "'", "'s", "-", "_", ".", "!", "1", "22", "a", "b", "é", "\u0301", "\u0323", "İ", "ß", "Σ", "ς", "你", "の",
        "🙂", "👨\u200d👩\u200d👧", "\u200b", "\ufeff", "\u0000", "\u0007", "\u0085", "\u2028", "\ufffd", "</w>", "##", "<0x41>", "@@", "Ġ", "ď", "क्षि", "ﬃ", "\u1e9b\u0323", "\ud55c", "\u1112\u1161\u11ab", "x", "Z", "the"]


def text(r, added):
    out = []
    for _ in range(r.randint(0, 9)):
        k = r.random()
        out.append(r.choice(added) if added and k < 0.2 else r.choice(WORDS) if k < 0.5 else " " if k < 0.7 else r.choice(BITS))
    return "".join(out)


def pattern(r):
    return r.choice([{"String": " "}, {"String": "a"}, {"String": "▁"}, {"String": ".."}, {"Regex": r"\s+"}, {"Regex": r"[aeiou]"}, {"Regex": r"\d{1,3}"}, {"Regex": r" {2,}"}, {"Regex": r"\p{L}+"},
                     {"Regex": r"[^\s\p{L}]+"}, {"Regex": r"'s|'t|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+"}, {"Regex": r"\w+|[^\w\s]+"}, {"Regex": r"(?<=a)b|\bx"}, {"Regex": r"(?i)the"}, {"Regex": r"\s*[\r\n]+|\s+(?!\S)|\s+"}])


def normalizer(r):
    kind = r.choice(["NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "Nmt", "Strip", "Prepend", "Replace", "Replace", "BertNormalizer", "ByteLevel"])
    n = {"type": kind}
    if kind == "Strip":
        n.update(strip_left=r.random() < 0.5, strip_right=r.random() < 0.5)
    elif kind == "Prepend":
        n.update(prepend=r.choice(["▁", "x", " ", "é"]))
    elif kind == "Replace":
        n.update(pattern=pattern(r), content=r.choice(["▁", " ", "", "bb", "é"]))
    elif kind == "BertNormalizer":
        n.update(clean_text=r.random() < 0.5, handle_chinese_chars=r.random() < 0.5, strip_accents=r.choice([None, True, False]), lowercase=r.random() < 0.5)
    return n


def pre_tokenizer(r):
    kind = r.choice(["ByteLevel", "ByteLevel", "Digits", "Split", "Split", "Punctuation", "BertPreTokenizer", "Metaspace", "Metaspace", "CharDelimiterSplit", "UnicodeScripts", "WhitespaceSplit", "Whitespace", "FixedLength"])
    p = {"type": kind}
    if kind == "ByteLevel":
        p.update(add_prefix_space=r.random() < 0.5, trim_offsets=True, use_regex=r.random() < 0.7)
    elif kind == "Digits":
        p.update(individual_digits=r.random() < 0.5)
    elif kind == "Split":
        p.update(pattern=pattern(r), behavior=r.choice(["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"]), invert=r.random() < 0.3)
    elif kind == "Punctuation":
        p.update(behavior=r.choice(["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"]))
    elif kind == "Metaspace":
        p.update(replacement=r.choice(["▁", "▁", "_", "Ġ"]), prepend_scheme=r.choice(["always", "first", "never"]), split=r.random() < 0.5)
    elif kind == "CharDelimiterSplit":
        p.update(delimiter=r.choice(["a", " ", "e"]))
    elif kind == "FixedLength":
        p.update(length=r.randint(1, 4))
    return p


def decoder(r):
    kind = r.choice(["ByteLevel", "WordPiece", "ByteFallback", "Metaspace", "BPEDecoder", "Strip", "Replace", "Fuse"])
    d = {"type": kind}
    if kind == "ByteLevel":
        d.update(add_prefix_space=True, trim_offsets=True, use_regex=True)
    elif kind == "WordPiece":
        d.update(prefix=r.choice(["##", "@@"]), cleanup=r.random() < 0.5)
    elif kind == "Metaspace":
        d.update(replacement=r.choice(["▁", "_"]), prepend_scheme=r.choice(["always", "first", "never"]), split=True)
    elif kind == "BPEDecoder":
        d.update(suffix="</w>")
    elif kind == "Strip":
        d.update(content=r.choice([" ", "a", "▁"]), start=r.randint(0, 2), stop=r.randint(0, 2))
    elif kind == "Replace":
        d.update(pattern=pattern(r), content=r.choice([" ", "", "z"]))
    return d


def sequence(r, one, field, most):
    n = r.choice([0, 1, 1, 2, 2, 3][:most + 3])
    if n == 0:
        return None
    if n == 1 and r.random() < 0.8:
        return one(r)
    return {"type": "Sequence", field: [one(r) for _ in range(n)]}


def model(r, t):
    """A trained model, as JSON."""
    kind = r.choice(["BPE", "BPE", "BPE", "WordPiece", "WordLevel", "Unigram"])
    words = [" ".join(r.choice(WORDS) for _ in range(r.randint(1, 8))) for _ in range(60)]
    size = r.choice([40, 90, 160, 300])
    affixes = {}
    if kind == "BPE":
        if r.random() < 0.4:
            affixes["end_of_word_suffix"] = r.choice(["</w>", "@@", "é"])
        if r.random() < 0.3:
            affixes["continuing_subword_prefix"] = r.choice(["##", "▁", "@@"])
        alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet() if r.random() < 0.4 else []
        t.model = tokenizers.models.BPE(**affixes)
        trainer = trainers.BpeTrainer(vocab_size=size + len(alphabet), special_tokens=["<unk>"], initial_alphabet=alphabet, show_progress=False, **affixes)
    elif kind == "WordPiece":
        t.model = tokenizers.models.WordPiece(unk_token="<unk>")
        trainer = trainers.WordPieceTrainer(vocab_size=size, special_tokens=["<unk>"], continuing_subword_prefix=r.choice(["##", "@@"]), show_progress=False)
    elif kind == "WordLevel":
        t.model = tokenizers.models.WordLevel(unk_token="<unk>")
        trainer = trainers.WordLevelTrainer(vocab_size=size, special_tokens=["<unk>"], show_progress=False)
    else:
        t.model = tokenizers.models.Unigram()
        trainer = trainers.UnigramTrainer(vocab_size=size, special_tokens=["<unk>"], unk_token="<unk>", show_progress=False)
    t.train_from_iterator(words, trainer)
    m = json.loads(t.to_str())["model"]
    fallback = [f"<0x{b:02X}>" for b in range(256) if r.random() < 0.9 or size != 40] if kind in ("BPE", "Unigram") and r.random() < 0.4 else []
    if kind == "BPE":
        for x in fallback:
            m["vocab"].setdefault(x, len(m["vocab"]))
        m.update(unk_token=r.choice([None, "<unk>", "<unk>", "<lost>"] if r.random() < 0.3 else ["<unk>", None]), fuse_unk=r.random() < 0.5, byte_fallback=bool(fallback), ignore_merges=r.random() < 0.3, dropout=r.choice([None, 0.0]))
        if r.random() < 0.2:
            r.shuffle(m["merges"])
    elif kind == "Unigram":
        m["vocab"] += [[x, -20.5] for x in fallback]
        m.update(byte_fallback=bool(fallback))
    return m


CONTENTS = ["<s>", "</s>", "<pad>", "[MASK]", "the", "cat", "a", "▁", "  ", "é", "Hello", "x y", "<|im_start|>", "İ", "\n\n", "##a", "ing", "你", "tok ", " tok", "▁tok", "A\u0301", "don", "..", "<unk>"]


def added(r, first):
    out = []
    for content in r.sample(CONTENTS, r.randint(0, 5)):
        special = r.random() < 0.5
        out.append({"id": first + len(out), "content": content, "single_word": r.random() < 0.25, "lstrip": r.random() < 0.3, "rstrip": r.random() < 0.3, "normalized": r.random() < 0.5, "special": special})
    return out


def post_processor(r, tokens):
    if not tokens or r.random() < 0.4:
        return None
    pair = lambda: (lambda t: [t["content"], t["id"]])(r.choice(tokens))
    kind = r.choice(["BertProcessing", "RobertaProcessing", "TemplateProcessing", "ByteLevel", "Sequence"])
    if kind == "ByteLevel":
        return {"type": kind, "add_prefix_space": True, "trim_offsets": False, "use_regex": True}
    if kind in ("BertProcessing", "RobertaProcessing"):
        p = {"type": kind, "sep": pair(), "cls": pair()}
        return {**p, "trim_offsets": True, "add_prefix_space": True} if kind[0] == "R" else p
    item = lambda t: {"SpecialToken": {"id": t["content"], "type_id": 0}}
    chosen = [r.choice(tokens) for _ in range(r.randint(1, 3))]
    single = [item(t) for t in chosen]
    single.insert(r.randint(0, len(single)), {"Sequence": {"id": "A", "type_id": 0}})
    p = {"type": "TemplateProcessing", "single": single, "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
         "special_tokens": {t["content"]: {"id": t["content"], "ids": [t["id"]], "tokens": [t["content"]]} for t in chosen}}
    if kind == "Sequence":
        return {"type": kind, "processors": [{"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False, "use_regex": True}, p]}
    return p


class Fault(Exception):
    """The reference itself broke."""


def attempt(f):
    try:
        return f()
    except Exception:
        return None
    except BaseException as e:
        if isinstance(e, KeyboardInterrupt):
            raise
        raise Fault from e


def compose(seed):
    r = random.Random(seed)
    t = Tokenizer(tokenizers.models.BPE())
    file = json.loads(t.to_str())
    file.update(normalizer=sequence(r, normalizer, "normalizers", 3), pre_tokenizer=sequence(r, pre_tokenizer, "pretokenizers", 3), decoder=sequence(r, decoder, "decoders", 3))
    t = Tokenizer.from_str(json.dumps(file))
    file["model"] = model(r, t)
    file["added_tokens"] = added(r, len(file["model"]["vocab"]))
    vocab = file["model"]["vocab"]
    known = vocab if isinstance(vocab, dict) else {x: i for i, (x, _) in enumerate(vocab)}
    free = len(known)
    for a in file["added_tokens"]:
        if a["content"] in known:
            a["id"] = known[a["content"]]
        else:
            a["id"], free = free, free + 1
    file["added_tokens"].sort(key=lambda a: a["id"])
    file["post_processor"] = post_processor(r, file["added_tokens"])
    return r, file


def lines(r, file, count):
    t = Tokenizer.from_str(json.dumps(file))
    spellings = [t.normalizer.normalize_str(a["content"]) if t.normalizer and a["normalized"] else a["content"] for a in file["added_tokens"]]
    if "" in spellings or len(set(spellings)) < len(spellings):
        raise Fault  # the empty text is found everywhere; of equal ones it is a matter of chance which counts
    contents = [a["content"] for a in file["added_tokens"]]
    out = []
    for _ in range(count):
        s = text(r, contents)
        some = [r.randrange(t.get_vocab_size()) for _ in range(r.randint(0, 8))] if r.random() < 0.5 else None
        try:
            out.append(line(t, s, some))
        except Fault:
            pass
    return out


def line(t, s, some):
    ids = []
    for plain in (False, True):
        t.encode_special_tokens = plain
        ids += [attempt(lambda: t.encode(s, add_special_tokens=add).ids) for add in (False, True)]
    some = ids[1] or [] if some is None else some
    t.encode_special_tokens = False
    pair = attempt(lambda: t.encode(s, s[::-1]))
    return {"text": s, "pair": None if pair is None else [pair.ids, pair.type_ids], "ids": ids, "some": some, "decoded": attempt(lambda: t.decode(some, skip_special_tokens=False)), "skipped": attempt(lambda: t.decode(some, skip_special_tokens=True))}


def case(seed, count):
    try:
        made = attempt(lambda: compose(seed))
        if made is None:
            return None
        result = attempt(lambda: lines(*made, count))
    except Fault:
        return None
    return result and {"name": str(seed), "file": made[1], "lines": result}


def styled():
    """BPE with affixes as published models have them."""
    byte = tokenizers.pre_tokenizers.ByteLevel
    clip = {"normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": " "}, {"type": "Lowercase"}]},
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "Split", "pattern": {"Regex": r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"}, "behavior": "Removed", "invert": True}, {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}]},
            "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}}
    gpt1 = {"normalizer": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None, "lowercase": True}, "pre_tokenizer": {"type": "BertPreTokenizer"}, "decoder": {"type": "BPEDecoder", "suffix": "</w>"}}
    xlm = {"normalizer": {"type": "Sequence", "normalizers": [{"type": "NFKC"}, {"type": "Lowercase"}, {"type": "StripAccents"}]}, "pre_tokenizer": {"type": "WhitespaceSplit"}, "decoder": {"type": "BPEDecoder", "suffix": "</w>"}}
    subword = {"normalizer": None, "pre_tokenizer": {"type": "Whitespace"}, "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": False}}
    for name, parts, affixes, alphabet, options in [
        ("clip", clip, {"end_of_word_suffix": "</w>"}, byte.alphabet(), {"unk_token": "<|endoftext|>", "continuing_subword_prefix": ""}),
        ("gpt1", gpt1, {"end_of_word_suffix": "</w>"}, [], {"unk_token": "<unk>"}),
        ("xlm", xlm, {"end_of_word_suffix": "</w>"}, [], {"unk_token": "<unk>", "fuse_unk": True}),
        ("subword", subword, {"continuing_subword_prefix": "##"}, [], {"unk_token": "<unk>", "ignore_merges": True}),
        ("both", subword, {"continuing_subword_prefix": "##", "end_of_word_suffix": "</w>"}, [], {"unk_token": "<unk>", "dropout": 0.0}),
    ]:
        r = random.Random(name)
        file = {**json.loads(Tokenizer(tokenizers.models.BPE()).to_str()), **parts}
        t = Tokenizer.from_str(json.dumps(file))
        t.model = tokenizers.models.BPE(**affixes)
        special = ["<unk>", "<|startoftext|>", "<|endoftext|>"]
        t.train_from_iterator([" ".join(r.choice(WORDS) for _ in range(8)) for _ in range(200)], trainers.BpeTrainer(vocab_size=260 + 2 * len(alphabet), special_tokens=special, initial_alphabet=alphabet, show_progress=False, **affixes))
        file = json.loads(t.to_str())
        file["model"].update(options)
        yield name, r, file


SHOWN = [12, 50, 64, 205, 233, 646, 887, 931, 1279, 2352, 2395, 2486, 2492]  # these once differed


def golden(out):
    cases = [{"name": name, "file": file, "lines": lines(r, file, 60)} for name, r, file in styled()]
    cases += filter(None, (case(seed, 40) for seed in SHOWN))
    seed = 0
    while len(cases) < 65:
        c = seed not in SHOWN and case(seed, 12)
        seed += 1
        if c and len(json.dumps(c["file"])) < 9000:
            cases.append(c)
    with open(out, "w") as f:
        json.dump(cases, f, separators=(",", ":"), ensure_ascii=True)
        f.write("\n")


def fuzz(folder, first, count):
    os.makedirs(folder, exist_ok=True)
    for seed in range(first, first + count):  # in a process of its own: a trainer may never end
        child = os.fork()
        if child == 0:
            signal.alarm(20)
            resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
            c = case(seed, 40)
            signal.alarm(0)
            if c:
                with open(os.path.join(folder, f"{seed}.json"), "w") as f:
                    json.dump([c], f)
            os._exit(0)
        os.waitpid(child, 0)


if __name__ == "__main__":
    if sys.argv[1] == "golden":
        golden(sys.argv[2])
    else:
        fuzz(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
