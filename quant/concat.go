package quant

import "fmt"

// Concat is a view of the rows of all ms, one matrix after the other; they have equal widths. It has the format of its
// parts where they have one in common and is "f32" otherwise.
func Concat(ms ...Matrix) Matrix {
	if len(ms) == 1 {
		return ms[0]
	}
	c := concat{format: ms[0].Format()}
	rows := 0
	for _, m := range ms {
		n, cols := m.Dims()
		if _, want := ms[0].Dims(); cols != want {
			panic(fmt.Sprintf("quant: Concat of matrices with %d and %d columns", want, cols))
		}
		if m.Format() != c.format {
			c.format = "f32"
		}
		c.parts, c.ends = append(c.parts, m), append(c.ends, rows+n)
		rows += n
	}
	for _, m := range ms {
		r, ok := m.(IntRows)
		if !ok || m.Format() != c.format {
			return c
		}
		first := ms[0].(IntRows)
		if r.Bits() != first.Bits() || r.Group() != first.Group() || r.Symmetric() != first.Symmetric() {
			return c
		}
	}
	return intConcat{c}
}

type concat struct {
	format string
	parts  []Matrix
	ends   []int // row after each part
}

func (c concat) Format() string { return c.format }
func (c concat) Dims() (int, int) {
	_, cols := c.parts[0].Dims()
	return c.ends[len(c.ends)-1], cols
}

func (c concat) Bytes() int64 {
	var n int64
	for _, m := range c.parts {
		n += m.Bytes()
	}
	return n
}

// find gives the part that holds row i, and the row there.
func (c concat) find(i int) (Matrix, int) {
	start := 0
	for k, end := range c.ends {
		if i < end {
			return c.parts[k], i - start
		}
		start = end
	}
	panic(fmt.Sprintf("quant: row %d of a matrix with %d rows", i, start))
}

func (c concat) ReadRow(dst []float32, i int) {
	m, r := c.find(i)
	m.ReadRow(dst, r)
}

func (c concat) RowSlice(from, to int) Matrix {
	rows, _ := c.Dims()
	checkRows(c.format, from, to, rows)
	var parts []Matrix
	start := 0
	for k, end := range c.ends {
		lo, hi := max(from, start), min(to, end)
		if lo < hi {
			parts = append(parts, c.parts[k].RowSlice(lo-start, hi-start))
		}
		start = end
	}
	if parts == nil {
		return c.parts[0].RowSlice(0, 0)
	}
	return Concat(parts...)
}

func (c concat) ColSlice(from, to int) (Matrix, error) {
	var parts []Matrix
	for _, m := range c.parts {
		part, err := m.ColSlice(from, to)
		if err != nil {
			return nil, err
		}
		parts = append(parts, part)
	}
	return Concat(parts...), nil
}

func (c concat) check() error {
	for _, m := range c.parts {
		if err := Check(m); err != nil {
			return err
		}
	}
	return nil
}

// intConcat keeps the codes of integer formats reachable.
type intConcat struct{ concat }

func (c intConcat) Bits() int       { return c.parts[0].(IntRows).Bits() }
func (c intConcat) Group() int      { return c.parts[0].(IntRows).Group() }
func (c intConcat) Symmetric() bool { return c.parts[0].(IntRows).Symmetric() }
func (c intConcat) ReadCodes(codes []uint8, scale, min []float32, row int) {
	m, r := c.find(row)
	m.(IntRows).ReadCodes(codes, scale, min, r)
}

// panel and panelRow offer the rows to the packer where all parts are packed alike.
func (c concat) panel() (k panelKind, ok bool) {
	for i, m := range c.parts {
		src, is := m.(panelSource)
		if !is {
			return k, false
		}
		other, ok := src.panel()
		if i == 0 {
			k = other
		}
		if !ok || other != k {
			return k, false
		}
	}
	return k, true
}

func (c concat) panelRow(dst *panelRow, i int) {
	m, r := c.find(i)
	m.(panelSource).panelRow(dst, r)
}
