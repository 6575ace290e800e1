package quant

import "syscall"

// adviseHuge asks for huge pages; the answer is a matter of speed alone.
func adviseHuge(b []byte) {
	const hugepage = 14 // MADV_HUGEPAGE
	_ = syscall.Madvise(b, hugepage)
}
