package quant

import (
	"fmt"
	"unsafe"

	"hone/kernel"
)

// Encoding is the form in which a packed weight wants its activations.
type Encoding uint8

// The encodings. Int8 groups carry one f32 scale per so many columns, absmax/127, rounded to nearest even; Int16 groups are
// two rows of such groups, the second of what the first leaves over.
const (
	F32 Encoding = iota
	BF16
	Int8Group32
	Int8Group64
	Int8Group128
	Int8Token // one scale per token
	Int16Group32
	Int16Group64
	Int16Group128
	encodings
)

var encodingNames = [encodings]string{"f32", "bf16", "int8-g32", "int8-g64", "int8-g128", "int8-token", "int16-g32", "int16-g64", "int16-g128"}

func (e Encoding) String() string { return encodingNames[e] }

// group is the number of columns of one activation scale at this width.
func (e Encoding) group(width int) int {
	switch e.narrow() {
	case Int8Group32:
		return 32
	case Int8Group64:
		return 64
	case Int8Group128:
		return 128
	}
	return (width + 31) &^ 31
}

// stride is the size in bytes of one token.
func (e Encoding) stride(width int) int {
	switch e {
	case F32:
		return 4 * width
	case BF16:
		return 2 * ((width + 31) &^ 31)
	}
	g := e.group(width)
	n := kernel.IntRowBytes((width+g-1)/g*g, g)
	if e.wide() {
		n *= 2
	}
	return n
}

// encodeInline is the number of activations up to which Prepare does not call the pool.
const encodeInline = 8192

// Input is one activation matrix [tokens,width] and its encodings, made on demand in memory that is kept. One goroutine
// at a time may Set and Prepare; products may read it from many.
type Input struct {
	maxTokens, width int
	x                []float32
	ldx, tokens      int
	ready            [encodings]bool
	data             [encodings][]byte
	task             encodeTask

	// Of gathered rows: where they come from, and the memory of their f32 values.
	from   *Input
	rowsOf []int32
	own    []float32
	gather gatherTask

	// The same activations for weights whose columns stand in an order of their own.
	orders []*Input
	turn   orderTask
}

// NewInput makes an input for up to maxTokens rows of width values. Memory for an encoding is taken at its first use, or by
// Reserve.
func NewInput(maxTokens, width int) *Input {
	if maxTokens <= 0 || width <= 0 {
		panic(fmt.Sprintf("quant: NewInput(%d, %d)", maxTokens, width))
	}
	return &Input{maxTokens: maxTokens, width: width}
}

// Reserve takes the memory of encodings ahead, so that Prepare allocates nothing.
func (in *Input) Reserve(list ...Encoding) {
	for _, e := range list {
		if e != F32 && in.data[e] == nil {
			in.data[e] = alignedBytes(in.maxTokens * e.stride(in.width))
		}
	}
}

// Set makes x the activations: row t is x[t*ldx:][:width]. x is kept, not copied, and must not change until the products are
// done.
func (in *Input) Set(x []float32, ldx, tokens int) {
	if tokens < 0 || tokens > in.maxTokens || ldx < in.width || tokens > 0 && len(x) < (tokens-1)*ldx+in.width {
		panic(fmt.Sprintf("quant: Input of at most %d x %d set to %d tokens, %d values apart, in %d values", in.maxTokens, in.width, tokens, ldx, len(x)))
	}
	in.x, in.ldx, in.tokens, in.from = x, ldx, tokens, nil
	in.ready = [encodings]bool{F32: true}
}

// Tokens is the number of rows set.
func (in *Input) Tokens() int { return in.tokens }

// Width is the number of columns.
func (in *Input) Width() int { return in.width }

// Prepare makes encoding e unless Set (or Gather) has been followed by it already. A token's codes depend on its own values alone.
func (in *Input) Prepare(p *kernel.Pool, e Encoding) {
	if in.ready[e] {
		return
	}
	in.Reserve(e)
	if in.from != nil {
		in.copyRows(p, e)
		in.ready[e] = true
		return
	}
	in.task.in, in.task.e, in.task.chunk = in, e, max(1, encodeInline/2/in.width)
	if in.tokens*in.width <= encodeInline {
		in.encode(e, 0, in.tokens)
	} else {
		p.Run((in.tokens+in.task.chunk-1)/in.task.chunk, &in.task)
	}
	in.ready[e] = true
}

type encodeTask struct {
	in    *Input
	e     Encoding
	chunk int
}

// Do encodes the i-th chunk of tokens.
func (t *encodeTask) Do(i, _ int) {
	t.in.encode(t.e, i*t.chunk, min((i+1)*t.chunk, t.in.tokens))
}

func (in *Input) encode(e Encoding, from, to int) {
	stride, group := e.stride(in.width), e.group(in.width)
	for t := from; t < to; t++ {
		row, dst := in.x[t*in.ldx:t*in.ldx+in.width], in.data[e][t*stride:(t+1)*stride]
		switch {
		case e == BF16:
			bits := halves(dst)
			kernel.F32ToBF16(bits[:in.width], row)
			clear(bits[in.width:])
		case e.wide():
			encodeWide(dst, row, group)
		default:
			kernel.IntQuantize(dst, row, group, e == Int8Token)
		}
	}
}

// rows are the encoded tokens from t on.
func (in *Input) rows(e Encoding, t int) []byte {
	if !in.ready[e] {
		panic("quant: a product reads activations as " + e.String() + " before Prepare")
	}
	return in.data[e][t*e.stride(in.width):]
}

// halves is aligned memory as 16-bit values.
func halves(b []byte) []uint16 {
	return unsafe.Slice((*uint16)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/2)
}
