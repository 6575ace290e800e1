package nn

import "sync/atomic"

// chunk is a run of tokens of one sequence whose queries are worked on together.
type chunk struct {
	seq, from, n int
	// Of the current layer: its tiles of keys, and where their partial results lie when each is a task of its own.
	first, tiles, slot int
}

// attendTask is one chunk over one tile of keys, or over all of them.
type attendTask struct{ chunk, tile int }

const allTiles = -1

// Few rows far into a text give few tasks, so each tile of their keys becomes one, and the worker that ends the last
// tile of a chunk merges them. maxPartials bounds the floats of partial results; what does not fit is not cut.
const maxPartials = 1 << 20

// planAttention makes each worker's scratch, wide enough for every layer, and room for partial results.
func (x *Exec) planAttention() {
	widest := x.p.widestHeads()
	rows, pad := max(queryRows, widest.group), padded(widest.headDim)
	for range x.opt.Pool.Workers() {
		x.attendScratch = append(x.attendScratch, &attendScratch{
			q:      make([]float32, rows*widest.headDim),
			scores: make([]float32, rows*tileKeys),
			cache:  make([]float32, BlockTokens*pad),
			tile:   make([]float32, rows*(pad+2)),
			total:  make([]float32, rows*(pad+2)),

			weights: make([]float32, rows),
		})
	}
	tiles := (x.opt.MaxContext + tileKeys - 1) / tileKeys
	floats := min(maxPartials, tiles*x.opt.MaxTokens*widest.kvHeads*widest.group*(pad+2))
	x.partials = make([]float32, floats)
	x.attendTasks = make([]attendTask, 0, x.opt.MaxTokens+floats/(pad+2))
	x.tilesLeft = make([]atomic.Int32, x.opt.MaxTokens*widest.kvHeads)
	x.memory.Activations += 4 * int64(floats)
}

// cutTasks lists the layer's tasks.
func (b *boundAttend) cutTasks() {
	x := b.x
	x.attendTasks = x.attendTasks[:0]
	free := 0
	for i := range x.chunks {
		c := &x.chunks[i]
		seq := &x.batch.Seqs[c.seq]
		from, _ := b.seen(seq, c.from)
		_, to := b.seen(seq, c.from+c.n-1)
		c.first, c.slot = from/tileKeys, free
		c.tiles = (to+tileKeys-1)/tileKeys - c.first
		floats := c.tiles * b.kvHeads * b.partialFloats(c)
		if c.tiles == 1 || free+floats > len(x.partials) {
			x.attendTasks = append(x.attendTasks, attendTask{i, allTiles})
			continue
		}
		free += floats
		for t := range c.tiles {
			x.attendTasks = append(x.attendTasks, attendTask{i, t})
		}
		for head := range b.kvHeads {
			x.tilesLeft[i*b.kvHeads+head].Store(int32(c.tiles))
		}
	}
}

// partialFloats is the size of a chunk's partial result over one tile.
func (b *boundAttend) partialFloats(c *chunk) int { return c.n * b.group * (b.pad + 2) }

// partialIn lays out a partial result for a chunk.
func (b *boundAttend) partialIn(mem []float32, c *chunk) partial {
	rows := c.n * b.group
	return partial{mem[:rows], mem[rows : 2*rows], mem[2*rows : rows*(b.pad+2)]}
}

// slot is the partial result of one tile of a chunk that is cut.
func (b *boundAttend) slot(c *chunk, tile, head int) partial {
	return b.partialIn(b.x.partials[c.slot+(tile*b.kvHeads+head)*b.partialFloats(c):], c)
}

// Do runs task i: one chunk of queries against one key/value head, over all tiles of keys or over one of them.
func (b *boundAttend) Do(i, worker int) {
	x, s := b.x, b.x.attendScratch[worker]
	task, head := x.attendTasks[i/b.kvHeads], i%b.kvHeads
	c := &x.chunks[task.chunk]
	b.gather(s, c, head)
	if task.tile != allTiles {
		b.tile(b.slot(c, task.tile, head), s, c, head, c.first+task.tile)
		if x.tilesLeft[task.chunk*b.kvHeads+head].Add(-1) > 0 {
			return
		}
	}
	total, t := b.partialIn(s.total, c), 0
	if b.sinks != nil {
		b.start(total, head)
	} else {
		total, t = b.ofTile(total, task, s, c, head, 0), 1
	}
	for ; t < c.tiles; t++ {
		b.merge(total, b.ofTile(b.partialIn(s.tile, c), task, s, c, head, t), s.weights)
	}
	b.scatter(total, c, head)
}

// ofTile is the partial result of a chunk's tile t: computed into p, or what that tile's own task has left.
func (b *boundAttend) ofTile(p partial, task attendTask, s *attendScratch, c *chunk, head, t int) partial {
	if task.tile != allTiles {
		return b.slot(c, t, head)
	}
	b.tile(p, s, c, head, c.first+t)
	return p
}
