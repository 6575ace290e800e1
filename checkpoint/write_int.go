package checkpoint

import (
	"encoding/binary"
	"io"
	"math"
	"slices"
	"strings"

	"hone/kernel"
	"hone/quant"
)

// intPlan is one integer matrix on its way into the compressed-tensors layout.
type intPlan struct {
	m          quant.IntRows
	rows, cols int
	bits       int
	groups     int // scales a row
	packed     bool
	symmetric  bool
	scaleType  string
}

// planInts lays out an integer matrix and notes its scheme.
func planInts(name string, m quant.IntRows, groups *groupTable) ([]Tensor, error) {
	layer, ok := strings.CutSuffix(name, partWeight)
	if !ok {
		return nil, errNoWeight
	}
	p := &intPlan{m: m, bits: m.Bits(), symmetric: m.Symmetric()}
	p.rows, p.cols = m.Dims()
	p.groups = p.cols / m.Group()
	s := schemeKey{bits: p.bits, group: m.Group(), symmetric: p.symmetric, tokens: m.Format() == "w8a8", rounded: roundsInputs(m.Format())}
	if s.tokens || strings.Contains(m.Format(), "-row") {
		s.group = 0
	}
	p.packed = !s.tokens
	if err := p.inspect(); err != nil {
		return nil, err
	}
	groups.add(s, layer)
	return p.tensors(layer), nil
}

func (p *intPlan) tensors(layer string) []Tensor {
	scale := Tensor{layer + partScale, p.scaleType, []int{p.rows, p.groups}, p.writeScales}
	if !p.packed {
		return []Tensor{{layer + partWeight, "I8", []int{p.rows, p.cols}, p.writeCodes}, scale}
	}
	words, _ := packedWords(p.cols, p.bits)
	out := []Tensor{{layer + partPacked, "I32", []int{p.rows, words}, p.writeCodes}, scale}
	if !p.symmetric {
		words, _ := packedWords(p.rows, p.bits)
		out = append(out, Tensor{layer + partZero, "I32", []int{words, p.groups}, p.writeZeros})
	}
	return append(out, Tensor{layer + partShape, "I64", []int{2}, p.writeShape})
}

// eachRow calls visit with the codes, scales and zero points of every row; the slices are used again.
func (p *intPlan) eachRow(visit func(codes []uint8, scale []float32, zero []uint8, i int) error) error {
	codes := make([]uint8, p.cols)
	scale, low := make([]float32, p.groups), make([]float32, p.groups)
	zero := make([]uint8, p.groups)
	for i := range p.rows {
		p.m.ReadCodes(codes, scale, low, i)
		for g := range zero {
			z, ok := zeroPoint(scale[g], low[g], p.bits)
			if !ok {
				return errZeroPoint
			}
			zero[g] = z
		}
		if err := visit(codes, scale, zero, i); err != nil {
			return err
		}
	}
	return nil
}

// zeroPoint is the code that stands for 0, when there is one.
func zeroPoint(scale, low float32, bits int) (uint8, bool) {
	if scale == 0 {
		return 1 << (bits - 1), low == 0
	}
	z := math.RoundToEven(float64(-low) / float64(scale))
	if !(z >= 0 && z < float64(int(1)<<bits)) || -scale*float32(z) != low {
		return 0, false
	}
	return uint8(z), true
}

// inspect checks the zero points and finds the type that holds all scales exactly: F16 where it can, else F32.
func (p *intPlan) inspect() error {
	p.scaleType = "F16"
	half, back := make([]uint16, p.groups), make([]float32, p.groups)
	return p.eachRow(func(_ []uint8, scale []float32, zero []uint8, _ int) error {
		for _, z := range zero {
			if p.symmetric && z != 1<<(p.bits-1) {
				return errZeroPoint
			}
		}
		if p.scaleType == "F32" {
			return nil
		}
		kernel.F32ToF16(half, scale)
		kernel.F16ToF32(back, half)
		if !slices.Equal(back, scale) {
			p.scaleType = "F32"
		}
		return nil
	})
}

func (p *intPlan) writeScales(out io.Writer) error {
	return p.eachRow(func(_ []uint8, scale []float32, _ []uint8, _ int) error {
		return writeFloats(out, p.scaleType, scale)
	})
}

// writeCodes writes packed codes in whole int32 words a row, or int8 codes less 128.
func (p *intPlan) writeCodes(out io.Writer) error {
	words, _ := packedWords(p.cols, p.bits)
	buf := make([]byte, 4*words)
	return p.eachRow(func(codes []uint8, _ []float32, _ []uint8, _ int) error {
		if !p.packed {
			for j, c := range codes {
				codes[j] = c ^ 0x80
			}
			_, err := out.Write(codes)
			return err
		}
		clear(buf)
		for j, c := range codes {
			bit := j * p.bits
			buf[bit/8] |= c << (bit % 8)
		}
		_, err := out.Write(buf)
		return err
	})
}

// writeZeros packs the zero points down the rows: word i of a column holds 32/bits rows' zero points.
func (p *intPlan) writeZeros(out io.Writer) error {
	words, _ := packedWords(p.rows, p.bits)
	buf := make([]byte, 4*words*p.groups)
	err := p.eachRow(func(_ []uint8, _ []float32, zero []uint8, i int) error {
		bit := i * p.bits
		for g, z := range zero {
			buf[(bit/32*p.groups+g)*4+bit%32/8] |= z << (bit % 8)
		}
		return nil
	})
	if err != nil {
		return err
	}
	_, err = out.Write(buf)
	return err
}

func (p *intPlan) writeShape(out io.Writer) error {
	buf := binary.LittleEndian.AppendUint64(nil, uint64(p.rows))
	_, err := out.Write(binary.LittleEndian.AppendUint64(buf, uint64(p.cols)))
	return err
}
