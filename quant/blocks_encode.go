package quant

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
)

// Encode rounds rows to the format with the least squared error that its search finds: see fitBlock. The same values give the
// same bytes on every machine.
func (f *blockFormat) Encode(rows, cols int, readRow func(dst []float32, i int)) (Matrix, error) {
	if f.write == nil {
		return nil, fmt.Errorf("quant: %s: %w; encode to %s instead", f.name, ErrReadOnly, "q4_k or iq4_nl")
	}
	if rows <= 0 || cols <= 0 {
		return nil, fmt.Errorf("quant: %s matrix of %d x %d: both sizes must be positive", f.name, rows, cols)
	}
	per, err := f.rowBytes(cols)
	if err != nil {
		return nil, err
	}
	data := make([]byte, rows*per)
	batch := min(rows, max(1, encodeBatch/cols))
	values, faults := make([]float32, batch*cols), make([]error, runtime.GOMAXPROCS(0))
	for at := 0; at < rows; at += batch {
		n := min(batch, rows-at)
		for i := range n {
			readRow(values[i*cols:(i+1)*cols], at+i)
		}
		var wait sync.WaitGroup
		for w := range faults {
			wait.Go(func() {
				var b blockFit
				for i := w; i < n && faults[w] == nil; i += len(faults) {
					faults[w] = f.encodeRow(&b, data[(at+i)*per:(at+i+1)*per], values[i*cols:(i+1)*cols], at+i)
				}
			})
		}
		wait.Wait()
		if err := errors.Join(faults...); err != nil {
			return nil, err
		}
	}
	return f.fromBytes(rows, cols, data), nil
}

// substitute is the format for rows that do not fill this one's blocks.
func (f *blockFormat) substitute(cols int) (Format, string, error) {
	name := f.shorter
	if name == "" || cols%32 != 0 {
		name = "f16"
	}
	other, err := Lookup(name)
	return other, fmt.Sprintf("rows of %d values do not fit the blocks of %s: %s is taken", cols, f.name, name), err
}

// encodeRow writes the blocks of row i.
func (f *blockFormat) encodeRow(b *blockFit, dst []byte, x []float32, i int) error {
	if j := firstNotFinite(x); j >= 0 {
		return fmt.Errorf("quant: %s: row %d, column %d holds %v, which has no code", f.name, i, j, x[j])
	}
	for n := range len(x) / f.weights {
		b.fit(f, x[n*f.weights:(n+1)*f.weights])
		if const16 := uint16(0x7c00); b.d&const16 == const16 || b.min&const16 == const16 {
			return fmt.Errorf("quant: %s: row %d, columns %d to %d need a scale beyond f16", f.name, i, n*f.weights, (n+1)*f.weights-1)
		}
		f.write(dst[n*f.bytes:(n+1)*f.bytes], &b.block)
	}
	return nil
}
