package quant

import (
	"encoding/binary"
	"math"
)

// AppendRow appends the bytes of row i as files of m's format hold them; false when the format has no such bytes: Hone's
// own integer formats, and rows that a view puts together from several formats.
func AppendRow(dst []byte, m Matrix, i int) ([]byte, bool) {
	switch m := m.(type) {
	case *dense:
		for _, v := range m.row(i) {
			dst = binary.LittleEndian.AppendUint32(dst, math.Float32bits(v))
		}
		return dst, true
	case *half:
		return append(dst, m.row(i)...), true
	case *affineBlocks:
		return AppendRow(dst, &m.blocks, i)
	case *blocks:
		if m.apart != nil {
			return m.appendPaired(dst, i), true
		}
		return append(dst, m.data[i*m.stride:][:m.cols/m.weights*m.bytes]...), true
	case rowView:
		return AppendRow(dst, m.Matrix, m.index[i])
	case intRowView:
		return AppendRow(dst, m.Matrix, m.index[i])
	case intConcat:
		return AppendRow(dst, m.concat, i)
	case concat:
		part, r := m.find(i)
		if part.Format() != m.format {
			return dst, false
		}
		return AppendRow(dst, part, r)
	}
	return dst, false
}
