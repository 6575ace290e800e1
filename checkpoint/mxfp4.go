package checkpoint

import (
	"fmt"
	"slices"
	"strings"

	"hone/quant"
)

func init() {
	quantMethods["mxfp4"] = func(map[string]any) (quantMethod, error) { return mxfp4{}, nil }
}

// mxfp4 is the layout of gpt-oss: a tensor X in X_blocks, U8 [..., rows, groups, 16], a pair of 4-bit floats a byte, and
// X_scales, U8 [..., rows, groups], the exponents. Both appear as the one tensor X [..., rows, 32·groups].
type mxfp4 struct{}

const microCodes, microScales = "_blocks", "_scales"

// isPart implements quantMethod.
func (mxfp4) isPart(t *tensors, name string) bool {
	layer, ok := strings.CutSuffix(name, microScales)
	return ok && t.slabs[layer+microCodes] != nil
}

// weight implements quantMethod.
func (mxfp4) weight(t *tensors, name string) (*codedWeight, error) {
	layer, ok := strings.CutSuffix(name, microCodes)
	if !ok {
		return nil, nil
	}
	codes, scales := t.slabs[name], t.slabs[layer+microScales]
	if scales == nil {
		return nil, fmt.Errorf("there is no %s for it", quoteName(layer+microScales))
	}
	n := len(codes.shape)
	if codes.format() != "u8" || scales.format() != "u8" || n < 3 || codes.shape[n-1] != 16 || !slices.Equal(codes.shape[:n-1], scales.shape) {
		return nil, fmt.Errorf("type %s and shape %v, with scales of type %s and shape %v; U8 [rows, groups, 16] and U8 [rows, groups] are wanted",
			codes.format(), codes.shape, scales.format(), scales.shape)
	}
	groups := codes.shape[n-2]
	if groups > maxInt/32 {
		return nil, fmt.Errorf("%d groups a row", groups)
	}
	shape := append(slices.Clone(codes.shape[:n-2]), 32*groups)
	m := &microWeight{shape, codes, scales}
	return &codedWeight{file: t, path: codes.shard.path, name: layer, micro: m, bytes: int64(codes.end-codes.begin) + int64(scales.end-scales.begin)}, nil
}

type microWeight struct {
	shape         []int
	codes, scales *slab
}

// matrix views the blocks where they lie.
func (m *microWeight) matrix() (quant.Matrix, error) {
	rows, cols := flat(m.shape)
	w, err := quant.NewPairedMXFP4(rows, cols, m.codes.data(), m.scales.data())
	if err != nil {
		return nil, err
	}
	return w, quant.Check(w)
}
