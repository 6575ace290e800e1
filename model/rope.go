package model

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"hone/nn"
)

// ropeSpec is a description of rotary positions (Su et al. 2021) and of how they are stretched beyond the context that
// they were trained for.
type ropeSpec struct {
	kind   string // default, linear, dynamic, llama3, yarn, longrope, factors
	theta  float64
	turned int // features of a head that are rotated

	factor, attention float64 // attention 0: as the kind says
	original          int     // positions before stretching
	low, high         float64 // llama3
	fast, slow        float64 // yarn: rotations over the original positions
	whole             bool    // yarn: the ramp begins and ends at whole frequencies
	mscale, mscaleAll float64 // yarn
	short, long       []float64
}

// ropeDefault is what a family takes where nothing is said.
type ropeDefault struct {
	theta float64 // 0: 10000
	part  float64 // of a head that is rotated; 0: all, always
	// thetaKey and partKey are the config's own keys of them, outside of descriptions: rope_theta, partial_rotary_factor.
	thetaKey, partKey string
	uncut             bool           // YaRN's ramp is never cut at whole frequencies, though GGUF has no word for that
	usual             map[string]any // how they are stretched where a Hugging Face config says nothing; nil: not
	layer             string         // full_attention or sliding_attention, where these have their own; "" where all blocks have the same
}

// Rope reads the rotary positions of heads of size features. The one that is returned may be shared by all blocks.
func (c *Config) Rope(size int, d ropeDefault) *nn.Rope {
	if size > maxHead {
		c.fail("a head of %d features is too large; it may have %d", size, maxHead)
	}
	if d.theta == 0 {
		d.theta = 10000
	}
	partial := d.part != 0
	if !partial {
		d.part = 1
	}
	if d.thetaKey == "" {
		d.thetaKey = "rope_theta"
	}
	if d.partKey == "" {
		d.partKey = "partial_rotary_factor"
	}
	if c.Err != nil {
		return nil
	}
	var s ropeSpec
	if c.raw.GGUF != nil {
		s = c.ropeGGUF(size, d)
	} else {
		s = c.ropeHF(size, d)
	}
	if s.turned%2 != 0 || s.turned < 2 || s.turned > size {
		c.fail("rotary positions of %d of a head's %d features; it must be an even number of them", s.turned, size)
	}
	if s.turned != size && !partial {
		c.unserved("config rotates %d of a head's %d features, which this architecture does not do", s.turned, size)
	}
	for _, factors := range [][]float64{s.short, s.long} {
		if factors != nil && len(factors) != s.turned/2 {
			c.fail("%d factors of rotary frequencies where a head has %d frequencies", len(factors), s.turned/2)
		}
	}
	if c.Err != nil {
		return nil
	}
	c.noteRope(s, size, d)
	like, _ := s.likeLlama3()
	c.positions = append(c.positions, like.words(size, d.layer))
	return s.rope()
}

// words describe rotary positions for a person.
func (s ropeSpec) words(size int, layer string) string {
	out := fmt.Sprintf("rotary positions of base %g", s.theta)
	if layer == "sliding_attention" {
		out = fmt.Sprintf("%g where there is a window", s.theta)
	}
	if s.turned != size {
		out += fmt.Sprintf(" in %d of %d features", s.turned, size)
	}
	switch s.kind {
	case "linear":
		out += fmt.Sprintf(", stretched %g times", s.factor)
	case "dynamic":
		out += fmt.Sprintf(", which are stretched anew at each length beyond %d: served up to there", s.original)
	case "factors":
		out += ", stretched by a table"
	case "llama3", "yarn":
		out += fmt.Sprintf(", stretched %g times from %d by %s", s.factor, s.original, s.kind)
	case "longrope":
		out += fmt.Sprintf(", stretched beyond %d by longrope", s.original)
	}
	return out
}

// rope computes the frequencies, as the reference does in 32-bit floats.
func (s ropeSpec) rope() *nn.Rope {
	freq := make([]float64, s.turned/2)
	for i := range freq {
		freq[i] = float64(float32(1 / math.Pow(s.theta, float64(2*i)/float64(s.turned))))
	}
	r := &nn.Rope{InvFreq: freq, Factor: s.attentionFactor()}
	switch s.kind {
	case "linear":
		r.InvFreq = stretched(freq, func(int) float64 { return s.factor })
	case "dynamic":
		r.Most = s.original
	case "llama3":
		r.InvFreq = s.llama3(freq)
	case "yarn":
		r.InvFreq = s.yarn(freq)
	case "factors":
		r.InvFreq = stretched(freq, func(i int) float64 { return s.short[i] })
	case "longrope":
		r.InvFreq = stretched(freq, func(i int) float64 { return s.short[i] })
		r.Long = stretched(freq, func(i int) float64 { return s.long[i] })
		r.LongFactor, r.Original = r.Factor, s.original
	}
	return r
}

// stretched divides each frequency by its factor.
func stretched(freq []float64, factor func(i int) float64) []float64 {
	out := make([]float64, len(freq))
	for i, f := range freq {
		out[i] = float64(float32(f / factor(i)))
	}
	return out
}

// llama3 keeps short waves, stretches long ones by the factor, and those between by a mean of both.
func (s ropeSpec) llama3(freq []float64) []float64 {
	return stretched(freq, func(i int) float64 {
		turns := float64(s.original) * freq[i] / (2 * math.Pi) // waves in the original context
		switch {
		case turns > s.high:
			return 1
		case turns < s.low:
			return s.factor
		}
		smooth := (turns - s.low) / (s.high - s.low)
		return 1 / ((1-smooth)/s.factor + smooth)
	})
}

// yarn (Peng et al. 2023) keeps frequencies that turn often over the original context, stretches those that hardly turn,
// and ramps between.
func (s ropeSpec) yarn(freq []float64) []float64 {
	border := func(turns float64) float64 {
		return float64(s.turned) * math.Log(float64(s.original)/(turns*2*math.Pi)) / (2 * math.Log(s.theta))
	}
	low, high := border(s.fast), border(s.slow)
	if s.whole {
		low, high = math.Floor(low), math.Ceil(high)
	}
	low, high = max(low, 0), min(high, float64(s.turned-1))
	if low == high {
		high += 0.001
	}
	return stretched(freq, func(i int) float64 {
		stretch := min(max((float64(i)-low)/(high-low), 0), 1)
		return 1 / (stretch/s.factor + 1 - stretch)
	})
}

// attentionFactor multiplies cos and sin.
func (s ropeSpec) attentionFactor() float64 {
	switch {
	case s.attention != 0:
		return s.attention
	case s.kind == "yarn" && s.mscale != 0 && s.mscaleAll != 0:
		return yarnScale(s.factor, s.mscale) / yarnScale(s.factor, s.mscaleAll)
	case s.kind == "yarn":
		return yarnScale(s.factor, 1)
	case s.kind == "longrope" && s.factor > 1:
		return math.Sqrt(1 + math.Log(s.factor)/math.Log(float64(s.original)))
	}
	return 1
}

func yarnScale(factor, m float64) float64 {
	if factor <= 1 {
		return 1
	}
	return 0.1*m*math.Log(factor) + 1
}

// ropeKeys are the words that a Hugging Face description of rotary positions may hold.
var ropeKeys = []string{"rope_theta", "rope_type", "type", "partial_rotary_factor", "factor", "original_max_position_embeddings",
	"attention_factor", "beta_fast", "beta_slow", "short_factor", "long_factor", "low_freq_factor", "high_freq_factor", "mscale",
	"mscale_all_dim", "truncate", "finetuned"}

// ropeHF reads transformers 4's rope_theta, partial_rotary_factor and rope_scaling, or 5's rope_parameters.
func (c *Config) ropeHF(size int, d ropeDefault) ropeSpec {
	m := c.ropeSettings(d)
	num := func(key string, otherwise float64) float64 {
		if m[key] == nil {
			return otherwise
		}
		f, ok := number(m[key])
		if !ok {
			c.fail("rope's %s is %s; it must be a number", key, brief(m[key]))
			return 1
		}
		return c.positive("rope's "+key, f)
	}
	s := ropeSpec{kind: "default", theta: num("rope_theta", d.theta), factor: num("factor", 0), attention: num("attention_factor", 0),
		low: num("low_freq_factor", 0), high: num("high_freq_factor", 0), fast: num("beta_fast", 32), slow: num("beta_slow", 1),
		mscale: num("mscale", 0), mscaleAll: num("mscale_all_dim", 0), whole: m["truncate"] != false}
	s.turned = int(float64(size) * num("partial_rotary_factor", d.part))
	for _, key := range []string{"type", "rope_type"} {
		if m[key] != nil {
			s.kind = fmt.Sprint(m[key])
		}
	}
	if s.kind == "su" || s.kind == "yarn" && m["short_factor"] != nil { // longrope's first names
		s.kind = "longrope"
	}
	if s.kind == "default" {
		return s
	}
	context := c.Int("max_position_embeddings", "")
	s.original = int(num("original_max_position_embeddings", float64(context)))
	if s.factor == 0 && (s.kind == "yarn" || s.kind == "longrope") {
		s.factor = float64(context) / float64(max(s.original, 1))
	}
	if s.kind == "dynamic" { // only max_position_embeddings counts
		s.original, s.attention = context, 0
	}
	s.short, s.long = c.factorsHF(s.kind, "short_factor", m), c.factorsHF(s.kind, "long_factor", m)
	c.checkRope(s)
	return s
}

// checkRope refuses kinds that are not known and descriptions that lack a figure.
func (c *Config) checkRope(s ropeSpec) {
	switch s.kind {
	case "linear", "dynamic", "yarn":
	case "llama3":
		if s.low == 0 || s.high <= s.low {
			c.fail("rope's low_freq_factor %v and high_freq_factor %v; the second must be the larger", s.low, s.high)
		}
	case "longrope":
		if s.short == nil || s.long == nil {
			c.fail("longrope needs short_factor and long_factor")
		}
	default:
		c.unserved("rotary positions of kind %.80q are not served; Hone runs default, linear, dynamic, llama3, yarn and longrope", s.kind)
	}
	if s.factor == 0 {
		c.fail("rope's factor is missing")
	}
	if s.original < 2 && s.kind != "linear" && s.kind != "dynamic" {
		c.fail("rope's original_max_position_embeddings is %d", s.original)
	}
}

// ropeSettings merges what a config says of rotary positions, for one kind of layer where it tells them apart. Outside of a
// description of its own a sliding layer (Gemma 3) has a base, and is not stretched.
func (c *Config) ropeSettings(d ropeDefault) map[string]any {
	sliding := d.layer == "sliding_attention"
	out := map[string]any{"rope_theta": c.raw.HF[d.thetaKey], "partial_rotary_factor": c.raw.HF[d.partKey]}
	if said, _ := c.raw.HF["rope_scaling"].(map[string]any); c.raw.HF["rope_parameters"] == nil && len(said) == 0 {
		maps.Copy(out, d.usual)
	}
	for _, key := range []string{"rope_parameters", "rope_scaling"} {
		v := c.raw.HF[key]
		m, ok := v.(map[string]any)
		switch {
		case v != nil && !ok:
			c.refuse(key, v)
		case nested(m):
			if d.layer == "" {
				c.unserved("%s tells other rotary positions for each kind of layer, which this architecture does not have", key)
			}
			m, _ = m[d.layer].(map[string]any)
		case d.layer != "" && key == "rope_parameters" && len(m) > 0:
			c.unserved("%s does not tell the kinds of layers apart, whose rotary positions differ in this architecture", key)
		case sliding:
			m = nil
		}
		for name, value := range m {
			if !slices.Contains(ropeKeys, name) {
				c.refuse(key+"."+name, value)
			}
		}
		maps.Copy(out, m)
	}
	if v := c.raw.HF["original_max_position_embeddings"]; v != nil { // Phi-3 keeps it outside, and means it
		out["original_max_position_embeddings"] = v
	}
	return out
}

// nested tells whether a description holds one for each kind of layer.
func nested(m map[string]any) bool {
	for _, v := range m {
		if _, ok := v.(map[string]any); ok {
			return true
		}
	}
	return false
}

func (c *Config) factorsHF(kind, key string, m map[string]any) []float64 {
	if kind != "longrope" || m[key] == nil {
		return nil
	}
	list, _ := m[key].([]any)
	var out []float64
	for _, v := range list[:min(len(list), maxHead)] {
		f, ok := number(v)
		if !ok {
			break
		}
		out = append(out, c.positive("rope's "+key, f))
	}
	if len(out) < len(list) || len(list) == 0 {
		c.fail("rope's %s is %s; it must be a list of numbers", key, brief(m[key]))
	}
	return out
}

// ropeGGUF reads the same from metadata, and factors of frequencies from tensors.
func (c *Config) ropeGGUF(size int, d ropeDefault) ropeSpec {
	num := func(key string, otherwise float64) float64 {
		f, ok := c.float("", key)
		if !ok {
			return otherwise
		}
		return c.positive(c.ggufKey(key), f)
	}
	if d.layer == "sliding_attention" { // never stretched
		return ropeSpec{kind: "default", theta: num("rope.freq_base_swa", d.theta), turned: size}
	}
	s := ropeSpec{kind: "default", theta: num("rope.freq_base", d.theta), factor: num("rope.scaling.factor", num("rope.scale_linear", 1)),
		turned:   int(num("rope.dimension_count", float64(size))),
		original: int(num("rope.scaling.original_context_length", num("context_length", 0))),
		fast:     num("rope.scaling.yarn_beta_fast", 32), slow: num("rope.scaling.yarn_beta_slow", 1), whole: !d.uncut,
		mscaleAll: num("rope.scaling.yarn_log_multiplier", 0), mscale: 1}
	kind, _ := c.value("", "rope.scaling.type").(string)
	switch kind {
	case "none":
	case "dynamic":
		c.refuse(c.ggufKey("rope.scaling.type"), kind)
	case "", "linear": // old files tell the factor alone
		if s.factor != 1 {
			s.kind = "linear"
		}
	default:
		s.kind = kind
	}
	if s.factor == 1 && s.kind == "yarn" {
		s.kind = "default"
	}
	short, long := c.factorsGGUF("rope_factors_short.weight"), c.factorsGGUF("rope_factors_long.weight")
	switch freqs := c.factorsGGUF("rope_freqs.weight"); {
	case short != nil || long != nil:
		s.kind, s.short, s.long = "longrope", short, long
	case freqs != nil && !slices.ContainsFunc(freqs, func(f float64) bool { return f != 1 }): // it changes nothing
	case freqs != nil && s.kind == "default":
		s.kind, s.short = "factors", freqs
	case freqs != nil:
		c.unserved("%s is %q beside rope_freqs.weight; Hone serves one of them", c.ggufKey("rope.scaling.type"), s.kind)
	}
	attention := num("rope.scaling.attn_factor", 1)
	if s.kind == "longrope" {
		s.attention = attention
	} else if attention != 1 {
		s.attention = attention * s.attentionFactor()
	}
	s.attention = num("rope.scaling.yarn_attn_factor", s.attention)
	c.RefuseGGUF("rope.scaling.yarn_ext_factor", 1)
	if s.kind != "default" && s.kind != "factors" {
		c.checkRope(s)
	}
	return s
}

// factorsGGUF reads a small tensor that belongs to the rotary positions, nil when it is absent.
func (c *Config) factorsGGUF(name string) []float64 {
	if !c.holds(name) {
		return nil
	}
	c.use(name)
	info, _ := c.file.Info(name)
	if n := info.Elements(); n > maxHead {
		c.fail("%s has %d values; a head may have %d features", name, n, maxHead)
		return nil
	}
	v, err := c.file.Vector(name)
	if err != nil {
		c.fail("%w", err)
	}
	out := make([]float64, len(v))
	for i, f := range v {
		out[i] = c.positive(name, float64(f))
	}
	return out
}

// noteRope keeps the description for writing it in either kind of file.
func (c *Config) noteRope(s ropeSpec, size int, d ropeDefault) {
	c.noteRopeHF(s, size, d)
	if d.layer == "sliding_attention" {
		c.note("", "rope.freq_base_swa", s.theta)
		if s.kind != "default" || s.turned != size {
			c.noGGUF("sliding blocks have rotary positions of kind " + s.kind)
		}
		return
	}
	c.note("", "rope.freq_base", s.theta)
	c.note("", "rope.dimension_count", s.turned)
	switch s.kind {
	case "linear":
		c.note("", "rope.scaling.type", "linear")
		c.note("", "rope.scaling.factor", s.factor)
	case "llama3", "factors":
		plain := ropeSpec{theta: s.theta, turned: s.turned}.rope().InvFreq
		scaled := s.rope().InvFreq
		c.extra("rope_freqs.weight", stretched(plain, func(i int) float64 { return scaled[i] }))
	case "yarn":
		c.note("", "rope.scaling.type", "yarn")
		c.note("", "rope.scaling.factor", s.factor)
		c.note("", "rope.scaling.original_context_length", s.original)
		c.note("", "rope.scaling.yarn_beta_fast", s.fast)
		c.note("", "rope.scaling.yarn_beta_slow", s.slow)
		if more := s.attentionFactor() / yarnScale(s.factor, 1); math.Abs(more-1) > 1e-6 {
			c.note("", "rope.scaling.attn_factor", more)
		}
		if s.whole == d.uncut {
			c.noGGUF("YaRN's ramp is not cut at whole frequencies")
		}
	case "longrope":
		c.note("", "rope.scaling.type", "longrope")
		c.note("", "rope.scaling.original_context_length", s.original)
		c.note("", "rope.scaling.attn_factor", s.attentionFactor())
		c.extra("rope_factors_short.weight", s.short)
		c.extra("rope_factors_long.weight", s.long)
	}
}

// noteRopeHF writes both transformers 4's words and 5's; where the kinds of layers differ, 5's alone.
func (c *Config) noteRopeHF(s ropeSpec, size int, d ropeDefault) {
	if like, ok := s.likeLlama3(); ok {
		s = like
	}
	m := map[string]any{"rope_type": s.kind, "rope_theta": s.theta}
	if s.turned != size {
		part := float64(s.turned) / float64(size)
		if int(float64(size)*part) < s.turned { // it is read by cutting the product
			part = math.Nextafter(part, 1)
		}
		m["partial_rotary_factor"] = part
	}
	switch s.kind {
	case "linear", "dynamic":
		m["factor"] = s.factor
	case "llama3":
		m["factor"], m["low_freq_factor"], m["high_freq_factor"] = s.factor, s.low, s.high
	case "yarn":
		m["factor"], m["beta_fast"], m["beta_slow"], m["truncate"] = s.factor, s.fast, s.slow, s.whole
	case "factors": // the same frequencies for short and long contexts
		s.long = s.short
		m["rope_type"], m["factor"] = "longrope", 1.0
		s.original = max(s.original, 2)
	case "longrope":
		m["factor"] = max(s.factor, 1)
	}
	scaled := !slices.Contains([]string{"default", "linear", "dynamic"}, s.kind)
	if scaled {
		m["original_max_position_embeddings"] = s.original
	}
	if s.short != nil {
		m["short_factor"], m["long_factor"] = list(s.short), list(s.long)
	}
	if scaled && s.kind != "llama3" {
		m["attention_factor"] = s.attentionFactor()
	}
	c.note(d.thetaKey, "", s.theta)
	if d.layer == "" {
		if part := m["partial_rotary_factor"]; part != nil {
			c.note(d.partKey, "", part)
		}
		c.note("rope_parameters", "", m)
		if s.kind != "default" {
			c.note("rope_scaling", "", m)
		}
		return
	}
	all, ok := c.noted("rope_parameters").(map[string]any)
	if !ok {
		all = map[string]any{}
	}
	all[d.layer] = m
	c.note("rope_parameters", "", all)
}

// likeLlama3 finds Llama 3's own settings behind a table of factors, where they make it.
func (s ropeSpec) likeLlama3() (ropeSpec, bool) {
	if s.kind != "factors" {
		return s, false
	}
	like := ropeSpec{kind: "llama3", theta: s.theta, turned: s.turned, factor: slices.Max(s.short), low: 1, high: 4, original: 8192}
	want, got := s.rope().InvFreq, like.rope().InvFreq
	for i := range want {
		if math.Abs(got[i]-want[i]) > 1e-6*want[i] {
			return s, false
		}
	}
	return like, true
}

// list is a JSON list.
func list[T any](v []T) []any {
	out := make([]any, len(v))
	for i, x := range v {
		out[i] = x
	}
	return out
}
