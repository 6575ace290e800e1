package quant

func init() {
	register(blockFormat{name: "q4_1", describe: "GGUF: 4 bits, groups of 32, f16 scale and minimum", bits: 4, min: true})
}

// A block is 20 bytes; nibbles as in q4_0; w = scale*code + min.
var _ [20]byte = [4 + 4*blockCols/8]byte{}
