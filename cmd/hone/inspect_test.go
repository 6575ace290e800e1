package main

import (
	"encoding/json"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hone/checkpoint"
)

// tinyModel is one of the architectures' test cases.
type tinyModel struct {
	Name    string
	Config  map[string]any
	Tensors map[string][]int
}

func tinyModels(t *testing.T) []tinyModel {
	t.Helper()
	b, err := os.ReadFile("../../model/testdata/architectures.json")
	if err != nil {
		t.Fatal(err)
	}
	var all struct{ Cases []tinyModel }
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	return all.Cases
}

// write makes a directory of zeros, with more in its config and more tensors.
func (c tinyModel) write(t *testing.T, config map[string]any, tensors map[string][]int) string {
	t.Helper()
	dir, said, all := t.TempDir(), maps.Clone(c.Config), maps.Clone(c.Tensors)
	maps.Copy(said, config)
	maps.Copy(all, tensors)
	b, err := json.Marshal(said)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "config.json"), b, 0o600); err != nil {
		t.Fatal(err)
	}
	var out []checkpoint.Tensor
	for name, shape := range all {
		n := 4
		for _, d := range shape {
			n *= d
		}
		out = append(out, checkpoint.Tensor{Name: name, DType: "F32", Shape: shape, Write: func(w io.Writer) error {
			b := make([]byte, n)
			if strings.HasSuffix(name, ".masked_bias") { // in half precision it was never finite
				copy(b, "\x00\x00\x80\xff")
			}
			_, err := w.Write(b)
			return err
		}})
	}
	if err := checkpoint.WriteSafetensors(filepath.Join(dir, "model.safetensors"), out, nil); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestInspectArchitectures: inspect tells of every architecture what it is, what would run and how much that takes.
func TestInspectArchitectures(t *testing.T) {
	for _, c := range tinyModels(t) {
		got := inspection{shape: &shape{}}
		decode(t, &got, "inspect", c.write(t, nil, nil), "--json")
		values := int64(0)
		for _, tally := range got.Tensors {
			values += tally.Values
		}
		if !got.Served || got.Attention == "" || got.Parameters != values || got.WeightBytes <= 0 || len(got.Runs) == 0 {
			t.Errorf("%s: %+v %+v", c.Name, got, got.shape)
		}
	}
}

// TestInspectBuffers: buffers that old checkpoints hold beside the weights change nothing, even an infinite one; as a weight it is
// a fault.
func TestInspectBuffers(t *testing.T) {
	all := tinyModels(t)
	c := all[slices.IndexFunc(all, func(c tinyModel) bool { return c.Config["model_type"] == "gpt_neox" })]
	got := inspection{shape: &shape{}}
	decode(t, &got, "inspect", c.write(t, nil, map[string][]int{"gpt_neox.layers.0.attention.masked_bias": {}}), "--json")
	if !got.Served {
		t.Errorf("a mask: %s", got.Reason)
	}
	dir := c.write(t, nil, map[string][]int{"another.masked_bias": {}})
	if _, errs, code := call(t, "inspect", dir); code != exitFailed || !strings.Contains(errs, "-Inf") {
		t.Errorf("a tensor that is no mask: exit %d, %s", code, errs)
	}
}

// TestInspectRefuses: a whole file that is not served is no error, and the reason is told by name; one that contradicts
// itself is an error.
func TestInspectRefuses(t *testing.T) {
	c := tinyModels(t)[0]
	for _, x := range []struct {
		name    string
		config  map[string]any
		tensors map[string][]int
		reason  string
	}{
		{"unknown", map[string]any{"architectures": []string{"MambaForCausalLM"}}, nil, `"MambaForCausalLM" is not served; Hone runs bert, `},
		{"LoRA", nil, map[string][]int{"base_model.model.layers.0.lora_B.weight": {2, 2}}, "part of a LoRA adapter"},
		{"vision", nil, map[string][]int{"vision_tower.blocks.0.weight": {2, 2}}, "part of a vision tower"},
		{"activation", map[string]any{"hidden_act": "xielu"}, nil, `config sets hidden_act to "xielu"`},
		{"positions", map[string]any{"rope_parameters": map[string]any{"rope_type": "spiral", "factor": 2}}, nil, `rotary positions of kind "spiral" are not served`},
		{"bits and bytes", map[string]any{"quantization_config": map[string]any{"quant_method": "bitsandbytes"}}, nil, `quant_method "bitsandbytes" is not read; awq, `},
		{"a layout", map[string]any{"quantization_config": map[string]any{"quant_method": "awq", "version": "gemv", "bits": 4, "group_size": 128}}, nil, `the AWQ layout "gemv" is not served`},
	} {
		var got inspection
		decode(t, &got, "inspect", c.write(t, x.config, x.tensors), "--json")
		if got.Served || !strings.Contains(got.Reason, x.reason) {
			t.Errorf("%s: served %v, reason %q", x.name, got.Served, got.Reason)
		}
	}
	dir := c.write(t, map[string]any{"hidden_size": 25}, nil)
	if _, errs, code := call(t, "inspect", dir); code != exitFailed || !strings.Contains(errs, "the config says") {
		t.Errorf("another width: exit %d, %s", code, errs)
	}
}
