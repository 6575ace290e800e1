package model

import (
	"bytes"
	"encoding/json"
	"math"
	"reflect"
	"runtime"
	"strings"
	"testing"
)

type m = map[string]any

// TestConfigs: a config alone; what is wrong is named, what is harmless passes.
func TestConfigs(t *testing.T) {
	for _, c := range []struct {
		name   string
		change m
		says   string
	}{
		{"plain", nil, ""},
		{"no architecture", m{"architectures": nil}, `architecture "" is not served`},
		{"by model type", m{"architectures": nil, "model_type": "llama"}, ""},
		{"unknown architecture", m{"architectures": []any{"FooForCausalLM"}}, `"FooForCausalLM" is not served; Hone runs bert, distilbert, gemma2, `},
		{"architecture of a wrong type", m{"architectures": []any{m{"a": 1}}}, "is not served"},
		{"endless architecture", m{"architectures": []any{strings.Repeat("x", 1e6)}}, "is not served"},
		{"no layers", m{"num_hidden_layers": nil}, "config has no num_hidden_layers"},
		{"zero layers", m{"num_hidden_layers": 0}, "num_hidden_layers is 0; it must be a whole number"},
		{"negative layers", m{"num_hidden_layers": -3}, "num_hidden_layers is -3"},
		{"fractional layers", m{"num_hidden_layers": 2.5}, "num_hidden_layers is 2.5"},
		{"too many layers", m{"num_hidden_layers": 1 << 27}, "Hone takes at most 1024"},
		{"layers as text", m{"num_hidden_layers": "2"}, `num_hidden_layers is "2"; it must be a number`},
		{"layers as a list", m{"num_hidden_layers": []any{1, 2}}, "num_hidden_layers is [1 2]; it must be a number"},
		{"layers as no number", m{"num_hidden_layers": json.Number("")}, "must be a number"},
		{"huge width", m{"hidden_size": json.Number("1e300")}, "hidden_size is 1e+300"},
		{"endless width", m{"hidden_size": json.Number("1e999")}, "hidden_size is 1e999; it must be a number"},
		{"width NaN", m{"hidden_size": math.NaN()}, "hidden_size is NaN"},
		{"no width", m{"hidden_size": nil}, "config has no hidden_size"},
		{"heads do not divide the width", m{"num_attention_heads": 3, "num_key_value_heads": 3}, "a hidden size of 16 is not shared evenly by 3"},
		{"more heads than width", m{"num_attention_heads": 32, "num_key_value_heads": 32}, "not shared evenly"},
		{"key/value heads", m{"num_key_value_heads": 3}, "4 attention heads do not share 3"},
		{"key/value heads as text", m{"num_key_value_heads": "two"}, `num_key_value_heads is "two"`},
		{"odd head", m{"head_dim": 7}, "7 of a head's 7 features; it must be an even number"},
		{"huge head", m{"head_dim": 1 << 20}, "a head of 1048576 features is too large"},
		{"huge heads", m{"num_attention_heads": 1 << 28, "num_key_value_heads": 1, "head_dim": 2048}, "are too large"},
		{"no vocabulary", m{"vocab_size": nil}, "config has no vocab_size"},
		{"no context", m{"max_position_embeddings": nil}, "config has no max_position_embeddings"},
		{"epsilon zero", m{"rms_norm_eps": 0.0}, "rms_norm_eps is 0; it must be a positive"},
		{"epsilon as text", m{"rms_norm_eps": "1e-5"}, `rms_norm_eps is "1e-5"`},
		{"theta negative", m{"rope_theta": -1.0}, "rope_theta is -1"},
		{"flag of a wrong type", m{"attention_bias": "yes"}, `attention_bias is "yes"; it must be true or false`},
		{"tied as a number", m{"tie_word_embeddings": 1}, "tie_word_embeddings is 1; it must be true or false"},
		{"activation", m{"hidden_act": "quick_gelu"}, `sets hidden_act to "quick_gelu"`},
		{"attention to both sides", m{"is_causal": false}, "sets is_causal to false"},
		{"biased MLP", m{"mlp_bias": true}, ""},
		{"scaled rope without its settings", m{"rope_scaling": m{"rope_type": "llama3", "factor": 8.0}}, "rope's low_freq_factor 0 and high_freq_factor 0"},
		{"scaled rope", m{"rope_scaling": m{"rope_type": "llama3", "factor": 8, "low_freq_factor": 1, "high_freq_factor": 4, "original_max_position_embeddings": 16}}, ""},
		{"scaled rope, old name", m{"rope_scaling": m{"type": "linear", "factor": 2.0}}, ""},
		{"scaled rope without a factor", m{"rope_scaling": m{"type": "linear"}}, "rope's factor is missing"},
		{"dynamic rope", m{"rope_scaling": m{"type": "dynamic", "factor": 2.0}}, ""},
		{"rope of an unknown kind", m{"rope_scaling": m{"type": "ntk", "factor": 2.0}}, `rotary positions of kind "ntk" are not served; Hone runs default, linear`},
		{"rope of sections", m{"rope_parameters": m{"rope_type": "default", "mrope_section": []any{1, 2}}}, "sets rope_parameters.mrope_section to [1 2]"},
		{"longrope without factors", m{"rope_scaling": m{"type": "longrope", "factor": 2.0}}, "longrope needs short_factor and long_factor"},
		{"longrope of another length", m{"rope_scaling": m{"type": "su", "short_factor": []any{1, 1}, "long_factor": []any{2}}}, "1 factors of rotary frequencies where a head has 2"},
		{"longrope of text", m{"rope_scaling": m{"type": "longrope", "short_factor": []any{"1", 1}, "long_factor": []any{2, 2}}}, "it must be a list of numbers"},
		{"longrope", m{"rope_scaling": m{"type": "longrope", "short_factor": []any{1, 1}, "long_factor": []any{2, 2.5}}}, ""},
		{"yarn of no positions", m{"rope_scaling": m{"type": "yarn", "factor": 2, "original_max_position_embeddings": 0}}, "original_max_position_embeddings is 0"},
		{"rope scaling of a wrong type", m{"rope_scaling": "linear"}, `sets rope_scaling to "linear"`},
		{"plain rope scaling", m{"rope_scaling": m{"rope_type": "default"}}, ""},
		{"rope parameters", m{"rope_parameters": m{"rope_type": "default", "rope_theta": 1e5}}, ""},
		{"scaled rope parameters", m{"rope_parameters": m{"rope_type": "yarn", "rope_theta": 1e5, "factor": 4, "original_max_position_embeddings": 16}}, ""},
		{"windows without a size", m{"layer_types": []any{"full_attention", "sliding_attention"}}, "but the model has no sliding window"},
		{"blocks without windows", m{"layer_types": []any{"full_attention", "full_attention"}}, ""},
		{"rope parameters by layer", m{"rope_parameters": m{"full_attention": m{"rope_theta": 1e5}}}, "tells other rotary positions for each kind of layer"},
		{"rope parameters without layers", m{"architectures": []any{"Gemma3ForCausalLM"}, "hidden_act": "gelu_pytorch_tanh", "rope_parameters": m{"rope_theta": 1e5}}, "does not tell the kinds of layers apart"},
		{"partial rope", m{"rope_parameters": m{"rope_theta": 1e5, "partial_rotary_factor": 0.5}}, "rotates 2 of a head's 4 features"},
		{"partial rope above", m{"partial_rotary_factor": 0.5}, "rotates 2 of a head's 4 features"},
		{"theta of a wrong type", m{"rope_parameters": m{"rope_theta": "1e5"}}, "rope's rope_theta is \"1e5\""},
		{"theta of zero", m{"rope_parameters": m{"rope_theta": 0}}, "rope's rope_theta is 0"},
		{"harmless", m{"torch_dtype": "bfloat16", "dtype": "float32", "pretraining_tp": 1, "use_cache": true, "bos_token_id": 1}, ""},
	} {
		_, err := FromConfig(with(llamaConfig(), c.change))
		checkError(t, c.name, err, c.says)
	}
	nulls := llamaConfig()
	for _, key := range []string{"num_key_value_heads", "head_dim", "rope_scaling", "rope_parameters", "attention_bias", "hidden_act"} {
		nulls[key] = nil
	}
	if _, err := FromConfig(nulls); err != nil {
		t.Errorf("null settings: %v", err)
	}
	if _, err := FromConfig(nil); err == nil {
		t.Error("no config")
	}
}

func TestBERTConfigs(t *testing.T) {
	for _, c := range []struct {
		name   string
		change m
		says   string
	}{
		{"plain", nil, ""},
		{"no token types", m{"type_vocab_size": nil}, ""},
		{"heads", m{"num_attention_heads": 5}, "a hidden size of 12 is not shared evenly by 5"},
		{"head of an odd size", m{}, ""},
		{"decoder", m{"is_decoder": true}, "sets is_decoder to true"},
		{"positions", m{"position_embedding_type": "relative_key"}, `position_embedding_type to "relative_key"`},
		{"activation", m{"hidden_act": "silu"}, `hidden_act to "silu"`},
		{"epsilon", m{"layer_norm_eps": -1e-12}, "layer_norm_eps is -1e-12"},
	} {
		_, err := FromConfig(with(bertConfig(), c.change))
		checkError(t, c.name, err, c.says)
	}
}

// TestRopeTheta: transformers 5 moved the base of the rotary frequencies; both places give the same model.
func TestRopeTheta(t *testing.T) {
	for _, change := range []m{
		{"rope_theta": 12345.0},
		{"rope_theta": 10000.0, "rope_parameters": m{"rope_theta": json.Number("12345"), "rope_type": "default"}},
	} {
		d, err := FromConfig(with(llamaConfig(), change))
		if err != nil {
			t.Fatal(err)
		}
		if got := d.HFConfig()["rope_theta"]; got != json.Number("12345.0") {
			t.Errorf("theta %v of %v", got, change)
		}
	}
}

// TestWrittenNumbers: whole floats keep their decimal point and whole numbers have none, as transformers demands both.
func TestWrittenNumbers(t *testing.T) {
	change := m{"architectures": []any{"Gemma2ForCausalLM"}, "hidden_act": "gelu_pytorch_tanh", "final_logit_softcapping": json.Number("30"), "attn_logit_softcapping": 50.0,
		"query_pre_attn_scalar": 4.0, "rms_norm_eps": 1e-5, "rope_parameters": m{"rope_type": "linear", "rope_theta": 10000.0, "factor": 3.0}}
	d, err := FromConfig(with(llamaConfig(), change))
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(d.HFConfig())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"final_logit_softcapping":30.0,`, `"attn_logit_softcapping":50.0,`, `"query_pre_attn_scalar":4,`, `"rms_norm_eps":0.00001,`,
		`"factor":3.0,`, `"rope_theta":10000.0,`, `"num_hidden_layers":`} {
		if !bytes.Contains(b, []byte(want)) {
			t.Errorf("no %s in %s", want, b)
		}
	}
}

// TestGGUFNotes: what llama.cpp would pass over is told, and nothing else.
func TestGGUFNotes(t *testing.T) {
	mistral, gemma := []any{"MistralForCausalLM"}, []any{"Gemma2ForCausalLM"}
	for _, c := range []struct {
		change m
		want   string
	}{
		{nil, ""},
		{m{"architectures": mistral, "sliding_window": 5}, "the sliding window of 5 tokens"},
		{m{"architectures": mistral, "sliding_window": nil}, ""},
		{m{"architectures": mistral, "sliding_window": 1 << 20}, ""}, // longer than any text
		{m{"architectures": gemma, "hidden_act": "gelu_pytorch_tanh", "query_pre_attn_scalar": 9}, "query_pre_attn_scalar 9"},
	} {
		d, err := FromConfig(with(llamaConfig(), c.change))
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(d.GGUFNotes(), ";"); c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("%v: %q, want %q", c.change, got, c.want)
		}
	}
}

// TestWrittenConfig: the config that is made up for a model from GGUF is one of the same model.
func TestWrittenConfig(t *testing.T) {
	d, err := FromConfig(with(llamaConfig(), m{"rms_norm_eps": 0.25, "rope_theta": 777.0, "attention_bias": true}))
	if err != nil {
		t.Fatal(err)
	}
	again, err := FromConfig(d.HFConfig())
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(again.HFConfig(), d.HFConfig()) || !reflect.DeepEqual(again.Program.Params(), d.Program.Params()) {
		t.Errorf("%v became %v", d.HFConfig(), again.HFConfig())
	}
}

// FuzzConfig: no config may panic or take more memory than a program of maxBlocks blocks.
func FuzzConfig(f *testing.F) {
	for _, c := range []m{llamaConfig(), bertConfig(), with(llamaConfig(), m{"num_hidden_layers": maxBlocks}), with(bertConfig(), m{"num_hidden_layers": 1 << 27}),
		with(llamaConfig(), m{"head_dim": 1 << 27}), with(llamaConfig(), m{"rope_parameters": m{"rope_theta": 1, "x": []any{}}}), {"architectures": 3}, {"model_type": "llama"}} {
		b, err := json.Marshal(c)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	for _, c := range oracleCases(f) {
		for _, change := range []m{nil, {"num_hidden_layers": maxBlocks, "n_layer": maxBlocks, "layer_types": nil}} {
			b, err := json.Marshal(with(c.Config, change))
			if err != nil {
				f.Fatal(err)
			}
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var config map[string]any
		d := json.NewDecoder(bytes.NewReader(b))
		d.UseNumber()
		if d.Decode(&config) != nil {
			return
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		design, err := FromConfig(config)
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; took > 8<<20+8*uint64(len(b)) {
			t.Errorf("took %d bytes", took)
		}
		if (design == nil) == (err == nil) {
			t.Errorf("design %v and error %v", design, err)
		}
		if err == nil && len(design.Program.Params()) == 0 {
			t.Error("a model of nothing")
		}
	})
}

// TestNarrowEmbeddings: the width of blocks is not that of what the output matrix reads.
func TestNarrowEmbeddings(t *testing.T) {
	d, err := FromConfig(m{"architectures": []any{"OPTForCausalLM"}, "vocab_size": 7, "hidden_size": 12, "word_embed_proj_dim": 8, "num_hidden_layers": 1,
		"num_attention_heads": 2, "ffn_dim": 20, "max_position_embeddings": 16})
	if err != nil {
		t.Fatal(err)
	}
	if p := d.Program; p.BlockWidth() != 12 || p.Width(p.Hidden) != 8 {
		t.Errorf("blocks of width %d before a head of width %d", p.BlockWidth(), p.Width(p.Hidden))
	}
}
