package model

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"hone/checkpoint"
	"hone/kernel"
	"hone/nn"
)

// TestHuggingFaceLies: a directory whose config does not fit its tensors is refused, and the error names the file and
// the fault.
func TestHuggingFaceLies(t *testing.T) {
	right := shapesOf(t, llamaConfig(), "")
	head := shapes{"lm_head.weight": {11, 16}}
	for _, c := range []struct {
		name   string
		config m
		s      shapes
		says   string
	}{
		{"right", nil, right, ""},
		{"spare tensors", nil, right.with(shapes{"model.rotary_emb.inv_freq": {2}, "model.layers.0.self_attn.rotary_emb.inv_freq": {2}}), ""},
		{"fewer layers than the file", m{"num_hidden_layers": 1}, right, "does not use"},
		{"more layers than the file", m{"num_hidden_layers": 3}, right, "the file lacks 9 of the model's weights, the first is model.layers.2.input_layernorm.weight"},
		{"far more layers than the file", m{"num_hidden_layers": 1000}, right, "the file lacks 8982"},
		{"vocabulary", m{"vocab_size": 12}, right, "model.embed_tokens.weight has shape [11 16], the config says [12 16]"},
		{"width", m{"hidden_size": 32}, right, "has shape [11 16], the config says [11 32]"},
		{"heads", m{"num_attention_heads": 2}, right, "k_proj.weight has shape [8 16], the config says [16 16]"},
		{"head size", m{"head_dim": 8}, right, "q_proj.weight has shape [16 16], the config says [32 16]"},
		{"key/value heads", m{"num_key_value_heads": 4}, right, "k_proj.weight has shape [8 16]"},
		{"intermediate size", m{"intermediate_size": 48}, right, "gate_proj.weight has shape [24 16], the config says [48 16]"},
		{"embedding of one dimension", nil, right.with(shapes{"model.embed_tokens.weight": {176}}), "has shape [176]"},
		{"embedding of three dimensions", nil, right.with(shapes{"model.embed_tokens.weight": {11, 4, 4}}), "has shape [11 4 4]"},
		{"embedding turned", nil, right.with(shapes{"model.embed_tokens.weight": {16, 11}}), "has shape [16 11]"},
		{"norm", nil, right.with(shapes{"model.norm.weight": {15}}), "model.norm.weight has shape [15]"},
		{"no weights", nil, shapes{"x": {1}}, "the file lacks 20 of the model's weights"},
		{"absent biases", m{"attention_bias": true}, right, "the file lacks 8"},
		{"a head beside a tied flag", nil, right.with(head), ""},
		{"a head, no flag", m{"tie_word_embeddings": nil}, right.with(head), ""},
		{"a tensor of something else", nil, right.with(shapes{"vision.weight": {3}}), "does not use"},
		{"a head of its own", m{"tie_word_embeddings": false}, right.with(head), ""},
		{"no head, no flag", m{"tie_word_embeddings": nil}, right, ""},
		{"no head though untied", m{"tie_word_embeddings": false}, right, "tie_word_embeddings to false, but the file has no lm_head.weight"},
		{"a head of another vocabulary", nil, right.with(shapes{"lm_head.weight": {12, 16}}), "lm_head.weight has shape [12 16]"},
	} {
		got := expect(t, c.name, writeHF(t, with(llamaConfig(), c.config), c.s), c.says)
		if got != nil && got.Design.Tied != (c.s["lm_head.weight"] == nil) {
			t.Errorf("%s: tied %v", c.name, got.Design.Tied)
		}
	}
}

// TestBiasesWithoutPlace: biases that the config does not mention are refused, save those of zeros, which quantizers write for
// every layer; these are told.
func TestBiasesWithoutPlace(t *testing.T) {
	s := shapesOf(t, llamaConfig(), "").with(shapes{"model.layers.0.self_attn.q_proj.bias": {16}, "model.layers.1.mlp.down_proj.bias": {16}})
	expect(t, "ones", writeFilled(t, llamaConfig(), s, 1), `bias" that a llama model as its config tells does not use`)
	got := expect(t, "zeros", writeHF(t, llamaConfig(), s), "")
	if got == nil {
		return
	}
	plan, err := got.Plan(Weights{})
	if err != nil {
		t.Fatal(err)
	}
	if notes := plan.Notes(); len(notes) != 1 || !strings.Contains(notes[0], "2 biases of zeros (model.layers.") {
		t.Errorf("notes %q", notes)
	}
	s = s.with(shapes{"model.layers.0.self_attn.q_proj.bias": {4, 4}})
	expect(t, "a matrix", writeHF(t, llamaConfig(), s), "does not use")
}

// TestTaken: what a file leaves open, or asks of whoever uses it, is told in one line.
func TestTaken(t *testing.T) {
	encoder := writeHF(t, bertConfig(), shapesOf(t, bertConfig(), ""))
	prompted := writeHF(t, bertConfig(), shapesOf(t, bertConfig(), ""))
	writeFile(t, filepath.Join(prompted, "modules.json"), []byte(`[]`))
	writeFile(t, filepath.Join(prompted, "config_sentence_transformers.json"), []byte(`{"prompts":{"query":"find: ","document":""},"default_prompt_name":"query"}`))
	decoder := writeHF(t, llamaConfig(), shapesOf(t, llamaConfig(), ""))
	writeFile(t, filepath.Join(decoder, "modules.json"), []byte(`[]`))
	for path, want := range map[string]string{
		encoder: "normalised mean is taken", prompted: `the prompt "find: " before every text`, decoder: "runs a decoder as a language model",
		writeGGUF(t, with(ggufMeta(), m{"llama.pooling_type": uint32(3)}), ggufShapes(t)): "runs a decoder as a language model",
	} {
		got := expect(t, want, path, "")
		if got == nil {
			continue
		}
		plan, err := got.Plan(Weights{})
		if err != nil {
			t.Fatal(err)
		}
		if notes := plan.Notes(); len(notes) != 1 || !strings.Contains(notes[0], want) {
			t.Errorf("notes %q, want %q", notes, want)
		}
	}
}

// TestConvertersHeads: heads of GGUF files that are not the model's any more are told of.
func TestConvertersHeads(t *testing.T) {
	d, err := FromConfig(with(bertConfig(), m{"architectures": []any{"BertForSequenceClassification"}, "id2label": m{"0": "x"}}))
	if err != nil {
		t.Fatal(err)
	}
	stored, err := d.GGUFTensors()
	if err != nil {
		t.Fatal(err)
	}
	whole, meta := shapes{}, m{}
	for _, x := range stored {
		whole[x.Name] = x.Shape
	}
	for _, v := range d.GGUFMeta() {
		meta[v.Key] = v.Value
	}
	for says, s := range map[string]shapes{
		"": whole, "lacks the first layer of a BERT's head": whole.with(shapes{"cls.weight": nil, "cls.bias": nil}), "activation of DistilBERT's head": whole.with(shapes{"token_types.weight": nil}),
	} {
		got := expect(t, says, writeGGUF(t, meta, s), "")
		if got == nil {
			continue
		}
		if notes := got.Notes(); says == "" && len(notes) > 0 || says != "" && (len(notes) != 1 || !strings.Contains(notes[0], says)) {
			t.Errorf("notes %q, want %q", notes, says)
		}
	}
}

// TestUnreadTypes: a norm's gain or a matrix in a type that is not read is refused by name before anything is loaded, whatever format
// is asked for.
func TestUnreadTypes(t *testing.T) {
	for _, c := range []struct{ tensor, dtype, says string }{
		{"model.norm.weight", "F64", `format "f64" is not read: save the model in f32`},
		{"model.layers.0.mlp.up_proj.weight", "F8_E4M3", `format "f8_e4m3" is not read: its scales lie elsewhere`},
	} {
		dir := t.TempDir()
		b, err := json.Marshal(llamaConfig())
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(dir, "config.json"), b)
		var tensors []checkpoint.Tensor
		for name, shape := range shapesOf(t, llamaConfig(), "") {
			dtype, size := "F32", 4
			if name == c.tensor {
				dtype, size = c.dtype, map[string]int{"F64": 8, "F8_E4M3": 1}[c.dtype]
			}
			tensors = append(tensors, checkpoint.Tensor{Name: name, DType: dtype, Shape: shape, Write: func(w io.Writer) error {
				_, err := w.Write(make([]byte, size*elements(shape)))
				return err
			}})
		}
		if err := checkpoint.WriteSafetensors(filepath.Join(dir, "model.safetensors"), tensors, nil); err != nil {
			t.Fatal(err)
		}
		got := expect(t, c.dtype, dir, "")
		if got == nil {
			continue
		}
		for _, w := range []Weights{{}, {Linears: "q8_0"}} {
			_, err := got.Plan(w)
			checkError(t, c.dtype, err, c.says)
		}
	}
}

// TestWrapped: weights under the name of a trainer's wrapper are refused with that name.
func TestWrapped(t *testing.T) {
	for prefix, want := range map[string]string{"_orig_mod.": "_orig_mod.model.embed_tokens.weight", "module.": "module.model.embed_tokens.weight", "base.": "embed_tokens.weight"} {
		s := shapesOf(t, llamaConfig(), prefix)
		says := "the first is model.embed_tokens.weight"
		if prefix != "base." {
			says += `, which stands there as "` + want + `": save the model without the wrapper`
		}
		expect(t, prefix, writeHF(t, llamaConfig(), s), says)
	}
}

// TestOldRopeScaling: a factor without a kind, under its new or its old name, is linear, as llama.cpp takes it.
func TestOldRopeScaling(t *testing.T) {
	right := ggufShapes(t)
	for _, c := range []struct {
		more m
		want string
	}{
		{nil, "base 10000"}, {m{"llama.rope.scaling.factor": float32(4)}, "base 10000, stretched 4 times"}, {m{"llama.rope.scale_linear": float32(2)}, "base 10000, stretched 2 times"},
		{m{"llama.rope.scaling.type": "none", "llama.rope.scaling.factor": float32(4)}, "base 10000"},
	} {
		if got := expect(t, c.want, writeGGUF(t, with(ggufMeta(), c.more), right), ""); got != nil && !strings.HasSuffix(got.Design.Attention, c.want) {
			t.Errorf("%v: %s", c.more, got.Design.Attention)
		}
	}
}

// TestPreTokenizerNote: a GGUF file of byte-level BPE that does not name its pre-tokenizer is served with one line that says so.
func TestPreTokenizerNote(t *testing.T) {
	for _, c := range []struct {
		more m
		want int
	}{{m{"tokenizer.ggml.model": "gpt2"}, 1}, {m{"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "qwen2"}, 0}, {m{"tokenizer.ggml.model": "llama"}, 0}} {
		got := expect(t, "pre", writeGGUF(t, with(ggufMeta(), c.more), ggufShapes(t)), "")
		if got == nil {
			continue
		}
		plan, err := got.Plan(Weights{})
		if err != nil {
			t.Fatal(err)
		}
		if notes := plan.Notes(); len(notes) != c.want {
			t.Errorf("%v: notes %q", c.more, notes)
		}
	}
}

// TestBERTPrefix: a directory of BertForMaskedLM holds the encoder under bert. and more beside it; it gives the same
// vectors as one without the prefix.
func TestBERTPrefix(t *testing.T) {
	plain, prefixed := shapesOf(t, bertConfig(), ""), shapesOf(t, bertConfig(), "bert.")
	masked := with(bertConfig(), m{"architectures": []any{"BertForMaskedLM"}})
	extra := prefixed.with(shapes{"cls.predictions.bias": {11}, "bert.pooler.dense.weight": {12, 12}, "bert.pooler.dense.bias": {12}})
	for name, path := range map[string]string{"plain": writeHF(t, bertConfig(), plain), "prefixed": writeHF(t, masked, extra)} {
		got := expect(t, name, path, "")
		if got == nil || !got.Encoder() {
			t.Fatalf("%s: no encoder", name)
		}
		pool := kernel.NewPool(1)
		defer pool.Close()
		x, err := got.Load(LoadOptions{MaxTokens: 40, Pool: pool})
		if err != nil {
			t.Fatal(name, err)
		}
		if err := x.Forward(&nn.Batch{Tokens: []int32{1, 2, 3}, Seqs: []nn.Seq{{Len: 3}}}); err != nil {
			t.Error(name, err)
		}
		if err := x.Forward(&nn.Batch{Tokens: make([]int32, 17), Seqs: []nn.Seq{{Len: 17}}}); err == nil {
			t.Errorf("%s: 17 tokens in a table of 16 positions", name)
		}
	}
	expect(t, "one block too many", writeHF(t, with(masked, m{"num_hidden_layers": 1}), extra), "does not use")
	expect(t, "a weight lost", writeHF(t, masked, extra.with(shapes{"bert.embeddings.LayerNorm.bias": nil})), "the first is embeddings.LayerNorm.bias")
}

// TestSentenceModules: what a sentence-transformers directory says of pooling is obeyed or refused.
func TestSentenceModules(t *testing.T) {
	s := shapesOf(t, bertConfig(), "")
	const pool = `{"path":"1_Pooling","type":"sentence_transformers.models.Pooling"}`
	for _, c := range []struct{ name, modules, pooling, says string }{
		{"mean", "[" + pool + "]", `{"pooling_mode_mean_tokens":true,"pooling_mode_cls_token":false}`, ""},
		{"mean by its new name", "[" + pool + "]", `{"pooling_mode":"mean"}`, ""},
		{"by weight", "[" + pool + "]", `{"pooling_mode_weightedmean_tokens":true}`, `asks for "pooling_mode_weightedmean_tokens"`},
		{"two at once", "[" + pool + "]", `{"pooling_mode_cls_token":true,"pooling_mode_max_tokens":true}`, `"pooling_mode_cls_token and pooling_mode_max_tokens" pooling`},
		{"by weight, by its new name", "[" + pool + "]", `{"pooling_mode":"weightedmean"}`, `asks for "weightedmean" pooling`},
		{"no pooling", "[" + pool + "]", "", "1_Pooling/config.json, which is not there"},
		{"broken pooling", "[" + pool + "]", `{`, "1_Pooling/config.json: unexpected end"},
		{"dense", `[{"path":"2_Dense","type":"sentence_transformers.models.Dense"}]`, "", `a "Dense" module`},
		{"outside", `[{"path":"../x","type":"Pooling"}]`, "", `the path "../x" outside`},
		{"broken", `[{"path":`, "", "modules.json: unexpected end"},
		{"of a wrong type", `{"path":1}`, "", "modules.json: json: cannot unmarshal"},
	} {
		dir := writeHF(t, bertConfig(), s)
		writeFile(t, filepath.Join(dir, "modules.json"), []byte(c.modules))
		if c.pooling != "" {
			writeFile(t, filepath.Join(dir, "1_Pooling", "config.json"), []byte(c.pooling))
		}
		if got := expect(t, c.name, dir, c.says); got != nil && got.Design.Program.Pool.Normalize {
			t.Errorf("%s: normalised without a Normalize module", c.name)
		}
	}
}

// TestGGUFLies: likewise for GGUF metadata.
func TestGGUFLies(t *testing.T) {
	right := ggufShapes(t)
	for _, c := range []struct {
		name string
		meta m
		s    shapes
		says string
	}{
		{"no vocabulary's size", nil, right, ""},
		{"a vocabulary's size", m{"llama.vocab_size": uint32(11)}, right, ""},
		{"another vocabulary's size", m{"llama.vocab_size": uint32(12)}, right, "has shape [11 16], the config says [12 16]"},
		{"a vision tower", nil, right.with(shapes{"v.blk.0.attn_q.weight": {4, 4}}), "part of a vision tower, which Hone does not run; a GGUF file of the text model alone"},
		{"old experts", m{"llama.expert_count": uint32(2), "llama.expert_used_count": uint32(1)}, right.with(shapes{"blk.0.ffn_gate.0.weight": {24, 16}}), "files before April 2024; take a newer file"},
		{"no embedding", nil, right.with(shapes{"token_embd.weight": nil}), "config has no llama.vocab_size"},
		{"no architecture", m{"general.architecture": nil}, right, `architecture "" is not served`},
		{"another architecture", m{"general.architecture": "qwen9"}, right, `architecture "qwen9" is not served`},
		{"BERT", m{"general.architecture": "bert"}, right, "config has no bert.embedding_length"},
		{"no blocks", m{"llama.block_count": nil}, right, "config has no llama.block_count"},
		{"blocks as text", m{"llama.block_count": "2"}, right, `llama.block_count is "2"; it must be a number`},
		{"huge blocks", m{"llama.block_count": uint64(1) << 63}, right, "llama.block_count is"},
		{"fewer blocks", m{"llama.block_count": uint32(1)}, right, "does not use"},
		{"heads by layer", m{"llama.attention.head_count_kv": []int32{2, 2}}, right, ""},
		{"other heads by layer", m{"llama.attention.head_count_kv": []int32{2, 1}}, right, "blk.1.attn_k.weight has shape [8 16], the config says [4 16]"},
		{"heads of too many layers", m{"llama.attention.head_count_kv": []int32{2, 2, 2}}, right, "head_count_kv has 3 values, the model has 2 blocks"},
		{"no heads in a layer", m{"llama.attention.head_count_kv": []int32{2, 0}}, right, "head_count_kv of block 1 is 0"},
		{"heads as text by layer", m{"llama.attention.head_count_kv": []string{"2", "2"}}, right, "head_count_kv is [2 2]; it must be a number"},
		{"scaled rope", m{"llama.rope.scaling.type": "yarn", "llama.rope.scaling.factor": float32(2)}, right, ""},
		{"unknown rope", m{"llama.rope.scaling.type": "spiral"}, right, `rotary positions of kind "spiral" are not served`},
		{"plain rope", m{"llama.rope.scaling.type": "none"}, right, ""},
		{"rope factors of zero", nil, right.with(shapes{"rope_freqs.weight": {2}}), "rope_freqs.weight is 0"},
		{"rope factors, too many", nil, right.with(shapes{"rope_freqs.weight": {1 << 20}}), "rope_freqs.weight has 1048576 values"},
		{"partial rope", m{"llama.rope.dimension_count": uint32(2)}, right, "rotates 2 of a head's 4 features"},
		{"whole rope", m{"llama.rope.dimension_count": uint32(4)}, right, ""},
		{"experts", m{"llama.expert_count": uint32(8)}, right, "no llama.expert_used_count"},
		{"sigmoid router", m{"llama.expert_count": uint32(8), "llama.expert_used_count": uint32(2), "llama.expert_gating_func": uint32(2)}, right, "expert_gating_func to 2"},
		{"too many used", m{"llama.expert_count": uint32(8), "llama.expert_used_count": uint32(9)}, right, "9 experts, a block has 8"},
		{"hordes", m{"llama.expert_count": uint32(1 << 20), "llama.expert_used_count": uint32(2)}, right, "too many"},
		{"no experts", m{"llama.expert_count": uint32(0)}, right, ""},
		{"values of another size", m{"llama.attention.value_length": uint32(8)}, right, "llama.attention.value_length to 8"},
		{"biases of zeros", nil, right.with(shapes{"blk.0.attn_q.bias": {16}}), ""},
		{"a head of its own", nil, right.with(shapes{"output.weight": {11, 16}}), ""},
		{"epsilon", m{"llama.attention.layer_norm_rms_epsilon": float32(-1)}, right, "layer_norm_rms_epsilon is -1"},
		{"epsilon of no number", m{"llama.attention.layer_norm_rms_epsilon": float32(math.NaN())}, right, "layer_norm_rms_epsilon is NaN"},
		{"theta of zero", m{"llama.rope.freq_base": float32(0)}, right, "freq_base is 0"},
		{"endless theta", m{"llama.rope.freq_base": float32(math.Inf(1))}, right, "freq_base is +Inf"},
	} {
		expect(t, c.name, writeGGUF(t, with(ggufMeta(), c.meta), c.s), c.says)
	}
}

// TestGemma3Text: the text model of one that could see is served where the file holds no vision tensors.
func TestGemma3Text(t *testing.T) {
	pool := kernel.NewPool(1)
	defer pool.Close()
	var c oracleCase
	for _, other := range oracleCases(t) {
		if other.Name == "gemma3" {
			c = other
		}
	}
	write := func(prefix string, more shapes) string {
		tensors, all := map[string][]float32{}, maps.Clone(more)
		for name, shape := range c.Tensors {
			tensors[prefix+strings.TrimPrefix(name, "model.")], all[prefix+strings.TrimPrefix(name, "model.")] = oracleValues(name, shape), shape
		}
		for name, shape := range more {
			tensors[name] = make([]float32, elements(shape))
		}
		config := m{"architectures": []any{"Gemma3ForConditionalGeneration"}, "model_type": "gemma3", "text_config": c.Config, "vision_config": m{"hidden_size": 8}}
		return writeTensors(t, config, tensors, all)
	}
	for _, prefix := range []string{"language_model.model.", "model.language_model."} {
		if got := expect(t, prefix, write(prefix, shapes{}), ""); got != nil {
			c.check(t, prefix, got, pool)
			if again := expect(t, "written again", asHF(t, got), ""); again != nil {
				c.check(t, "written again", again, pool)
			}
		}
	}
	expect(t, "vision", write("language_model.model.", shapes{"vision_tower.vision_model.embeddings.patch_embedding.bias": {8}}),
		"part of a vision tower, which Hone does not run")
	expect(t, "projector", write("language_model.model.", shapes{"multi_modal_projector.mm_input_projection_weight": {8, 8}}), "joins a vision tower to the model")
	expect(t, "LoRA", write("language_model.model.", shapes{"language_model.model.layers.0.self_attn.q_proj.lora_A.weight": {2, 24}}),
		"part of a LoRA adapter, which has to be merged into the model first")
}

// TestNoModel: what is no model of its own is refused by name.
func TestNoModel(t *testing.T) {
	right := ggufShapes(t)
	expect(t, "adapter", writeGGUF(t, with(ggufMeta(), m{"general.type": "adapter"}), right), `general.type is "adapter": the file is no model of its own`)
	expect(t, "model", writeGGUF(t, with(ggufMeta(), m{"general.type": "model"}), right), "")
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "adapter_config.json"), []byte("{}"))
	writeFile(t, filepath.Join(dir, "adapter_model.safetensors"), []byte("{}"))
	expect(t, "adapter directory", dir, "a LoRA adapter, which has to be merged into its model first")
}

// TestFusedSizes: blocks of unequal sizes do not fit a table of fused rows; the file is refused, whatever its shapes.
func TestFusedSizes(t *testing.T) {
	for _, c := range oracleCases(t) {
		if c.Name != "phi3" {
			continue
		}
		config := with(c.Config, m{"num_attention_heads": []int{4, 2, 4}, "num_key_value_heads": []int{2, 1, 2}, "head_dim": 6})
		s := shapes(c.Tensors).with(shapes{"model.layers.1.self_attn.qkv_proj.weight": {24, 24}, "model.layers.1.self_attn.o_proj.weight": {24, 12},
			"model.layers.0.self_attn.qkv_proj.weight": {48, 24}, "model.layers.2.self_attn.qkv_proj.weight": {48, 24}})
		expect(t, "unequal", writeHF(t, config, s), "this architecture has one size for all blocks")
	}
}

// TestNamed: an error names its file, and names it once.
func TestNamed(t *testing.T) {
	fault := &checkpoint.Error{Path: "m.gguf", Tensor: "t", Err: errors.New("a scale of NaN")}
	for want, err := range map[string]error{
		`loading t: checkpoint: m.gguf: tensor "t": a scale of NaN`: fmt.Errorf("loading t: %w", fault),
		"m.gguf: the config says nothing":                           errors.New("the config says nothing"),
	} {
		if got := named("m.gguf", err).Error(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
