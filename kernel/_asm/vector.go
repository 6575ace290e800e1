package main

import (
	"fmt"
	"math"

	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// vectors is a function over float32 streams that is being written for one width.
type vectors struct {
	*asm
	isa
	n, i reg.GPVirtual   // elements left, elements done
	ptr  []reg.GPVirtual // of the streams, in the order of their names
	mask reg.Register    // of the last, incomplete vector: a mask register, or a vector of ones and zeros
}

// newVectors starts a function whose signature has the named float32 pointers and the length n.
func newVectors(c *asm, s isa, name, signature, doc string, streams ...string) *vectors {
	c.function(name+s.suffix, signature, name+s.suffix+" "+doc)
	v := &vectors{asm: c, isa: s, n: c.load("n"), i: c.GP64()}
	for _, p := range streams {
		v.ptr = append(v.ptr, c.load(p))
	}
	c.XORQ(v.i, v.i)
	return v
}

// vec returns a new vector register.
func (v *vectors) vec() reg.VecVirtual {
	if v.wide() {
		return v.ZMM()
	}
	return v.YMM()
}

// constant is x in all lanes: a register for AVX-512, memory for AVX2, which has few registers.
func (v *vectors) constant(x float32) operand.Op {
	if v.wide() {
		return v.inRegister(x)
	}
	return v.inMemory(math.Float32bits(x))
}

// inRegister is x in all lanes of a new register.
func (v *vectors) inRegister(x float32) reg.VecVirtual {
	r := v.vec()
	v.VBROADCASTSS(v.inMemory(math.Float32bits(x)), r)
	return r
}

// inMemory is eight times the same 32 bits.
func (c *asm) inMemory(bits uint32) operand.Mem {
	if m, ok := c.consts[bits]; ok {
		return m
	}
	m := c.StaticGlobal(fmt.Sprintf("%s_%08x", c.name, bits))
	c.DataAttributes(attr.RODATA | attr.NOPTR)
	for i := range 8 {
		c.AddDatum(4*i, operand.U32(bits))
	}
	c.consts[bits] = m
	return m
}

// scalar is a float32 argument in all lanes.
func (v *vectors) scalar(name string) reg.VecVirtual {
	r := v.vec()
	v.VBROADCASTSS(v.arg(name), r)
	return r
}

// mem is the u-th vector ahead in a stream.
func (v *vectors) mem(stream, u int) operand.Mem {
	return idx(v.ptr[stream], v.i, 4, u*v.bytes)
}

// loop writes body for unroll vectors at a time, then for one, then for an incomplete one; body gets the number of the
// vector ahead and whether it is incomplete.
func (v *vectors) loop(unroll int, body func(u int, partial bool)) {
	if unroll > 1 {
		v.while(unroll*v.lanes(), func() {
			for u := range unroll {
				body(u, false)
			}
		})
	}
	v.while(v.lanes(), func() { body(0, false) })
	v.tail(func() { body(0, true) })
}

// while repeats body as long as so many elements are left.
func (v *vectors) while(elements int, body func()) {
	loop, done := v.label("loop"), v.label("rest")
	v.place(loop)
	v.CMPQ(v.n, operand.I32(int32(elements)))
	v.JL(done)
	body()
	v.ADDQ(operand.I32(int32(elements)), v.i)
	v.SUBQ(operand.I32(int32(elements)), v.n)
	v.JMP(loop)
	v.place(done)
}

// tail writes body for the elements left, fewer than a vector, if there are any.
func (v *vectors) tail(body func()) {
	done := v.label("done")
	v.TESTQ(v.n, v.n)
	v.JZ(done)
	if v.wide() {
		bits := v.GP64()
		v.MOVQ(operand.I32(-1), bits)
		v.BZHIQ(v.n, bits, bits)
		k := v.K()
		v.KMOVW(bits.As32(), k)
		v.mask = k
	} else {
		table, m := v.GP64(), v.YMM()
		v.LEAQ(v.maskTable(), table)
		at := v.GP64()
		v.MOVQ(v.n, at)
		v.NEGQ(at)
		v.VMOVUPS(idx(table, at, 4, 32), m)
		v.mask = m
	}
	body()
	v.place(done)
}

// maskTable is eight times all ones, then eight times zero.
func (c *asm) maskTable() operand.Mem {
	if c.masks == nil {
		m := c.StaticGlobal(c.name + "_masks")
		c.DataAttributes(attr.RODATA | attr.NOPTR)
		for i := range 16 {
			bits := uint32(0xffffffff)
			if i >= 8 {
				bits = 0
			}
			c.AddDatum(4*i, operand.U32(bits))
		}
		c.masks = &m
	}
	return *c.masks
}

// get loads a vector of a stream; lanes beyond the end are 0.
func (v *vectors) get(stream, u int, partial bool) reg.VecVirtual {
	r := v.vec()
	switch m := v.mem(stream, u); {
	case !partial:
		v.VMOVUPS(m, r)
	case v.wide():
		v.VMOVUPS_Z(m, v.mask, r)
	default:
		v.VMASKMOVPS(m, v.mask, r)
	}
	return r
}

// put stores a vector to a stream.
func (v *vectors) put(r reg.Register, stream, u int, partial bool) {
	switch m := v.mem(stream, u); {
	case !partial:
		v.VMOVUPS(r, m)
	case v.wide():
		v.VMOVUPS(r, v.mask, m)
	default:
		v.VMASKMOVPS(r, v.mask, m)
	}
}

// clip sets the lanes of r beyond the end to 0.
func (v *vectors) clip(r reg.Register, partial bool) {
	switch {
	case !partial:
	case v.wide():
		v.VMOVAPS_Z(r, v.mask, r)
	default:
		v.VANDPS(v.mask, r, r)
	}
}

// zeros returns n registers of zeros.
func (v *vectors) zeros(n int) []reg.VecVirtual {
	var out []reg.VecVirtual
	for range n {
		r := v.vec()
		v.zero(r)
		out = append(out, r)
	}
	return out
}

// fold combines four registers to one and its lanes to the float32 result, always in the same order.
func (v *vectors) fold(acc []reg.VecVirtual, op func(ops ...operand.Op)) {
	op(acc[1], acc[0], acc[0])
	op(acc[3], acc[2], acc[2])
	op(acc[2], acc[0], acc[0])
	r, t := acc[0], v.vec()
	if v.wide() {
		v.VEXTRACTF64X4(operand.Imm(1), r, t.AsY())
		op(t.AsY(), r.AsY(), r.AsY())
		v.VEXTRACTF32X4(operand.Imm(1), r.AsY(), t.AsX())
	} else {
		v.VEXTRACTF128(operand.Imm(1), r, t.AsX())
	}
	op(t.AsX(), r.AsX(), r.AsX())
	for _, order := range []uint64{0x4e, 0xb1} {
		v.VPSHUFD(operand.Imm(order), r.AsX(), t.AsX())
		op(t.AsX(), r.AsX(), r.AsX())
	}
	result, err := v.ReturnIndex(0).Resolve()
	if err != nil {
		panic(err)
	}
	v.VMOVSS(r.AsX(), result.Addr)
}
