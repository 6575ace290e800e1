package nn

import (
	"math"

	"hone/kernel"
)

// KVConfig says how keys and values are kept: Type is f32, bf16 or int8 (a scale for each token and head), Blocks the
// number of blocks of BlockTokens positions.
type KVConfig struct {
	Type   string
	Blocks int
}

// kvStore is the paged memory of keys and values: for each layer, block and head one tile of keys, transposed
// [headDim][BlockTokens], and one of values [BlockTokens][padded headDim]. The kernels read tiles as f32: wider types
// are a matter of the tile's codec alone.
type kvStore interface {
	// put writes n keys and values of one head from a position within a block on; in k and v they are stride floats apart.
	put(layer, block, head, at, n int, k, v []float32, stride int)
	// keys and values return a tile as f32, in scratch when it must be decoded.
	keys(layer, block, head int, scratch []float32) []float32
	values(layer, block, head int, scratch []float32) []float32
}

// kvShape places tiles; layers may differ in heads and width (pruned models).
type kvShape struct {
	heads  []attentionShape // local heads of each layer
	base   []int            // floats before layer i
	blocks int
}

func padded(dim int) int {
	return (dim + kernel.PanelWidth - 1) / kernel.PanelWidth * kernel.PanelWidth
}

func tileFloats(dim int) int { return BlockTokens * (dim + padded(dim)) }

func newKVShape(heads []attentionShape, blocks int) kvShape {
	s := kvShape{heads: heads, blocks: blocks, base: make([]int, len(heads)+1)}
	for i, h := range heads {
		s.base[i+1] = s.base[i] + blocks*h.kvHeads*tileFloats(h.headDim)
	}
	return s
}

// tile returns the offset and the two lengths of a tile.
func (s *kvShape) tile(layer, block, head int) (at, k, v int) {
	h := s.heads[layer]
	at = s.base[layer] + (block*h.kvHeads+head)*tileFloats(h.headDim)
	return at, BlockTokens * h.headDim, BlockTokens * padded(h.headDim)
}

func (s *kvShape) floats() int { return s.base[len(s.base)-1] }

// index counts tiles, for one array of per-token scales.
func (s *kvShape) index(layer, block, head int) int {
	n := 0
	for i := range layer {
		n += s.blocks * s.heads[i].kvHeads
	}
	return n + block*s.heads[layer].kvHeads + head
}

func newKVStore(kind string, shape kvShape) kvStore {
	switch kind {
	case "bf16":
		return &kvBF16{shape, make([]uint16, shape.floats())}
	case "int8":
		tiles := 0
		for _, h := range shape.heads {
			tiles += shape.blocks * h.kvHeads
		}
		return &kvInt8{shape, make([]int8, shape.floats()), make([]float32, tiles*2*BlockTokens)}
	}
	return &kvF32{shape, make([]float32, shape.floats())}
}

// KVBlockBytes is the memory of one block of BlockTokens positions over all layers, before sharding; kind is a
// KVConfig.Type.
func (p *Program) KVBlockBytes(kind string) int64 { return blockBytes(p.heads, kind) }

func blockBytes(heads []attentionShape, kind string) int64 {
	var n int64
	for _, h := range heads {
		tile := int64(tileFloats(h.headDim))
		switch kind {
		case "bf16":
			n += int64(h.kvHeads) * tile * 2
		case "int8":
			n += int64(h.kvHeads) * (tile + 2*BlockTokens*4)
		default:
			n += int64(h.kvHeads) * tile * 4
		}
	}
	return n
}

type kvF32 struct {
	kvShape
	data []float32
}

func (c *kvF32) put(layer, block, head, at, n int, k, v []float32, stride int) {
	o, nk, nv := c.tile(layer, block, head)
	dim, width := nk/BlockTokens, nv/BlockTokens
	tile := c.data[o : o+nk]
	if n == BlockTokens {
		kernel.Columns(tile, k, stride, dim)
	} else {
		for d := range dim {
			for i := range n {
				tile[d*BlockTokens+at+i] = k[i*stride+d]
			}
		}
	}
	for i := range n {
		copy(c.data[o+nk+(at+i)*width:], v[i*stride:][:dim])
	}
}

func (c *kvF32) keys(layer, block, head int, _ []float32) []float32 {
	o, nk, _ := c.tile(layer, block, head)
	return c.data[o : o+nk]
}

func (c *kvF32) values(layer, block, head int, _ []float32) []float32 {
	o, nk, nv := c.tile(layer, block, head)
	return c.data[o+nk : o+nk+nv]
}

type kvBF16 struct {
	kvShape
	data []uint16
}

func (c *kvBF16) put(layer, block, head, at, n int, k, v []float32, stride int) {
	o, nk, nv := c.tile(layer, block, head)
	dim, width := nk/BlockTokens, nv/BlockTokens
	tile := c.data[o : o+nk]
	var one [1]uint16
	for i := range n {
		for d := range dim {
			kernel.F32ToBF16(one[:], k[i*stride+d:][:1])
			tile[d*BlockTokens+at+i] = one[0]
		}
		kernel.F32ToBF16(c.data[o+nk+(at+i)*width:][:dim], v[i*stride:][:dim])
	}
}

func (c *kvBF16) keys(layer, block, head int, scratch []float32) []float32 {
	o, nk, _ := c.tile(layer, block, head)
	kernel.BF16ToF32(scratch[:nk], c.data[o:o+nk])
	return scratch[:nk]
}

func (c *kvBF16) values(layer, block, head int, scratch []float32) []float32 {
	o, nk, nv := c.tile(layer, block, head)
	kernel.BF16ToF32(scratch[:nv], c.data[o+nk:o+nk+nv])
	return scratch[:nv]
}

type kvInt8 struct {
	kvShape
	data   []int8
	scales []float32 // for each tile: BlockTokens of keys, then of values
}

func (c *kvInt8) put(layer, block, head, at, n int, k, v []float32, stride int) {
	o, nk, nv := c.tile(layer, block, head)
	dim, width := nk/BlockTokens, nv/BlockTokens
	s := c.scales[c.index(layer, block, head)*2*BlockTokens:]
	for i := range n {
		key, value := k[i*stride:][:dim], v[i*stride:][:dim]
		scale, inv := int8Scale(key)
		s[at+i] = scale
		for d, x := range key {
			c.data[o+d*BlockTokens+at+i] = toInt8(x * inv)
		}
		scale, inv = int8Scale(value)
		s[BlockTokens+at+i] = scale
		row := c.data[o+nk+(at+i)*width:]
		for d, x := range value {
			row[d] = toInt8(x * inv)
		}
	}
}

func int8Scale(x []float32) (scale, inv float32) {
	m := kernel.AbsMax(x)
	if m == 0 {
		return 0, 0
	}
	return m / 127, 127 / m
}

func toInt8(x float32) int8 { return int8(math.RoundToEven(float64(x))) }

func (c *kvInt8) keys(layer, block, head int, scratch []float32) []float32 {
	o, nk, _ := c.tile(layer, block, head)
	s := c.scales[c.index(layer, block, head)*2*BlockTokens:][:BlockTokens]
	kernel.Int8ToF32(scratch[:nk], c.data[o:o+nk], 1)
	for i := 0; i < nk; i += BlockTokens {
		kernel.Mul(scratch[i:i+BlockTokens], scratch[i:i+BlockTokens], s)
	}
	return scratch[:nk]
}

func (c *kvInt8) values(layer, block, head int, scratch []float32) []float32 {
	o, nk, nv := c.tile(layer, block, head)
	s := c.scales[c.index(layer, block, head)*2*BlockTokens+BlockTokens:]
	dim := nv / BlockTokens
	for t := range BlockTokens {
		kernel.Int8ToF32(scratch[t*dim:(t+1)*dim], c.data[o+nk+t*dim:o+nk+(t+1)*dim], s[t])
	}
	return scratch[:nv]
}
