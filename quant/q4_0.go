package quant

func init() {
	register(blockFormat{name: "q4_0", describe: "GGUF: 4 bits, groups of 32, f16 scale", bits: 4})
}

// A block is 18 bytes; byte i of the codes holds weight i low and weight i+16 high; w = scale*(code-8).
var _ [18]byte = [2 + 4*blockCols/8]byte{}
