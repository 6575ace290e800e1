package nn

import (
	"fmt"
	"sync"

	"hone/quant"
)

// Source gives a model's weights by canonical name, in the stored face: matrices [rows, cols], vectors of f32. An error
// names the weight. Both are called by several goroutines at once.
type Source interface {
	Matrix(name string) (quant.Matrix, error)
	Vector(name string) ([]float32, error)
}

// stored fetches a matrix, checks its shape, converts it to the wanted number format and takes this rank's share.
func (x *Exec) stored(p Param) (quant.Matrix, error) {
	m, err := x.converted.get(x, p)
	if err != nil {
		return nil, err
	}
	return x.share(p, m)
}

// Convert fetches a matrix, checks its shape and encodes it in the format that formats wants for it; nil formats, or
// "", keep the stored one. stop is that of Options.
func Convert(src Source, p Param, formats func(Param) string, stop func() error) (quant.Matrix, error) {
	if stop != nil {
		if err := stop(); err != nil {
			return nil, err
		}
	}
	m, err := src.Matrix(p.Name)
	if err != nil {
		return nil, err
	}
	if r, c := m.Dims(); r != p.Rows || c != p.Cols {
		return nil, fmt.Errorf("nn: %s is [%d,%d], the model's config says [%d,%d]", p.Name, r, c, p.Rows, p.Cols)
	}
	if formats == nil || formats(p) == "" || formats(p) == m.Format() {
		return m, nil
	}
	f, _, err := quant.Resolve(formats(p), p.Cols)
	if err != nil {
		return nil, fmt.Errorf("nn: %s: %w", p.Name, err)
	}
	if f.Name() == m.Format() {
		return m, nil
	}
	if same, ok := quant.Recast(m, f); ok {
		return same, nil
	}
	if m, err = encode(f, p, m.ReadRow, stop); err != nil {
		return nil, fmt.Errorf("nn: %s: %w", p.Name, err)
	}
	return m, nil
}

// encode rounds a matrix. Once stop says so no row is read any more: the rest is quick, and thrown away.
func encode(f quant.Format, p Param, readRow func([]float32, int), stop func() error) (quant.Matrix, error) {
	if stop == nil {
		return f.Encode(p.Rows, p.Cols, readRow)
	}
	m, err := f.Encode(p.Rows, p.Cols, func(dst []float32, i int) {
		if stop() != nil {
			clear(dst)
			return
		}
		readRow(dst, i)
	})
	if stopped := stop(); stopped != nil {
		return nil, stopped
	}
	return m, err
}

// share cuts a matrix for this rank.
func (x *Exec) share(p Param, m quant.Matrix) (quant.Matrix, error) {
	if x.ranks() == 1 || p.Shard == Whole {
		return m, nil
	}
	if p.Shard == Column {
		from, to := split(p.Rows, p.Unit, x.opt.Group.Rank(), x.ranks())
		return m.RowSlice(from, to), nil
	}
	from, to := split(p.Cols, p.Unit, x.opt.Group.Rank(), x.ranks())
	m, err := m.ColSlice(from, to)
	if err != nil {
		return nil, fmt.Errorf("nn: %s for %d ranks: %w", p.Name, x.ranks(), err)
	}
	return m, nil
}

func (x *Exec) packed(p Param) (quant.Packed, error) {
	if x.opt.Stop != nil {
		if err := x.opt.Stop(); err != nil {
			return nil, err
		}
	}
	m, err := x.stored(p)
	if err != nil {
		return nil, err
	}
	w, err := quant.Pack(m, x.opt.Pool)
	if err != nil {
		return nil, fmt.Errorf("nn: %s: %w", p.Name, err)
	}
	x.memory.Weights += w.Bytes()
	return w, nil
}

// vector fetches a vector and takes this rank's share.
func (x *Exec) vector(p Param) ([]float32, error) {
	v, err := x.src.Vector(p.Name)
	if err != nil {
		return nil, err
	}
	if len(v) != p.Cols {
		return nil, fmt.Errorf("nn: %s has %d values, the model's config says %d", p.Name, len(v), p.Cols)
	}
	if p.Shard == Column && x.ranks() > 1 {
		from, to := split(p.Cols, p.Unit, x.opt.Group.Rank(), x.ranks())
		v = v[from:to]
	}
	x.memory.Weights += int64(len(v)) * 4
	return v, nil
}

// conversions encodes the matrices of a span of ops ahead of their use, several at a time: rounding a model to another
// format is the slow part of loading.
type conversions struct {
	mu   sync.Mutex
	done map[string]converted
}

type converted struct {
	m   quant.Matrix
	err error
}

// prepare converts all matrices of ops with as many goroutines as the pool has workers.
func (c *conversions) prepare(x *Exec, params []Param) {
	if x.opt.Formats == nil {
		return
	}
	work := make(chan Param, len(params))
	for _, p := range params {
		if !p.Vector {
			work <- p
		}
	}
	close(work)
	var wg sync.WaitGroup
	for range x.opt.Pool.Workers() {
		wg.Go(func() {
			for p := range work {
				c.get(x, p)
			}
		})
	}
	wg.Wait()
}

func (c *conversions) get(x *Exec, p Param) (quant.Matrix, error) {
	c.mu.Lock()
	got, ok := c.done[p.Name]
	c.mu.Unlock()
	if ok {
		return got.m, got.err
	}
	m, err := Convert(x.src, p, x.opt.Formats, x.opt.Stop)
	c.mu.Lock()
	c.done[p.Name] = converted{m, err}
	c.mu.Unlock()
	return m, err
}

// forget drops the stored faces; embeddings that are in use keep theirs.
func (c *conversions) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.done = map[string]converted{}
}
