package kernel

import (
	"fmt"
	"sync"
)

// The cut of a product; it depends on nothing but the sizes.
const (
	gemmKC = 256 // depth of a packed panel of B: 32 KB, so that it stays in the first-level cache
	gemmMC = 96  // rows of a task
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

// gemmRun is a product at work: B is packed first, panel after panel, then C is computed block after block.
type gemmRun struct {
	gemmArgs
	panels, depths int         // number of panels of 32 columns, of slices of gemmKC
	packed         []float32   // panel p: k rows of 32
	edge           [][]float32 // per worker: C block of an incomplete panel
	pack, mul      gemmStep
}

// gemmStep is one of the two steps as a Task.
type gemmStep struct {
	run *gemmRun
	do  func(g *gemmRun, i, worker int)
}

func (s *gemmStep) Do(i, worker int) { s.do(s.run, i, worker) }

var gemmRuns = sync.Pool{New: func() any {
	g := new(gemmRun)
	g.pack = gemmStep{g, (*gemmRun).packTask}
	g.mul = gemmStep{g, (*gemmRun).mulTask}
	return g
}}

func gemm(p *Pool, args gemmArgs) {
	if args.m <= 0 || args.n <= 0 {
		return
	}
	checkMatrix("C", args.m, args.n, len(args.c), args.ldc)
	g := gemmRuns.Get().(*gemmRun)
	g.gemmArgs = args
	g.panels = (args.n + PanelWidth - 1) / PanelWidth
	g.depths = (args.k + gemmKC - 1) / gemmKC
	if need := g.panels * PanelWidth * args.k; cap(g.packed) < need {
		g.packed = make([]float32, need)
	} else {
		g.packed = g.packed[:need]
	}
	for len(g.edge) < p.Workers() {
		g.edge = append(g.edge, make([]float32, gemmMC*PanelWidth))
	}
	p.Run(g.panels*g.depths, &g.pack)
	p.Run((args.m+gemmMC-1)/gemmMC, &g.mul)
	g.gemmArgs = gemmArgs{}
	gemmRuns.Put(g)
}

// packTask copies one slice in depth of one panel of B to rows of 32, zeros beyond the last column.
func (g *gemmRun) packTask(i, _ int) {
	panel, k0 := i/g.depths, i%g.depths*gemmKC
	kc, x0 := min(gemmKC, g.k-k0), panel*PanelWidth
	width := min(PanelWidth, g.n-x0)
	dst := g.packed[(panel*g.k+k0)*PanelWidth:][:kc*PanelWidth]
	if g.bT {
		packTransposedGo(dst, g.b[x0*g.ldb+k0:], g.ldb, kc, width)
		return
	}
	packRowsGo(dst, g.b[k0*g.ldb+x0:], g.ldb, kc, width)
}

// packRowsGo copies kc rows of width elements to rows of 32.
func packRowsGo(dst, b []float32, ldb, kc, width int) {
	for j := range kc {
		row := dst[j*PanelWidth:][:PanelWidth]
		clear(row[copy(row, b[j*ldb:][:width]):])
	}
}

// packTransposedGo turns width rows of kc elements into kc rows of 32.
func packTransposedGo(dst, b []float32, ldb, kc, width int) {
	if width < PanelWidth {
		clear(dst)
	}
	for x := range width {
		for j, v := range b[x*ldb:][:kc] {
			dst[j*PanelWidth+x] = v
		}
	}
}

// mulTask computes one block of gemmMC rows of C over all columns.
func (g *gemmRun) mulTask(i, worker int) {
	r0 := i * gemmMC
	rows := min(gemmMC, g.m-r0)
	for k0 := 0; k0 == 0 || k0 < g.k; k0 += gemmKC {
		for panel := range g.panels {
			g.mulBlock(r0, rows, k0, panel, g.edge[worker])
		}
	}
}

// mulBlock adds one slice in depth to one block of C, gemmMC rows by 32 columns.
func (g *gemmRun) mulBlock(r0, rows, k0, p int, edge []float32) {
	kc, x0 := min(gemmKC, g.k-k0), p*PanelWidth
	acc := g.acc || k0 > 0
	var a, b []float32
	if kc > 0 {
		a, b = g.a[r0*g.rs+k0*g.ks:], g.packed[(p*g.k+k0)*PanelWidth:]
	}
	c := g.c[r0*g.ldc+x0:]
	width := g.n - x0
	if width >= PanelWidth {
		panel(rows, kc, a, g.rs, g.ks, b, PanelWidth, c, g.ldc, acc)
		return
	}
	for i := range rows {
		copy(edge[i*PanelWidth:][:width], c[i*g.ldc:])
	}
	panel(rows, kc, a, g.rs, g.ks, b, PanelWidth, edge, PanelWidth, acc)
	for i := range rows {
		copy(c[i*g.ldc:][:width], edge[i*PanelWidth:])
	}
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
