package quant

// w8a8 stores int8-row weights; its products take activations in int8 with one scale a token, so that a whole output is one
// int32 sum.
func init() { register(intFormat{bits: 8, token: true}) }
