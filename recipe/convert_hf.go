package recipe

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"hone/checkpoint"
	"hone/internal/durable"
	"hone/tokenizer"
)

// hf writes a Hugging Face directory.
func (w *converter) hf(out string) error {
	planned, err := w.plan(w.m.Design.HFTensors())
	if err != nil {
		return err
	}
	files, err := w.files()
	if err != nil {
		return err
	}
	var tensors []checkpoint.Tensor
	for _, t := range planned {
		if !plain(t.format) {
			return fmt.Errorf("%s: tensor %s: %s has no place in a Hugging Face directory: name --dtype f32, f16 or bf16; `hone quantize` writes integer formats", w.m.Path, t.Name, t.format)
		}
		tensors = append(tensors, checkpoint.Tensor{Name: t.Name, DType: strings.ToUpper(t.format), Shape: t.Shape, Write: func(out io.Writer) error { return w.write(out, t) }})
	}
	if err := w.room(out); err != nil {
		return err
	}
	return durable.WriteDir(out, func(dir string) error {
		for _, name := range slices.Sorted(maps.Keys(files)) {
			path := filepath.Join(dir, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
				return err
			}
			if err := os.WriteFile(path, files[name], 0o666); err != nil {
				return err
			}
		}
		return checkpoint.WriteSafetensors(filepath.Join(dir, "model.safetensors"), tensors, map[string]string{"format": "pt"})
	})
}

// files are the side files of a Hugging Face directory: config, tokenizer, and settings of generation.
func (w *converter) files() (map[string][]byte, error) {
	files := map[string][]byte{}
	tok, err := w.tokenizer()
	if err != nil {
		return nil, err
	}
	if tok != nil {
		files["tokenizer.json"], files["tokenizer_config.json"] = tok.ToJSON()
	}
	if err := addKept(files, w.m); err != nil {
		return nil, err
	}
	if w.m.File.Config().GGUF != nil || exists(filepath.Join(w.m.Dir(), "modules.json")) { // a directory that did not say it is left so
		maps.Copy(files, w.m.Design.PoolingFiles())
	}
	config := maps.Clone(w.m.HFConfig())
	delete(config, "quantization_config")
	delete(config, "compression_config")
	if !w.c.Keep {
		delete(config, "dtype")
		config["torch_dtype"] = map[string]string{"f32": "float32", "f16": "float16", "bf16": "bfloat16"}[w.c.Weights.Linears]
	}
	if meta := w.m.File.Config().GGUF; tok != nil && meta != nil && !w.m.Encoder() {
		generation := ends(tok)
		maps.Copy(config, generation)
		if id, ok := meta.Int("tokenizer.ggml.padding_token_id"); ok { // transformers' own may lie beyond the vocabulary
			config["pad_token_id"] = id
		}
		if files["generation_config.json"], err = indented(generation); err != nil {
			return nil, err
		}
	}
	files["config.json"], err = indented(config)
	return files, err
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// ends are the ids that begin a text and end a generation, as configs name them.
func ends(tok tokenizer.Tokenizer) map[string]any {
	out := map[string]any{}
	if id, ok := tok.BOS(); ok {
		out["bos_token_id"] = id
	}
	switch eos := tok.EOS(); len(eos) {
	case 0:
	case 1:
		out["eos_token_id"] = eos[0]
	default:
		out["eos_token_id"] = eos
	}
	return out
}

func indented(v any) ([]byte, error) {
	b, err := json.MarshalIndent(v, "", "  ")
	return append(b, '\n'), err
}
