package kernel

import "unsafe"

// IntLeft writes what the codes of a group leave over: dst[i] = x[i] - scale*code[i], the product rounded first. record is
// what IntQuantize wrote of x, which may be shorter than the group.
func IntLeft(dst, x []float32, record []byte, group int) {
	codes := unsafe.Slice((*int8)(unsafe.Pointer(unsafe.SliceData(record[:group]))), group)
	Int8ToF32(dst, codes, -float32At(record[group:], metaScale/4))
	Add(dst, dst, x)
}
