package nn

import (
	"hone/kernel"
	"hone/quant"
)

// Lookup kinds: what a row of the batch is looked up by.
type lookupKind int

const (
	byToken lookupKind = iota
	byPosition
	byType // the segment of a text: BERT's token type
)

// Lookup reads one row of a table for each row of the batch: token, learned position and token-type embeddings.
type Lookup struct {
	Name        string
	Rows, Width int
	Offset      int // positions start at this row
	kind        lookupKind
	out         Value
}

// Embed looks up the token's row in a table [vocab, width].
func (b *Builder) Embed(name string, vocab, width int) Value {
	return b.lookup(Lookup{Name: name, Rows: vocab, Width: width, kind: byToken})
}

// EmbedPosition looks up the absolute position's row in a table [rows, width] whose row offset is position 0 (OPT,
// RoBERTa): it bounds the context to rows - offset.
func (b *Builder) EmbedPosition(name string, rows, width, offset int) Value {
	return b.lookup(Lookup{Name: name, Rows: rows, Width: width, Offset: offset, kind: byPosition})
}

// EmbedType looks up the token type's row in a table [rows, width]: row 0 where the batch has no types.
func (b *Builder) EmbedType(name string, rows, width int) Value {
	return b.lookup(Lookup{Name: name, Rows: rows, Width: width, kind: byType})
}

func (b *Builder) lookup(l Lookup) Value {
	l.Name, l.out = b.name(l.Name), b.value(l.Width, 0)
	b.emit(&l)
	return l.out
}

func (l *Lookup) Params() []Param {
	return []Param{{Name: l.Name, Rows: l.Rows, Cols: l.Width, Embedding: true}}
}
func (l *Lookup) Inputs() []Value                     { return nil }
func (l *Lookup) Outputs() []Value                    { return []Value{l.out} }
func (l *Lookup) Cost(p *Program, tokens, _ int) Cost { return Cost{} }
func (l *Lookup) bind(x *Exec) (bound, error) {
	table, err := x.stored(l.Params()[0])
	return &boundLookup{l, x, table}, err
}

type boundLookup struct {
	*Lookup
	x     *Exec
	table quant.Matrix // stored face
}

func (b *boundLookup) index(row int) int {
	switch b.kind {
	case byToken:
		return int(b.x.batch.Tokens[row])
	case byPosition:
		return b.x.rowPos[row] + b.Offset
	case byType:
		return b.x.batch.typeOf(row)
	}
	return 0
}

func (b *boundLookup) forward() {
	y := b.x.value(b.out)
	for r := range b.x.rows {
		b.table.ReadRow(y[r*b.Width:(r+1)*b.Width], b.index(r))
	}
}

func (b *boundLookup) backward() {
	g := b.x.paramGrad(b.Name)
	if g == nil {
		return
	}
	dy := b.x.grad(b.out)
	for r := range b.x.rows {
		i := b.index(r)
		sum := g[i*b.Width : (i+1)*b.Width]
		kernel.Add(sum, sum, dy[r*b.Width:(r+1)*b.Width])
	}
}
