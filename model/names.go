package model

import (
	"fmt"
	"slices"
	"strings"

	"hone/checkpoint"
	"hone/nn"
	"hone/quant"
)

// checkNames finds every weight in the file. It refuses a file that lacks one or gives it another shape, before memory is
// taken for any of them, and one with a weight that the program would leave out: a further block, a bias, a table of
// scaled rotations.
func (m *Model) checkNames() error {
	var missing []string
	var parts []Part
	m.places = map[string]Place{}
	for _, p := range m.Design.Program.Params() {
		place, ok := m.place(p)
		if !ok {
			missing = append(missing, p.Name)
		}
		m.places[p.Name] = place
		parts = append(parts, Part{p, place})
	}
	if len(missing) > 0 {
		return fmt.Errorf("the file lacks %d of the model's weights, the first is %s%s", len(missing), missing[0], m.wrapped(missing[0]))
	}
	used := map[string]bool{}
	for _, name := range m.config.used {
		used[name] = true
	}
	for _, s := range gather(parts) {
		used[s.Name] = true
		info, _ := m.File.Info(s.Name)
		if err := s.check(info.Shape); err != nil {
			return err
		}
	}
	for _, name := range m.File.Names() {
		switch {
		case used[name] || m.Design.unused(name):
		case m.idle(name, used):
			m.zeros = append(m.zeros, name)
		default:
			return unserved("the file has a tensor %.80q that a %s model as its config tells does not use: %s", name, m.Arch, stranger(name))
		}
	}
	return nil
}

// wrapped tells where a missing weight stands in the file under a longer name, as trainers leave it.
func (m *Model) wrapped(missing string) string {
	if m.config.holds("blk.0.ffn_gate.0.weight") {
		return ": each expert has tensors of its own, as in files before April 2024; take a newer file of the model"
	}
	for _, name := range m.File.Names() {
		if plain := strings.NewReplacer("_orig_mod.", "", "_fsdp_wrapped_module.", "").Replace(name); strings.TrimPrefix(plain, "module.") == missing && name != missing {
			return fmt.Sprintf(", which stands there as %.80q: save the model without the wrapper that it was trained in", name)
		}
	}
	return ""
}

// idle tells a bias of a weight in use that the model has no place for and that adds nothing: some quantizers write one of
// zeros for each layer.
func (m *Model) idle(name string, used map[string]bool) bool {
	layer, bias := strings.CutSuffix(name, ".bias")
	if info, _ := m.File.Info(name); !bias || !used[layer+".weight"] || len(info.Shape) != 1 {
		return false
	}
	v, err := m.File.Vector(name)
	return err == nil && !slices.ContainsFunc(v, func(x float32) bool { return x != 0 })
}

// Unused tells whether a tensor of the file changes nothing in the model.
func (m *Model) Unused(name string) bool { return m.Design.unused(name) }

// check compares the shape of a file's tensor with what the weights in it make up; leading ones do not count.
func (s Stored) check(shape []int) error {
	if !slices.Equal(withoutOnes(shape), withoutOnes(s.Shape)) {
		return fmt.Errorf("%s has shape %v, the config says %v", s.Name, shape, s.Shape)
	}
	for _, p := range s.Parts {
		n := height(p.Param)
		if p.Place.To > s.each() || p.Place.Order == nil && p.Place.To-p.Place.From != n-p.Place.Without {
			return fmt.Errorf("%s has %d rows in %s, where its place is from row %d to %d: this architecture has one size for all blocks", p.Param.Name, n, s.Name, p.Place.From, p.Place.To)
		}
	}
	return nil
}

// withoutOnes is a shape without its leading ones.
func withoutOnes(shape []int) []int {
	for len(shape) > 1 && shape[0] == 1 {
		shape = shape[1:]
	}
	return shape
}

// unused tells whether a tensor changes nothing here.
func (d *Design) unused(name string) bool {
	return slices.ContainsFunc(d.Unused, func(part string) bool { return strings.Contains(name, part) })
}

// stranger says what an unused tensor is, as far as its name tells.
func stranger(name string) string {
	if strings.HasPrefix(name, "v.") || strings.HasPrefix(name, "mm.") { // in GGUF files that hold both
		return "it is part of a vision tower, which Hone does not run; a GGUF file of the text model alone runs"
	}
	for _, kind := range []struct{ part, says string }{
		{"lora_", "it is part of a LoRA adapter, which has to be merged into the model first"},
		{"vision", "it is part of a vision tower, which Hone does not run"},
		{"multi_modal", "it joins a vision tower to the model, which Hone does not run"},
	} {
		if strings.Contains(strings.ToLower(name), kind.part) {
			return kind.says
		}
	}
	return "without it the model would be another one"
}

// place finds a weight in the file: where the layout of its kind says or else, in a Hugging Face file, under its canonical
// name.
func (m *Model) place(p nn.Param) (Place, bool) {
	if m.config.raw.GGUF != nil {
		place, ok := m.Design.GGUF.place(p)
		return place, ok && m.config.holds(place.Tensor)
	}
	for _, prefix := range append([]string{""}, m.Design.Prefixes...) {
		for _, base := range []string{"", m.Design.Base} {
			try := func(place Place, ok bool) (Place, bool) {
				place.Tensor = prefix + strings.TrimPrefix(place.Tensor, base)
				info, holds := m.File.Info(place.Tensor)
				place.Transposed = place.Transposed && plain(info.Format) // groups run along rows of [out, in]
				return place, ok && holds
			}
			if place, ok := try(m.Design.HF.place(p)); ok {
				return place, true
			}
			if place, ok := try(canonical(p), true); ok {
				return place, true
			}
		}
	}
	return Place{}, false
}

// Matrix gives a weight by canonical name, rows in canonical order.
func (m *Model) Matrix(name string) (quant.Matrix, error) {
	place, ok := m.places[name]
	if !ok {
		return nil, fmt.Errorf("%s: no weight %s", m.Path, name)
	}
	stored, err := m.stored(place)
	if err != nil {
		return nil, err
	}
	w, err := place.matrix(stored)
	if err != nil {
		return nil, fmt.Errorf("%s: tensor %s: %w", m.Path, place.Tensor, err)
	}
	return w, nil
}

// stored is the tensor of a place. That of a bank is kept: it is checked once, not for each expert; it is a view of the file.
func (m *Model) stored(p Place) (quant.Matrix, error) {
	if p.Of == 0 {
		return m.File.Matrix(p.Tensor)
	}
	m.banks.Lock()
	defer m.banks.Unlock()
	if w := m.banks.views[p.Tensor]; w != nil {
		return w, nil
	}
	w, err := m.File.Matrix(p.Tensor)
	if err != nil {
		return nil, err
	}
	if m.banks.views == nil {
		m.banks.views = map[string]quant.Matrix{}
	}
	m.banks.views[p.Tensor] = w
	return w, nil
}

// Stored describes the file's tensor that a weight is in.
func (m *Model) Stored(name string) checkpoint.Info {
	info, _ := m.File.Info(m.places[name].Tensor)
	return info
}

// Vector gives a norm gain or a bias by canonical name.
func (m *Model) Vector(name string) ([]float32, error) {
	place, ok := m.places[name]
	if !ok {
		return nil, fmt.Errorf("%s: no weight %s", m.Path, name)
	}
	v, err := m.File.Vector(place.Tensor)
	if err != nil {
		return nil, err
	}
	return place.vector(v), nil
}

// HFTensors lists the tensors of a Hugging Face directory of the model, in order of first use.
func (d *Design) HFTensors() []Stored {
	var parts []Part
	for _, p := range d.Program.Params() {
		place, ok := d.HF.place(p)
		if !ok {
			place = canonical(p)
		}
		parts = append(parts, Part{p, place})
	}
	return gather(parts)
}

// GGUFTensors lists the tensors of a GGUF file of the model; an error tells what GGUF has no word for.
func (d *Design) GGUFTensors() ([]Stored, error) {
	if d.config.unwritable != "" {
		return nil, fmt.Errorf("a GGUF file cannot hold this model: %s", d.config.unwritable)
	}
	if d.GGUF == nil {
		return nil, fmt.Errorf("a GGUF file cannot hold this model: the format has no %s architecture", d.arch.Name)
	}
	var parts []Part
	for _, p := range d.Program.Params() {
		place, ok := d.GGUF.place(p)
		if !ok {
			return nil, fmt.Errorf("a GGUF file cannot hold this model: there is no name in it for %s of a %s model", p.Name, d.arch.Name)
		}
		parts = append(parts, Part{p, place})
	}
	stored := gather(parts)
	if head := d.Program.Head; d.RepeatHead != "" && d.Tied && head != nil {
		p := head.Params()[0]
		place := canonical(p)
		place.Tensor = d.RepeatHead
		stored = append(stored, gather([]Part{{p, place}})...)
	}
	return slices.Concat(d.config.extras, stored), nil
}
