"""The tiny models of architectures.py as llama.cpp's own converter writes them, by hand, with what architectures.py and llama.cpp need.

    python llama_convert.py LLAMA_CPP DIR    # DIR/CASE.gguf of model/testdata/architectures.json
    HONE_CONVERTER=DIR go test ./model -run TestConverterFiles -v

LLAMA_CPP is a checkout of llama.cpp. The files get no vocabulary.
"""
import importlib.util
import json
import os
import sys
from pathlib import Path

here = Path(__file__).parent
sys.path.pop(0)
import safetensors.numpy

program = importlib.util.spec_from_file_location("architectures", here / "architectures.py")
sys.path.insert(0, "")
architectures = importlib.util.module_from_spec(program)
program.loader.exec_module(architectures)


def write(case, folder):
    folder.mkdir(parents=True, exist_ok=True)
    config = dict(case["config"])
    if case["name"].startswith("gpt2"):
        config["n_ctx"] = config["n_positions"]
    (folder / "config.json").write_text(json.dumps(config))
    vocabulary = {f"t{i}": i for i in range(config["vocab_size"])}
    (folder / "tokenizer.json").write_text(json.dumps(dict(model=dict(vocab=vocabulary), added_tokens=[])))
    weights = {n: architectures.value(n, shape) for n, shape in case["tensors"].items()}
    safetensors.numpy.save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def without_vocabulary(kind):
    if "set_vocab" in kind.__dict__:
        kind.set_vocab = lambda self: None
    for more in kind.__subclasses__():
        without_vocabulary(more)


def main():
    sys.path[:0] = [sys.argv[1], os.path.join(sys.argv[1], "gguf-py")]
    import gguf
    from conversion.base import ModelBase

    for name in ["llama", "qwen", "gemma", "phi", "olmo", "granite", "gpt2", "gptneox", "gpt_oss"]:
        importlib.import_module("conversion." + name)
    without_vocabulary(ModelBase)
    for case in json.load(open(here / "../../model/testdata/architectures.json"))["cases"]:
        folder = Path(sys.argv[2]) / case["name"]
        write(case, folder)
        out = folder.with_suffix(".gguf")
        try:
            kind = ModelBase.from_model_architecture(ModelBase.load_hparams(folder, False)["architectures"][0])
            kind(folder, gguf.LlamaFileType.ALL_F32, out).write()
            print(case["name"], "written", flush=True)
        except Exception as e:  # what the converter does not take
            out.unlink(missing_ok=True)
            print(case["name"], "not written:", type(e).__name__, str(e)[:100], flush=True)


if __name__ == "__main__":
    main()
