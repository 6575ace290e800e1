package hub

import (
	"slices"
	"strings"
	"testing"
)

// listed makes a listing of files that have digests.
func listed(paths ...string) *Listing {
	l := &Listing{Repo: "o/r"}
	for _, p := range paths {
		l.Files = append(l.Files, File{Path: p, Size: 1_500_000, Git: strings.Repeat("a", 40)})
	}
	return l
}

func TestChoose(t *testing.T) {
	for _, c := range []struct{ name, have, word, want string }{
		{"one file", ".gitattributes README.md config.json model.safetensors pytorch_model.bin tokenizer.json flax_model.msgpack onnx/model.onnx", "",
			"config.json model.safetensors tokenizer.json"},
		{"shards", "config.json model-00001-of-00002.safetensors model-00002-of-00002.safetensors model.safetensors.index.json consolidated.safetensors tokenizer.model", "",
			"config.json model-00001-of-00002.safetensors model-00002-of-00002.safetensors model.safetensors.index.json tokenizer.model"},
		{"sentence encoder", "1_Pooling/config.json config.json model.safetensors modules.json sentence_bert_config.json vocab.txt train_script.py openvino/config.json", "",
			"1_Pooling/config.json config.json model.safetensors modules.json sentence_bert_config.json vocab.txt"},
		{"only GGUF", "README.md m.Q8_0.gguf mmproj-m.gguf m.imatrix.gguf", "", "m.Q8_0.gguf"},
		{"split GGUF", "q/m-00001-of-00002.gguf q/m-00002-of-00002.gguf", "", "q/m-00001-of-00002.gguf>m-00001-of-00002.gguf q/m-00002-of-00002.gguf>m-00002-of-00002.gguf"},
		{"named", "a.Q4_0.gguf a.Q8_0.gguf", "a.Q8_0.gguf", "a.Q8_0.gguf"},
		{"tag", "a.Q4_0.gguf a-Q4_K_M.gguf a-IQ4_K_M.gguf", "q4_k_m", "a-Q4_K_M.gguf"},
		{"tag of parts", "m-Q8_0-00001-of-00002.gguf m-Q8_0-00002-of-00002.gguf m-Q4_0.gguf", "m-Q8_0-00001-of-00002.gguf",
			"m-Q8_0-00001-of-00002.gguf m-Q8_0-00002-of-00002.gguf"},
		{"other safetensors", "config.json model.fp16.safetensors model.safetensors", "model.fp16.safetensors", "config.json model.fp16.safetensors>model.safetensors"},
	} {
		got, err := Choose(listed(strings.Fields(c.have)...), c.word)
		var names []string
		for _, f := range got {
			name := f.Path
			if f.To != f.Path {
				name += ">" + f.To
			}
			names = append(names, name)
		}
		slices.Sort(names)
		if want := strings.Fields(c.want); err != nil || !slices.Equal(names, want) {
			t.Errorf("%s: %v %v, want %v", c.name, names, err, want)
		}
	}
}

func TestChooseRefuses(t *testing.T) {
	for _, c := range []struct{ name, have, word, want string }{
		{"pickles", "config.json pytorch_model.bin", "", "pickles (pytorch_model.bin), which are code"},
		{"a pickle by name", "model.safetensors pytorch_model.bin", "pytorch_model.bin", "is a pickle"},
		{"nothing", "README.md", "", "no weights"},
		{"several", "a.Q4_0.gguf a.Q8_0.gguf", "", "hf:o/r:FILE:\n  \"a.Q4_0.gguf\""},
		{"no such file", "a.Q4_0.gguf", "a.Q5_0.gguf", "there is no file \"a.Q5_0.gguf\"; there are:\n  \"a.Q4_0.gguf\""},
		{"no tag", "model.safetensors", "Q4_0", "no file"},
		{"no weights in it", "a.gguf config.json", "config.json", "holds no weights"},
		{"only odd names", "adapter_model.safetensors config.json", "", "choose one with"},
		{"a way out", "../../a.gguf", "", "is not taken"},
		{"a device", "C:a.gguf", "", "is not taken"},
		{"two of one place", "model.safetensors model.safetensors", "", "stands twice"},
	} {
		_, err := Choose(listed(strings.Fields(c.have)...), c.word)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	l := listed("model.safetensors")
	l.Files[0].Git = "../../../etc"
	if _, err := Choose(l, ""); err == nil || !strings.Contains(err.Error(), "no digest") {
		t.Errorf("a digest that is a path: %v", err)
	}
	for _, size := range []int64{-1, 1 << 62} { // two of the latter would be less than nothing
		l := listed("model.safetensors")
		l.Files[0].Size = size
		if _, err := Choose(l, ""); err == nil || !strings.Contains(err.Error(), "a size of") {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}
