package checkpoint

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// maxPatterns bounds the regular expressions of a quantization_config, which are tried on every layer.
const maxPatterns = 256

// quantConfig is config.json's quantization_config of the method compressed-tensors
// (fields: QuantizationConfig in https://github.com/vllm-project/compressed-tensors).
type quantConfig struct {
	exact    map[string]*scheme // by layer name
	patterns []patternScheme    // "re:…"
	classes  map[string]*scheme // by module class, such as Linear
	cache    bool               // the KV cache is to be rounded, too
}

type patternScheme struct {
	pattern *regexp.Regexp
	scheme  *scheme
}

// scheme says how the weights of a group of layers are quantized.
type scheme struct {
	bits      int
	kind      string // "int" or "float"
	symmetric bool
	strategy  string
	group     int    // columns of one scale; 0: the whole row
	tokens    bool   // activations are int8 with one scale a token
	rounded   bool   // activations are int8 with scales of groups
	refused   error  // what of it cannot be served
	note      string // what is served in another way than it asks for
}

// servedFormats are the layouts of compressed-tensors that are read; mixed-precision names one for each group.
var servedFormats = []string{"pack-quantized", "int-quantized", "naive-quantized"}

func checkFormat(v any) error {
	name, _ := v.(string)
	if v == nil || name == "mixed-precision" || name == "dense" || slices.Contains(servedFormats, name) {
		return nil
	}
	return unserved("format %.40q is not served; %s are: take the model in one of these, as a GGUF file, or as it was before", fmt.Sprint(v), strings.Join(servedFormats, ", "))
}

func readQuantConfig(c map[string]any) (*quantConfig, error) {
	if err := checkFormat(c["format"]); err != nil {
		return nil, err
	}
	for _, key := range []string{"transform_config", "sparsity_config"} {
		if err := refuseExtra(key, c[key]); err != nil {
			return nil, err
		}
	}
	groups, _ := c["config_groups"].(map[string]any)
	rounded, _ := c[roundedKey].([]any)
	out := &quantConfig{exact: map[string]*scheme{}, classes: map[string]*scheme{}, cache: c["kv_cache_scheme"] != nil}
	for _, name := range sortedKeys(groups) {
		if err := out.addGroup(groups[name], slices.Contains(rounded, any(name))); err != nil {
			return nil, fmt.Errorf("config_groups: %.60q: %w", name, err)
		}
	}
	return out, nil
}

func sortedKeys(m map[string]any) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// refuseExtra refuses what would change the meaning of the weights.
func refuseExtra(key string, v any) error {
	m, ok := v.(map[string]any)
	switch {
	case v == nil, ok && len(m) == 0, ok && m["format"] == "dense":
		return nil
	}
	return unserved("%s is not served", key)
}

// addGroup reads a group; rounded: its inputs are int8 although the group says nothing of them.
func (c *quantConfig) addGroup(raw any, rounded bool) error {
	group, ok := raw.(map[string]any)
	if !ok {
		return errors.New("an object is wanted; presets by name are not read")
	}
	s, err := readScheme(group)
	if err != nil {
		return err
	}
	s.rounded = s.rounded || rounded
	targets, _ := group["targets"].([]any)
	for _, t := range targets {
		target, ok := t.(string)
		if !ok {
			return errors.New("targets: strings are wanted")
		}
		if err := c.addTarget(target, s); err != nil {
			return err
		}
	}
	return nil
}

// addTarget notes a target; of two groups with the same target the first counts.
func (c *quantConfig) addTarget(target string, s *scheme) error {
	if expr, ok := strings.CutPrefix(target, "re:"); ok {
		if len(c.patterns) == maxPatterns {
			return fmt.Errorf("more than %d patterns", maxPatterns)
		}
		re, err := regexp.Compile("^(?:" + expr + ")")
		if err != nil {
			return fmt.Errorf("target %s: %w", quoteName(target), err)
		}
		c.patterns = append(c.patterns, patternScheme{re, s})
		return nil
	}
	table := c.exact
	if first := target[:min(1, len(target))]; first >= "A" && first <= "Z" {
		table = c.classes
	}
	if table[target] == nil {
		table[target] = s
	}
	return nil
}

// schemeOf finds a layer's scheme as compressed-tensors does: by exact name, by pattern, by class.
func (c *quantConfig) schemeOf(layer string) (*scheme, error) {
	if s := c.exact[layer]; s != nil {
		return s, nil
	}
	for _, p := range c.patterns {
		if p.pattern.MatchString(layer) {
			return p.scheme, nil
		}
	}
	class := "Linear"
	if isEmbedding(layer) {
		class = "Embedding"
	}
	if s := c.classes[class]; s != nil {
		return s, nil
	}
	return nil, errors.New("it is quantized, but no group of quantization_config targets it")
}

// isEmbedding tells embeddings from linear layers by the names that models give them.
func isEmbedding(layer string) bool {
	last := layer[strings.LastIndexByte(layer, '.')+1:]
	return strings.Contains(last, "embed") || last == "wte" || last == "wpe"
}

func readScheme(group map[string]any) (*scheme, error) {
	if err := checkFormat(group["format"]); err != nil {
		return nil, err
	}
	weights, ok := group["weights"].(map[string]any)
	if !ok {
		return nil, errors.New("weights: an object is wanted")
	}
	s := &scheme{symmetric: true, kind: "int", bits: 8, strategy: "tensor"}
	if v, ok := weights["symmetric"].(bool); ok {
		s.symmetric = v
	}
	if v, ok := weights["type"].(string); ok {
		s.kind = strings.ToLower(v)
	}
	if n, ok := jsonInt(weights["num_bits"]); ok {
		s.bits = n
	}
	if s.bits < 1 || s.bits > 8 {
		return nil, fmt.Errorf("num_bits %d", s.bits)
	}
	if err := s.readStrategy(weights); err != nil {
		return nil, err
	}
	if err := s.readActivations(group); err != nil {
		s.refused = err
	}
	return s, nil
}

// readStrategy reads strategy and group_size; either may be left out.
func (s *scheme) readStrategy(weights map[string]any) error {
	size, sized := jsonInt(weights["group_size"])
	name, _ := weights["strategy"].(string)
	name = strings.ToLower(name)
	switch {
	case name != "":
	case sized && size > 0:
		name = "group"
	case sized:
		name = "channel"
	default:
		name = "tensor"
	}
	s.strategy = name
	switch name {
	case "group":
		if size <= 0 {
			return fmt.Errorf("group_size %d", size)
		}
		s.group = size
	case "channel", "tensor":
	default:
		s.refuse("strategy %.40q is not served; group, channel and tensor are", name)
	}
	return nil
}

func (s *scheme) refuse(format string, args ...any) {
	if s.refused == nil {
		s.refused = fmt.Errorf(format, args...)
	}
}

// readActivations reads how the inputs are rounded. Where the file asks for int8 inputs as they come, with one scale a
// token, it is followed; other int8 schemes are served with scales of groups, finer than those, and noted. 16 bits are what
// integer products take without being asked.
func (s *scheme) readActivations(group map[string]any) error {
	if group["output_activations"] != nil {
		return errors.New("output_activations are not served")
	}
	raw := group["input_activations"]
	if raw == nil {
		return nil
	}
	in, _ := raw.(map[string]any)
	bits, _ := jsonInt(in["num_bits"])
	if kind := in["type"]; kind != "int" || bits != 8 && bits != 16 {
		return fmt.Errorf("input_activations of %d bits and type %.20q are not served; 8 and 16 bits and int are", bits, fmt.Sprint(kind))
	}
	if bits == 16 {
		return nil
	}
	s.tokens = in["strategy"] == "token" && in["symmetric"] == true && in["dynamic"] == true
	if !s.tokens || s.bits != 8 || !s.symmetric || s.group > 0 {
		s.tokens, s.rounded = false, true
		s.note = fmt.Sprintf("ask for int8 inputs with scales by %.20q (dynamic %v, symmetric %v): they are rounded with this format's own, finer scales",
			fmt.Sprint(in["strategy"]), in["dynamic"] == true, in["symmetric"] == true)
	}
	return nil
}

func jsonInt(v any) (int, bool) {
	n, ok := v.(json.Number)
	if !ok {
		return 0, false
	}
	i, err := n.Int64()
	return int(i), err == nil
}
