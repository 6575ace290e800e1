package quant

func init() {
	register(blockFormat{name: "q8_0", describe: "GGUF: 8 bits, groups of 32, f16 scale", bits: 8, signed: true})
}

// A block is 34 bytes; w = scale*code, codes two's complement.
var _ [34]byte = [2 + 8*blockCols/8]byte{}
