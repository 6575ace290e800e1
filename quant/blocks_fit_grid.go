package quant

import "hone/kernel"

// A grid is the 16 values of a format of uneven steps, with the nearest index of every code (value plus 128).
type grid struct {
	values  [16]int8
	codes   kernel.IntGrid
	nearest [256]uint8
	snapped [256]int // the code of the nearest index
}

func newGrid(values [16]int8) *grid {
	g := &grid{values: values}
	for i, v := range values {
		g.codes[i] = uint8(v) ^ 0x80
	}
	for code := range g.nearest {
		far := 1 << 10
		for i, v := range values {
			if d := max(code-128-int(v), int(v)-code+128); d < far {
				far, g.nearest[code] = d, uint8(i)
			}
		}
		g.snapped[code] = int(values[g.nearest[code]]) + 128
	}
	return g
}

// through replaces indexes by their codes.
func (g *grid) through(codes []uint8) {
	for i, c := range codes {
		codes[i] = g.codes[c&15]
	}
}

// back replaces codes by indexes.
func (g *grid) back(codes []uint8) {
	for i, c := range codes {
		codes[i] = g.nearest[c]
	}
}

// gridTries are the ranges tried over those in which the largest weight is an end of the grid.
var gridTries = []float32{1.08, 1.02, 0.97, 0.92, 0.86}

// fitGrid finds the scale of x = s·v, v from the grid.
func (b *blockFit) fitGrid(x []float32) {
	g, peak := b.f.grid, peakOf(x)
	best := fit{loss: -1}
	try := func(s float32) bool {
		loss, better := b.roundGrid(x, s)
		if best.loss >= 0 && !(loss < best.loss) {
			return false
		}
		best = fit{scale: s, loss: loss, better: better}
		return true
	}
	if peak != 0 {
		for _, t := range gridTries {
			try(peak * t / float32(g.values[0]))
			try(peak * t / float32(g.values[15]))
		}
		for range 3 {
			if !try(best.better) {
				break
			}
		}
	}
	b.d = narrow16(best.scale)
	b.roundGrid(x, f16(b.d))
}

// roundGrid writes the codes of x, and returns their squared error and the scale that they would like best.
func (b *blockFit) roundGrid(x []float32, s float32) (loss, better float32) {
	g, inverse := b.f.grid, invert(s)
	codes := b.codes[:len(x)]
	var xv, vv float32
	for j, y := range x {
		code := int(y*inverse+128.5+256) - 256 // nearest: never negative before it is cut
		code = g.snapped[min(255, max(0, code))]
		v := float32(code - 128)
		codes[j] = uint8(code)
		e := y - float32(s*v)
		loss += float32(e * e)
		xv += float32(y * v)
		vv += float32(v * v)
	}
	if vv > 0 {
		better = xv / vv
	}
	return loss, better
}
