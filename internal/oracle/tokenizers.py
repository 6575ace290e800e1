"""Reference ids and texts for package tokenizer, from PyPI tokenizers 0.23.3 and Jinja2 3.1.6.

    pip install tokenizers==0.23.3 jinja2==3.1.6
    python tokenizers.py golden DATA OUT    # small references that are committed (tokenizer/testdata/oracle.json)
    python tokenizers.py make DATA DIR      # tokenizer.json files into DIR (GPT-2 from its vocabulary and merges)
    python tokenizers.py fuzz DIR [COUNT]   # DIR/*.json -> DIR/*.ids: hard and random strings, every code point

DATA is the folder of test data. The Go side reads DIR from HONE_TOKENIZER_ORACLE.
"""
import json
import os
import random
import shutil
import sys

sys.path.pop(0)  # this file has the package's name

import jinja2
import jinja2.sandbox
import tokenizers
from tokenizers import decoders, models, pre_tokenizers, processors

HARD = [
    "", " ", "  ", "   a", "\t", "\n\n", " \n x", "a\u00a0b", "x\u3000y", "it's we'll I'd they've 'tis 'S 'LL", "don''t", "1234567 89 x1y",
    "tab\tsep\t\tend ", "trailing   ", "caf\u00e9 cafe\u0301 CAF\u00c9", "\u0130stanbul \u017fharp \u212a", "na\u00efve r\u00e9sum\u00e9",
    "\u4f60\u597d\uff0c\u4e16\u754c", "\u3053\u3093\u306b\u3061\u306f", "\uc548\ub155 \u1112\u1161\u11ab", "\U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f1e9\U0001f1ea",
    "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35", "\u0645\u0631\u062d\u0628\u0627", "\u05e9\u05b8\u05c1\u05dc\u05d5\u05b9\u05dd", "a\u0000b\u0001c\u007fd\ufffde", "\u200b\u200e\u2060x\ufeff",
    "..........!!!!!!!???", "a.b,c;d:e-f_g(h)[i]{j}", "$5 + 3 = 8 <tag> `x` ^~|", "\u2014dash\u2014 \u201cq\u201d \u2026", "\u00bd \u00b2 \u2167 \u0664\u0665 \u0967",
    "<|endoftext|>", "a<|endoftext|> b", "[CLS] x [SEP]", "[MASK]s [UNK] [unused0]", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "supercalifragilisticexpialidocious unaffable embeddings", "e" + "\u0301" * 40, "\u0344\u1e9b\u0323 \u2126", "\u1d165\U0001d15e", "\r\n \r\n\r x", "\u0085\u2028\u2029\u180e",
]


def blocks():
    ranges = [(0x20, 0x7E), (0x20, 0x7E), (0x20, 0x7E), (0xA0, 0x24F), (0x300, 0x36F), (0x370, 0x52F), (0x590, 0x6FF), (0x900, 0xDFF),
              (0xE00, 0xEFF), (0x1100, 0x11FF), (0x1E00, 0x1FFF), (0x2000, 0x206F), (0x2070, 0x2BFF), (0x3000, 0x30FF), (0x4E00, 0x9FFF),
              (0xAC00, 0xD7A3), (0xF900, 0xFAFF), (0xFE00, 0xFFFD), (0x1F300, 0x1FAFF), (0x1D400, 0x1D7FF), (0x20000, 0x2A6DF), (0x0, 0x1F), (0x80, 0x9F)]
    while True:
        low, high = random.choice(ranges)
        yield lambda: chr(random.randint(low, high))


SPECIALS = ["<|endoftext|>", "[CLS]", "[SEP]", "[MASK]", "[PAD]", "[UNK]", "<|im_start|>", "<|im_end|>", "'s", "'re", "'ll", " ", "  ", "\n", "\n\n", "\t", "\u00a0", "12", "3", "the", " and", "ing"]


def random_string(source):
    out = []
    for _ in range(random.randint(1, 12)):
        kind = random.random()
        if kind < 0.25:
            out.append(random.choice(SPECIALS))
        else:
            make = next(source)
            out.append("".join(make() for _ in range(random.randint(1, 8))))
    return "".join(out)


def code_points():
    """Every code point of the planes that are in use, in context."""
    for start in [*range(0, 0x32400, 256), *range(0xE0000, 0xE0200, 256), 0xF0000, 0x10FF00]:
        chars = [chr(c) for c in range(start, start + 256) if not 0xD800 <= c <= 0xDFFF]
        if chars:
            yield "".join(f"a{c} 1{c}." for c in chars)


CODE_POINTS = ("bert-base-uncased", "gpt2", "split-qwen2", "split-gpt4o", "split-tekken", "split-deepseek3", "split-coder", "split-kimi", "split-glm", "digits", "falcon-like", "words")  # the rest: random strings alone


def strings(name, count):
    random.seed(20260101)
    source = blocks()
    return HARD + [random_string(source) for _ in range(count)] + (list(code_points()) if name in CODE_POINTS else [])


def encode(t, text):
    """Four ways: specials added or not, special text read as tokens or not."""
    out = []
    for plain in (False, True):
        t.encode_special_tokens = plain
        out += [t.encode(text, add_special_tokens=add).ids for add in (False, True)]
    return out


def fuzz(folder, count):
    for name in sorted(os.listdir(folder)):
        if not name.endswith(".json"):
            continue
        t = tokenizers.Tokenizer.from_file(os.path.join(folder, name))
        t.no_truncation()
        t.no_padding()
        with open(os.path.join(folder, name[:-5] + ".ids"), "w") as f:
            for text in strings(name[:-5], count):
                ids = encode(t, text)
                line = {"text": text, "ids": ids, "decoded": t.decode(ids[0], skip_special_tokens=False), "skipped": t.decode(ids[1], skip_special_tokens=True)}
                f.write(json.dumps(line) + "\n")


def gpt2(data):
    folder = os.path.join(data, "tokenizers", "gpt2")
    t = tokenizers.Tokenizer(models.BPE.from_file(os.path.join(folder, "vocab.json"), os.path.join(folder, "merges.txt")))
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.decoder = decoders.ByteLevel()
    t.post_processor = processors.ByteLevel(trim_offsets=False)
    t.add_special_tokens(["<|endoftext|>"])
    return t


def make(data, folder):
    os.makedirs(folder, exist_ok=True)
    gpt2(data).save(os.path.join(folder, "gpt2.json"))
    for name in ("all-minilm-l6-v2", "bert-base-uncased"):
        shutil.copy(os.path.join(data, "tokenizers", "hf", name + ".json"), folder)
    variants(folder)


def variants(folder):
    """Small tokenizers of our own that use the rarer parts."""
    text = ["the cat sat on the mat with 123 hats, it's here", "na\u00efve caf\u00e9 \u00dcber stra\u00dfe", "x = [1, 2, 3]; // comment\n\tend"] * 4
    cases = {
        "split-llama3": [pre_tokenizers.Split(tokenizers.Regex(LLAMA3), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)],
        "split-qwen2": [pre_tokenizers.Split(tokenizers.Regex(LLAMA3.replace("{1,3}", "")), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)],
        **{"split-" + name: [*(pre_tokenizers.Split(tokenizers.Regex(x), "isolated") for x in steps), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)] for name, steps in SPLITS.items()},
        "digits": [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)],
        "prefix-space": [pre_tokenizers.ByteLevel(add_prefix_space=True)],
        "falcon-like": [pre_tokenizers.Punctuation("contiguous"), pre_tokenizers.ByteLevel(add_prefix_space=False), pre_tokenizers.Digits(False), pre_tokenizers.Split(tokenizers.Regex("[0-9][0-9][0-9]"), "isolated")],
        "merged-previous": [pre_tokenizers.Split(" ", "merged_with_previous"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)],
        "merged-next": [pre_tokenizers.Split(tokenizers.Regex("[ \\n]"), "merged_with_next"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)],
        "removed": [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)],
        "words": [pre_tokenizers.Whitespace(), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)],
    }
    for name, steps in cases.items():
        t = tokenizers.Tokenizer(models.BPE())
        t.pre_tokenizer = pre_tokenizers.Sequence(steps)
        t.decoder = decoders.ByteLevel()
        trainer = tokenizers.trainers.BpeTrainer(vocab_size=400, special_tokens=["<|endoftext|>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
        t.train_from_iterator(text, trainer)
        t.add_tokens([tokenizers.AddedToken("the", single_word=True), tokenizers.AddedToken("Caf\u00e9", normalized=True), tokenizers.AddedToken("  ", normalized=False)])
        t.add_special_tokens([tokenizers.AddedToken("[MASK]", lstrip=True, rstrip=True), tokenizers.AddedToken("[CLS]", rstrip=True)])
        if name == "digits":
            t.normalizer = tokenizers.normalizers.Sequence([tokenizers.normalizers.NFC(), tokenizers.normalizers.Lowercase()])
        if name == "removed":
            t.normalizer = tokenizers.normalizers.Sequence([tokenizers.normalizers.NFKD(), tokenizers.normalizers.StripAccents(), tokenizers.normalizers.Replace("a", "bb")])
        if name == "words":
            t.normalizer = tokenizers.normalizers.Sequence([tokenizers.normalizers.NFD(), tokenizers.normalizers.Strip(), tokenizers.normalizers.Prepend("_")])
        if name == "prefix-space":
            t.normalizer = tokenizers.normalizers.NFKC()
            t.post_processor = processors.RobertaProcessing(("[CLS]", t.token_to_id("[CLS]")), ("<|endoftext|>", 0))
        t.save(os.path.join(folder, name + ".json"))


CASED = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+%s|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*%s|\p{N}%s| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
SHORT = "(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
DEEPSEEK3 = [r"\p{N}{1,3}", "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+", r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"]
SPLITS = {
    "gpt4o": [CASED % (SHORT, SHORT, "{1,3}")],
    "tekken": [CASED % ("", "", "")],
    "deepseek3": DEEPSEEK3,
    "cl100k": [r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s+\z|\s*[\r\n]+|\s+(?!\S)|\s+"],
    "falcon": ["[\\p{P}\\$\\+<=>\\^~\\|`]+", r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+", "[0-9][0-9][0-9]"],
    "coder": [r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+"],
    "glm": [r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"],
    "bloom": [" ?[^(\\s|[.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c])]+"],
    "kimi": [r"[\p{Han}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"],
    "groups": [r"\p{N}+", r"(?=(\d{3})+(?!\d))"],
    "aya": [r"\d{1,3}(?=(?:\d{3})*\b)", r"(?=[aeiou])"],
}
LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"

MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "  How <much> is 'it'?\n"}, {"role": "assistant", "content": "<think>hm</think> 5"}, {"role": "user", "content": "caf\u00e9"}]

TEMPLATES = [
    "{% for m in messages %}\n  {{ m.role }}: {{ m['content'] }}\n{% endfor %}\n",
    "{%- for m in messages -%}\n<{{ m.role }}> {{- m.content | trim -}} </{{ m.role }}>\n{% endfor -%}\n end",
    "{{ bos_token }}{% if messages[0].role == 'system' %}{% set rest = messages[1:] %}{% set sys = messages[0].content %}{% else %}{% set rest = messages %}{% endif %}{{ sys }}|{{ rest | length }}{% for m in rest %}{{ loop.index0 }}{{ m.role }}{{ ', ' if not loop.last }}{% endfor %}",
    "{% macro show(m, mark='*') %}[{{ mark }}{{ m.content }}{{ mark }}]{% endmacro %}{% for m in messages if m.role != 'system' %}{{ show(m) }}{{ show(m, '~') }}{% endfor %}",
    "{% set ns = namespace(last=-1, text='') %}{% for m in messages %}{% if m.role == 'user' %}{% set ns.last = loop.index0 %}{% set ns.text = ns.text + m.content.strip() %}{% endif %}{% endfor %}{{ ns.last }} {{ ns.text }}",
    "{% for m in messages[::-1] %}{{ m.content.split('</think>')[-1].lstrip() }};{% endfor %}{{ messages[-1].content[1:3] }}",
    "{{ tools | tojson }}\n{{ tools | tojson(indent=2) }}\n{{ tools[0].name | upper }}",
    "{% if tools is defined and tools %}{% for t in tools %}{{ t.name }}({% for k, v in t.parameters.items() %}{{ k }}:{{ v.type }}{% if v.enum is defined %}={{ v.enum | join('|') }}{% endif %} {% endfor %}){% endfor %}{% endif %}",
    "a\n   {% if true %}\n  b {{ 1 }}\n   {% endif %}\n c {# note #}\nd {#- x -#}  e {{ 2 }}\n {%+ if true %} f {% endif +%}\n g",
    "{% set x %}in {{ bos_token }}{% endset %}<{{ x }}>{% raw %}{{ not }}{% endraw %}",
    "{% if messages | selectattr('role', 'equalto', 'user') | list | length > 1 %}many{% else %}few{% endif %} {{ messages | map(attribute='role') | join(', ') }}",
    "{{ 'a' ~ 1 }} {{ 7 // 2 }} {{ 7 % 3 }} {{ 1.0 }} {{ 0.5 + 1 }} {{ '-' * 5 }} {{ 'x' in 'xyz' }} {{ not true }} {{ none }} {{ true and 'y' }}",
    "{{ missing | default('none given') }}{{ missing }}{% if missing is not defined %} undefined{% endif %} {{ add_generation_prompt }}",
    "{% for i in range(3) %}{% if i == 1 %}{% continue %}{% endif %}{{ i }}{% endfor %} {{ 'Abc'.upper() }} {{ 'a-b'.replace('-', '+') }} {{ 'ab'.startswith('a') }} {{ 'x\\ny' | indent(2) }}",
    "{% for m in messages %}{% if m.role not in ['user', 'assistant', 'system'] %}{{ raise_exception('bad role') }}{% endif %}{% endfor %}{{ messages[1].content }}ok",
]

TOOLS = [{"name": "weather", "parameters": {"zone": {"type": "string", "enum": ["a", "b"]}, "city": {"type": "string"}, "n": {"type": "number", "default": 1.5}}, "note": "a \"q\" <b> \u00e9\n", "none": None, "empty": {}, "list": []}]


def render(source):
    env = jinja2.sandbox.ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"])

    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    env.globals["raise_exception"] = raise_exception
    env.filters["tojson"] = lambda x, ensure_ascii=False, indent=None, separators=None, sort_keys=False: json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)
    return env.from_string(source).render(messages=MESSAGES, tools=TOOLS, bos_token="<s>", eos_token="</s>", add_generation_prompt=True)


def golden(data, out):
    result = {"texts": HARD, "ids": {}, "templates": [{"source": s, "text": render(s)} for s in TEMPLATES], "messages": MESSAGES, "tools": TOOLS}
    files = {"bert-base-uncased": None, "gpt-2": gpt2(data)}
    for name, t in files.items():
        t = t or tokenizers.Tokenizer.from_file(os.path.join(data, "tokenizers", "hf", name + ".json"))
        result["ids"][name] = [encode(t, text) for text in HARD]
    with open(out, "w") as f:
        json.dump(result, f, indent=None, separators=(",", ":"))
        f.write("\n")


if __name__ == "__main__":
    if sys.argv[1] == "golden":
        golden(sys.argv[2], sys.argv[3])
    elif sys.argv[1] == "make":
        make(sys.argv[2], sys.argv[3])
    else:
        fuzz(sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 1000)
