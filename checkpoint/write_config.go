package checkpoint

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"hone/quant"
)

// schemeKey is what tells one group of layers from another.
type schemeKey struct {
	bits      int
	group     int // 0: one scale a row
	symmetric bool
	tokens    bool // int8 inputs, one scale a token
	rounded   bool // int8 inputs with scales of groups
}

// roundedKey of the quantization_config names the groups whose products round inputs to int8 with scales of groups. No other
// program has such products: to others these groups are weights alone.
const roundedKey = "hone_int8_inputs"

// roundsInputs tells whether products of an integer format round their inputs to int8 with scales of groups: those named so,
// and the block types of GGUF. A plain int format rounds weights alone.
func roundsInputs(format string) bool {
	return strings.HasSuffix(format, quant.RoundedSuffix) || !strings.HasPrefix(format, "int") && format != "w8a8"
}

// groupTable collects which layers are quantized how.
type groupTable struct {
	layers    map[schemeKey][]string
	unchanged []string // layers left dense
}

func (t *groupTable) add(s schemeKey, layer string) {
	if t.layers == nil {
		t.layers = map[schemeKey][]string{}
	}
	t.layers[s] = append(t.layers[s], layer)
}

func (t *groupTable) dense(name string) {
	if layer, ok := strings.CutSuffix(name, partWeight); ok {
		t.unchanged = append(t.unchanged, layer)
	}
}

// config returns the quantization_config, nil when nothing is quantized. The scheme with most layers targets the class
// Linear, the others name their layers; embeddings are always named, since Linear does not mean them.
func (t *groupTable) config() map[string]any {
	if len(t.layers) == 0 {
		return nil
	}
	keys := t.sortedKeys()
	groups := map[string]any{}
	formats := map[string]bool{}
	var rounded []string
	for i, k := range keys {
		name := fmt.Sprintf("group_%d", i)
		formats[k.format()] = true
		groups[name] = k.describe(t.targets(k, i == 0))
		if k.rounded {
			rounded = append(rounded, name)
		}
	}
	format := "mixed-precision"
	if len(formats) == 1 {
		format = keys[0].format()
	}
	out := map[string]any{
		"quant_method": "compressed-tensors", "quantization_status": "compressed", "format": format,
		"config_groups": groups, "ignore": t.ignored(), "kv_cache_scheme": nil, "global_compression_ratio": nil,
	}
	if rounded != nil {
		out[roundedKey] = rounded
	}
	return out
}

// sortedKeys orders schemes by falling number of layers.
func (t *groupTable) sortedKeys() []schemeKey {
	var keys []schemeKey
	for k := range t.layers {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b schemeKey) int {
		return cmp.Or(len(t.layers[b])-len(t.layers[a]), strings.Compare(fmt.Sprint(a), fmt.Sprint(b)))
	})
	return keys
}

func (t *groupTable) targets(k schemeKey, first bool) []string {
	if !first {
		return t.layers[k]
	}
	out := []string{"Linear"}
	for _, layer := range t.layers[k] {
		if isEmbedding(layer) {
			out = append(out, layer)
		}
	}
	return out
}

// ignored lists the dense layers, and lm_head where it is no layer of its own but tied to the embedding.
func (t *groupTable) ignored() []string {
	out := slices.Clone(t.unchanged)
	for _, layers := range t.layers {
		if slices.Contains(layers, "lm_head") {
			return out
		}
	}
	if !slices.Contains(out, "lm_head") {
		out = append(out, "lm_head")
	}
	return out
}

func (k schemeKey) format() string {
	if k.tokens {
		return "int-quantized"
	}
	return "pack-quantized"
}

func (k schemeKey) describe(targets []string) map[string]any {
	weights := map[string]any{
		"num_bits": k.bits, "type": "int", "symmetric": k.symmetric, "strategy": "channel", "group_size": nil, "dynamic": false,
	}
	if k.group > 0 {
		weights["strategy"], weights["group_size"] = "group", k.group
	}
	out := map[string]any{
		"targets": targets, "weights": weights, "input_activations": nil, "output_activations": nil, "format": k.format(),
	}
	if k.tokens {
		out["input_activations"] = map[string]any{"num_bits": 8, "type": "int", "symmetric": true, "strategy": "token", "group_size": nil, "dynamic": true}
	}
	return out
}
