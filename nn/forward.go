package nn

import "fmt"

// Forward runs the program over a batch: keys and values are written to their blocks, and the hidden states stay until
// the next call for Logits, Pooled or CrossEntropy to read; the batch must stay unchanged as long. A batch that does not
// fit (its size, a token, a position, a block) is an error that leaves the last batch's results and all KV blocks alone.
func (x *Exec) Forward(b *Batch) error {
	if err := x.begin(b); err != nil {
		return err
	}
	if x.opt.Stream {
		return x.forwardStreaming()
	}
	for _, op := range x.ops {
		if err := x.stopped(); err != nil {
			return err
		}
		op.forward()
	}
	return nil
}

// stopped asks the batch's Stop.
func (x *Exec) stopped() error {
	if x.batch.Stop == nil {
		return nil
	}
	err := x.batch.Stop()
	if err != nil {
		x.rows = 0 // there are no hidden states to read
	}
	return err
}

// forwardStreaming loads each block before it runs and drops it after.
func (x *Exec) forwardStreaming() error {
	blocks := x.p.Blocks
	for i := 0; i < len(x.ops); i++ {
		if len(blocks) > 0 && blocks[0].From == i {
			if err := x.runBlock(blocks[0]); err != nil {
				return err
			}
			i = blocks[0].To - 1
			blocks = blocks[1:]
			continue
		}
		x.ops[i].forward()
	}
	return nil
}

func (x *Exec) runBlock(s Span) error {
	defer x.converted.forget()
	defer func(held int64) { x.memory.Weights = held }(x.memory.Weights)
	x.converted.prepare(x, paramsOf(x.p.Ops[s.From:s.To]))
	if err := x.bindSpan(s); err != nil {
		x.rows = 0 // there are no hidden states to read
		return err
	}
	for i := s.From; i < s.To; i++ {
		if err := x.stopped(); err != nil {
			return err
		}
		x.ops[i].forward()
		x.ops[i] = nil
	}
	return nil
}

// begin checks the batch and derives each row's position, and the rows of each block. A batch that is refused changes nothing.
func (x *Exec) begin(b *Batch) error {
	if err := x.check(b); err != nil {
		return err
	}
	x.batch, x.rows, x.chunks, x.runs = b, len(b.Tokens), x.chunks[:0], x.runs[:0]
	for i := range b.Seqs {
		s := &b.Seqs[i]
		for r := range s.Len {
			x.rowPos[s.Offset+r] = s.Pos + r
		}
		x.cutRuns(i)
		x.cutChunks(i, s.Len)
	}
	x.chooseStore()
	return nil
}

// check refuses a batch that does not fit the executor, its vocabulary or its KV store.
func (x *Exec) check(b *Batch) error {
	switch n := len(b.Tokens); {
	case n == 0:
		return fmt.Errorf("nn: the batch is empty")
	case n > x.opt.MaxTokens:
		return fmt.Errorf("nn: the batch has %d tokens, this executor takes at most %d", n, x.opt.MaxTokens)
	}
	if err := x.checkTokens(b.Tokens); err != nil {
		return err
	}
	if err := x.checkTypes(b); err != nil {
		return err
	}
	at := 0
	for i := range b.Seqs {
		s := &b.Seqs[i]
		if err := x.checkSeq(s, at, len(b.Tokens)); err != nil {
			return err
		}
		if (s.Blocks == nil) != (b.Seqs[0].Blocks == nil) {
			return fmt.Errorf("nn: a batch mixes sequences with and without KV blocks")
		}
		at += s.Len
	}
	if at != len(b.Tokens) {
		return fmt.Errorf("nn: the sequences hold %d rows, the batch has %d tokens", at, len(b.Tokens))
	}
	return nil
}

func (x *Exec) checkTokens(tokens []int32) error {
	vocab := x.p.inputVocab()
	for i, t := range tokens {
		if t < 0 || int(t) >= vocab {
			return fmt.Errorf("nn: token %d at row %d is outside the vocabulary of %d", t, i, vocab)
		}
	}
	return nil
}

// checkTypes: every row's token type must be a row of the table of types; a program without one knows type 0 alone.
func (x *Exec) checkTypes(b *Batch) error {
	if b.Types == nil {
		return nil
	}
	if len(b.Types) != len(b.Tokens) {
		return fmt.Errorf("nn: %d token types for %d tokens", len(b.Types), len(b.Tokens))
	}
	types := x.p.TokenTypes()
	for i, t := range b.Types {
		if t < 0 || int(t) >= types {
			return fmt.Errorf("nn: token type %d at row %d, this model has %d", t, i, types)
		}
	}
	return nil
}

// TokenTypes is the number of kinds of text that the program tells apart, at least 1.
func (p *Program) TokenTypes() int {
	for _, op := range p.Ops {
		if l, ok := op.(*Lookup); ok && l.kind == byType {
			return l.Rows
		}
	}
	return 1
}

// inputVocab is the number of rows of the token embedding.
func (p *Program) inputVocab() int {
	for _, op := range p.Ops {
		if l, ok := op.(*Lookup); ok && l.kind == byToken {
			return l.Rows
		}
	}
	return 0
}

// checkSeq checks a sequence that is to start at row at of a batch of rows.
func (x *Exec) checkSeq(s *Seq, at, rows int) error {
	switch {
	case s.Offset != at || s.Len < 1 || s.Len > rows-at || s.Pos < 0:
		return fmt.Errorf("nn: a sequence of %d rows at offset %d, position %d does not continue the batch of %d rows at row %d", s.Len, s.Offset, s.Pos, rows, at)
	case s.Pos > x.opt.MaxContext-s.Len:
		return fmt.Errorf("nn: a sequence of %d rows starts at position %d, the context is %d", s.Len, s.Pos, x.opt.MaxContext)
	case s.Blocks == nil && s.Pos != 0:
		return fmt.Errorf("nn: a sequence without KV blocks starts at position %d; it must start at 0", s.Pos)
	case s.Blocks == nil:
		return nil
	case x.paged == nil:
		return fmt.Errorf("nn: a sequence has KV blocks, this executor has no KV cache")
	}
	return x.checkBlocks(s)
}

// checkBlocks: the blocks that the sequence's positions lie in must be blocks of the cache.
func (x *Exec) checkBlocks(s *Seq) error {
	n := (s.Pos + s.Len + BlockTokens - 1) / BlockTokens
	if n > len(s.Blocks) {
		return fmt.Errorf("nn: %d KV blocks do not hold %d positions", len(s.Blocks), s.Pos+s.Len)
	}
	for i, block := range s.Blocks[:n] {
		if block < 0 || int(block) >= x.opt.KV.Blocks {
			return fmt.Errorf("nn: KV block %d of a sequence is %d, the cache has %d blocks", i, block, x.opt.KV.Blocks)
		}
	}
	return nil
}

// cutChunks cuts a sequence's queries into attention tasks; longest first, since later queries see more keys.
func (x *Exec) cutChunks(seq, rows int) {
	n := max(1, queryRows/max(1, x.p.widestHeads().group))
	for from := (rows - 1) / n * n; from >= 0; from -= n {
		x.chunks = append(x.chunks, chunk{seq: seq, from: from, n: min(n, rows-from)})
	}
}

// chooseStore takes the paged cache, or lays out one layer's tiles for the batch's own rows.
func (x *Exec) chooseStore() {
	x.store = x.paged
	if x.isPaged() || len(x.p.heads) == 0 {
		return
	}
	x.ownAt = x.ownAt[:0]
	blocks := 0
	for i := range x.batch.Seqs {
		x.ownAt = append(x.ownAt, blocks)
		blocks += (x.batch.Seqs[i].Len + BlockTokens - 1) / BlockTokens
	}
	x.store = x.ownStore(blocks)
}

// isPaged tells whether the current batch's keys and values live in the paged cache: all of its sequences have tables.
func (x *Exec) isPaged() bool { return len(x.batch.Seqs) > 0 && x.batch.Seqs[0].Blocks != nil }

// block is the store's block that holds a sequence's position.
func (x *Exec) block(seq, pos int) int {
	if table := x.batch.Seqs[seq].Blocks; table != nil {
		return int(table[pos/BlockTokens])
	}
	return x.ownAt[seq] + pos/BlockTokens
}

// storeLayer: the batch's own rows are kept for one layer at a time.
func (x *Exec) storeLayer(layer int) int {
	if x.isPaged() {
		return layer
	}
	return 0
}

// rowTask runs a function over runs of rows.
type rowTask struct {
	run        func(lo, hi int)
	rows, each int
}

func (t *rowTask) Do(i, _ int) { t.run(i*t.each, min(t.rows, (i+1)*t.each)) }

// inlineWork is the work (in rough element operations) below which waking the pool costs more than it gains.
const inlineWork = 32 << 10

// forRows calls run over all rows of the batch, cut by size alone; work is the rough cost of a row.
func (x *Exec) forRows(work int, run func(lo, hi int)) { x.forRange(x.rows, work, run) }

// forRange is forRows for n things of any kind.
func (x *Exec) forRange(n, work int, run func(lo, hi int)) {
	if n*work < inlineWork {
		run(0, n)
		return
	}
	each := max(1, inlineWork/4/work)
	x.rowTask = rowTask{run, n, each}
	x.opt.Pool.Run((n+each-1)/each, &x.rowTask)
}
