package main

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// intKind is a variant of the integer product: what a record holds beside its codes, and what ends a sum.
type intKind struct {
	name   string
	bits   int  // 5 and 6: nibbles, and planes of high bits before them
	scale  bool // 32 f16 scales a record; otherwise f32 scales a row, which `last` points at
	min    bool // minima after the scales: f16 (4 bits) or f32 (8 bits)
	factor bool // scales and minima are integers, times f16 of 256 columns
	half   bool // with factors for each 16 columns
	grid   bool // 4 bits: the codes are indexes of the 16 bytes that zeros points at
	points bool // 4 bits: zero points as bytes; 8 bits: negated f32 zero points after the row scales
	token  bool // one activation scale a token: plain int32 starts, no magic
}

var intKinds = []intKind{
	{name: "int8Group", bits: 8, scale: true},
	{name: "int8GroupMin", bits: 8, scale: true, min: true},
	{name: "int8Row", bits: 8},
	{name: "int8RowZero", bits: 8, points: true},
	{name: "int8Token", bits: 8, token: true},
	{name: "int4Group", bits: 4, scale: true},
	{name: "int4GroupMin", bits: 4, scale: true, min: true},
	{name: "int4GroupZero", bits: 4, scale: true, points: true},
	{name: "int4Row", bits: 4},
	{name: "int4RowZero", bits: 4, points: true},
	{name: "int5Group", bits: 5, scale: true},
	{name: "int5GroupMin", bits: 5, scale: true, min: true},
	{name: "int8Factor", bits: 8, scale: true, factor: true},
	{name: "int8FactorMin", bits: 8, scale: true, factor: true, min: true},
	{name: "int8Half", bits: 8, scale: true, factor: true, half: true},
	{name: "int8HalfMin", bits: 8, scale: true, factor: true, half: true, min: true},
	{name: "int4Grid", bits: 4, scale: true, grid: true},
	{name: "int4FactorGrid", bits: 4, scale: true, factor: true, grid: true},
	{name: "int4FactorMin", bits: 4, scale: true, factor: true, min: true},
	{name: "int4Half", bits: 4, scale: true, factor: true, half: true},
	{name: "int4HalfMin", bits: 4, scale: true, factor: true, half: true, min: true},
	{name: "int5FactorMin", bits: 5, scale: true, factor: true, min: true},
	{name: "int6Half", bits: 6, scale: true, factor: true, half: true},
}

const (
	intRows      = 32
	metaScale    = 16 // offsets in the words after a group's codes
	metaScaleSum = 20
	metaSum      = 24
	metaHalves   = 28
	metaStart0   = 12
	intMagicF    = 0x4B400000
)

// intFile writes the AVX-512 VNNI products of integer-coded tiles: 32 rows by up to 12 tokens (8 bits) or 8 (4 bits) at a
// time.
func intFile(c *asm) {
	for _, k := range intKinds {
		intFunc(c, k)
	}
	for _, s := range isas {
		for _, k := range intKinds {
			if k.bits < 8 {
				intUnpackFunc(c, s, k)
			}
		}
	}
}

// intGen is the state while one function is written.
type intGen struct {
	*asm
	intKind
	isa
	xs                          reg.GPVirtual
	w, groups, count, so, zeros reg.GPVirtual
	bases                       []reg.GPVirtual // every third token's activations
	sums                        reg.GPVirtual   // of tokens, 128 bytes each
	block                       reg.GPVirtual   // the scales of 256 columns
	starts                      []reg.GPVirtual // the same, at the accumulator starts
}

// Fixed registers: sums end at the last; the first eight are temporaries.
const (
	intMagicReg = 6
	intMaskReg  = 7
)

// sizes are the numbers of tokens that one pass over a tile serves, largest first.
func (k intKind) sizes() []int {
	if k.bits < 8 {
		return []int{8, 4, 2, 1}
	}
	if k.factor { // a group is a single part: sums in memory do not pay
		return []int{6, 4, 2, 1}
	}
	return []int{12, 6, 4, 2, 1}
}

// spilled tells whether n tokens' f32 sums live in memory: the int32 sums of many independent tokens are worth more in
// registers, since a dot product takes five cycles and two begin in each.
func (k intKind) spilled(n int) bool { return n >= 8 && !k.token }

// scaleBytes is the size of a record's scales and minima.
func (k intKind) scaleBytes() int {
	n := intRows
	switch {
	case !k.scale:
		return 0
	case k.factor && k.half && k.min:
		return 4 * n
	case k.factor && (k.half || k.min):
		return 2 * n
	case k.factor:
		return n
	case k.min && k.bits == 8:
		return 6 * n
	case k.min:
		return 4 * n
	}
	return 2 * n
}

// planes is the number of planes of high bits, 128 bytes each.
func (k intKind) planes() int {
	if k.bits == 8 {
		return 0
	}
	return k.bits - 4
}

func (k intKind) codesAt() int { return k.scaleBytes() + 128*k.planes() }

func intFunc(c *asm, k intKind) {
	c.function(k.name+"AVX512",
		"func(m int, x *byte, xs int, w *byte, groups, chunks int, y *float32, ldy int, start int, last *float32, zeros *byte, sums *float32)",
		k.name+"AVX512 multiplies m tokens with one tile: see intMulGo. chunks is the number of 32-column parts of a group, start the offset of the accumulator start in the meta words, sums memory for 384 values.")
	g := &intGen{asm: c, intKind: k, isa: avx512, xs: c.load("xs")}
	g.constants()
	for _, n := range k.sizes() {
		loop, less := c.label("tokens"), c.label("less")
		if n == 12 && k.spilled(n) {
			// Sums in memory do not pay where a group is a single part.
			c.CMPQ(c.arg("chunks"), operand.Imm(1))
			c.JE(less)
		}
		c.place(loop)
		c.CMPQ(c.arg("m"), operand.Imm(uint64(n)))
		c.JL(less)
		g.tile(n)
		g.next(n)
		c.JMP(loop)
		c.place(less)
	}
	c.end()
}

// next moves the arguments, which live in memory, past n tokens.
func (g *intGen) next(n int) {
	t := g.GP64()
	g.IMUL3Q(operand.Imm(uint64(n)), g.xs, t)
	g.ADDQ(t, g.arg("x"))
	g.MOVQ(g.arg("ldy"), t)
	g.IMUL3Q(operand.Imm(uint64(4*n)), t, t)
	g.ADDQ(t, g.arg("y"))
	g.SUBQ(operand.Imm(uint64(n)), g.arg("m"))
}

// constants fills the registers that stay.
func (g *intGen) constants() {
	if !g.token {
		g.broadcast(0x80000000|intMagicF, intMagicReg)
	}
	if g.bits < 8 {
		g.broadcast(0x0F0F0F0F, intMaskReg)
	}
	if g.planes() > 0 {
		g.broadcast(planeMask[g.bits], intPlaneReg)
	}
	if g.grid {
		g.loadGrid()
	}
}

func (g *intGen) broadcast(word uint32, r int) {
	t := g.GP32()
	g.MOVL(operand.U32(word), t)
	if g.wide() {
		g.VPBROADCASTD(t, g.v[r])
	} else {
		g.VMOVD(t, g.x[r])
		g.VPBROADCASTD(g.x[r], g.v[r])
	}
}

// dot is the int32 sum, sum the f32 sum of token t and rows 16p….
func (g *intGen) dot(n, t, p int) reg.Register {
	if g.token || g.spilled(n) {
		return g.v[32-2*n+2*t+p]
	}
	return g.v[32-4*n+2*t+p]
}
func (g *intGen) sum(n, t, p int) reg.Register { return g.v[32-2*n+2*t+p] }

// act is a memory operand in token t's activations.
func (g *intGen) act(base []reg.GPVirtual, t, disp int) operand.Mem {
	if t%3 == 0 {
		return at(base[t/3], disp)
	}
	return idx(base[t/3], g.xs, uint8(t%3), disp)
}

// tile computes 32 rows for n tokens.
func (g *intGen) tile(n int) {
	g.w, g.groups = g.load("w"), g.load("groups")
	if g.factor {
		g.pointBases(n)
		g.clearSums(n)
		g.factored(n)
		g.store(n)
		return
	}
	g.so = g.load("chunks")
	g.SHLQ(operand.Imm(5), g.so)
	g.ADDQ(g.arg("start"), g.so)
	if g.bits == 4 && g.points {
		g.zeros = g.load("zeros")
	}
	g.pointBases(n)
	g.clearSums(n)
	group, chunk := g.label("group"), g.label("chunk")
	g.place(group)
	g.start(n)
	g.count = g.load("chunks")
	if c := g.codesAt(); c > 0 {
		g.LEAQ(at(g.w, c), g.w)
	}
	// The record's scales are read again at its end: remember where it began.
	record := g.GP64()
	if g.scale {
		g.MOVQ(g.w, record)
	}
	g.place(chunk)
	if g.bits == 8 {
		g.chunk8(n)
	} else {
		g.chunk4(n)
	}
	g.DECQ(g.count)
	g.JNZ(chunk)
	g.finishGroup(n, record)
	for _, b := range g.bases {
		g.ADDQ(operand.Imm(32), b)
	}
	g.DECQ(g.groups)
	g.JNZ(group)
	g.store(n)
}

// pointBases points at the activations of every third token.
func (g *intGen) pointBases(n int) {
	g.bases = nil
	for t := 0; t < n; t += 3 {
		b := g.GP64()
		if t == 0 {
			g.MOVQ(g.arg("x"), b)
		} else {
			last := g.bases[len(g.bases)-1]
			g.LEAQ(idx(last, g.xs, 2, 0), b)
			g.ADDQ(g.xs, b)
		}
		g.bases = append(g.bases, b)
	}
}

// clearSums sets the f32 sums to zero.
func (g *intGen) clearSums(n int) {
	if g.token {
		return
	}
	if g.spilled(n) {
		g.sums = g.load("sums")
		g.zero(g.v[0])
	}
	for t := range n {
		for p := range 2 {
			if g.spilled(n) {
				g.VMOVUPS(g.v[0], g.sumAt(t, p))
			} else {
				g.zero(g.sum(n, t, p))
			}
		}
	}
}

func (g *intGen) sumAt(t, p int) operand.Mem { return at(g.sums, 128*t+64*p) }

// add is sum += a*b for the sum of token t and rows 16p…; b is lost.
func (g *intGen) add(n, t, p int, a, b reg.Register) {
	if g.spilled(n) {
		g.VFMADD213PS(g.sumAt(t, p), a, b)
		g.VMOVUPS(b, g.sumAt(t, p))
		return
	}
	g.VFMADD231PS(a, b, g.sum(n, t, p))
}

// start sets the int32 sums to their starts.
func (g *intGen) start(n int) {
	g.starts = nil
	for _, b := range g.bases {
		s := g.GP64()
		g.LEAQ(idx(b, g.so, 1, 0), s)
		g.starts = append(g.starts, s)
	}
	for t := range n {
		g.VPBROADCASTD(g.act(g.starts, t, 0), g.dot(n, t, 0))
		g.VMOVDQA64(g.dot(n, t, 0), g.dot(n, t, 1))
	}
	if g.bits == 4 && g.points {
		g.subtractZeros(n)
	}
}

// subtractZeros takes zero*sum(codes) off the starts: the zero point is the low word of its lane, the sum fits one word.
func (g *intGen) subtractZeros(n int) {
	zeros := []reg.Register{g.v[8], g.v[9]}
	g.zero(g.v[0])
	for p, z := range zeros {
		g.VPMOVZXBD(at(g.zeros, 16*p), z)
		g.VPSUBW(z, g.v[0], z)
	}
	for t := range n {
		a := g.v[1+t%4]
		g.VPBROADCASTD(g.act(g.starts, t, metaSum-metaStart0), a)
		for p, z := range zeros {
			g.VPDPWSSD(a, z, g.dot(n, t, p))
		}
	}
	if g.scale {
		g.ADDQ(operand.Imm(intRows), g.zeros)
	}
}

// chunk8 adds 32 columns of 8-bit codes.
func (g *intGen) chunk8(n int) {
	g.codes8(n, 0, 0, 8)
	g.ADDQ(operand.U32(8*128), g.w)
	g.advance()
}

// codes8 adds columns 4·from to 4·to of 32 whose codes stand disp bytes on.
func (g *intGen) codes8(n, disp, from, to int) {
	for k := from; k < to; k++ {
		for p := range 2 {
			g.VMOVDQU64(at(g.w, disp+128*k+64*p), g.v[p])
		}
		g.prefetch(disp + 128*k)
		for t := range n {
			a := g.v[2+t%4]
			g.VPBROADCASTD(g.act(g.bases, t, 4*k), a)
			for p := range 2 {
				g.VPDPBUSD(a, g.v[p], g.dot(n, t, p))
			}
		}
	}
}

// intAhead is how far weights are fetched ahead: about as much as one core reads from memory in the time of a miss. The next
// tile lies behind this one.
const intAhead = 4096

func (g *intGen) prefetch(disp int) {
	g.PREFETCHT0(at(g.w, disp+intAhead))
	g.PREFETCHT0(at(g.w, disp+64+intAhead))
}

func (g *intGen) advance() {
	for _, b := range g.bases {
		g.ADDQ(operand.Imm(32), b)
	}
}

// chunk4 adds 32 columns of nibbles.
func (g *intGen) chunk4(n int) {
	if g.planes() > 0 {
		g.loadPlanes(-128*g.planes(), 0)
	}
	g.codes4(n, 0, 0, 2)
	g.ADDQ(operand.U32(4*128), g.w)
	g.advance()
}

// codes4 adds the low halves of 32 columns' bytes (16 columns), the high ones, or both; they stand disp bytes on.
func (g *intGen) codes4(n, disp, from, to int) {
	const act = 4
	for j := range 4 {
		for p := range 2 {
			m := at(g.w, disp+128*j+64*p)
			switch {
			case to-from == 2:
				g.split(m, g.v[p], g.v[2+p], nil)
			case from == 0:
				g.VPANDD(m, g.v[intMaskReg], g.v[p])
			default:
				g.VPSRLW(operand.Imm(4), m, g.v[2+p])
				g.VPANDD(g.v[2+p], g.v[intMaskReg], g.v[2+p])
			}
		}
		g.prefetch(disp + 128*j)
		for half := from; half < to; half++ {
			g.addPlanes(4*half+j, half)
			for t := range n {
				a := g.v[act+t%2]
				g.VPBROADCASTD(g.act(g.bases, t, 4*j+16*half), a)
				for p := range 2 {
					g.VPDPBUSD(a, g.v[2*half+p], g.dot(n, t, p))
				}
			}
		}
	}
}

// adjust makes 16-zero in every byte of a row's lane, from register 8 on.
func (g *intGen) adjust() {
	ones, sixteen := g.v[12], g.v[13]
	g.broadcast(0x01010101, 12)
	g.broadcast(0x10101010, 13)
	for p := range g.vecs() {
		a := g.v[8+p]
		g.VPMOVZXBD(at(g.zeros, g.lanes()*p), a)
		g.VPMULLD(a, ones, a)
		g.VPSUBB(a, sixteen, a)
	}
	if g.scale {
		g.ADDQ(operand.Imm(intRows), g.zeros)
	}
}

// vecs is the number of vectors that hold 32 lanes.
func (g *intGen) vecs() int { return intRows / g.lanes() }

func (g *intGen) and(a, b, dst operand.Op) {
	if g.wide() {
		g.VPANDD(a, b, dst)
	} else {
		g.VPAND(a, b, dst)
	}
}

// move copies a vector of integers.
func (g *intGen) move(from, to operand.Op) {
	if g.wide() {
		g.VMOVDQU64(from, to)
	} else {
		g.VMOVDQU(from, to)
	}
}

// finishGroup turns the int32 sums to f32 and adds them to the token's sums.
func (g *intGen) finishGroup(n int, record reg.GPVirtual) {
	if g.token {
		for t := range n {
			for p := range 2 {
				g.VCVTDQ2PS(g.dot(n, t, p), g.dot(n, t, p))
			}
		}
		for t := range n {
			g.VBROADCASTSS(g.act(g.bases, t, metaScale), g.v[2+t%4])
			for p := range 2 {
				g.VMULPS(g.v[2+t%4], g.dot(n, t, p), g.dot(n, t, p))
			}
		}
		return
	}
	back := -g.codesAt()
	if g.scale {
		for p := range 2 {
			g.VCVTPH2PS(at(record, back+32*p), g.v[p])
			g.VMULPS(g.v[p], g.v[intMagicReg], g.v[2+p])
		}
	}
	for t := range n {
		a := g.v[4+t%2]
		g.VBROADCASTSS(g.act(g.bases, t, metaScale), a)
		for p := range 2 {
			d := g.dot(n, t, p)
			if g.scale {
				g.VFMADD213PS(g.v[2+p], g.v[p], d)
			} else {
				g.VADDPS(g.v[intMagicReg], d, d)
			}
			g.add(n, t, p, a, d)
		}
	}
	g.addMinima(n, record, back)
}

// addMinima adds minimum or zero point times the activation's sum.
func (g *intGen) addMinima(n int, record reg.GPVirtual, back int) {
	switch {
	case g.min && g.bits < 8:
		for p := range 2 {
			g.VCVTPH2PS(at(record, back+2*intRows+32*p), g.v[p])
		}
	case g.min:
		for p := range 2 {
			g.VMOVUPS(at(record, back+2*intRows+64*p), g.v[p])
		}
	case g.points && g.bits == 8:
		last := g.load("last")
		for p := range 2 {
			g.VMOVUPS(at(last, 4*intRows+64*p), g.v[p])
		}
	default:
		return
	}
	for t := range n {
		a := g.v[4+t%2]
		g.VBROADCASTSS(g.act(g.bases, t, metaScaleSum), a)
		for p := range 2 {
			b := g.v[p]
			if g.spilled(n) {
				b = g.v[2+p]
				g.VMOVAPS(g.v[p], b)
			}
			g.add(n, t, p, a, b)
		}
	}
}

// store multiplies by the last factor and writes the outputs.
func (g *intGen) store(n int) {
	last := g.load("last")
	for p := range 2 {
		if g.scale {
			g.VBROADCASTSS(at(last, 0), g.v[p])
		} else {
			g.VMOVUPS(at(last, 64*p), g.v[p])
		}
	}
	row, ldy := g.load("y"), g.load("ldy")
	for t := range n {
		for p := range 2 {
			s := g.sum(n, t, p)
			if g.spilled(n) {
				s = g.v[2+p]
				g.VMULPS(g.sumAt(t, p), g.v[p], s)
			} else {
				g.VMULPS(g.v[p], s, s)
			}
			g.VMOVUPS(s, at(row, 64*p))
		}
		if t+1 < n {
			g.LEAQ(idx(row, ldy, 4, 0), row)
		}
	}
}
