package model

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"hone/nn"
)

// Classes is what an encoder with a classification head tells: a score for each label.
type Classes struct {
	Labels []string
	// Scores is the function that makes scores of logits: softmax (one label holds), sigmoid (each label for itself) or
	// none (the logits are the scores).
	Scores string
}

// encoder is a post-norm transformer that reads a text from both sides, with learned positions.
type encoder struct {
	names     encoderNames
	attention nn.Attention
	width     int
	mlp       int
	blocks    int
	eps       float32
	act       func(*nn.Builder, nn.Value) nn.Value
}

// encoderNames are the names of a block's parts.
type encoderNames struct{ block, attention, attentionNorm, up, down, norm string }

// run emits the blocks after the embeddings x.
func (e *encoder) run(b *nn.Builder, x nn.Value) nn.Value {
	for i := range e.blocks {
		b.Block(fmt.Sprintf(e.names.block, i), func() {
			x = b.LayerNorm(b.Add(x, b.Attention(x, e.names.attention, e.attention)), e.names.attentionNorm, e.eps)
			h := b.ColumnLinears(x, nn.Linear{Name: e.names.up + ".weight", Bias: e.names.up + ".bias", Out: e.mlp, Unit: 1})[0]
			x = b.LayerNorm(b.Add(x, b.RowLinear(e.act(b, h), e.names.down+".weight", e.names.down+".bias", e.width)), e.names.norm, e.eps)
		})
	}
	return x
}

// encoderAct reads the activation function of an encoder's MLP.
func (c *Config) encoderAct(hf string) func(*nn.Builder, nn.Value) nn.Value {
	act := c.Activation(hf, "gelu")
	if c.noted(hf) == "relu" {
		c.noGGUF("GGUF files of encoders have no word for an activation but GELU")
	}
	return act
}

// class is the class of a Hugging Face model, "" when the config names none.
func (c *Config) class() string {
	if class, ok := c.raw.HF["architectures"].([]any); ok && len(class) > 0 {
		name, _ := class[0].(string)
		return name
	}
	return ""
}

// classifies tells whether a Hugging Face config is that of an encoder with a classification head.
func (c *Config) classifies() bool { return strings.HasSuffix(c.class(), "ForSequenceClassification") }

// classes reads the labels and what their scores are; both kinds of config may leave names out.
func (c *Config) classes() *Classes {
	k := &Classes{Labels: c.labels(), Scores: "softmax"}
	problem, _ := c.raw.HF["problem_type"].(string)
	c.Refuse("problem_type", "single_label_classification", "multi_label_classification", "regression")
	c.note("problem_type", "", c.raw.HF["problem_type"])
	switch {
	case problem == "regression":
		k.Scores = "none"
	case problem == "multi_label_classification":
		k.Scores = "sigmoid"
	case len(k.Labels) == 1: // a cross-encoder
		k.Scores = c.crossEncoderScore()
	}
	names := map[string]any{}
	for i, l := range k.Labels {
		names[strconv.Itoa(i)] = l
	}
	c.note("id2label", "", names)
	c.note("", "classifier.output_labels", k.Labels)
	return k
}

// maxLabels bounds the labels that a config gives no names, before memory is taken for them.
const maxLabels = 1 << 12

func (c *Config) labels() []string {
	var labels []string
	unnamed := 0
	if c.raw.GGUF != nil {
		labels, _ = c.raw.GGUF.Strings(c.ggufKey("classifier.output_labels"))
		if info, ok := c.file.Info("cls.output.weight"); ok && len(info.Shape) > 0 && len(labels) == 0 {
			unnamed = info.Shape[0]
		}
	} else if names, ok := c.raw.HF["id2label"].(map[string]any); ok {
		labels = make([]string, len(names))
		for key, name := range names {
			i, err := strconv.Atoi(key)
			if err != nil || i < 0 || i >= len(labels) {
				c.fail("id2label names label %.40q of %d; they must be numbered from 0", key, len(labels))
				return []string{""}
			}
			labels[i] = fmt.Sprint(name)
		}
	} else {
		unnamed = c.IntOr("num_labels", "", 2)
	}
	if unnamed > maxLabels {
		c.fail("the model has %d labels without names; Hone takes at most %d", unnamed, maxLabels)
		unnamed = 0
	}
	labels = append(labels, make([]string, unnamed)...)
	for i := range labels {
		if labels[i] == "" {
			labels[i] = "LABEL_" + strconv.Itoa(i)
		}
	}
	if len(labels) == 0 {
		c.fail("the model has a classification head, but no labels")
		labels = []string{""}
	}
	return labels
}

// crossEncoderScore is the function that sentence-transformers puts behind a cross-encoder: sigmoid, unless the config
// names another.
func (c *Config) crossEncoderScore() string {
	name, key := c.raw.HF["sbert_ce_default_activation_function"], "sbert_ce_default_activation_function"
	if st, ok := c.raw.HF["sentence_transformers"].(map[string]any); ok && st["activation_fn"] != nil {
		name, key = st["activation_fn"], "sentence_transformers.activation_fn"
	}
	switch name {
	case nil, "torch.nn.modules.activation.Sigmoid":
		return "sigmoid"
	case "torch.nn.modules.linear.Identity":
		return "none"
	}
	c.refuse(key, name)
	return ""
}

// way is a way to pool.
type way struct {
	name, key string
	gguf      int
	kind      nn.Pooling
}

// poolings are sentence-transformers' names, and GGUF's numbers, of the ways to pool.
var poolings = []way{
	{"mean", "pooling_mode_mean_tokens", 1, nn.PoolMean},
	{"cls", "pooling_mode_cls_token", 2, nn.PoolFirst},
	{"lasttoken", "pooling_mode_lasttoken", 3, nn.PoolLast},
	{"max", "pooling_mode_max_tokens", 0, nn.PoolMax},
}

// pooling reads how an encoder without a head makes its vectors. Where a Hugging Face directory is none of
// sentence-transformers', or a GGUF file says nothing, that is the normalised mean.
func (c *Config) pooling() nn.Pool {
	if c.raw.GGUF != nil {
		return c.ggufPooling()
	}
	p := nn.Pool{Normalize: true}
	var modules []struct{ Path, Type string }
	if c.readBeside("modules.json", &modules) {
		p.Normalize = false
		for _, module := range modules {
			switch kind := module.Type[strings.LastIndexByte(module.Type, '.')+1:]; kind {
			case "Transformer":
			case "Normalize":
				p.Normalize = true
			case "Pooling":
				p.Kind = c.poolingModule(module.Path)
			default:
				c.unserved("modules.json names a %.80q module, which Hone does not serve yet", kind)
			}
		}
		c.prompts()
	} else {
		c.say("%s", unsaidPooling)
	}
	for _, w := range poolings {
		if w.kind == p.Kind && w.gguf > 0 {
			c.note("", "pooling_type", w.gguf)
		} else if w.kind == p.Kind {
			c.noGGUF("GGUF files have no word for pooling by the maximum")
		}
	}
	return p
}

// unsaidPooling is what a model is told of whose file does not say how vectors are made.
const unsaidPooling = "the model does not say how a text's vectors become one (modules.json, or pooling_type in GGUF): their normalised mean is taken"

// prompts says what sentence-transformers puts before every text unasked.
func (c *Config) prompts() {
	var st struct {
		Prompts map[string]string `json:"prompts"`
		Default string            `json:"default_prompt_name"`
	}
	if c.readBeside("config_sentence_transformers.json", &st); st.Prompts[st.Default] != "" {
		c.say("config_sentence_transformers.json asks for the prompt %.200q before every text: Hone adds nothing to a text, so send it along", st.Prompts[st.Default])
	}
}

func (c *Config) ggufPooling() nn.Pool {
	p := nn.Pool{Normalize: true}
	n, ok := c.float("", "pooling_type")
	if !ok || n == 0 {
		c.say("%s", unsaidPooling)
		return p
	}
	for _, w := range poolings {
		if float64(w.gguf) == n {
			p.Kind = w.kind
			return p
		}
	}
	c.refuse(c.ggufKey("pooling_type"), n)
	return p
}

// poolingModule reads the config of sentence-transformers' Pooling module.
func (c *Config) poolingModule(path string) nn.Pooling {
	if !filepath.IsLocal(path) {
		c.fail("modules.json names the path %.80q outside of the model's directory", path)
		return 0
	}
	var config map[string]any
	file := filepath.Join(path, "config.json")
	if !c.readBeside(file, &config) {
		c.fail("modules.json names %s, which is not there: fetch it, for it says how vectors are made", file)
		return 0
	}
	var asked []string
	for key, on := range config {
		if on == true && strings.HasPrefix(key, "pooling_mode_") {
			asked = append(asked, key)
		}
	}
	if mode, ok := config["pooling_mode"].(string); ok {
		asked = append(asked, mode)
	} else if config["pooling_mode"] != nil {
		asked = append(asked, brief(config["pooling_mode"]))
	}
	slices.Sort(asked)
	for _, w := range poolings {
		if len(asked) == 0 || len(asked) == 1 && (asked[0] == w.key || asked[0] == w.name) {
			return w.kind
		}
	}
	c.unserved("%s asks for %.120q pooling; Hone serves one of mean, cls, lasttoken, max", file, strings.Join(asked, " and "))
	return 0
}

// Gives says in words what an encoder makes of a text, "" for language models.
func (d *Design) Gives() string {
	pool := d.Program.Pool
	switch {
	case pool == nil:
		return ""
	case d.Classes != nil && len(d.Classes.Labels) == 1:
		return "one score (" + d.Classes.Scores + "), to classify or to rank pairs of texts"
	case d.Classes != nil:
		labels := d.Classes.Labels
		names := strings.Join(labels[:min(len(labels), 8)], ", ")
		if len(labels) > 8 {
			names += ", …"
		}
		return fmt.Sprintf("%d labels (%s): %.200q", len(labels), d.Classes.Scores, names)
	}
	text := fmt.Sprintf("vectors of %d, pooled by %s", pool.Width(), poolings[slices.IndexFunc(poolings, func(w way) bool { return w.kind == pool.Kind })].name)
	if pool.Normalize {
		text += ", normalised"
	}
	return text
}

// PoolingFiles are the files of a sentence-transformers directory that tell how vectors are made, by name; none for
// language models and classifiers.
func (d *Design) PoolingFiles() map[string][]byte {
	pool := d.Program.Pool
	if pool == nil || d.Classes != nil {
		return nil
	}
	const types = "sentence_transformers.models."
	modules := `[
  {"idx": 0, "name": "0", "path": "", "type": "` + types + `Transformer"},
  {"idx": 1, "name": "1", "path": "1_Pooling", "type": "` + types + `Pooling"}`
	if pool.Normalize {
		modules += `,
  {"idx": 2, "name": "2", "path": "2_Normalize", "type": "` + types + `Normalize"}`
	}
	config := fmt.Sprintf(`{"word_embedding_dimension": %d`, pool.Width())
	for _, w := range poolings {
		config += fmt.Sprintf(`, "%s": %t`, w.key, w.kind == pool.Kind)
	}
	return map[string][]byte{"modules.json": []byte(modules + "\n]\n"), filepath.Join("1_Pooling", "config.json"): []byte(config + "}\n")}
}

// under puts base before every name of a layout.
func (l Layout) under(base string) Layout {
	out := Layout{}
	for name, s := range l {
		out[base+name] = s
	}
	return out
}
