package checkpoint

import "fmt"

// ggmlType is one of GGUF's tensor types: `block` values of a row are stored in `bytes` bytes.
type ggmlType struct {
	name         string
	block, bytes int
}

// ggmlTypes are the types by their number in the file, with the block sizes of ggml. All of them are known, so that
// every file can be listed; which of them can be served is the number formats' affair.
var ggmlTypes = map[uint32]ggmlType{
	0: {"f32", 1, 4}, 1: {"f16", 1, 2}, 30: {"bf16", 1, 2}, 28: {"f64", 1, 8},
	24: {"i8", 1, 1}, 25: {"i16", 1, 2}, 26: {"i32", 1, 4}, 27: {"i64", 1, 8},
	2: {"q4_0", 32, 18}, 3: {"q4_1", 32, 20}, 6: {"q5_0", 32, 22}, 7: {"q5_1", 32, 24},
	8: {"q8_0", 32, 34}, 9: {"q8_1", 32, 40},
	10: {"q2_k", 256, 84}, 11: {"q3_k", 256, 110}, 12: {"q4_k", 256, 144}, 13: {"q5_k", 256, 176},
	14: {"q6_k", 256, 210}, 15: {"q8_k", 256, 292},
	16: {"iq2_xxs", 256, 66}, 17: {"iq2_xs", 256, 74}, 18: {"iq3_xxs", 256, 98}, 19: {"iq1_s", 256, 50},
	20: {"iq4_nl", 32, 18}, 21: {"iq3_s", 256, 110}, 22: {"iq2_s", 256, 82}, 23: {"iq4_xs", 256, 136},
	29: {"iq1_m", 256, 56}, 34: {"tq1_0", 256, 54}, 35: {"tq2_0", 256, 66},
	39: {"mxfp4", 32, 17}, 40: {"nvfp4", 64, 36}, 41: {"q1_0", 128, 18},
}

// goneTypes had a number once and were taken out of the format.
var goneTypes = map[uint32]string{
	4: "Q4_2", 5: "Q4_3", 31: "Q4_0_4_4", 32: "Q4_0_4_8", 33: "Q4_0_8_8", 36: "IQ4_NL_4_4", 37: "IQ4_NL_4_8", 38: "IQ4_NL_8_8",
}

func ggmlTypeOf(id uint32) (ggmlType, error) {
	if t, ok := ggmlTypes[id]; ok {
		return t, nil
	}
	if name, ok := goneTypes[id]; ok {
		return ggmlType{}, fmt.Errorf("type %s (%d) was removed from GGUF; convert the model again", name, id)
	}
	return ggmlType{}, fmt.Errorf("type %d is unknown", id)
}

// size returns the bytes of a tensor whose rows have cols values.
func (t ggmlType) size(shape []int) (int, error) {
	cols := 1
	if len(shape) > 0 {
		cols = shape[len(shape)-1]
	}
	if cols%t.block != 0 {
		return 0, fmt.Errorf("rows of %d values are no multiple of %s's block of %d", cols, t.name, t.block)
	}
	n, ok := byteLen(shape, 8)
	if !ok {
		return 0, fmt.Errorf("shape %v overflows", shape)
	}
	blocks := n / t.block
	if blocks > maxInt/t.bytes {
		return 0, fmt.Errorf("shape %v of %s overflows", shape, t.name)
	}
	return blocks * t.bytes, nil
}
