package kernel

import "unsafe"

// IntLeft writes what the codes of a row leave over: dst[i] = x[i] - scale*code[i], the product rounded first, scale that
// of i's group. row is what IntQuantize wrote of x.
func IntLeft(dst, x []float32, row []byte, group int) {
	for at := 0; at < len(dst); at += group {
		codes := unsafe.Slice((*int8)(unsafe.Pointer(unsafe.SliceData(row[:group]))), group)
		Int8ToF32(dst[at:min(at+group, len(dst))], codes, -float32At(row[group:], metaScale/4))
		row = row[group+IntMeta:]
	}
	Add(dst, dst, x)
}
