"""Reference ids for SentencePiece and the character models of package tokenizer, from PyPI sentencepiece 0.2.3 and tokenizers 0.23.3.

    pip install sentencepiece==0.2.3 tokenizers==0.23.3 protobuf==7.36.2
    python sentencepiece_models.py make DIR          # trains small vocabularies: DIR/*.model, DIR/*.json
    python sentencepiece_models.py fuzz DIR [COUNT]  # DIR/*.model -> DIR/*.spm, DIR/*.json -> DIR/*.ids
    python sentencepiece_models.py golden DIR OUT    # small vocabularies with their ids (tokenizer/testdata/models.json)

The Go side reads DIR from HONE_TOKENIZER_ORACLE.
"""
import base64
import json
import os
import random
import sys

sys.path.pop(0)  # files here have the packages' names
import sentencepiece
import tokenizers
from sentencepiece import sentencepiece_model_pb2
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers

WORDS = ("the cat sat on mat with a hat it is here there where every other model reads text and writes tokens of many kinds "
         "while spaces matter numbers 12 345 6789 and signs ( ) [ ] { } < > = + - * / , . ; : ! ? like this naïve café über straße "
         "привет мир как дела 你好 世界 今日は 漢字 かな カナ 안녕하세요 مرحبا שלום ﬁn ① ½ x² ＡＢＣ").split()


def text(lines, seed=7):
    random.seed(seed)
    return [" ".join(random.choice(WORDS) for _ in range(random.randint(1, 12))) + random.choice([".", "!", "", "\u3000x", "  y"]) for _ in range(lines)]


def blocks():
    ranges = [(0x20, 0x7E), (0x20, 0x7E), (0x20, 0x7E), (0x61, 0x7A), (0xA0, 0x24F), (0x300, 0x36F), (0x370, 0x52F), (0x590, 0x6FF), (0x900, 0xDFF),
              (0xE00, 0xEFF), (0x1100, 0x11FF), (0x1E00, 0x1FFF), (0x2000, 0x206F), (0x2070, 0x2BFF), (0x3000, 0x30FF), (0x4E00, 0x9FFF), (0xAC00, 0xD7A3),
              (0xF900, 0xFAFF), (0xFE00, 0xFFFD), (0x1F300, 0x1FAFF), (0x1D400, 0x1D7FF), (0x20000, 0x2A6DF), (0x1, 0x1F), (0x80, 0x9F)]
    while True:
        low, high = random.choice(ranges)
        yield lambda: chr(random.randint(low, high))


HARD = ["", " ", "  ", "   a", "a ", "\t", "\n\n", " \n x", "a\u00a0b", "x\u3000y", "▁", "▁▁a", "a▁b", " ▁ ", "<unk>", "<s>", "</s>a", "a</s>", "<0x41>", "<0xE4>", "<pad>",
        "the cat", " the cat", "the  cat", "<sep>the", "the<sep> cat<sep>", "<ctl>x", "<mask>", "naïve café", "e" + "\u0301" * 40, "cafe\u0301", "ﬁx ①½ ＡＢ", "\r\n \r\n x",
        "\u200bthe", "\ufeffthe cat", "\u0000a", "a\u0000b", "你好世界", "🙂👨\u200d👩\u200d👧", "\u1112\u1161\u11ab", "a" * 300, "ab " * 200, " " * 100, "x" + " " * 70 + "y", "\u0344\u1e9b\u0323 \u2126", "12345 6", "the<sep><sep>\u2028 the"]
SPECIALS = ["<s>", "</s>", "<unk>", "<pad>", "<sep>", "<ctl>", "<mask>", "[CLS]", "[SEP]", "▁", " ", "  ", "\n", "\t", "the", " and", "<0x0A>", " the cat", "\u3000", "\u00a0"]


def random_string(source):
    out = []
    for _ in range(random.randint(1, 12)):
        kind = random.random()
        if kind < 0.25:
            out.append(random.choice(SPECIALS))
        elif kind < 0.5:
            out.append(random.choice([" ", ""]) + random.choice(WORDS))
        else:
            make = next(source)
            out.append("".join(make() for _ in range(random.randint(1, 6))))
    return "".join(out)


def code_points():
    for start in [*range(0, 0x32400, 256), *range(0xE0000, 0xE0200, 256), 0xF0000, 0x10FF00]:
        chars = [chr(c) for c in range(max(start, 1), start + 256) if not 0xD800 <= c <= 0xDFFF]
        if chars:
            yield "".join(f"a{c} 1{c}." for c in chars)


def strings(name, count, every):
    random.seed(name)
    source = blocks()
    return HARD + [random_string(source) for _ in range(count)] + (list(code_points()) if every else [])


# Small models of SentencePiece: the options that change what a model does.
MODELS = {
    "bpe": dict(model_type="bpe", vocab_size=400),
    "bpe-bytes": dict(model_type="bpe", vocab_size=650, byte_fallback=True, remove_extra_whitespaces=False, normalization_rule_name="identity", split_digits=True),
    "bpe-noprefix": dict(model_type="bpe", vocab_size=650, byte_fallback=True, remove_extra_whitespaces=False, add_dummy_prefix=False, normalization_rule_name="identity", allow_whitespace_only_pieces=True, user_defined_symbols=["▁▁", "▁▁▁", "<sep>", "the"]),
    "bpe-symbols": dict(model_type="bpe", vocab_size=450, user_defined_symbols=["<sep>", "the", "th", "\u3000x"], control_symbols=["<ctl>", "a"]),
    "bpe-suffix": dict(model_type="bpe", vocab_size=400, treat_whitespace_as_suffix=True),
    "bpe-acrosswords": dict(model_type="bpe", vocab_size=450, split_by_whitespace=False),
    "unigram": dict(model_type="unigram", vocab_size=330),
    "unigram-bytes": dict(model_type="unigram", vocab_size=600, byte_fallback=True, remove_extra_whitespaces=False, normalization_rule_name="nfkc_cf"),
    "unigram-symbols": dict(model_type="unigram", vocab_size=350, user_defined_symbols=["<sep>", "the", "th", "he cat"], control_symbols=["<ctl>", "a"], normalization_rule_name="nmt_nfkc_cf"),
    "unigram-suffix": dict(model_type="unigram", vocab_size=330, treat_whitespace_as_suffix=True),
    "unigram-acrosswords": dict(model_type="unigram", vocab_size=330, split_by_whitespace=False, pad_id=0, unk_id=3, bos_id=1, eos_id=2),
}


def train_models(folder):
    lines = text(3000)
    for name, options in MODELS.items():
        sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(lines), model_prefix=os.path.join(folder, name), hard_vocab_limit=False, minloglevel=2, num_threads=1, **options)
        os.remove(os.path.join(folder, name + ".vocab"))
    mark_unused(os.path.join(folder, "bpe.model"), os.path.join(folder, "bpe-unused.model"), 17)
    mark_unused(os.path.join(folder, "unigram.model"), os.path.join(folder, "unigram-unused.model"), 13)


def mark_unused(path, out, step):
    m = sentencepiece_model_pb2.ModelProto()
    m.ParseFromString(open(path, "rb").read())
    for p in m.pieces[20::step]:
        if len(p.piece) > 1:
            p.type = 5
    open(out, "wb").write(m.SerializeToString())


def charsmap(folder, name):
    m = sentencepiece_model_pb2.ModelProto()
    m.ParseFromString(open(os.path.join(folder, name + ".model"), "rb").read())
    return m.normalizer_spec.precompiled_charsmap


def from_model(folder, name):
    """The usual translation of a SentencePiece model into tokenizer.json."""
    m = sentencepiece_model_pb2.ModelProto()
    m.ParseFromString(open(os.path.join(folder, name + ".model"), "rb").read())
    pieces = [(p.piece, p.score) for p in m.pieces]
    if m.trainer_spec.model_type == 1:
        return tokenizers.Tokenizer(models.Unigram(pieces, unk_id=m.trainer_spec.unk_id, byte_fallback=m.trainer_spec.byte_fallback)), m
    vocab = {p: i for i, (p, _) in enumerate(pieces)}
    merges = []
    for piece, score in pieces:
        parts = [(piece[:i], piece[i:]) for i in range(1, len(piece)) if piece[:i] in vocab and piece[i:] in vocab]
        merges += [(p, score) for p in sorted(parts, key=lambda p: (vocab[p[0]], vocab[p[1]]))]
    merges = [p for p, _ in sorted(merges, key=lambda m: m[1], reverse=True)]
    return tokenizers.Tokenizer(models.BPE(vocab, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=m.trainer_spec.byte_fallback)), m


def special(t, *tokens):
    t.add_special_tokens([tokenizers.AddedToken(x, normalized=False, special=True) for x in tokens])
    return t


def make_json(folder):
    n, p, d = normalizers, pre_tokenizers, decoders
    llama = [d.Replace("▁", " "), d.ByteFallback(), d.Fuse(), d.Strip(" ", 1, 0)]
    out = {}

    t, m = from_model(folder, "bpe-bytes")  # Llama 2
    t.normalizer = n.Sequence([n.Prepend("▁"), n.Replace(" ", "▁")])
    t.decoder = d.Sequence(llama)
    t.post_processor = processors.TemplateProcessing("<s> $A", "<s> $A <s>:1 $B:1", [("<s>", 1)])
    out["llama2"] = special(t, "<unk>", "<s>", "</s>")

    t, m = from_model(folder, "bpe-bytes")  # Llama 2 without legacy, Mistral
    t.pre_tokenizer = p.Metaspace("▁", "first", split=False)
    t.decoder = d.Sequence(llama)
    out["metaspace-first"] = special(t, "<unk>", "<s>", "</s>")

    t, m = from_model(folder, "bpe-bytes")
    t.pre_tokenizer = p.Metaspace("▁", "never", split=True)
    t.decoder = d.Metaspace("▁", "never")
    out["metaspace-never"] = special(t, "<s>")

    t, m = from_model(folder, "bpe-noprefix")  # Gemma
    t.normalizer = n.Replace(" ", "▁")
    t.pre_tokenizer = p.Split(" ", "merged_with_previous")
    t.decoder = d.Sequence(llama[:3])
    t.add_tokens([tokenizers.AddedToken("▁▁", normalized=False), tokenizers.AddedToken("▁▁▁", normalized=False)])
    out["gemma"] = special(t, "<unk>", "<s>", "</s>")

    t, m = from_model(folder, "bpe")  # unknown tokens, no bytes
    t.normalizer = n.Sequence([n.Strip(), n.Lowercase(), n.Prepend("▁"), n.Replace(tokenizers.Regex(" +"), "▁")])
    t.decoder = d.Sequence([d.Replace("▁", " "), d.Fuse()])
    out["bpe-unk"] = special(t, "<unk>", "<s>", "</s>")

    t, m = from_model(folder, "unigram")  # XLM-R
    t.normalizer = n.Sequence([n.Precompiled(m.normalizer_spec.precompiled_charsmap), n.Replace(tokenizers.Regex(" {2,}"), " ")])
    t.pre_tokenizer = p.Metaspace("▁", "always")
    t.decoder = d.Metaspace("▁", "always")
    t.post_processor = processors.TemplateProcessing("<s> $A </s>", "<s> $A </s> </s> $B </s>", [("<s>", 1), ("</s>", 2)])
    t.add_special_tokens([tokenizers.AddedToken("<mask>", lstrip=True, normalized=False)])
    out["xlmr"] = special(t, "<unk>", "<s>", "</s>")

    t, m = from_model(folder, "unigram-bytes")
    t.normalizer = n.Precompiled(m.normalizer_spec.precompiled_charsmap)
    t.pre_tokenizer = p.Sequence([p.WhitespaceSplit(), p.Metaspace("▁", "first")])
    t.decoder = d.Sequence([d.ByteFallback(), d.Metaspace("▁", "first")])
    out["t5"] = special(t, "<unk>", "</s>")

    t, m = from_model(folder, "unigram-symbols")  # ALBERT
    t.normalizer = n.Sequence([n.Replace("``", '"'), n.NFKD(), n.StripAccents(), n.Lowercase(), n.Nmt(), n.Precompiled(m.normalizer_spec.precompiled_charsmap), n.Strip(True, False)])
    t.pre_tokenizer = p.Metaspace("▁", "first")
    t.decoder = d.Metaspace("▁", "first")
    out["albert"] = special(t, "<unk>", "[CLS]", "[SEP]")

    for name, steps in {
        "wordlevel": [p.Whitespace()],
        "wordlevel-delimiter": [p.CharDelimiterSplit("e"), p.Punctuation("removed")],
        "wordlevel-scripts": [p.UnicodeScripts(), p.WhitespaceSplit()],
        "wordlevel-length": [p.FixedLength(3)],
        "wordlevel-next": [p.Split(tokenizers.Regex("[aeiou]"), "merged_with_next", invert=True)],
        "wordlevel-contiguous": [p.Split(tokenizers.Regex("[aeiou ]"), "contiguous")],
    }.items():
        t = tokenizers.Tokenizer(models.WordLevel(unk_token="<unk>"))
        t.pre_tokenizer = p.Sequence(steps)
        t.train_from_iterator(text(500), trainers.WordLevelTrainer(vocab_size=500, special_tokens=["<unk>", "<s>"], show_progress=False))
        out[name] = t

    t = tokenizers.Tokenizer(models.WordPiece(unk_token="<unk>", continuing_subword_prefix="@@", max_input_chars_per_word=20))
    t.pre_tokenizer = p.Sequence([p.ByteLevel(add_prefix_space=True), p.WhitespaceSplit()])
    t.train_from_iterator(text(500), trainers.WordPieceTrainer(vocab_size=400, special_tokens=["<unk>", "<s>"], continuing_subword_prefix="@@", show_progress=False))
    t.decoder = d.WordPiece("@@", cleanup=False)
    out["wordpiece-bytes"] = t

    t = tokenizers.Tokenizer(models.BPE(unk_token="<unk>"))
    t.normalizer = n.ByteLevel()
    t.train_from_iterator(text(500), trainers.BpeTrainer(vocab_size=400, special_tokens=["<unk>", "<s>"], initial_alphabet=p.ByteLevel.alphabet(), show_progress=False))
    t.decoder = d.ByteLevel()
    out["bytelevel-normalizer"] = t

    t = tokenizers.Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=False))
    t.pre_tokenizer = p.Sequence([p.Digits(True), p.Split(" ", "merged_with_next"), p.Punctuation("merged_with_previous")])
    t.train_from_iterator(text(500), trainers.BpeTrainer(vocab_size=400, special_tokens=["<unk>", "<s>"], show_progress=False))
    t.post_processor = processors.BertProcessing(("<s>", 1), ("<unk>", 0))
    t.decoder = d.Sequence([d.Strip("a", 1, 0), d.Replace(tokenizers.Regex("[bc]+"), "-")])
    out["bpe-chars"] = t

    for name, t in out.items():
        t.save(os.path.join(folder, name + ".json"))


def four_ways(t, s):
    """Specials added or not, special text read as tokens or not, in the order of the Go test."""
    out = []
    for plain in (False, True):
        t.encode_special_tokens = plain
        out += [t.encode(s, add_special_tokens=add).ids for add in (False, True)]
    return out


def json_line(t, s):
    ids = four_ways(t, s)
    return {"text": s, "ids": ids, "decoded": t.decode(ids[0], skip_special_tokens=False), "skipped": t.decode(ids[1], skip_special_tokens=True)}


EVERY = ("bpe-symbols", "unigram-symbols", "xlmr", "albert", "llama2", "wordlevel-scripts", "bpe-unk")  # every code point; the rest: random strings alone


def fuzz(folder, count):
    for file in sorted(os.listdir(folder)):
        name, ext = os.path.splitext(file)
        if ext not in (".model", ".json"):
            continue
        path = os.path.join(folder, file)
        texts = strings(name, count, name in EVERY)
        if ext == ".model":
            p = sentencepiece.SentencePieceProcessor(model_file=path)
            lines = [{"text": s, "ids": p.encode(s), "decoded": p.decode(p.encode(s))} for s in texts]
            out = os.path.join(folder, name + ".spm")
        else:
            t = tokenizers.Tokenizer.from_file(path)
            lines = [json_line(t, s) for s in texts]
            out = os.path.join(folder, name + ".ids")
        with open(out, "w") as f:
            for line in lines:
                f.write(json.dumps(line) + "\n")


# The committed references: vocabularies with a short table of characters instead of Unicode's.
RULES = ["A0\t20", "3000\t20", "9\t20", "A\t20", "200B\t", "FEFF\t", "FB01\t66 69", "2460\t31", "65 301\tE9", "65 301 301\tE8", "FF21\t41", "BD\t31 2F 32", "2028\t20 20", "3C9\t3C9 20"]
GOLDEN_MODELS = ("bpe-bytes", "bpe-noprefix", "bpe-symbols", "bpe-suffix", "bpe-acrosswords", "bpe-unused", "unigram", "unigram-bytes", "unigram-symbols", "unigram-unused")
GOLDEN_JSON = ("llama2", "metaspace-first", "gemma", "bpe-unk", "xlmr", "t5", "wordlevel-scripts", "wordlevel-length", "wordlevel-next", "wordpiece-bytes", "bpe-chars")


def golden(folder, out):
    os.makedirs(folder, exist_ok=True)
    tsv = os.path.join(folder, "rules.tsv")
    open(tsv, "w").write("\n".join(RULES) + "\n")
    for options in MODELS.values():
        if options.get("normalization_rule_name") != "identity":
            options.pop("normalization_rule_name", None)
            options["normalization_rule_tsv"] = tsv
            options["vocab_size"] = min(options["vocab_size"], 520 if options.get("byte_fallback") else 260)
    train_models(folder)
    make_json(folder)
    texts = strings("golden", 50, False)
    result = {"texts": texts, "models": {}, "files": {}}
    for name in GOLDEN_MODELS:
        path = os.path.join(folder, name + ".model")
        p = sentencepiece.SentencePieceProcessor(model_file=path)
        result["models"][name] = {"model": base64.b64encode(open(path, "rb").read()).decode(), "ids": [p.encode(s) for s in texts]}
    for name in GOLDEN_JSON:
        path = os.path.join(folder, name + ".json")
        t = tokenizers.Tokenizer.from_file(path)
        lines = [json_line(t, s) for s in texts]
        result["files"][name] = {"file": json.load(open(path)), "ids": [line["ids"][1::2] for line in lines], "decoded": [[line["decoded"], line["skipped"]] for line in lines]}
    with open(out, "w") as f:
        json.dump(result, f, separators=(",", ":"), ensure_ascii=False)
        f.write("\n")


if __name__ == "__main__":
    if sys.argv[1] == "make":
        os.makedirs(sys.argv[2], exist_ok=True)
        train_models(sys.argv[2])
        make_json(sys.argv[2])
    elif sys.argv[1] == "fuzz":
        fuzz(sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 1000)
    else:
        golden(sys.argv[2], sys.argv[3])
