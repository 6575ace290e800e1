package quant

// Recast gives m the name f where f holds the same codes under the same scales and differs in the activations that
// products take: nothing is rounded, the memory is shared. ok is false where the weights have to be encoded anew.
func Recast(m Matrix, f Format) (same Matrix, ok bool) {
	inner, order := splitOrder(m)
	ints, isInt := inner.(*intMatrix)
	want, wantsInt := f.(intFormat)
	if !isInt || !wantsInt || ints.format.weightsAlone() != want.weightsAlone() {
		return nil, false
	}
	out := *ints
	out.format = want
	if order != nil {
		return ordered{&out, order}, true
	}
	return &out, true
}

// weightsAlone is the format without what it says of activations.
func (f intFormat) weightsAlone() intFormat {
	f.token, f.rounded = false, false
	return f
}
