package checkpoint

import (
	"fmt"
	"strings"
)

func init() {
	quantMethods["awq"] = func(config map[string]any) (quantMethod, error) { return readAWQ(config) }
}

// awq is an AWQ checkpoint's quantization_config (https://github.com/casper-hansen/AutoAWQ), in the GEMM layout.
type awq struct{ group int }

func readAWQ(c map[string]any) (*awq, error) {
	bitsKey, groupKey := "bits", "group_size" // config.json
	if c["w_bit"] != nil {                    // quant_config.json
		bitsKey, groupKey = "w_bit", "q_group_size"
	}
	bits, group, err := bitsAndGroup(c, bitsKey, groupKey)
	if err != nil {
		return nil, err
	}
	if bits != 4 {
		return nil, unserved("AWQ with %d bits is not served; 4 are", bits)
	}
	for _, key := range []string{"version", "format"} {
		if v, ok := c[key].(string); ok && !strings.EqualFold(v, "gemm") {
			return nil, unserved("the AWQ layout %.40q is not served; gemm is", v)
		}
	}
	if c["zero_point"] == false {
		return nil, unserved("AWQ without zero points is not served")
	}
	return &awq{group}, nil
}

// isPart implements quantMethod.
func (a *awq) isPart(t *tensors, name string) bool { return (*gptq)(nil).isPart(t, name) }

// weight implements quantMethod.
func (a *awq) weight(t *tensors, name string) (*codedWeight, error) {
	layer, ok := strings.CutSuffix(name, partQWeight)
	if !ok {
		return nil, nil
	}
	w := &columnWeight{codedWeight: &codedWeight{bits: 4}, codesAt: awqCode, zeroAt: awqZero}
	if err := w.findParts(t, layer); err != nil {
		return nil, err
	}
	if err := w.checkCodes(w.codes.shape[0], 4, 1); err != nil {
		return nil, err
	}
	if w.rows%8 != 0 {
		return nil, fmt.Errorf("%d rows are no multiple of the 8 that a word holds", w.rows)
	}
	return w.codedWeight, w.checkGroups(a.group, false)
}

// awqShift is where in a word the row r of eight lies: the even rows in the lower half, the odd ones in the upper.
func awqShift(r int) int { return 4 * (r%2*4 + r/2) }

// awqCode: a word of qweight holds the codes of eight rows at one column.
func awqCode(w *columnWeight, dst []uint8, from, to int) {
	data, stride := w.codes.data(), w.rows/8
	for j := range w.cols {
		for i := from; i < to; i++ {
			dst[(i-from)*w.cols+j] = uint8(le32(data[4*(j*stride+i/8):])>>awqShift(i%8)) & 15
		}
	}
}

// awqZero: likewise.
func awqZero(_ *columnWeight, words []byte, row int) uint8 {
	return uint8(le32(words[4*(row/8):])>>awqShift(row%8)) & 15
}
