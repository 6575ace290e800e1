//go:build !noasm

package kernel

import "golang.org/x/sys/cpu"

// What the CPU and its operating system offer. Every CPU with AVX2 has F16C.
var (
	hasAVX2   = cpu.X86.HasAVX2 && cpu.X86.HasFMA
	hasAVX512 = hasAVX2 && cpu.X86.HasAVX512F && cpu.X86.HasAVX512BW && cpu.X86.HasAVX512DQ && cpu.X86.HasAVX512VL
)

// Switches that the operations look at; set by setLevel alone.
var (
	useAVX2   bool // AVX2, FMA, F16C; also set together with useAVX512
	useAVX512 bool // AVX-512 F, BW, DQ, VL
	useVNNI   bool // useAVX512 and the int8 dot product VPDPBUSD on 512 bits
	useBF16   bool // useAVX512 and the bfloat16 dot product VDPBF16PS
)

func bestLevel() int {
	switch {
	case hasAVX512:
		return levelAVX512
	case hasAVX2:
		return levelAVX2
	}
	return levelGo
}

func setLevel(level int) {
	useAVX2 = level >= levelAVX2
	useAVX512 = level >= levelAVX512
	useVNNI = useAVX512 && cpu.X86.HasAVX512VNNI
	useBF16 = useAVX512 && cpu.X86.HasAVX512BF16
}
