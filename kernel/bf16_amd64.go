//go:build !noasm

package kernel

// fastBF16: AMD's cores run VDPBF16PS at the rate of an FMA, with twice the products.
var fastBF16 = cpuidVendor() == 'A'|'u'<<8|'t'<<16|'h'<<24
