package kernel

import (
	"fmt"
	"sync"
)

// The cut of a product; it depends on nothing but the sizes.
const (
	gemmKC = 512 // depth of a slice: 64 KB of a panel of B, and C is read and written only every 512 steps
	gemmMC = 96  // rows of a task
	gemmMR = 12  // rows of a tile of the micro-kernel

	gemmFew   = 2 * gemmMC // up to so many rows the tasks pack B for themselves
	gemmGroup = 8          // panels of a task: 256 columns
	gemmTasks = 16         // below that number the tasks become smaller
	gemmAlone = 200_000    // multiply-adds not worth waking a worker for
)

// GemmNT computes C[m,n] = A[m,k]·B[n,k]ᵀ (a layer's X·Wᵀ), with acc C += A·Bᵀ. Matrices are row-major with lda, ldb, ldc
// between rows. Each element of C is one chain of multiply-adds in the order of k, which starts at 0 or at the old C,
// whatever m, n and the pool are. A nil pool computes on the calling goroutine.
func GemmNT(p *Pool, m, n, k int, a []float32, lda int, b []float32, ldb int, c []float32, ldc int, acc bool) {
	checkMatrix("A", m, k, len(a), lda)
	checkMatrix("B", n, k, len(b), ldb)
	gemm(p, gemmArgs{m: m, n: n, k: k, a: a, rs: lda, ks: 1, b: b, ldb: ldb, bT: true, c: c, ldc: ldc, acc: acc})
}

// GemmNN computes C[m,n] = A[m,k]·B[k,n] (a layer's dY·W); see GemmNT.
func GemmNN(p *Pool, m, n, k int, a []float32, lda int, b []float32, ldb int, c []float32, ldc int, acc bool) {
	checkMatrix("A", m, k, len(a), lda)
	checkMatrix("B", k, n, len(b), ldb)
	gemm(p, gemmArgs{m: m, n: n, k: k, a: a, rs: lda, ks: 1, b: b, ldb: ldb, c: c, ldc: ldc, acc: acc})
}

// GemmTN computes C[m,n] = A[k,m]ᵀ·B[k,n] (a layer's dYᵀ·X); see GemmNT.
func GemmTN(p *Pool, m, n, k int, a []float32, lda int, b []float32, ldb int, c []float32, ldc int, acc bool) {
	checkMatrix("A", k, m, len(a), lda)
	checkMatrix("B", k, n, len(b), ldb)
	gemm(p, gemmArgs{m: m, n: n, k: k, a: a, rs: 1, ks: lda, b: b, ldb: ldb, c: c, ldc: ldc, acc: acc})
}

// gemmArgs is one product. A[i,j] stands at a[i*rs+j*ks]; B[j,x] at b[j*ldb+x], with bT at b[x*ldb+j].
type gemmArgs struct {
	m, n, k int
	a       []float32
	rs, ks  int
	b       []float32
	ldb     int
	bT      bool
	c       []float32
	ldc     int
	acc     bool
}

// gemmRun is a product at work. B is packed first, panel after panel, then C is computed block after block; where A has
// few rows, a task packs what it needs of B and uses it at once. A transposed A is packed in both cases.
type gemmRun struct {
	gemmArgs
	panels, depths   int       // number of panels of 32 columns, of slices of gemmKC
	blocks, mc       int       // number of blocks of rows, and rows in one
	groups           int       // number of groups of gemmGroup panels; 0: each task packs its own panel
	packedA          []float32 // where A is transposed: slice after slice, each in tiles of gemmMR rows
	packedB          []float32 // panel after panel, k rows of 32 each
	own              []gemmOwn // of each worker
	packing, mulling gemmStep
}

// gemmOwn is a worker's scratch memory.
type gemmOwn struct {
	edge [gemmMC * PanelWidth]float32 // a block of C at an incomplete panel
	b    [gemmKC * PanelWidth]float32 // a slice of a panel of B
}

// gemmStep is one of the two steps as a Task.
type gemmStep struct {
	run *gemmRun
	do  func(g *gemmRun, i, worker int)
}

func (s *gemmStep) Do(i, worker int) { s.do(s.run, i, worker) }

var gemmRuns = sync.Pool{New: func() any {
	g := new(gemmRun)
	g.packing = gemmStep{g, (*gemmRun).packTask}
	g.mulling = gemmStep{g, (*gemmRun).mulTask}
	return g
}}

func gemm(p *Pool, args gemmArgs) {
	if args.m <= 0 || args.n <= 0 {
		return
	}
	checkMatrix("C", args.m, args.n, len(args.c), args.ldc)
	if args.k <= 0 {
		args.empty()
		return
	}
	if args.m*args.n*args.k < gemmAlone {
		p = nil
	}
	if raceEnabled {
		args.noteReads()
	}
	g := gemmRuns.Get().(*gemmRun)
	g.cut(args)
	if len(g.own) < p.Workers() {
		g.own = make([]gemmOwn, p.Workers())
	}
	p.Run(g.packTasks(), &g.packing)
	p.Run(g.mulTasks(), &g.mulling)
	g.gemmArgs = gemmArgs{}
	gemmRuns.Put(g)
}

// empty is the product of depth 0.
func (g *gemmArgs) empty() {
	for i := 0; i < g.m && !g.acc; i++ {
		clear(g.c[i*g.ldc:][:g.n])
	}
}

// noteReads tells the race detector which rows of A and B are read.
func (g *gemmArgs) noteReads() {
	rows, cols, ld := g.m, g.k, g.rs
	if g.rs == 1 && g.ks != 1 {
		rows, cols, ld = g.k, g.m, g.ks
	}
	for i := range rows {
		reads(g.a[i*ld:][:cols])
	}
	rows, cols = g.k, g.n
	if g.bT {
		rows, cols = g.n, g.k
	}
	for i := range rows {
		reads(g.b[i*g.ldb:][:cols])
	}
}

// cut plans the product.
func (g *gemmRun) cut(args gemmArgs) {
	g.gemmArgs = args
	g.panels = ceilDiv(g.n, PanelWidth)
	g.depths = ceilDiv(g.k, gemmKC)
	g.packedA = resize(g.packedA, 0)
	if g.transposedA() {
		g.packedA = resize(g.packedA, ceilDiv(g.m, gemmMR)*gemmMR*g.k)
	}
	g.mc, g.groups = gemmMC, 0
	if g.m > gemmFew {
		g.groups = ceilDiv(g.panels, gemmGroup)
		g.packedB = resize(g.packedB, g.panels*PanelWidth*g.k)
		for g.mc > gemmMR && g.groups*ceilDiv(g.m, g.mc) < gemmTasks {
			g.mc /= 2
		}
	}
	g.blocks = ceilDiv(g.m, g.mc)
}

func (g *gemmRun) transposedA() bool { return g.rs == 1 && g.ks != 1 && g.m > 1 }

// packTasks counts the pieces of the first step: slices of panels of B, then slices of A.
func (g *gemmRun) packTasks() int {
	n := 0
	if g.groups > 0 {
		n = g.panels * g.depths
	}
	if g.transposedA() {
		n += g.depths * ceilDiv(g.m, gemmMC)
	}
	return n
}

// packTask packs one slice of a panel of B or of a block of A.
func (g *gemmRun) packTask(i, _ int) {
	if g.groups > 0 {
		if n := g.panels * g.depths; i >= n {
			i -= n
		} else {
			p, k0 := i/g.depths, i%g.depths*gemmKC
			g.packPanel(g.packedB[(p*g.k+k0)*PanelWidth:], p, k0)
			return
		}
	}
	k0, r0 := i%g.depths*gemmKC, i/g.depths*gemmMC
	kc := min(gemmKC, g.k-k0)
	packA(g.sliceA(r0, k0, kc).data, g.a[k0*g.ks+r0:], g.ks, kc, min(gemmMC, g.m-r0))
}

// packPanel copies one slice in depth of one panel of B to rows of 32, zeros beyond the last column.
func (g *gemmRun) packPanel(dst []float32, p, k0 int) {
	kc, x0 := min(gemmKC, g.k-k0), p*PanelWidth
	width := min(PanelWidth, g.n-x0)
	dst = dst[:kc*PanelWidth]
	if g.bT {
		packTransposed(dst, g.b[x0*g.ldb+k0:], g.ldb, kc, width)
		return
	}
	packRows(dst, g.b[k0*g.ldb+x0:], g.ldb, kc, width)
}

// sliceA is A from row r0, a multiple of gemmMR where A is packed, and column k0 on.
func (g *gemmRun) sliceA(r0, k0, kc int) gemmA {
	if g.transposedA() {
		tiles := ceilDiv(g.m, gemmMR)
		return gemmA{g.packedA[tiles*gemmMR*k0+r0*kc:], 1, gemmMR, gemmMR * kc}
	}
	return gemmA{g.a[r0*g.rs+k0*g.ks:], g.rs, g.ks, 0}
}

func (g *gemmRun) mulTasks() int {
	if g.groups == 0 {
		return g.panels
	}
	return g.groups * g.blocks
}

// mulTask computes one panel of C (groups = 0), or one block of rows by a group of panels.
func (g *gemmRun) mulTask(i, worker int) {
	own := &g.own[worker]
	first, last, b0, b1 := i, i+1, 0, g.blocks
	if g.groups > 0 {
		group, block := i/g.blocks, i%g.blocks
		first, b0 = group*gemmGroup, block
		last, b1 = min(first+gemmGroup, g.panels), block+1
	}
	for d := range g.depths {
		for p := first; p < last; p++ {
			k0 := d * gemmKC
			var b []float32
			if g.groups > 0 {
				b = g.packedB[(p*g.k+k0)*PanelWidth:]
			} else {
				b = own.b[:]
				g.packPanel(b, p, k0)
			}
			for block := b0; block < b1; block++ {
				g.mulBlock(block*g.mc, k0, p, b, own.edge[:])
			}
		}
	}
}

// mulBlock adds one slice in depth to one block of C, up to gemmMC rows by 32 columns.
func (g *gemmRun) mulBlock(r0, k0, p int, b, edge []float32) {
	rows, kc := min(g.mc, g.m-r0), min(gemmKC, g.k-k0)
	x0, acc := p*PanelWidth, g.acc || k0 > 0
	a := g.sliceA(r0, k0, kc)
	c := g.c[r0*g.ldc+x0:]
	width := g.n - x0
	if width >= PanelWidth {
		a.mul(rows, kc, b, c, g.ldc, acc)
		return
	}
	for i := range rows {
		copy(edge[i*PanelWidth:][:width], c[i*g.ldc:])
	}
	a.mul(rows, kc, b, edge, PanelWidth, acc)
	for i := range rows {
		copy(c[i*g.ldc:][:width], edge[i*PanelWidth:])
	}
}

// gemmA is a block of A: element [i,j] at data[i*rs+j*ks], or, where tile is not 0, in tiles of gemmMR rows that are tile
// elements apart.
type gemmA struct {
	data         []float32
	rs, ks, tile int
}

// mul is panel on a block of A.
func (a gemmA) mul(rows, kc int, b, c []float32, ldc int, acc bool) {
	if a.tile == 0 {
		panel(rows, kc, a.data, a.rs, a.ks, b, PanelWidth, c, ldc, acc)
		return
	}
	for t := 0; t*gemmMR < rows; t++ {
		panel(min(gemmMR, rows-t*gemmMR), kc, a.data[t*a.tile:], a.rs, a.ks, b, PanelWidth, c[t*gemmMR*ldc:], ldc, acc)
	}
}

func ceilDiv(a, b int) int { return (a + b - 1) / b }

// resize returns a slice of n elements with any content, x itself where it is long enough.
func resize(x []float32, n int) []float32 {
	if cap(x) < n {
		return make([]float32, n)
	}
	return x[:n]
}

// checkMatrix panics unless a row-major matrix with ld between its rows fits in n elements.
func checkMatrix(name string, rows, cols, n, ld int) {
	if rows <= 0 || cols <= 0 {
		return
	}
	if ld < cols && rows > 1 || (rows-1)*ld+cols > n {
		panic(fmt.Sprintf("kernel: %s of %d by %d with rows %d apart does not fit in %d elements", name, rows, cols, ld, n))
	}
}
