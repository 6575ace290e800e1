package kernel

// IntPanel describes the packed form of an integer-coded weight matrix: tiles of 32 rows that follow each other, each
// tile a head and then one record per group of columns. A record is scales, minima, planes of high bits, then codes:
//
//	8 bits: for every 4 columns 128 bytes; row r's 4 codes at byte 4r
//	4 bits: for every 32 columns four times 128 bytes; in the j-th, byte 4r+b of row r holds columns 4j+b (low) and 16+4j+b (high)
//	5 bits: as 4 bits, the fifth in a plane of 128 bytes: bit k of byte 4r+b belongs to column 4k+b
//	6 bits: likewise in two planes, bits 2k and 2k+1 for column 4k+b of the first and column 16+4k+b of the second
//
// Scales are 32 f16 numbers, minima 32 more. Factored panels have them once for 256 columns, before the records of these;
// a record holds 32 int8 factors, with Half 32 for its first 16 columns and 32 for the last, and likewise for minima
// bytes without sign.
//
// A weight is scale*(code-zero): zero is half the number of codes, or the row's or group's own when Zero is set; or
// scale*code+min with Min; with Grid it is scale*(grid[code]-128).
type IntPanel struct {
	Bits     int      // 4, 5, 6 or 8
	Cols     int      // columns, padded to a multiple of Group
	Group    int      // columns that share one activation scale (and one weight scale unless PerRow); a multiple of 32
	PerRow   bool     // one f32 scale per row, in the tile's head
	Zero     bool     // zero points in the head: 4 bits: a byte per row (PerRow) or per row and group; 8 bits: PerRow, negated, f32
	Min      bool     // f16 minima (f32 with 8 bits, unless Factored)
	Factored bool     // scales have two levels; groups of 32, Cols a multiple of 256
	Half     bool     // Factored: one factor for 16 columns
	Grid     *IntGrid // 4 bits: codes are indexes of this
	PerToken bool     // one activation scale per token, sums all in int32; PerRow, 8 bits, no zero points
	Out      float32  // a last factor on every output of a group-scaled panel (a power of two)
}

// IntGrid are the values, plus 128, that the codes of a panel with uneven steps stand for.
type IntGrid [16]uint8

// IntBlock is the number of columns of one scale of a factored panel.
const IntBlock = 256

// Groups is the number of records of a tile.
func (p *IntPanel) Groups() int { return p.Cols / p.Group }

// HeadBytes is the size of a tile's head, a multiple of 64: scales and zero points per row, or 4-bit zero points per group.
func (p *IntPanel) HeadBytes() int {
	n := 0
	if p.PerRow {
		n = 4 * IntTileRows
	}
	switch {
	case p.Zero && p.PerRow:
		n += 4 * IntTileRows // 8 bits: f32; 4 bits: bytes, the rest unused
	case p.Zero && p.Bits == 4:
		n += (p.Groups()*IntTileRows + 63) &^ 63
	}
	return n
}

// BlockBytes is the size of the scales and minima that stand before the records of 256 columns.
func (p *IntPanel) BlockBytes() int {
	switch {
	case !p.Factored:
		return 0
	case p.Min:
		return 4 * IntTileRows
	}
	return 2 * IntTileRows
}

// scaleBytes is the size of a record's scales and minima.
func (p *IntPanel) scaleBytes() int {
	switch {
	case p.PerRow:
		return 0
	case p.Factored:
		return p.halves() * p.BlockBytes() / 2
	case p.Min && p.Bits == 8:
		return 6 * IntTileRows
	case p.Min:
		return 4 * IntTileRows
	}
	return 2 * IntTileRows
}

// halves is the number of parts of a group with factors of their own.
func (p *IntPanel) halves() int {
	if p.Half {
		return 2
	}
	return 1
}

// PlanesAt is the offset of the planes of high bits in a record.
func (p *IntPanel) PlanesAt() int { return p.scaleBytes() }

// CodesAt is the offset of the codes, or of their nibbles, in a record.
func (p *IntPanel) CodesAt() int {
	if p.Bits == 8 {
		return p.scaleBytes()
	}
	return p.scaleBytes() + p.Group/8*(p.Bits-4)*IntTileRows
}

// RecordBytes is the size of one group's record.
func (p *IntPanel) RecordBytes() int { return p.scaleBytes() + p.Group*p.Bits/8*IntTileRows }

// RecordAt is the offset of group g's record in a tile.
func (p *IntPanel) RecordAt(g int) int {
	return p.HeadBytes() + (g*p.Group/IntBlock+1)*p.BlockBytes() + g*p.RecordBytes()
}

// bodyBytes is the size of a tile without its head.
func (p *IntPanel) bodyBytes() int {
	return p.Groups()*p.RecordBytes() + p.Cols/IntBlock*p.BlockBytes()
}

// TileBytes is the size of one tile of 32 rows.
func (p *IntPanel) TileBytes() int { return p.HeadBytes() + p.bodyBytes() }

// intSpill is the part of the scratch that holds the f32 sums of 12 tokens.
const intSpill = 12 * 4 * IntTileRows

// ScratchBytes is the size of the scratch that IntMul needs, for sums and for the unpacked records of a tile of fewer bits.
func (p *IntPanel) ScratchBytes() int {
	if p.Bits == 8 {
		return intSpill
	}
	u := p.unpacked()
	return intSpill + u.bodyBytes()
}

// unpacked is the 8-bit panel that a tile of fewer bits becomes before it meets many tokens.
func (p *IntPanel) unpacked() IntPanel {
	u := *p
	u.Bits, u.Zero = 8, false
	return u
}

// zero is the code of weight 0, as the codes of the unpacked tile have it.
func (p *IntPanel) zero() int {
	switch {
	case p.Min || p.Bits == 8 && p.Zero:
		return 0
	case p.Grid != nil:
		return 128
	case p.Zero:
		return 16
	}
	return 1 << (p.Bits - 1)
}

// startAt is the offset of the accumulator start in the activation's meta words, by the code of 0.
func (p *IntPanel) startAt() int {
	switch p.zero() {
	case 8:
		return 0
	case 16:
		return 4
	case 128:
		return 8
	}
	return 12
}

func (p *IntPanel) base() int32 {
	if p.PerToken {
		return 0
	}
	return intMagic
}
