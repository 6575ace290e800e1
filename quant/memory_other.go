//go:build !linux

package quant

func adviseHuge([]byte) {}
